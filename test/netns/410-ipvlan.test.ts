/** ipvlan in layer-2 mode: one MAC address for all endpoints of a network, told apart by IP address. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { BROADCAST, macBytes, makeFrame } from "../support/frames.js";
import { FAR_END, PARENT } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { decoded, ETHERTYPE_IPV4, ipv4Of, marked, marksOf } from "../support/packets.js";
import { startReflector } from "../support/reflector.js";
import { send } from "../support/sender.js";
import { addressesOf, eventually, macOf, type Site, sharedSite } from "../support/site.js";

const ipvlan = suite("ipvlan");
const test = sharedSite(ipvlan, { vlans: [50] });
const SUBNETS = ["--subnet=10.5.0.0/24", "--gateway=10.5.0.1", "--subnet=2001:db8:5::/64", "--gateway=2001:db8:5::1"];

/** A network on a parent whose gateway is on the LAN, and two endpoints. */
async function network(site: Site, flag = "bridge", parent = PARENT): Promise<[Namespace, Namespace]> {
	site.lan.station(parent === PARENT ? undefined : 50, ["10.5.0.1/24", "2001:db8:5::1/64"]);
	const options = ["-o", `parent=${parent}`, "-o", "ipvlan_mode=l2", "-o", `ipvlan_flag=${flag}`];
	site.create("net", "-d", "ipvlan", ...SUBNETS, ...options);
	return [await site.join("net"), await site.join("net")];
}

/** Once it has been found to be nobody else's. */
function linkLocalOf(ns: Namespace): string | undefined {
	const found = ns.ip("address", "show", "dev", "eth0", "scope", "link").flatMap(({ addr_info }) => addr_info ?? []);
	return found.find(({ local, tentative }) => local && !tentative)?.local;
}

for (const parent of [PARENT, "eth0.50"]) {
	test(`endpoints on ${parent} wear its address, and reach the LAN and each other by IPv4 and IPv6`, async (site) => {
		const [c1, c2] = await network(site, "bridge", parent);
		assert.is(site.inspect("net").Driver, "ipvlan");
		for (const ns of [c1, c2]) assert.is(macOf(ns), site.lan.parentMac);
		assert.equal([addressesOf(c1)[0], addressesOf(c2)[0]], ["10.5.0.2/24", "10.5.0.3/24"]);
		const wire = await capture(site.lan.far, FAR_END);
		for (const ns of [c1, c2]) {
			assert.is(ns.ping("10.5.0.1", 2), 2);
			assert.is(ns.ping("2001:db8:5::1", 2), 2);
		}
		assert.is(c1.ping("10.5.0.3", 2), 2);
		assert.is(c2.ping("2001:db8:5::2", 2), 2);
		const frames = decoded(await wire.stop());
		assert.ok(
			frames.every(({ src }) => src === site.lan.parentMac),
			"one address on the wire",
		);
		assert.not.ok(
			frames.some((frame) => ipv4Of(frame)?.dst === "10.5.0.3"),
			"siblings meet in here",
		);
		for (const address of ["10.5.0.2", "10.5.0.3", "2001:db8:5::2", "2001:db8:5::3"]) {
			assert.is(site.lan.far.ping(address, 2), 2, address);
		}
	});
}

test("the host keeps what is its own", async (site) => {
	const [c1] = await network(site);
	site.lan.host.must(["ip", "address", "add", "10.5.0.250/24", "dev", PARENT]);
	assert.is(site.lan.host.ping("10.5.0.1", 2), 2);
	assert.is(site.lan.far.ping("10.5.0.250", 2), 2, "the same MAC address, another IP address");
	assert.is(c1.ping("10.5.0.250"), 0);
	assert.is(site.lan.host.ping("10.5.0.2"), 0);
});

test("link-local addresses do not collide, and work between siblings", async (site) => {
	const [c1, c2] = await network(site);
	await eventually("both have one", () => [c1, c2].every((ns) => linkLocalOf(ns) !== undefined));
	assert.is.not(linkLocalOf(c1), linkLocalOf(c2));
	assert.is(c1.ping(`${linkLocalOf(c2)}%eth0`, 2), 2);
	site.lan.station(undefined, ["fe80::1/64"]);
	assert.is(site.lan.far.ping(`${linkLocalOf(c1)}%${FAR_END}`, 2), 2);
});

test("broadcasts from the LAN reach all, as an answer to a DHCP client needs", async (site) => {
	const [c1, c2] = await network(site);
	const inside = await Promise.all([c1, c2].map((ns) => capture(ns, "eth0")));
	const outside = await capture(site.lan.far, FAR_END);
	// DISCOVER: from 0.0.0.0:68 to 255.255.255.255:67, without checksums.
	const udp = [0, 68, 0, 67, 0, 8, 0, 0];
	const packet = Uint8Array.from([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, ...udp]);
	const discover = makeFrame({ dst: BROADCAST, src: macOf(c1), ethertype: ETHERTYPE_IPV4, payload: packet });
	send(c1, "eth0", [discover]);
	// OFFER by broadcast: nobody has the address yet.
	const offer = Uint8Array.from(packet);
	offer.set([10, 5, 0, 1], 12);
	send(site.lan.far, FAR_END, [
		makeFrame({ dst: BROADCAST, src: "02:00:00:00:00:01", ethertype: ETHERTYPE_IPV4, payload: offer }),
	]);
	assert.is(c1.ping("10.5.0.1"), 1, "what came before is there by now");
	assert.is(c2.ping("10.5.0.1"), 1);
	const sources = async (frames: Promise<Uint8Array[]>) =>
		decoded(await frames).flatMap((frame) => {
			const ip = ipv4Of(frame);
			return ip?.dst === "255.255.255.255" ? [ip.src] : [];
		});
	assert.equal(await sources(outside.stop()), ["0.0.0.0"], "the question is on the wire");
	assert.equal(await sources(inside[0]!.stop()), ["10.5.0.1"]);
	assert.equal(await sources(inside[1]!.stop()), ["0.0.0.0", "10.5.0.1"]);
});

test("an endpoint can not send from another address than the shared one", async (site) => {
	const [c1] = await network(site);
	const wire = await capture(site.lan.far, FAR_END);
	send(c1, "eth0", [marked("stranger", "02:00:00:00:00:99"), marked("own", macOf(c1))]);
	assert.is(c1.ping("10.5.0.1"), 1);
	assert.equal(marksOf(await wire.stop()), ["own"]);
});

test("private: siblings never talk", async (site) => {
	const [c1] = await network(site, "private");
	assert.is(c1.ping("10.5.0.1", 2), 2);
	assert.is(c1.ping("10.5.0.3"), 0);
	assert.is(c1.ping("2001:db8:5::3"), 0);
});

test("vepa: unicast between siblings goes by way of the wire", async (site) => {
	const [c1] = await network(site, "vepa");
	assert.is(c1.ping("10.5.0.1", 2), 2);
	assert.is(c1.ping("10.5.0.3"), 0, "an ordinary switch");
	const reflector = await startReflector(site.lan.far, FAR_END);
	assert.is(c1.ping("10.5.0.3", 2), 2, "one that sends frames back");
	await reflector.stop();
});

test("ipvlan refuses what the kernel's does", async (site) => {
	const ns = site.namespace("c");
	site.create("net", "-d", "ipvlan", "--subnet=10.5.0.0/24", "-o", "parent=eth0");
	const create = (...flags: string[]) => site.refusal("network", "create", "--subnet=10.6.0.0/24", ...flags, "other");
	const held = "network net is already using parent interface eth0";
	assert.is(create("-d", "ipvlan", "-o", "parent=eth0"), held);
	assert.is(create("-d", "macvlan", "-o", "parent=eth0", "-o", "share_parent=true"), held);
	site.create("mac50", "-o", "parent=eth0.50");
	assert.is(create("-d", "ipvlan", "-o", "parent=eth0.50"), "network mac50 is already using parent interface eth0.50");
	assert.is(create("-d", "ipvlan", "-o", "parent=lo"), "loopback interface is not a valid ipvlan parent link");
	const l3 = "ipvlan mode 'l3' is not in this version; use -o ipvlan_mode=l2 or leave it out";
	assert.is(create("-d", "ipvlan", "-o", "ipvlan_mode=l3"), l3);
	const problem = "ipvlan interfaces do not support custom mac address assignment";
	const run = ["run", "--rm", "--net=net", "--mac-address=02:00:00:00:00:07", "true"];
	assert.match(site.vlane.vlane(...run).stderr, new RegExp(problem));
	await site.connect("net", ns, { mac: "02:00:00:00:00:07" }).then(
		() => assert.unreachable("an address of its own"),
		(error: Error) => assert.match(error.message, problem),
	);
});

test("S58: the tutorial's two subnets, without a parent", async (site) => {
	const { vlane } = site;
	const subnets = ["--subnet=192.168.210.0/24", "--subnet=192.168.212.0/24"];
	const gateways = ["--gateway=192.168.210.254", "--gateway=192.168.212.254"];
	vlane.must("network", "create", "-d", "ipvlan", ...subnets, ...gateways, "-o", "ipvlan_mode=l2", "ipvlan210");
	const wire = await capture(site.lan.far, FAR_END);
	for (const subnet of ["192.168.210", "192.168.212"]) {
		vlane.must("run", "--net=ipvlan210", `--ip=${subnet}.10`, "-itd", "/bin/sh");
		const pinged = vlane.must("run", "--net=ipvlan210", `--ip=${subnet}.9`, "--rm", "ping", "-c", "2", `${subnet}.10`);
		assert.match(pinged, / 2 received/);
	}
	const macs = Object.values<{ MacAddress: string }>(site.inspect("ipvlan210").Containers).map(
		({ MacAddress }) => MacAddress,
	);
	assert.is(macs.length, 2);
	assert.is(new Set(macs).size, 1);
	assert.is(macBytes(macs[0]!)[0]! & 3, 2, "unicast, locally administered");
	assert.is((await wire.stop()).length, 0, "nothing leaves the host");
});

test("endpoints keep working over a restart of the daemon", async (site) => {
	const [c1, c2] = await network(site);
	await site.vlane.stopDaemon("SIGKILL");
	await site.vlane.startDaemon();
	for (const ns of [c1, c2]) assert.is(ns.ping("10.5.0.1"), 1);
	assert.is(c1.ping("2001:db8:5::3"), 1);
});

ipvlan.run();
