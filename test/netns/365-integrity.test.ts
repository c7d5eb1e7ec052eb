/**
 * Not one byte is changed: transfers with digests through every way that offloads can be on and off at, with IPv4 and
 * IPv6, untagged and behind one and two tags of both kinds, with and without coalescing; datagrams that the kernel cuts
 * (USO), and ports of different MTU. `VLANE_INTEGRITY_MIB` is how much goes
 * through all of them together.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FAR_END } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { setOffloads } from "../support/offloads.js";
import { type Site, siteTest } from "../support/site.js";
import { sendDatagrams, transfer } from "../support/transfer.js";
import { startVlane } from "../support/vlane.js";

const integrity = suite("integrity");
const SUBNETS = ["--subnet=10.1.0.0/24", "--subnet=fd00:1::/64"];

/** Where a sender or a receiver is. */
interface End {
	ns: Namespace;
	ifname: string;
	/** IPv4 and IPv6. */
	addresses: [string, string];
}

/** Which ends do without offloads. */
type Setting = ("sender" | "receiver" | "wire")[];

/** Coalescing, and the settings that are tried with it: only a sender without offloads sends what can be coalesced. */
const DAEMONS: { coalesce: string; settings: Setting[] }[] = [
	{ coalesce: "on", settings: [[], ["sender"], ["receiver"], ["wire"], ["sender", "receiver", "wire"]] },
	{ coalesce: "off", settings: [["sender"], ["sender", "receiver", "wire"]] },
];
const STACKS = [
	{ vlans: "50", protocol: "802.1q" },
	{ vlans: "50", protocol: "802.1ad" },
	{ vlans: "20.200", protocol: "802.1q" },
	{ vlans: "20.200", protocol: "802.1ad" },
];
const MIB = 1 << 20;
const TOTAL_MIB = Number(process.env.VLANE_INTEGRITY_MIB ?? 0);
/** Directions, settings, and both families; unless asked for, every setting takes the other family. */
const TRANSFERS = 9 * DAEMONS.reduce((sum, { settings }) => sum + settings.length, 0) * 2;
const BYTES = Math.max(MIB, Math.floor((TOTAL_MIB * MIB) / TRANSFERS));

/** Moves data one way with each setting. @throws AssertionError when it arrives changed */
async function move(site: Site, settings: Setting[], sender: End, receiver: End): Promise<void> {
	const wire: [Namespace, string][] = [
		[site.lan.host, "eth0"],
		[site.lan.far, FAR_END],
	];
	for (const [index, off] of settings.entries()) {
		for (const [ns, ifname] of wire) setOffloads(ns, ifname, !off.includes("wire"));
		setOffloads(sender.ns, sender.ifname, !off.includes("sender"));
		setOffloads(receiver.ns, receiver.ifname, !off.includes("receiver"));
		const addresses = TOTAL_MIB > 0 ? receiver.addresses : [receiver.addresses[index % 2]!];
		for (const address of addresses) {
			await transfer(sender.ns, receiver.ns, address, BYTES);
			// In every run once for each way, and where nobody has offloads.
			if (TOTAL_MIB > 0 || off.length === 0 || off.length === 3) await sendDatagrams(sender.ns, receiver.ns, address);
		}
	}
}

/** How often TCP has seen an older segment arrive after a newer one. */
function reordered(ns: Namespace): number {
	return Number(/^TcpExtTCPSACKReorder\s+(\d+)/m.exec(ns.must(["nstat", "-asz"]))?.[1] ?? 0);
}

async function join(site: Site, index: number): Promise<End> {
	const addresses: [string, string] = [`10.1.0.${index}`, `fd00:1::${index}`];
	const ns = await site.join("net", { ip: addresses[0], ip6: addresses[1] });
	return { ns, ifname: "eth0", addresses };
}

for (const { coalesce, settings } of DAEMONS) {
	const daemon = ["--coalesce", coalesce];
	const how = `coalescing ${coalesce}`;
	siteTest(
		integrity,
		`between containers, and between a container and a LAN host, ${how}`,
		async (site) => {
			site.lan.station(undefined, ["10.1.0.254/24", "fd00:1::fe/64"]);
			site.create("net", ...SUBNETS, "-o", "parent=eth0");
			const [one, two] = [await join(site, 1), await join(site, 2)];
			const lan: End = { ns: site.lan.far, ifname: FAR_END, addresses: ["10.1.0.254", "fd00:1::fe"] };
			await move(site, settings, one, two);
			await move(site, settings, one, lan);
			await move(site, settings, lan, one);
		},
		{ daemon },
	);
	siteTest(
		integrity,
		`between containers of different MTU, ${how}`,
		async (site) => {
			site.create("net", ...SUBNETS, "-o", "parent=eth0");
			const [one, two] = [await join(site, 1), await join(site, 2)];
			two.ns.must(["ip", "link", "set", "eth0", "mtu", "1300"]);
			const some = TOTAL_MIB > 0 ? settings : settings.slice(0, 2);
			await move(site, some, one, two);
			await move(site, some, two, one);
			assert.is(reordered(one.ns) + reordered(two.ns), 0, "no segment came out of order");
		},
		{ daemon, tools: ["nstat"] },
	);
	for (const { vlans, protocol } of STACKS) {
		siteTest(
			integrity,
			`between containers of two hosts on VLAN ${vlans}, ${protocol}, ${how}`,
			async (site) => {
				const other = await startVlane(site.lan.far, ...daemon);
				try {
					site.create("net", ...SUBNETS, "-o", `parent=eth0.${vlans}`, "-o", `vlan_protocol=${protocol}`);
					const far = ["-o", `parent=${FAR_END}.${vlans}`, "-o", `vlan_protocol=${protocol}`];
					other.must("network", "create", ...SUBNETS, ...far, "net");
					const one = await join(site, 1);
					const ns = site.namespace("far");
					other.must("network", "connect", "--ip=10.1.0.2", "--ip6=fd00:1::2", "net", `netns:${ns.path}`);
					const two: End = { ns, ifname: "eth0", addresses: ["10.1.0.2", "fd00:1::2"] };
					await move(site, protocol === "802.1q" || TOTAL_MIB > 0 ? settings : settings.slice(-1), one, two);
				} finally {
					await other.cleanup();
				}
			},
			{ daemon },
		);
	}
}

integrity.run();
