/** What an endpoint can be given besides its address: announcements, default routes by priority, name and sysctls. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { PARENT } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { decoded, ETHERTYPE_ARP, ETHERTYPE_IPV6 } from "../support/packets.js";
import { addressesOf, eventually, linesOf, linksOf, macOf, type Site, sharedSite } from "../support/site.js";

const options = suite("endpoint options");
const test = sharedSite(options, { vlans: [50] });

const NMSGS = "com.docker.network.advertise_addr_nmsgs";
const MS = "com.docker.network.advertise_addr_ms";
const IFNAME = "com.docker.network.endpoint.ifname";
const SYSCTLS = "com.docker.network.endpoint.sysctls";

function connect(site: Site, network: string, ns: Namespace, ...flags: string[]): void {
	site.vlane.must("network", "connect", ...flags, network, `netns:${ns.path}`);
}

function defaultsOf(ns: Namespace): string[] {
	return ["-4", "-6"].flatMap((family) =>
		linesOf(ns.must(["ip", family, "route", "show", "default"])).map((line) => line.split(" ").slice(2, 5).join(" ")),
	);
}

test("addresses are announced on the wire as often as asked, in the VLAN's tag", async (site) => {
	site.create("n", "--subnet=10.5.0.0/24", "-o", "parent=eth0.50", "-o", `${NMSGS}=2`, "-o", `${MS}=100`);
	const ns = site.namespace("c");
	const wire = await capture(site.lan.far, "lan0");
	await site.connect("n", ns);
	await eventually("both are sent", () => site.port("n", ns).rxFrames >= 2);
	const frames = decoded(await wire.stop()).filter(({ ethertype }) => ethertype === ETHERTYPE_ARP);
	assert.is(frames.length, 2);
	for (const { src, dst, tags, payload } of frames) {
		assert.equal([src, dst, tags.map(({ vid }) => vid)], [macOf(ns), "ff:ff:ff:ff:ff:ff", [50]]);
		assert.is(Buffer.from(payload).subarray(0, 8).toString("hex"), "0001080006040001");
		assert.equal([...payload.subarray(14, 18)], [10, 5, 0, 1]);
		assert.equal([...payload.subarray(24, 28)], [10, 5, 0, 1]);
	}
});

test("an IPv6 address is announced by an advertisement; none is sent where none is wanted", async (site) => {
	const six = ["--ipv4=false", "--subnet=2001:db8:5::/64", "-o", "parent=eth0"];
	site.create("six", ...six, "-o", `${NMSGS}=1`);
	const ns = site.namespace("c");
	const wire = await capture(site.lan.far, "lan0");
	await site.connect("six", ns, { ip6: "2001:db8:5::77" });
	await eventually("it is sent", () => site.port("six", ns).rxFrames >= 1);
	const isOurs = (payload: Uint8Array) => payload[40] === 136 && payload[44] === 0x20;
	const found = decoded(await wire.stop()).filter(
		({ ethertype, payload }) => ethertype === ETHERTYPE_IPV6 && isOurs(payload),
	);
	assert.equal(
		found.map(({ src, dst, payload }) => [src, dst, Buffer.from(payload).subarray(48, 64).toString("hex")]),
		[[macOf(ns), "33:33:00:00:00:01", "20010db8000500000000000000000077"]],
	);
	site.create("quiet", "--subnet=10.6.0.0/24", "-o", "parent=eth0.50", "-o", `${NMSGS}=0`);
	const silent = site.namespace("s");
	const tagged = await capture(site.lan.far, "lan0");
	await site.connect("quiet", silent);
	silent.ping("10.6.0.9");
	const arps = decoded(await tagged.stop()).filter(
		({ ethertype, src }) => ethertype === 0x0806 && src === macOf(silent),
	);
	assert.ok(arps.length > 0, "it can be heard");
	assert.ok(
		arps.every(({ payload }) => payload[27] === 9),
		"and only asks for others",
	);
});

test("addresses are announced again when the parent comes back", async (site) => {
	site.create("n", "--subnet=10.5.0.0/24", "-o", "parent=eth0.50", "-o", `${NMSGS}=1`);
	const ns = site.namespace("c");
	await site.connect("n", ns);
	site.lan.host.must(["ip", "link", "set", PARENT, "down"]);
	await eventually("it is degraded", () => site.inspect("n").Status.State === "degraded");
	const before = site.port("n", ns).rxFrames;
	site.lan.host.must(["ip", "link", "set", PARENT, "up"]);
	await eventually("it is announced", () => site.port("n", ns).rxFrames > before);
});

test("after a restart of the daemon they are announced as often as ever, the first time at once", async (site) => {
	// Nobody waits for a second one.
	site.create("n", "--subnet=10.5.0.0/24", "-o", "parent=eth0.50", "-o", `${NMSGS}=1`);
	const ns = site.namespace("c");
	await site.connect("n", ns);
	await site.vlane.stopDaemon("SIGKILL");
	const wire = await capture(site.lan.far, "lan0");
	await site.vlane.startDaemon();
	await eventually("it is announced", () => site.port("n", ns).rxFrames > 0);
	const frames = decoded(await wire.stop()).filter(
		({ ethertype, src }) => ethertype === ETHERTYPE_ARP && src === macOf(ns),
	);
	assert.is(frames.length, 1);
});

test("the default route is that of the highest priority, else of the first network name", async (site) => {
	const make = (name: string, second: number) =>
		site.create(
			name,
			...[`--subnet=10.${second}.0.0/24`, `--gateway=10.${second}.0.1`],
			...[`--subnet=2001:db8:${second}::/64`, `--gateway=2001:db8:${second}::1`],
			...["-o", `parent=eth0.${second}`],
		);
	make("beta", 2);
	make("alpha", 1);
	make("gamma", 3);
	const ns = site.namespace("c");
	connect(site, "beta", ns);
	assert.equal(defaultsOf(ns), ["10.2.0.1 dev eth0", "2001:db8:2::1 dev eth0"]);
	connect(site, "alpha", ns);
	assert.equal(defaultsOf(ns), ["10.1.0.1 dev eth1", "2001:db8:1::1 dev eth1"]);
	connect(site, "gamma", ns, "--gw-priority=1");
	assert.equal(defaultsOf(ns), ["10.3.0.1 dev eth2", "2001:db8:3::1 dev eth2"]);
	await site.disconnect("gamma", ns);
	assert.equal(defaultsOf(ns), ["10.1.0.1 dev eth1", "2001:db8:1::1 dev eth1"]);
	await site.disconnect("alpha", ns);
	assert.equal(defaultsOf(ns), ["10.2.0.1 dev eth0", "2001:db8:2::1 dev eth0"]);
	connect(site, "gamma", ns, "--gw-priority=-1");
	assert.equal(defaultsOf(ns), ["10.2.0.1 dev eth0", "2001:db8:2::1 dev eth0"]);
});

test("a default route that the user has made stays the only one", async (site) => {
	const ns = site.namespace("c");
	ns.must(["ip", "link", "add", "own", "type", "veth", "peer", "name", "other"]);
	ns.must(["ip", "link", "set", "own", "up"]);
	ns.must(["ip", "address", "add", "10.99.0.2/24", "dev", "own"]);
	ns.must(["ip", "route", "add", "default", "via", "10.99.0.1"]);
	site.create("n", "--subnet=10.5.0.0/24", "--gateway=10.5.0.1");
	site.create("wired", "--subnet=10.6.0.0/24", "--gateway=10.6.0.1", "-o", "parent=eth0");
	connect(site, "n", ns);
	connect(site, "wired", ns);
	assert.equal(defaultsOf(ns), ["10.99.0.1 dev own"]);
});

test("name and sysctls of the interface; what can not be is refused and leaves nothing", async (site) => {
	site.create("n", "--subnet=10.5.0.0/24", "--subnet=2001:db8:5::/64");
	const ns = site.namespace("c");
	const sysctls = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2";
	connect(site, "n", ns, "--driver-opt", `${IFNAME}=lan.7`, "--driver-opt", `${SYSCTLS}=${sysctls}`);
	assert.equal(linksOf(ns), ["lo", "lan.7"]);
	assert.equal(addressesOf(ns, "lan.7"), ["10.5.0.1/24", "2001:db8:5::1/64"]);
	assert.is(ns.must(["cat", "/proc/sys/net/ipv4/conf/lan.7/log_martians"]).trim(), "1");
	assert.is(ns.must(["cat", "/proc/sys/net/ipv6/conf/lan.7/accept_ra"]).trim(), "2");

	const other = site.namespace("d");
	const refused = (...flags: string[]) => site.refusal("network", "connect", ...flags, "n", `netns:${other.path}`);
	assert.is(
		refused("--driver-opt", `${SYSCTLS}=net.ipv4.conf.IFNAME.no_such=1`),
		"cannot set sysctl 'net.ipv4.conf.IFNAME.no_such=1' of interface eth0: /proc/sys/net/ipv4/conf/eth0/no_such: ENOENT",
	);
	assert.match(refused("--driver-opt", `${IFNAME}=much-too-long-for-linux`), /^invalid interface name/);
	assert.is(refused("--driver-opt", `${IFNAME}=lo`), `interface lo already exists in ${other.path}`);
	assert.equal(linksOf(other), ["lo"]);
	connect(site, "n", other);
	assert.equal(addressesOf(other), ["10.5.0.2/24", "2001:db8:5::2/64"], "no address was lost");
});

test("an address whose subnet is routed another way is refused", async (site) => {
	site.create("one", "--subnet=10.5.0.0/24", "-o", "parent=eth0.50");
	site.create("two", "--subnet=10.5.0.0/25", "-o", "parent=eth0.60");
	const ns = site.namespace("c");
	connect(site, "one", ns);
	assert.is(
		site.refusal("network", "connect", "two", `netns:${ns.path}`),
		"cannot program address 10.5.0.1/25 in sandbox interface because it conflicts with existing route " +
			"10.5.0.0/24 dev eth0",
	);
	assert.is(site.inspect("two").Status.IPAM.Subnets["10.5.0.0/25"].IPsInUse, 2);
});

test("a stable MAC address comes back with its endpoint, and is never given twice", async (site) => {
	site.create("n", "--subnet=10.5.0.0/24");
	const [ns, second] = [site.namespace("c"), site.namespace("d")];
	connect(site, "n", ns, "--name=web");
	const mac = macOf(ns);
	await site.disconnect("n", ns);
	connect(site, "n", second, `--mac-address=${mac}`);
	connect(site, "n", ns, "--name=web");
	assert.is.not(macOf(ns), mac, "somebody else has it now");
	assert.match(
		site.refusal("network", "connect", `--mac-address=${mac}`, "n", `netns:${site.namespace("e").path}`),
		new RegExp(`^MAC address ${mac} is already in use by endpoint .*; choose another one$`),
	);
	await site.disconnect("n", ns);
	await site.disconnect("n", second);
	connect(site, "n", ns, "--name=web");
	assert.is(macOf(ns), mac);
});

options.run();
