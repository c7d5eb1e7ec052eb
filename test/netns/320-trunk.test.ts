/** The tutorial's 802.1Q trunk mode; tags are read off the wire in bytes: S18, S43-S45, S53, S54, S56, S57. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { BROADCAST, be16, decodeFrame, type Tag, TPID_CTAG, TPID_STAG } from "../support/frames.js";
import { FAR_END, PARENT } from "../support/lan.js";
import {
	arpRequest,
	decoded,
	ETHERTYPE_ARP,
	ETHERTYPE_IPV4,
	ETHERTYPE_IPV6,
	ipv4Of,
	isAnnouncement,
	marked,
	marksOf,
} from "../support/packets.js";
import { send } from "../support/sender.js";
import { addressesOf, linesOf, macOf, type Site, sharedSite } from "../support/site.js";

const trunk = suite("802.1Q trunk");
const test = sharedSite(trunk, { vlans: [50, 60] });
const STRANGER = "02:00:00:00:00:99";
const MACVLAN50 =
	"network create -d macvlan --subnet=192.168.50.0/24 --gateway=192.168.50.1 -o parent=eth0.50 macvlan50";
const MACVLAN60 = "network create -d macvlan --subnet=192.168.60.0/24 --gateway=192.168.60.1 -o parent=eth0.60";

function type(site: Site, line: string): string {
	return site.vlane.must(...line.split(" "));
}

test("S18: VIDs 1 to 4094 are VLANs, others are not", (site) => {
	for (const vid of [1, 4094]) {
		const parent = `eth0.${vid}`;
		site.create(`v${vid}`, "--subnet=10.1.0.0/24", "-o", `parent=${parent}`);
		assert.is(site.lan.host.run(["ip", "link", "show", parent]).status, 0);
	}
	for (const vid of ["0", "4095", "4096", "-1", "65537"]) {
		const said = site.refusal("network", "create", "-o", `parent=eth0.${vid}`, "x");
		assert.match(
			said,
			vid === "-1" ? /^unable to parse a valid vlan id from: -1/ : /^vlan id must be between 1-4094, received: /,
		);
	}
	assert.equal(linesOf(site.vlane.must("network", "ls", "--format", "{{.Name}}")), ["v1", "v4094"]);
});

test("S43: the tag is 0x8100, the VID, and neither priority nor drop eligibility", async (site) => {
	site.lan.station(50, ["192.168.50.1/24"]);
	type(site, MACVLAN50);
	const wire = await capture(site.lan.far, FAR_END);
	assert.is((await site.join("macvlan50")).ping("192.168.50.1", 2), 2);
	const frames = await wire.stop();
	assert.ok(frames.length >= 3, "a question and two requests");
	for (const bytes of frames) assert.equal([be16(bytes, 12), be16(bytes, 14)], [0x8100, 50]);
});

test("S44: ARP, IPv4 and IPv6 of several subnets all wear it", async (site) => {
	site.lan.station(50, ["10.50.0.1/24", "10.51.0.1/24", "2001:db8:50::1/64", "2001:db8:51::1/64"]);
	const four = ["--subnet=10.50.0.0/24", "--subnet=10.51.0.0/24"];
	const six = ["--subnet=2001:db8:50::/64", "--subnet=2001:db8:51::/64"];
	site.create("many", ...four, ...six, "-o", "parent=eth0.50");
	const wire = await capture(site.lan.far, FAR_END);
	const c1 = await site.join("many", { ip: "10.50.0.5", ip6: "2001:db8:50::5" });
	const c2 = await site.join("many", { ip: "10.51.0.5", ip6: "2001:db8:51::5" });
	for (const address of ["10.50.0.1", "2001:db8:50::1"]) assert.is(c1.ping(address), 1, address);
	for (const address of ["10.51.0.1", "2001:db8:51::1"]) assert.is(c2.ping(address), 1, address);
	const frames = decoded(await wire.stop());
	assert.ok(frames.every(({ tags }) => tags.length === 1 && tags[0]!.tpid === TPID_CTAG && tags[0]!.vid === 50));
	const types = new Set(frames.map(({ ethertype }) => ethertype));
	assert.equal(
		[...types].sort((a, b) => a - b),
		[ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6],
	);
});

test("S45: what is broadcast in a VLAN stays in it, from containers", async (site) => {
	site.create("v50", "--subnet=10.0.0.0/24", "-o", "parent=eth0.50");
	site.create("v60", "--subnet=10.0.0.0/24", "-o", "parent=eth0.60");
	site.create("plain", "--subnet=10.0.0.0/24", "-o", "parent=eth0");
	const containers = await Promise.all(["v50", "v60", "plain"].map((network) => site.join(network)));
	const neighbours = await Promise.all(["v50", "v60", "plain"].map((network) => site.join(network)));
	const wire = await capture(site.lan.far, FAR_END);
	const inside = await Promise.all([...containers, ...neighbours].map((ns) => capture(ns, "eth0")));
	for (const [index, ns] of containers.entries()) {
		const others = containers.filter((other) => other !== ns).map((other) => macOf(other));
		send(
			ns,
			"eth0",
			[BROADCAST, ...others].map((dst) => marked(`from ${index}`, macOf(ns), dst)),
		);
		assert.is(ns.ping(addressesOf(neighbours[index]!)[0]!.split("/")[0]!), 1);
	}
	const seen = await Promise.all(inside.map(async (capturing) => marksOf(await capturing.stop())));
	assert.equal(seen, [[], [], [], ["from 0"], ["from 1"], ["from 2"]]);
	const frames = decoded(await wire.stop()).filter(({ ethertype }) => ethertype === 0x88b5);
	const sent = frames.map(
		({ tags, payload }) => `${Buffer.from(payload.subarray(0, 6))}: ${tags.map(({ vid }) => vid)}`,
	);
	assert.equal([...new Set(sent)], ["from 0: 50", "from 1: 60", "from 2: "]);
	assert.is(sent.length, 9);
});

test("S45: a frame with a wrong tag, or without one, is dropped and counted", async (site) => {
	site.lan.station(50, ["10.0.0.254/24"]);
	site.create("v50", "--subnet=10.0.0.0/24", "-o", "parent=eth0.50");
	site.create("v60", "--subnet=10.0.0.0/24", "-o", "parent=eth0.60");
	const [c50, c60] = [await site.join("v50"), await site.join("v60")];
	const inside = await Promise.all([c50, c60].map((ns) => capture(ns, "eth0")));
	const before = site.ports().get(PARENT)!.filtered;
	const tag = (vid: number, tpid = TPID_CTAG, pcp = 0): Tag => ({ tpid, vid, pcp, dei: pcp ? 1 : 0 });
	const wrong: [string, Tag[]][] = [
		["no tag", []],
		["a priority tag", [tag(0, TPID_CTAG, 7)]],
		["another VLAN", [tag(51)]],
		["the reserved VID", [tag(4095)]],
		["a service tag", [tag(50, TPID_STAG)]],
		["a service tag around it", [tag(7, TPID_STAG), tag(50)]],
	];
	const right: [string, Tag[]][] = [
		["50", [tag(50)]],
		["60", [tag(60)]],
		["50, urgent", [tag(50, TPID_CTAG, 7)]],
	];
	for (const dst of [BROADCAST, macOf(c50), macOf(c60)]) {
		send(
			site.lan.far,
			FAR_END,
			[...wrong, ...right].map(([text, tags]) => marked(text, STRANGER, dst, tags)),
		);
	}
	assert.is(c50.ping("10.0.0.254"), 1);
	const [in50, in60] = await Promise.all(inside.map(async (capturing) => marksOf(await capturing.stop())));
	assert.equal(in50, ["50", "50, urgent", "50", "50, urgent"]);
	assert.equal(in60, ["60", "60"]);
	const { filtered: drops } = site.ports().get(PARENT)!;
	assert.is((drops.vlan ?? 0) - (before.vlan ?? 0), wrong.length * 3);
});

test("S45: a container can not reach into another VLAN with a tag of its own", async (site) => {
	site.lan.station(60, ["10.0.0.254/24"]);
	site.lan.station(undefined, ["10.1.0.254/24"]);
	site.create("v50", "--subnet=10.0.0.0/24", "-o", "parent=eth0.50");
	site.create("v60", "--subnet=10.0.0.0/24", "-o", "parent=eth0.60");
	site.create("plain", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	const [c50, c60, plain] = [await site.join("v50"), await site.join("v60"), await site.join("plain")];
	const [wire, inside] = [await capture(site.lan.far, FAR_END), await capture(c60, "eth0")];
	const tag60 = [{ tpid: TPID_CTAG, vid: 60 }];
	for (const ns of [c50, plain])
		send(ns, "eth0", [marked("hop", macOf(ns), BROADCAST, tag60), marked("hop", macOf(ns), macOf(c60), tag60)]);
	assert.is(plain.ping("10.1.0.254"), 1);
	assert.is(c60.ping("10.0.0.254"), 1);
	assert.equal(marksOf(await inside.stop()), []);
	const hops = decoded(await wire.stop()).filter(({ src, ethertype }) => src !== macOf(c60) && ethertype === 0x88b5);
	assert.equal(
		hops.map(({ tags }) => tags.map(({ vid }) => vid)),
		[
			[50, 60],
			[50, 60],
		],
		"below a tag of 50, nothing from the other",
	);
	assert.is(site.port("plain", plain).drops.vlan, 2);
});

test("S53: a tagged frame is the container's frame with four bytes more, and the other way round", async (site) => {
	site.lan.station(50, ["10.0.0.254/24", "2001:db8::fe/64"]);
	site.create("v50", "--subnet=10.0.0.0/24", "--subnet=2001:db8::/64", "-o", "parent=eth0.50");
	const c1 = await site.join("v50");
	const [wire, inside] = [
		await capture(site.lan.far, FAR_END, { outgoing: true }),
		await capture(c1, "eth0", { outgoing: true }),
	];
	assert.is(c1.ping("10.0.0.254", 2), 2);
	assert.is(c1.ping("2001:db8::fe", 2), 2);
	send(c1, "eth0", [marked("", macOf(c1)), arpRequest(macOf(c1), "10.0.0.1", "10.0.0.77")]);
	assert.is(c1.ping("10.0.0.254"), 1);
	const tagged = (frame: Uint8Array) =>
		Buffer.concat([frame.subarray(0, 12), Uint8Array.of(0x81, 0, 0, 50), frame.subarray(12)]);
	// Announcements, and all that IPv6 says to groups, come before one capture begins or after the other one has ended.
	const isAsked = (frame: Uint8Array) => !isAnnouncement(decodeFrame(frame));
	const hex = (frames: Uint8Array[]) => frames.map((frame) => Buffer.from(frame).toString("hex")).sort();
	const seen = hex((await inside.stop()).filter(isAsked).map(tagged));
	assert.equal(hex((await wire.stop()).filter(isAsked)), seen);
	assert.ok(seen.length >= 10);
});

test("S54: the VLAN 50 example: two containers and the gateway", (site) => {
	site.lan.station(50, ["192.168.50.1/24"]);
	type(site, MACVLAN50);
	type(site, "run --net=macvlan50 -itd --name macvlan_test5 --rm /bin/sh");
	assert.match(
		type(site, "run --net=macvlan50 --name macvlan_test6 --rm ping -c 2 -i 0.2 192.168.50.2"),
		/ 2 received/,
	);
	assert.match(type(site, "exec macvlan_test5 ping -c 1 192.168.50.1"), / 1 received/);
	assert.match(type(site, "exec macvlan_test5 ip route"), /^default via 192\.168\.50\.1 dev eth0/);
});

for (const [what, option] of [
	["by default", ""],
	["said aloud", " -o macvlan_mode=bridge"],
] as const) {
	test(`S56: the VLAN 60 example, bridge mode ${what}`, async (site) => {
		site.lan.station(60, ["192.168.60.1/24"]);
		type(site, `${MACVLAN60}${option} macvlan60`);
		const wire = await capture(site.lan.far, FAR_END);
		type(site, "run --net=macvlan60 -itd --name macvlan_test7 --rm /bin/sh");
		assert.match(
			type(site, "run --net=macvlan60 --name macvlan_test8 --rm ping -c 2 -i 0.2 192.168.60.2"),
			/ 2 received/,
		);
		assert.match(type(site, "exec macvlan_test7 ping -c 1 192.168.60.1"), / 1 received/);
		const echoes = decoded(await wire.stop()).filter((frame) => ipv4Of(frame));
		assert.equal(
			echoes.map(({ tags }) => tags.map(({ vid }) => vid)),
			[[60]],
			"between siblings nothing leaves",
		);
	});
}

test("S57: VLAN 50 and VLAN 60 are on eth0 at the same time, isolated", async (site) => {
	site.lan.station(50, ["192.168.50.1/24"]);
	site.lan.station(60, ["192.168.60.1/24"]);
	type(site, MACVLAN50);
	type(site, `${MACVLAN60} macvlan60`);
	const [c50, c60] = [await site.join("macvlan50"), await site.join("macvlan60")];
	assert.is(c50.ping("192.168.50.1"), 1);
	assert.is(c60.ping("192.168.60.1"), 1);
	assert.is(c50.ping("192.168.60.2"), 0);
	assert.is(c60.ping("192.168.50.2"), 0);
});

trunk.run();
