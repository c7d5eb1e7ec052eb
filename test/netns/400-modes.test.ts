/** macvlan's modes on real frames: who hears whom in private, VEPA, passthru and source mode. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { BROADCAST } from "../support/frames.js";
import { FAR_END, PARENT } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { decoded, isArpFor, marked, marksOf } from "../support/packets.js";
import { startReflector } from "../support/reflector.js";
import { send } from "../support/sender.js";
import { eventually, macOf, type Site, sharedSite } from "../support/site.js";

const modes = suite("modes");
const test = sharedSite(modes, { vlans: [50] });
const GATEWAY = "10.4.0.1";
const STRANGER = "02:00:00:00:00:99";
const GROUP = "01:00:5e:01:02:03";

/** A network on eth0 with its gateway on the LAN, and `count` endpoints that have .2, .3 ... */
async function network(site: Site, mode: string, count: number, ...flags: string[]): Promise<Namespace[]> {
	site.lan.station(undefined, [`${GATEWAY}/24`]);
	site.create(
		"net",
		"--subnet=10.4.0.0/24",
		`--gateway=${GATEWAY}`,
		"-o",
		"parent=eth0",
		"-o",
		`macvlan_mode=${mode}`,
		...flags,
	);
	const endpoints: Namespace[] = [];
	while (endpoints.length < count) endpoints.push(await site.join("net"));
	return endpoints;
}

/** The marks that each of the interfaces receives while `body` runs. */
async function received(inside: [Namespace, string][], body: () => void): Promise<string[][]> {
	const captures = await Promise.all(inside.map(([ns, ifname]) => capture(ns, ifname)));
	body();
	await new Promise((resolve) => setTimeout(resolve, 100));
	return Promise.all(captures.map(async (capturing) => marksOf(await capturing.stop())));
}

test("private: siblings never hear each other, not even with a switch that sends frames back", async (site) => {
	const [c1, c2] = await network(site, "private", 2);
	assert.is(c1!.ping(GATEWAY, 2), 2);
	assert.is(site.lan.far.ping("10.4.0.3", 2), 2);
	const reflector = await startReflector(site.lan.far, FAR_END);
	const inside = await capture(c2!, "eth0");
	assert.is(c1!.ping("10.4.0.3"), 0);
	send(
		c1!,
		"eth0",
		[BROADCAST, GROUP].map((dst) => marked("from c1", macOf(c1!), dst)),
	);
	assert.is(c2!.ping(GATEWAY), 1, "what came before is there by now");
	const frames = decoded(await inside.stop());
	assert.not.ok(
		frames.some(({ src }) => src === macOf(c1!)),
		"nothing of c1's",
	);
	await reflector.stop();
});

test("vepa: siblings talk by way of a switch that sends frames back, and only so", async (site) => {
	const [c1, c2] = await network(site, "vepa", 2);
	assert.is(c1!.ping(GATEWAY, 2), 2);
	assert.is(c1!.ping("10.4.0.3"), 0, "an ordinary switch");
	const reflector = await startReflector(site.lan.far, FAR_END);
	const wire = await capture(site.lan.far, FAR_END);
	assert.is(c1!.ping("10.4.0.3", 2), 2);
	const requests = decoded(await wire.stop()).filter(({ src, dst }) => src === macOf(c1!) && dst === macOf(c2!));
	assert.ok(requests.length >= 2, "each echo request is on the wire");
	// A group frame comes back to the others, never to its sender.
	const seen = await received(
		[
			[c1!, "eth0"],
			[c2!, "eth0"],
		],
		() => {
			send(
				c1!,
				"eth0",
				[BROADCAST, GROUP].map((dst) => marked("to all", macOf(c1!), dst)),
			);
		},
	);
	assert.equal(seen, [[], ["to all", "to all"]]);
	await reflector.stop();
});

test("passthru: one endpoint gets everything that comes, and its parent is promiscuous", async (site) => {
	const [c1] = await network(site, "passthru", 1);
	assert.is(c1!.ping(GATEWAY, 2), 2);
	assert.is(site.lan.far.ping("10.4.0.2", 2), 2);
	const frames = [STRANGER, "02:00:00:00:00:77", BROADCAST, GROUP].map((dst) =>
		marked(`to ${dst}`, "02:00:00:00:00:55", dst),
	);
	const [seen] = await received([[c1!, "eth0"]], () => send(site.lan.far, FAR_END, frames));
	assert.equal(
		seen,
		[STRANGER, "02:00:00:00:00:77", BROADCAST, GROUP].map((dst) => `to ${dst}`),
	);
	// It may also send from addresses that are not its own: stations behind it.
	const [outside] = await received([[site.lan.far, FAR_END]], () => send(c1!, "eth0", [marked("behind", STRANGER)]));
	assert.equal(outside, ["behind"]);
	assert.is(site.lan.host.ip("link", "show", PARENT)[0].promiscuity, 1);
	const refused = "network net is in mode passthru, which takes one endpoint only; disconnect";
	const other = site.namespace("other");
	assert.ok(site.refusal("network", "connect", "net", `netns:${other.path}`).startsWith(refused));
	await site.disconnect("net", c1!);
	await site.connect("net", other);
	assert.is(other.ping(GATEWAY), 1);
	await site.disconnect("net", other);
	site.vlane.must("network", "rm", "net");
	assert.is(site.lan.host.ip("link", "show", PARENT)[0].promiscuity, 0);
});

test("passthru on a VLAN takes that VLAN and no other", async (site) => {
	site.lan.station(50, ["10.50.0.1/24"]);
	const gateway = ["--subnet=10.50.0.0/24", "--gateway=10.50.0.1"];
	site.create("p50", ...gateway, "-o", "parent=eth0.50", "-o", "macvlan_mode=passthru");
	const c1 = await site.join("p50");
	assert.is(c1.ping("10.50.0.1", 2), 2);
	const frames = [[{ tpid: 0x8100, vid: 50 }], [{ tpid: 0x8100, vid: 60 }], []].map((tags) =>
		marked(`tags ${tags.map(({ vid }) => vid)}`, "02:00:00:00:00:55", STRANGER, tags),
	);
	const [seen] = await received([[c1, "eth0"]], () => send(site.lan.far, FAR_END, frames));
	assert.equal(seen, ["tags 50"]);
});

test("passthru never shares its parent, whoever was first", async (site) => {
	const share = ["-o", "parent=eth0", "-o", "share_parent=true"];
	const create = (name: string, ...flags: string[]) => ["network", "create", "-d", "macvlan", ...share, ...flags, name];
	const passthru = ["-o", "macvlan_mode=passthru"];
	site.vlane.must(...create("first"));
	const taken = "cannot use mode passthru, macvlan network first is already using parent interface eth0";
	assert.is(site.refusal(...create("second", ...passthru)), taken);
	site.vlane.must("network", "rm", "first");
	site.vlane.must(...create("second", ...passthru));
	const held = "macvlan network second is already using parent interface eth0 in mode passthru";
	assert.is(site.refusal(...create("third")), held);
	// Another VLAN of the same link is another parent.
	site.create("fourth", "-o", "parent=eth0.50");
});

test("source: only what comes from the given addresses is heard, whomever it is for", async (site) => {
	const { mac } = site.lan.station(undefined, []);
	const sources = `source_macs=${mac},02:00:00:00:00:05`;
	const [c1, c2] = await network(site, "source", 2, "-o", sources);
	assert.is(c1!.ping(GATEWAY, 2), 2, "the gateway is one of them");
	assert.is(c1!.ping("10.4.0.3"), 0, "the sibling is not");
	const [self, other] = [macOf(c1!), macOf(c2!)];
	const frames = ["02:00:00:00:00:05", STRANGER].flatMap((src) =>
		[self, other, "02:00:00:00:00:77", BROADCAST, GROUP].map((dst, index) => marked(`${src} ${index}`, src, dst)),
	);
	const seen = await received(
		[
			[c1!, "eth0"],
			[c2!, "eth0"],
		],
		() => send(site.lan.far, FAR_END, frames),
	);
	const all = [0, 1, 2, 3, 4].map((index) => `02:00:00:00:00:05 ${index}`);
	assert.equal(seen, [all, all]);
});

test("source: networks on one parent have sources of their own, freed with the network", async (site) => {
	const create = (name: string, mac: string) => {
		const options = ["parent=eth0", "share_parent=true", "macvlan_mode=source", `source_macs=${mac}`];
		return ["network", "create", ...options.flatMap((option) => ["-o", option]), name];
	};
	site.vlane.must(...create("first", "02:00:00:00:00:05"));
	site.vlane.must(...create("second", "02:00:00:00:00:06"));
	assert.is(
		site.refusal(...create("third", "02:00:00:00:00:05")),
		"network first receives from source 02:00:00:00:00:05 already",
	);
	const [c1, c2] = [await site.join("first"), await site.join("second")];
	const frames = ["02:00:00:00:00:05", "02:00:00:00:00:06"].map((src) => marked(src, src));
	const inside: [Namespace, string][] = [
		[c1, "eth0"],
		[c2, "eth0"],
	];
	assert.equal(await received(inside, () => send(site.lan.far, FAR_END, frames)), [
		["02:00:00:00:00:05"],
		["02:00:00:00:00:06"],
	]);
	await site.disconnect("first", c1);
	site.vlane.must("network", "rm", "first");
	site.vlane.must(...create("third", "02:00:00:00:00:05"));
	assert.equal(await received([[c2, "eth0"]], () => send(site.lan.far, FAR_END, frames)), [["02:00:00:00:00:06"]]);
});

test("source: the sources are let in again after a restart, and when the parent has been raised anew", async (site) => {
	const { mac } = site.lan.station(undefined, []);
	const [c1] = await network(site, "source", 1, "-o", `source_macs=${mac}`);
	const heard = () =>
		received([[c1!, "eth0"]], () => {
			send(site.lan.far, FAR_END, [marked("allowed", mac, macOf(c1!)), marked("stranger", STRANGER, macOf(c1!))]);
		});
	await site.vlane.stopDaemon();
	await site.vlane.startDaemon();
	assert.is(c1!.ping(GATEWAY), 1);
	assert.equal(await heard(), [["allowed"]]);
	// Another address of the parent closes and opens everything that is on it.
	const uplink = () => site.ports().get(PARENT)?.rxFrames ?? 0;
	const before = uplink();
	assert.ok(before > 0);
	site.lan.host.must(["ip", "link", "set", PARENT, "address", "02:00:00:00:0e:01"]);
	await eventually("the uplink is a new one", () => uplink() < before);
	await eventually("the gateway answers", () => c1!.ping(GATEWAY) === 1);
	assert.equal(await heard(), [["allowed"]]);
	site.lan.host.must(["ip", "link", "set", PARENT, "address", site.lan.parentMac]);
});

test("bridge: siblings are served here, and unicast between them is not on the wire", async (site) => {
	const [c1, c2] = await network(site, "bridge", 2);
	const wire = await capture(site.lan.far, FAR_END);
	assert.is(c1!.ping("10.4.0.3", 2), 2);
	const frames = decoded(await wire.stop());
	assert.ok(
		frames.some((frame) => isArpFor(frame, "10.4.0.3")),
		"the question is on the wire",
	);
	assert.not.ok(frames.some(({ dst }) => dst === macOf(c1!) || dst === macOf(c2!)));
});

test("modes may differ between networks that share a parent", async (site) => {
	site.lan.station(undefined, [`${GATEWAY}/24`]);
	const flags = ["-o", "parent=eth0", "-o", "share_parent=true"];
	for (const [index, mode] of ["bridge", "private", "vepa"].entries()) {
		const range = `--ip-range=10.4.0.${64 * (index + 1)}/28`;
		site.create(`net-${mode}`, "--subnet=10.4.0.0/24", range, "-o", `macvlan_mode=${mode}`, ...flags);
	}
	const reached: Record<string, number> = {};
	for (const [index, mode] of ["bridge", "private", "vepa"].entries()) {
		const ns = await site.join(`net-${mode}`);
		await site.join(`net-${mode}`);
		await eventually("the wire is there", () => ns.ping(GATEWAY) === 1);
		reached[mode] = ns.ping(`10.4.0.${64 * (index + 1) + 1}`);
	}
	assert.equal(reached, { bridge: 1, private: 0, vepa: 0 });
});

modes.run();
