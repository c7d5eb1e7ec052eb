/**
 * Not one byte is changed, and no segment overtakes another: transfers with digests through every way that offloads can
 * be on and off at, with IPv4 and IPv6, untagged and behind one and two tags of both kinds, with and without
 * coalescing; datagrams that the kernel cuts (USO), and ports of different MTU and of different offloads.
 * `VLANE_INTEGRITY_MIB` is how much goes through all of them together.
 */
import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startDatapath } from "../../src/host/datapath.js";
import { close } from "../../src/sys/libc.js";
import { openNetns } from "../../src/sys/netns.js";
import { openTap } from "../../src/tap/tap.js";
import { FAR_END } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { setOffloads, takeNoOffloads } from "../support/offloads.js";
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
	{ vlans: "", protocol: "untagged" },
	{ vlans: ".50", protocol: "802.1q" },
	{ vlans: ".50", protocol: "802.1ad" },
	{ vlans: ".20.200", protocol: "802.1q" },
	{ vlans: ".20.200", protocol: "802.1ad" },
];
const MIB = 1 << 20;
/** Ports that take everything, and ports that take only whole frames with right checksums, as sender and receiver. */
const PORTS = [
	["plain", "all"],
	["all", "plain"],
	["plain", "plain"],
] as const;
const TOTAL_MIB = Number(process.env.VLANE_INTEGRITY_MIB ?? 0);
const DIRECTIONS = 5 + STACKS.length;
/** Of both families; unless asked for, every setting takes the other one. */
const TRANSFERS =
	2 * (DIRECTIONS * DAEMONS.reduce((sum, { settings }) => sum + settings.length, 0) + DAEMONS.length * PORTS.length);
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

/**
 * Lets all threads of a daemon send from one processor. From two, frames that a thread has sent before it was moved may
 * still wait in the first one's queue behind a veth when later ones arrive: it is the kernel that reorders them.
 */
function pin(ns: Namespace, pid: number): void {
	const [, processor = ""] = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
	ns.must(["taskset", "-acp", processor, `${pid}`]);
}

/** An end with a TAP of its own on a datapath without a control plane. */
function openEnd(index: number, offloads: boolean): End & { fd: number; mac: string } {
	const ns = new Namespace(`end${index}`);
	const netnsFd = openNetns(ns.path);
	const { fd } = openTap({ name: "eth0", netnsFd, persist: false });
	close(netnsFd);
	if (!offloads) takeNoOffloads(fd, "eth0");
	const mac = `02:00:00:00:00:0${index}`;
	const addresses: [string, string] = [`10.1.0.${index}`, `fd00:1::${index}`];
	ns.must(["ip", "link", "set", "eth0", "address", mac, "up"]);
	ns.must(["ip", "address", "add", `${addresses[0]}/24`, "dev", "eth0"]);
	ns.must(["ip", "address", "add", `${addresses[1]}/64`, "dev", "eth0", "nodad"]);
	return { ns, ifname: "eth0", addresses, fd, mac };
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
			assert.is(reordered(one.ns), 0, "no segment came out of order");
			await move(site, settings, one, lan);
			await move(site, settings, lan, one);
		},
		{ daemon, tools: ["nstat"] },
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
			`between containers of two hosts on eth0${vlans}, ${protocol}, ${how}`,
			async (site) => {
				const other = await startVlane(site.lan.far, ...daemon);
				try {
					pin(site.lan.host, site.vlane.pid);
					pin(site.lan.far, other.pid);
					const tagged = vlans ? ["-o", `vlan_protocol=${protocol}`] : [];
					site.create("net", ...SUBNETS, "-o", `parent=eth0${vlans}`, ...tagged);
					other.must("network", "create", ...SUBNETS, "-o", `parent=${FAR_END}${vlans}`, ...tagged, "net");
					const one = await join(site, 1);
					const ns = site.namespace("far");
					other.must("network", "connect", "--ip=10.1.0.2", "--ip6=fd00:1::2", "net", `netns:${ns.path}`);
					const two: End = { ns, ifname: "eth0", addresses: ["10.1.0.2", "fd00:1::2"] };
					await move(site, protocol === "802.1q" || TOTAL_MIB > 0 ? settings : settings.slice(-1), one, two);
					assert.is(reordered(one.ns) + reordered(two.ns), 0, "no segment came out of order");
				} finally {
					await other.cleanup();
				}
			},
			{ daemon, tools: ["nstat", "taskset"] },
		);
	}
	const needs = { root: true, tun: true, tools: ["ip", "nstat"] };
	testOrSkip(integrity, `between ports with and without offloads, ${how}`, needs, async () => {
		for (const takes of PORTS) {
			const datapath = await startDatapath({ coalesce: coalesce === "on" });
			try {
				const segment = await datapath.addSegment({ uplink: null, tags: [] });
				const ends = takes.map((which, index) => openEnd(index + 1, which === "all"));
				for (const [index, { fd, mac, ns }] of ends.entries()) {
					const port = { kind: "endpoint", name: ns.name, fd, mac, mtuBytes: 1500, segment, network: 1 } as const;
					await datapath.addPort({ ...port, mode: "bridge", offloads: takes[index] === "all" });
				}
				const [from, to] = [ends[0]!, ends[1]!];
				for (const address of TOTAL_MIB > 0 ? to.addresses : to.addresses.slice(0, 1)) {
					await transfer(from.ns, to.ns, address, BYTES);
					await sendDatagrams(from.ns, to.ns, address);
				}
				assert.is(reordered(from.ns), 0, "no segment came out of order");
			} finally {
				await datapath.close();
			}
		}
	});
}

integrity.run();
