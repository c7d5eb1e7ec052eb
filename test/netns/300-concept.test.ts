/** The tutorial's concept and prerequisites: S01-S10. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { FAR_END, PARENT } from "../support/lan.js";
import { decoded, ipv4Of, isArpFor, marked, marksOf } from "../support/packets.js";
import { send } from "../support/sender.js";
import { addressesOf, linksOf, macOf, type Site, sharedSite, siteTest } from "../support/site.js";

const concept = suite("concept");
const test = sharedSite(concept, { vlans: [50] });
/** A TCP server that says hello to everybody, and a client that prints what it is told. */
const SERVER = 'require("node:net").createServer((s) => s.end("hello")).listen(8080, () => console.log("listening"))';
const CLIENT = 'require("node:net").connect(8080, process.argv[1]).pipe(process.stdout)';
/** Link kinds that today's drivers are made of. */
const KERNEL_SWITCHING = ["bridge", "bond", "dummy", "ipvlan", "macvlan", "macvtap", "vlan"];

/** Another wire between the host and the far side: `near` <-> `distant`, both up. */
function addWire({ lan }: Site, near: string, distant: string): void {
	lan.host.must(["ip", "link", "add", near, "type", "veth", "peer", "name", distant, "netns", lan.far.name]);
	for (const [ns, ifname] of [
		[lan.host, near],
		[lan.far, distant],
	] as const) {
		ns.sysctl(`net/ipv6/conf/${ifname}/disable_ipv6`, 1);
		ns.must(["ip", "link", "set", ifname, "up"]);
	}
}

test("S01: --ip and --ip6 are honoured verbatim", async (site) => {
	site.lan.station(50, ["172.16.50.1/24", "2001:db8:50::1/64"]);
	const subnets = ["--subnet=172.16.50.0/24", "--subnet=2001:db8:50::/64"];
	site.create("dual", ...subnets, "-o", "parent=eth0.50");
	const c1 = await site.join("dual", { ip: "172.16.50.77", ip6: "2001:db8:50::beef" });
	assert.equal(addressesOf(c1), ["172.16.50.77/24", "2001:db8:50::beef/64"]);
	site.run("c2", "--net=dual", "--ip=172.16.50.78", "--ip6=2001:db8:50:0:1:2:3:4");
	const shown = site.exec("c2", "ip", "address", "show", "eth0");
	assert.match(shown, /inet 172\.16\.50\.78\/24 /);
	assert.match(shown, /inet6 2001:db8:50:0:1:2:3:4\/64 /);
	for (const address of ["172.16.50.77", "172.16.50.78", "2001:db8:50::beef", "2001:db8:50:0:1:2:3:4"]) {
		assert.is(site.lan.far.ping(address), 1, address);
	}
});

siteTest(
	concept,
	"S02: the VID on the wire is the one in -o parent",
	async (site) => {
		for (const vid of [1, 2, 1234, 4094]) site.create(`v${vid}`, "--subnet=10.0.0.0/24", "-o", `parent=eth0.${vid}`);
		const wire = await capture(site.lan.far, FAR_END);
		for (const vid of [1, 2, 1234, 4094]) {
			site.lan.station(vid, [`10.0.0.254/24`], site.namespace("station"));
			assert.is((await site.join(`v${vid}`)).ping("10.0.0.254"), 1, `VLAN ${vid}`);
		}
		const frames = decoded(await wire.stop());
		assert.ok(frames.every(({ tags }) => tags.length === 1));
		assert.equal([...new Set(frames.map(({ tags }) => tags[0]!.vid))], [1, 2, 1234, 4094]);
	},
	{ vlans: [1, 2, 1234, 4094] },
);

test("S03: no bridge takes part, and no other link than the VLAN's own appears", async (site) => {
	const before = linksOf(site.lan.host);
	site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	site.create("plain", "--subnet=10.0.0.0/24", "-o", "parent=eth0");
	site.create("local", "--subnet=10.1.0.0/24");
	for (const network of ["v50", "plain", "local"]) await site.join(network);
	assert.equal(linksOf(site.lan.host), [...before, "eth0.50"]);
	const kinds: string[] = site.lan.host.ip("link", "show").map(({ linkinfo }) => linkinfo?.info_kind ?? "");
	assert.not.ok(kinds.includes("bridge"));
	assert.is(site.lan.host.ip("link", "show", PARENT)[0].master, undefined, "the parent is nobody's port");
});

siteTest(concept, "S04: the uplink, and the isolation, are the parent's", async (site) => {
	addWire(site, "eth1", "lan1");
	site.create("on0", "--subnet=10.0.0.0/24", "-o", "parent=eth0");
	site.create("on1", "--subnet=10.0.0.0/24", "-o", "parent=eth1");
	const wires = await Promise.all(["lan0", "lan1"].map((ifname) => capture(site.lan.far, ifname)));
	const containers = [await site.join("on0"), await site.join("on1")];
	const inside = await Promise.all(containers.map((ns) => capture(ns, "eth0")));
	for (const [index, ns] of containers.entries()) send(ns, "eth0", [marked(`from ${index}`, macOf(ns))]);
	// Behind the frames: what follows them on the same way has come back.
	site.lan.far.must(["ip", "address", "add", "10.0.0.253/24", "dev", "lan0"]);
	assert.is(containers[0]!.ping("10.0.0.253"), 1);
	site.lan.far.must(["ip", "address", "add", "10.0.0.254/24", "dev", "lan1"]);
	site.lan.far.must(["ip", "address", "del", "10.0.0.253/24", "dev", "lan0"]);
	assert.is(containers[1]!.ping("10.0.0.254"), 1);
	assert.equal(await Promise.all(wires.map(async (wire) => marksOf(await wire.stop()))), [["from 0"], ["from 1"]]);
	assert.equal(await Promise.all(inside.map(async (seen) => marksOf(await seen.stop()))), [[], []]);
});

test("S05: a service in a container is reached directly from the LAN, without a port mapping", async (site) => {
	site.lan.station(undefined, ["172.16.86.1/24"]);
	site.create("pub_net", "--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", "parent=eth0");
	const service = site.vlane.start("run", "--net=pub_net", "--ip=172.16.86.10", "--rm", process.execPath, "-e", SERVER);
	await service.waitFor(/^listening$/);
	assert.is(site.lan.far.must([process.execPath, "-e", CLIENT, "172.16.86.10"]), "hello");
	await service.stop();
});

test("S06: one interface for each container; no NAT, no forwarding, no rule on the host", async (site) => {
	const before = site.hostView();
	site.create("pub_net", "--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", "parent=eth0");
	const c1 = await site.join("pub_net");
	site.run("c2", "--net=pub_net");
	assert.equal(linksOf(c1), ["lo", "eth0"]);
	assert.equal(
		[...site.exec("c2", "ip", "-br", "link").matchAll(/^(\S+)/gm)].map(([, name]) => name),
		["lo", "eth0"],
	);
	assert.is(site.hostView(), before);
});

for (const parent of [PARENT, "eth0.10", "uplink.10", "trunk.7"]) {
	siteTest(
		concept,
		`S07: the examples work with the parent ${parent}`,
		async (site) => {
			const isTagged = parent.endsWith(".10");
			if (!parent.startsWith(PARENT)) {
				site.lan.host.must(["ip", "link", "set", PARENT, "down"]);
				site.lan.host.must(["ip", "link", "set", PARENT, "name", parent.replace(/\.10$/, "")]);
				site.lan.host.must(["ip", "link", "set", parent.replace(/\.10$/, ""), "up"]);
			}
			site.lan.station(isTagged ? 10 : undefined, ["172.16.86.1/24"]);
			site.create("net", "--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", `parent=${parent}`);
			const wire = await capture(site.lan.far, FAR_END);
			const c1 = await site.join("net", { ip: "172.16.86.10" });
			const c2 = await site.join("net");
			assert.equal(addressesOf(c2), ["172.16.86.2/24"]);
			assert.is(c2.ping("172.16.86.10", 2), 2);
			assert.is(c1.ping("172.16.86.1", 2), 2);
			const frames = decoded(await wire.stop());
			assert.ok(
				frames.length > 0 && frames.every(({ tags }) => tags.map(({ vid }) => vid).join() === (isTagged ? "10" : "")),
			);
		},
		{ vlans: [10] },
	);
}

test("S08: a sub-interface that does not exist is made", async (site) => {
	assert.is(site.lan.host.run(["ip", "link", "show", "eth0.10"]).status, 1);
	site.create("v10", "--subnet=10.0.10.0/24", "-o", "parent=eth0.10");
	assert.ok(site.lan.host.ip("link", "show", "eth0.10")[0].flags.includes("UP"));
});

test("S09: without a parent containers reach each other, and nothing leaves the host", async (site) => {
	const wire = await capture(site.lan.far, FAR_END);
	const before = site.hostView();
	site.create("local", "--subnet=10.9.0.0/24", "--gateway=10.9.0.1");
	const [c1, c2] = [await site.join("local"), await site.join("local")];
	assert.is(c1.ping("10.9.0.3", 2), 2);
	assert.is(c2.ping("10.9.0.2", 2), 2);
	assert.is(c1.ping("10.9.0.1"), 0, "there is no gateway");
	assert.is(site.inspect("local").Internal, true);
	assert.is(c1.must(["ip", "route", "show", "default"]), "");
	assert.is(site.hostView(), before);
	const frames = decoded(await wire.stop());
	assert.not.ok(frames.some((frame) => isArpFor(frame, "10.9.0.1") || ipv4Of(frame)));
});

test("S10: nothing is made of what a kernel may lack: every device is a TAP", async (site) => {
	site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	site.create("local", "--subnet=10.1.0.0/24");
	for (const ns of [site.lan.host, await site.join("v50"), await site.join("local")]) {
		const kinds: string[] = ns.ip("link", "show").flatMap(({ linkinfo }) => linkinfo?.info_kind ?? []);
		assert.equal(
			kinds.filter((kind) => KERNEL_SWITCHING.includes(kind)),
			[],
		);
		assert.ok(kinds.includes("tun"));
	}
});

concept.run();
