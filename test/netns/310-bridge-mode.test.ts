/** The tutorial's bridge mode, who reaches whom: S11-S26, S34-S36. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { BROADCAST } from "../support/frames.js";
import { FAR_END, PARENT } from "../support/lan.js";
import { needs } from "../support/needs.js";
import type { Namespace } from "../support/netns.js";
import { decoded, ETHERTYPE_ARP, ipv4Of, isAnnouncement, isArpFor, marked, marksOf } from "../support/packets.js";
import { send } from "../support/sender.js";
import { addressesOf, linksOf, macOf, type Site, sharedSite, siteTest } from "../support/site.js";

const bridge = suite("bridge mode");
const test = sharedSite(bridge, { vlans: [10, 50, 60] });
const STRANGER = "02:00:00:00:00:99";
const PUB_NET = ["--subnet=172.16.86.0/24", "--gateway=172.16.86.1"];

/** The tutorial's first network, its gateway being out there on the LAN. */
function pubNet(site: Site, ...flags: string[]): void {
	site.lan.station(undefined, ["172.16.86.1/24"]);
	site.create("pub_net", ...PUB_NET, "-o", "parent=eth0", ...flags);
}

test("S11: each container has its own MAC, and unicast to it is for it only", async (site) => {
	pubNet(site);
	const containers: Namespace[] = [];
	while (containers.length < 5) containers.push(await site.join("pub_net"));
	const macs = containers.map((ns) => macOf(ns));
	assert.is(new Set(macs).size, macs.length);
	const inside = await Promise.all(containers.map((ns) => capture(ns, "eth0")));
	send(
		site.lan.far,
		FAR_END,
		macs.map((mac, index) => marked(`from the LAN to ${index}`, STRANGER, mac)),
	);
	send(
		containers[0]!,
		"eth0",
		macs.slice(1).map((mac, index) => marked(`from 0 to ${index + 1}`, macs[0]!, mac)),
	);
	for (const ns of containers) assert.is(ns.ping("172.16.86.1"), 1);
	const seen = await Promise.all(inside.map(async (capturing) => marksOf(await capturing.stop()).sort()));
	assert.equal(
		seen,
		macs.map((_, to) => [`from 0 to ${to}`, `from the LAN to ${to}`].slice(to === 0 ? 1 : 0)),
	);
});

test("S12: the parent can be a physical interface", async (site) => {
	const wire = await capture(site.lan.far, FAR_END);
	pubNet(site);
	assert.is((await site.join("pub_net")).ping("172.16.86.1", 2), 2);
	assert.ok(decoded(await wire.stop()).every(({ tags }) => tags.length === 0));
});

test("S13: the parent can be an 802.1Q sub-interface", async (site) => {
	site.lan.station(10, ["172.16.86.1/24"]);
	const wire = await capture(site.lan.far, FAR_END);
	site.create("pub_net", ...PUB_NET, "-o", "parent=eth0.10");
	assert.is((await site.join("pub_net")).ping("172.16.86.1", 2), 2);
	assert.ok(decoded(await wire.stop()).every(({ tags }) => tags[0]?.vid === 10));
});

/** Links on top of the wire, as far as the kernel has them: how each is made, and the parent's name. */
const UPPER_LINKS: Record<string, { make: string[][]; parent: string }> = {
	"bridge port": {
		make: [
			["add", "br0", "type", "bridge"],
			["set", PARENT, "master", "br0"],
			["set", "br0", "up"],
		],
		parent: PARENT,
	},
	bridge: {
		make: [
			["add", "br0", "type", "bridge"],
			["set", PARENT, "master", "br0"],
			["set", "br0", "up"],
		],
		parent: "br0",
	},
	macvlan: {
		make: [
			["add", "upper", "link", PARENT, "type", "macvlan", "mode", "passthru"],
			["set", "upper", "up"],
		],
		parent: "upper",
	},
};

for (const [name, { make, parent }] of Object.entries(UPPER_LINKS)) {
	if (needs({ kernel: [name.split(" ")[0]!] })) continue;
	siteTest(
		bridge,
		`S14: the parent can be a ${name}, untagged and tagged`,
		async (site) => {
			for (const step of make) site.lan.host.must(["ip", "link", ...step]);
			for (const [vid, subnet, suffix] of [
				[undefined, "172.16.86", ""],
				[10, "172.16.87", ".10"],
			] as const) {
				site.lan.station(vid, [`${subnet}.1/24`]);
				const flags = [`--subnet=${subnet}.0/24`, `--gateway=${subnet}.1`, "-o", `parent=${parent}${suffix}`];
				site.create(`on${suffix}`, ...flags);
				const [c2, c3] = [await site.join(`on${suffix}`), await site.join(`on${suffix}`)];
				assert.is(c2.ping(`${subnet}.1`, 2), 2);
				assert.is(site.lan.far.ping(`${subnet}.2`, 2), 2);
				assert.is(c3.ping(`${subnet}.2`, 2), 2);
			}
		},
		{ vlans: [10] },
	);
}

test("S15: the gateway is somebody else's: never answered for, never assigned, never asked for", async (site) => {
	const wire = await capture(site.lan.far, FAR_END);
	const subnets = [...PUB_NET, "--subnet=2001:db8:86::/64", "--gateway=2001:db8:86::1"];
	site.create("pub_net", ...subnets, "-o", "parent=eth0");
	const c1 = await site.join("pub_net");
	const neighbour = await site.join("pub_net");
	assert.is(c1.ping("172.16.86.1"), 0);
	assert.is(c1.ping("2001:db8:86::1"), 0);
	assert.is(neighbour.ping("172.16.86.2"), 1);
	const frames = decoded(await wire.stop());
	assert.ok(
		frames.some((frame) => isArpFor(frame, "172.16.86.1")),
		"the question is on the wire",
	);
	assert.ok(
		frames.every(({ src }) => src === macOf(c1) || src === macOf(neighbour)),
		"vlane itself says nothing",
	);
	assert.not.match(site.lan.host.must(["ip", "address"]), /172\.16\.86\.1\/|2001:db8:86::1\//);
	// Now somebody is there.
	site.lan.station(undefined, ["172.16.86.1/24", "2001:db8:86::1/64"]);
	c1.must(["ip", "neighbour", "flush", "all"]);
	assert.is(c1.ping("172.16.86.1"), 1);
	assert.is(c1.ping("2001:db8:86::1"), 1);
});

test("S16: frames of one network are never seen in another", async (site) => {
	site.lan.station(undefined, ["10.8.0.254/24"]);
	const share = ["-o", "parent=eth0", "-o", "share_parent=true"];
	site.create("first", "--subnet=10.8.0.0/24", "--ip-range=10.8.0.0/26", "-o", "parent=eth0");
	site.create("second", "--subnet=10.8.0.0/24", "--ip-range=10.8.0.64/26", ...share);
	site.create("local", "--subnet=10.8.0.0/24");
	const networks = ["first", "second", "local"];
	const containers = await Promise.all(networks.map((network) => site.join(network)));
	const siblings = await Promise.all(networks.map((network) => site.join(network)));
	const inside = await Promise.all([...containers, ...siblings].map((ns) => capture(ns, "eth0")));
	for (const [index, ns] of containers.entries()) {
		const others = containers.filter((other) => other !== ns).map((other) => macOf(other));
		const frames = [BROADCAST, "01:00:5e:01:02:03", ...others].map((dst) =>
			marked(`from ${networks[index]}`, macOf(ns), dst),
		);
		send(ns, "eth0", frames);
	}
	for (const [index, ns] of containers.entries()) {
		assert.is(ns.ping(addressesOf(siblings[index]!)[0]!.split("/")[0]!), 1, "siblings meet");
	}
	for (const ns of containers.slice(0, 2)) assert.is(ns.ping("10.8.0.254"), 1, "the wire is there");
	const seen = await Promise.all(inside.map(async (capturing) => marksOf(await capturing.stop())));
	const groups = networks.map((network) => [`from ${network}`, `from ${network}`]);
	assert.equal(seen, [[], [], [], ...groups]);
});

test("S17: a second network on a parent is refused, by the name of the one that holds it", async (site) => {
	site.create("holder", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	const second = ["network", "create", "-d", "macvlan", "--subnet=10.2.0.0/24", "-o", "parent=eth0", "second"];
	assert.match(site.refusal(...second), /^network holder is already using parent interface eth0/);
	assert.is(site.vlane.must("network", "ls", "--format", "{{.Name}}"), "holder");
});

test("S19: containers of a subnet need no gateway, given or not", async (site) => {
	site.create("without", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	site.create("dead", "--subnet=10.2.0.0/24", "--gateway=10.2.0.1", "-o", "parent=eth0.20");
	for (const [network, address] of [
		["without", "10.1.0.9"],
		["dead", "10.2.0.9"],
	] as const) {
		await site.join(network, { ip: address });
		assert.is((await site.join(network)).ping(address, 2), 2, network);
	}
});

test("S20: the docker network commands do what they do in docker", async (site) => {
	const id = site.create("pub_net", ...PUB_NET, "-o", "parent=eth0", "--label=purpose=test");
	const line = `{"CreatedAt":"[^"]+","Driver":"macvlan","ID":"${id.slice(0, 12)}"`;
	assert.match(site.vlane.must("network", "ls", "--format", "json"), new RegExp(line));
	assert.is(site.vlane.must("network", "ls", "-q", "--no-trunc", "--filter", "driver=macvlan"), id);
	assert.is(site.vlane.must("network", "inspect", "-f", "{{.Name}} {{.Driver}}", id), "pub_net macvlan");
	site.run("c1", "--net=none");
	site.vlane.must("network", "connect", "--ip=172.16.86.9", "pub_net", "c1");
	assert.is(
		Object.values<{ IPv4Address: string }>(site.inspect("pub_net").Containers)[0]?.IPv4Address,
		"172.16.86.9/24",
	);
	assert.match(site.refusal("network", "rm", "pub_net"), /has active endpoints \(name:"c1"/);
	site.vlane.must("network", "disconnect", "pub_net", "c1");
	assert.not.match(site.exec("c1", "ip", "link"), /eth0/);
	assert.is(site.vlane.must("network", "prune", "-f"), "Deleted Networks:\npub_net");
	site.create("again", ...PUB_NET, "-o", "parent=eth0");
	assert.is(site.vlane.must("network", "rm", "again"), "again");
});

test("S21: separate networks do not reach each other, not even with a question", async (site) => {
	site.create("v50", "--subnet=10.50.0.0/24", "--gateway=10.50.0.1", "-o", "parent=eth0.50");
	site.create("v60", "--subnet=10.60.0.0/24", "--gateway=10.60.0.1", "-o", "parent=eth0.60");
	const [c50, c60] = [await site.join("v50"), await site.join("v60")];
	// As if they were on one link: were there a way, this would find it.
	c50.must(["ip", "route", "add", "10.60.0.0/24", "dev", "eth0"]);
	c60.must(["ip", "route", "add", "10.50.0.0/24", "dev", "eth0"]);
	const inside = await Promise.all([c50, c60].map((ns) => capture(ns, "eth0")));
	assert.is(c50.ping("10.60.0.2"), 0);
	assert.is(c60.ping("10.50.0.2"), 0);
	assert.equal(await Promise.all(inside.map(async (capturing) => (await capturing.stop()).length)), [0, 0]);
});

/** Two subnets in one network, a container on each. */
async function twoSubnets(site: Site): Promise<{ c10: Namespace; c20: Namespace }> {
	const gateways = ["--gateway=10.1.10.1", "--gateway=10.1.20.1"];
	site.create("both", "--subnet=10.1.10.0/24", "--subnet=10.1.20.0/24", ...gateways, "-o", "parent=eth0");
	return { c10: await site.join("both", { ip: "10.1.10.5" }), c20: await site.join("both", { ip: "10.1.20.5" }) };
}

test("S22: subnets of one network do not reach each other without a router", async (site) => {
	const { c10, c20 } = await twoSubnets(site);
	assert.is(c10.ping("10.1.20.5"), 0);
	assert.is(c20.ping("10.1.10.5"), 0);
});

test("S23: a router on the uplink connects them, and every packet passes the wire twice", async (site) => {
	const { c10, c20 } = await twoSubnets(site);
	const { mac } = site.lan.station(undefined, ["10.1.10.1/24", "10.1.20.1/24"]);
	site.lan.far.sysctl("net/ipv4/conf/all/send_redirects", 0);
	site.lan.far.sysctl(`net/ipv4/conf/${FAR_END}/send_redirects`, 0);
	site.lan.enableRouting();
	const wire = await capture(site.lan.far, FAR_END, { outgoing: true });
	assert.is(c10.ping("10.1.20.5", 2), 2);
	const echoes = decoded(await wire.stop()).filter((frame) => ipv4Of(frame)?.src === "10.1.10.5");
	const hops = echoes.map(({ src, dst }) => `${src} ${dst}`);
	assert.equal(
		hops,
		[1, 2].flatMap(() => [`${macOf(c10)} ${mac}`, `${mac} ${macOf(c20)}`]),
	);
});

test("S23: a router with a leg in each VLAN connects two networks", async (site) => {
	site.lan.station(50, ["10.50.0.1/24"]);
	site.lan.station(60, ["10.60.0.1/24"]);
	site.create("v50", "--subnet=10.50.0.0/24", "--gateway=10.50.0.1", "-o", "parent=eth0.50");
	site.create("v60", "--subnet=10.60.0.0/24", "--gateway=10.60.0.1", "-o", "parent=eth0.60");
	const [c50, c60] = [await site.join("v50"), await site.join("v60")];
	assert.is(c50.ping("10.60.0.2"), 0);
	site.lan.enableRouting();
	const wire = await capture(site.lan.far, FAR_END, { outgoing: true });
	assert.is(c50.ping("10.60.0.2", 2), 2);
	assert.is(c60.ping("10.50.0.2", 2), 2);
	const requests = decoded(await wire.stop()).filter((frame) => ipv4Of(frame)?.dst === "10.60.0.2");
	assert.equal([...new Set(requests.map(({ tags }) => tags.map(({ vid }) => vid).join()))], ["50", "60"]);
});

test("S24: the parent needs no address", async (site) => {
	site.lan.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", PARENT]);
	pubNet(site);
	const [c1, c2] = [await site.join("pub_net"), await site.join("pub_net")];
	site.lan.host.must(["ip", "address", "flush", "dev", PARENT]);
	assert.is(c1.ping("172.16.86.1"), 1);
	assert.is(c1.ping("172.16.86.3"), 1);
	assert.is(c2.ping("172.16.86.1"), 1);
	assert.equal(addressesOf(site.lan.host, PARENT), []);
});

test("S25: a subnet that is not the parent's LAN is the user's business", async (site) => {
	site.lan.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", PARENT]);
	site.create("elsewhere", "--subnet=10.99.0.0/24", "--gateway=10.99.0.1", "-o", "parent=eth0");
	assert.equal(addressesOf(await site.join("elsewhere")), ["10.99.0.2/24"]);
});

test("S26: what leaves wears the container's own MAC and address", async (site) => {
	pubNet(site);
	const c1 = await site.join("pub_net", { ip: "172.16.86.10" });
	const wire = await capture(site.lan.far, FAR_END);
	assert.is(c1.ping("172.16.86.1", 2), 2);
	assert.is(site.lan.far.ping("172.16.86.10", 2), 2);
	const frames = decoded(await wire.stop());
	assert.ok(frames.every(({ src }) => src === macOf(c1)));
	const packets = frames.flatMap((frame) => ipv4Of(frame) ?? []);
	assert.equal(
		packets.map(({ src }) => src),
		new Array(4).fill("172.16.86.10"),
	);
});

test("S34: containers and the parent's own address are out of each other's reach", async (site) => {
	site.lan.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", PARENT]);
	pubNet(site);
	const c1 = await site.join("pub_net", { ip: "172.16.86.10" });
	const [outside, inside] = [await capture(site.lan.host, PARENT), await capture(c1, "eth0")];
	assert.is(c1.ping("172.16.86.250"), 0);
	assert.is(site.lan.host.ping("172.16.86.10"), 0);
	// Straight to the parent's MAC, and to everybody.
	const { parentMac } = site.lan;
	send(
		c1,
		"eth0",
		[parentMac, BROADCAST, "01:00:5e:00:00:01"].map((dst) => marked("for the host", macOf(c1), dst)),
	);
	send(
		site.lan.host,
		PARENT,
		[macOf(c1), BROADCAST].map((dst) => marked("for the container", parentMac, dst)),
	);
	assert.is(c1.ping("172.16.86.1"), 1, "both reach the LAN");
	assert.is(site.lan.host.ping("172.16.86.1"), 1);
	const toHost = decoded(await outside.stop());
	assert.not.ok(
		toHost.some(({ src }) => src === macOf(c1)),
		"the host's stack sees nothing of the container",
	);
	assert.not.ok(
		decoded(await inside.stop()).some(({ src }) => src === parentMac),
		"nor the container of the host",
	);
});

test("S35: a host that uses the VLAN itself is isolated too; there is no way around", async (site) => {
	site.lan.station(50, ["192.168.50.1/24"]);
	site.create("v50", "--subnet=192.168.50.0/24", "--gateway=192.168.50.1", "-o", "parent=eth0.50");
	site.lan.host.must(["ip", "address", "add", "192.168.50.250/24", "dev", "eth0.50"]);
	const c1 = await site.join("v50");
	const [outside, inside] = [await capture(site.lan.host, "eth0.50"), await capture(c1, "eth0")];
	assert.is(site.lan.host.ping("192.168.50.1", 2), 2, "the host reaches its VLAN");
	assert.is(c1.ping("192.168.50.1", 2), 2, "and so does the container");
	assert.is(c1.ping("192.168.50.250"), 0);
	assert.is(site.lan.host.ping("192.168.50.2"), 0);
	assert.not.ok(decoded(await outside.stop()).some(({ src }) => src === macOf(c1)));
	const hostMac = macOf(site.lan.host, "eth0.50");
	assert.not.ok(decoded(await inside.stop()).some(({ src }) => src === hostMac));
	assert.match(
		site.refusal("network", "create", "-o", "host_access=true", "x"),
		/^unknown driver option "host_access"/,
	);
});

test("S36: macvlan_mode=bridge is the default, said aloud", async (site) => {
	site.lan.station(undefined, ["172.16.86.1/24"]);
	const stories: string[][] = [];
	for (const [name, options] of [
		["silent", []],
		["aloud", ["-o", "macvlan_mode=bridge"]],
	] as const) {
		site.create(name, ...PUB_NET, "-o", "parent=eth0", ...options);
		const macs = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"];
		const ends = [await site.join(name, { mac: macs[0] }), await site.join(name, { mac: macs[1] })];
		const inside = await capture(ends[1]!, "eth0", { outgoing: true });
		assert.is(ends[0]!.ping("172.16.86.3"), 1);
		assert.is(ends[1]!.ping("172.16.86.1"), 1);
		const frames = decoded(await inside.stop()).filter((frame) => !isAnnouncement(frame));
		stories.push(
			frames.map(({ src, dst, ethertype }) => `${src} ${dst} ${ethertype === ETHERTYPE_ARP ? "arp" : "ip"}`),
		);
		for (const ns of ends) await site.disconnect(name, ns);
		site.vlane.must("network", "rm", name);
		assert.equal(linksOf(ends[0]!), ["lo"]);
	}
	assert.equal(stories[0], stories[1]);
	assert.ok(stories[0]!.length >= 6);
});

bridge.run();
