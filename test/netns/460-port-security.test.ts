/** `-o port_security=`: what endpoints may say that they are, with real stacks that say so. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { BROADCAST, makeFrame } from "../support/frames.js";
import { FAR_END } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { arpRequest, decoded, ETHERTYPE_IPV4, ipv4Of, isArpFor, marked, marksOf } from "../support/packets.js";
import { send } from "../support/sender.js";
import { eventually, macOf, type Site, sharedSite } from "../support/site.js";

const security = suite("port security");
const test = sharedSite(security, { vlans: [50] });

const STRANGER = "02:00:00:00:00:99";
const GATEWAY = "10.46.0.1";
const GATEWAY6 = "2001:db8:46::1";

/** A network with IPv4 and IPv6, its gateway on the LAN, and two endpoints that have .2 and .3. */
async function network(site: Site, ...flags: string[]): Promise<[Namespace, Namespace]> {
	site.lan.station(50, [`${GATEWAY}/24`, `${GATEWAY6}/64`]);
	const subnets = ["--subnet=10.46.0.0/24", `--gateway=${GATEWAY}`, "--subnet=2001:db8:46::/64"];
	site.create("net", ...subnets, `--gateway=${GATEWAY6}`, "-o", "parent=eth0.50", ...flags);
	return [await site.join("net"), await site.join("net")];
}

function spoofed(site: Site, ns: Namespace): number {
	return site.port("net", ns).drops.spoofed ?? 0;
}

/** The marks of `frames`, sent by one endpoint, that reach another one. */
async function passing(from: Namespace, to: Namespace, frames: Uint8Array[]): Promise<string[]> {
	const inside = await capture(to, "eth0");
	assert.is(send(from, "eth0", frames), frames.length);
	await new Promise((resolve) => setTimeout(resolve, 100));
	return marksOf(await inside.stop());
}

function linkLocalOf(ns: Namespace): string {
	const addresses: { local: string; scope: string }[] = ns.ip("-6", "address", "show", "eth0")[0].addr_info;
	return addresses.find(({ scope }) => scope === "link")?.local ?? "";
}

test("none, the default: an endpoint sends from any address, as with the kernel's driver", async (site) => {
	const [c1, c2] = await network(site);
	const frames = [marked("own", macOf(c1)), marked("neighbour's", macOf(c2)), marked("stranger's", STRANGER)];
	assert.equal(await passing(c1, c2, frames), ["own", "neighbour's", "stranger's"]);
});

test("mac: only from its own MAC address, whatever the IP address", async (site) => {
	const [c1, c2] = await network(site, "-o", "port_security=mac");
	const frames = [marked("own", macOf(c1)), marked("neighbour's", macOf(c2)), marked("stranger's", STRANGER)];
	assert.equal(await passing(c1, c2, frames), ["own"]);
	assert.is(spoofed(site, c1), 2);
	c1.must(["ip", "address", "add", "10.46.0.77/24", "dev", "eth0"]);
	assert.is(c1.ping(GATEWAY), 1);
	const own = macOf(c1);
	c1.must(["ip", "link", "set", "eth0", "address", STRANGER]);
	assert.is(c1.ping("10.46.0.3"), 0);
	c1.must(["ip", "link", "set", "eth0", "address", own]);
	await eventually("its own address works again", () => c1.ping("10.46.0.3") === 1);
});

for (const flags of [[], ["-o", "macvlan_mode=vepa"]]) {
	test(`mac,ip ${flags[1] ?? ""}: all that a stack does with its own addresses works`, async (site) => {
		const [c1, c2] = await network(site, "-o", "port_security=mac,ip", ...flags);
		assert.is(c1.ping(GATEWAY), 1);
		await eventually("IPv6, whose addresses are checked for duplicates first", () => c1.ping(GATEWAY6) === 1);
		if (flags.length === 0) {
			for (const target of ["10.46.0.3", "2001:db8:46::3", `${linkLocalOf(c2)}%eth0`]) {
				await eventually(target, () => c1.ping(target) === 1);
			}
		}
		// What the stack has said by itself: MLD, router solicitations, duplicate address detection.
		assert.is(spoofed(site, c1), 0);
		assert.is(spoofed(site, c2), 0);
	});
}

test("mac,ip: nothing from the addresses of others, in no header that neighbours believe", async (site) => {
	const [c1, c2] = await network(site, "-o", "port_security=mac,ip");
	assert.is(c2.ping("10.46.0.2"), 1);
	const wire = await capture(site.lan.far, FAR_END);
	const inside = await capture(c2, "eth0");
	const frames = [
		arpRequest(macOf(c1), "10.46.0.3", "10.46.0.3"),
		arpRequest(macOf(c1), GATEWAY, GATEWAY),
		makeFrame({ dst: BROADCAST, src: macOf(c1), ethertype: 0x0800, payload: Uint8Array.from([0x45, 0, 0, 20]) }),
		// A whole header, from the neighbour's address to the gateway's.
		makeFrame({
			...{ dst: macOf(site.lan.far, "lan50"), src: macOf(c1), ethertype: ETHERTYPE_IPV4 },
			payload: Uint8Array.from([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 46, 0, 3, 10, 46, 0, 1]),
		}),
	];
	assert.is(send(c1, "eth0", frames), frames.length);
	for (const address of ["10.46.0.77/24", "2001:db8:46::77/64"])
		c1.must(["ip", "address", "add", address, "dev", "eth0"]);
	const from = (address: string) => c1.run(["ping", "-c", "1", "-W", "1", "-I", address, "10.46.0.3"]).status;
	assert.is(from("10.46.0.2"), 0);
	assert.is.not(from("10.46.0.77"), 0);
	assert.ok(spoofed(site, c1) >= frames.length + 1);
	for (const seen of [decoded(await wire.stop()), decoded(await inside.stop())]) {
		const claimed = ["10.46.0.3", GATEWAY].map((address) =>
			seen.some((frame) => isArpFor(frame, address) && frame.src === macOf(c1)),
		);
		assert.equal(claimed, [false, false]);
		assert.not(seen.some((frame) => frame.src === macOf(c1) && ipv4Of(frame)?.src === "10.46.0.3"));
	}
});

test("mac,ip needs addresses to compare with", async (site) => {
	const flags = ["-d", "macvlan", "--ipam-driver=null", "--ipv4=false", "-o", "port_security=mac,ip"];
	const refused = site.vlane.vlane("network", "create", ...flags, "net");
	assert.is(refused.status, 1);
	assert.match(refused.stderr, "port_security=mac,ip needs addresses to compare with, and this network gives none");
	assert.match(site.vlane.vlane("network", "ls").stdout, /^NETWORK ID.*\n$/);
});

security.run();
