/** The tutorial's several subnets and two address families in one network: S58-S68. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { FAR_END } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { decoded, routerAdvertisement } from "../support/packets.js";
import { send } from "../support/sender.js";
import { addressesOf, eventually, linesOf, macOf, type Site, sharedSite } from "../support/site.js";

const subnets = suite("subnets and dual stack");
const test = sharedSite(subnets, { vlans: [218] });

/** The tutorial's MAC, and the interface identifier that it gives (RFC 4291 appendix A). */
const MAC = "8e:9a:99:25:b6:16";
const INTERFACE_ID = "8c9a:99ff:fe25:b616";
const V4_SUBNETS = ["--subnet=192.168.216.0/24", "--subnet=192.168.218.0/24"];
const V4_GATEWAYS = ["--gateway=192.168.216.1", "--gateway=192.168.218.1"];
const V6 = ["--subnet=2001:db8:abc8::/64", "--gateway=2001:db8:abc8::10"];
const TAGGED = ["-o", "parent=eth0.218", "-o", "macvlan_mode=bridge"];

/** The tutorial's dual-stack network, word by word: no --ipv6 flag. */
function macvlan216(site: Site): void {
	site.create("macvlan216", ...V4_SUBNETS, ...V4_GATEWAYS, ...V6, ...TAGGED);
}

function defaultRoute(ns: Namespace): string {
	return ns.must(["ip", "route", "show", "default"]).trim();
}

/** Lets the router on the VLAN announce a prefix to everybody. */
function advertise(site: Site): void {
	const router = { mac: "02:00:00:00:02:18", address: "fe80::218" };
	const tags = [{ tpid: 0x8100, vid: 218 }];
	send(site.lan.far, FAR_END, [routerAdvertisement(router, "2001:db8:abc4::", tags)]);
}

/** Waits for the address that an endpoint makes of the announced prefix and its MAC, until it may be used. */
async function slaac(ns: Namespace, address: string): Promise<void> {
	await eventually(`${address} is there`, () => {
		const shown = ns.must(["ip", "-6", "address", "show", "dev", "eth0"]);
		return linesOf(shown).some((line) => line.startsWith(`inet6 ${address}/64`) && !line.includes("tentative"));
	});
}

test("S58: the ipvlan example: two subnets, no parent; same-subnet pings succeed in each", (site) => {
	const type = (line: string) => site.vlane.must(...line.split(" "));
	const subnets = "--subnet=192.168.210.0/24 --subnet=192.168.212.0/24";
	const gateways = "--gateway=192.168.210.254 --gateway=192.168.212.254";
	type(`network create -d ipvlan ${subnets} ${gateways} -o ipvlan_mode=l2 ipvlan210`);
	for (const subnet of ["192.168.210", "192.168.212"]) {
		type(`run --net=ipvlan210 --ip=${subnet}.10 -itd /bin/sh`);
		assert.match(type(`run --net=ipvlan210 --ip=${subnet}.9 --rm ping -c 2 -i 0.2 ${subnet}.10`), / 2 received/);
	}
});

test("S59: the address decides subnet, mask and gateway", async (site) => {
	const small = ["--subnet=10.1.0.0/16", "--subnet=10.2.0.0/28", "--gateway=10.1.0.1", "--gateway=10.2.0.14"];
	site.create("two", ...small, "-o", "parent=eth0.218");
	const [first, second] = [await site.join("two", { ip: "10.1.200.9" }), await site.join("two", { ip: "10.2.0.9" })];
	assert.equal([...addressesOf(first), ...addressesOf(second)], ["10.1.200.9/16", "10.2.0.9/28"]);
	assert.equal(
		[defaultRoute(first), defaultRoute(second)],
		["default via 10.1.0.1 dev eth0", "default via 10.2.0.14 dev eth0"],
	);
});

test("S60: each gateway goes to the subnet that contains it, in any order; subnets keep theirs", (site) => {
	site.create("mixed", ...V6.toReversed(), ...V4_GATEWAYS.toReversed(), ...V4_SUBNETS, "-o", "parent=eth0.218");
	assert.equal(site.inspect("mixed").IPAM.Config, [
		{ Subnet: "2001:db8:abc8::/64", Gateway: "2001:db8:abc8::10" },
		{ Subnet: "192.168.216.0/24", Gateway: "192.168.216.1" },
		{ Subnet: "192.168.218.0/24", Gateway: "192.168.218.1" },
	]);
	const stray = ["network", "create", "--subnet=10.1.0.0/24", "--gateway=10.2.0.1", "x"];
	const { status, stderr } = site.vlane.vlane(...stray);
	assert.is.not(status, 0);
	assert.match(stderr, /no matching subnet for gateway 10\.2\.0\.1/);
});

test("S61: an IPv6 subnet is IPv6 switched on, without a flag", async (site) => {
	macvlan216(site);
	assert.is(site.inspect("macvlan216").EnableIPv6, true);
	assert.ok(addressesOf(await site.join("macvlan216")).includes("2001:db8:abc8::1/64"));
	const off = ["network", "create", "--ipv6=false", "--subnet=2001:db8:1::/64", "x"];
	assert.match(site.refusal(...off), /subnet 2001:db8:1::\/64 is an IPv6 block, but IPv6 is disabled/);
});

test("S62: everything on eth0.218 is tagged 218", async (site) => {
	site.lan.station(218, ["192.168.216.1/24", "192.168.218.1/24", "2001:db8:abc8::10/64"]);
	const wire = await capture(site.lan.far, FAR_END, { outgoing: true });
	macvlan216(site);
	assert.is(site.lan.host.run(["ip", "link", "show", "eth0.218"]).status, 0);
	const c1 = await site.join("macvlan216", { ip: "192.168.218.11" });
	for (const address of ["192.168.218.1", "2001:db8:abc8::10"]) assert.is(c1.ping(address), 1, address);
	const frames = decoded(await wire.stop());
	assert.ok(frames.length > 0 && frames.every(({ tags }) => tags.length === 1 && tags[0]!.vid === 218));
});

test("S63 S64: containers of one subnet reach each other, in each subnet, by the addresses they were given", (site) => {
	macvlan216(site);
	site.run("macnet216_test", "--net=macvlan216", "--ip=192.168.216.10");
	site.run("macnet218_test", "--net=macvlan216", "--ip=192.168.218.10");
	for (const subnet of ["192.168.216", "192.168.218"]) {
		const ping = `ip address show eth0 && ping -c 2 -i 0.2 ${subnet}.10`;
		const said = site.vlane.must("run", "--net=macvlan216", `--ip=${subnet}.11`, "--rm", "sh", "-c", ping);
		assert.ok(said.includes(`inet ${subnet}.11/24 `), said);
		assert.match(said, / 2 received/);
	}
});

test("S65: a router advertisement on the VLAN gives the address of prefix and MAC", async (site) => {
	macvlan216(site);
	const c1 = await site.join("macvlan216", { mac: MAC });
	const c2 = await site.join("macvlan216");
	advertise(site);
	await slaac(c1, `2001:db8:abc4:0:${INTERFACE_ID}`);
	assert.is(macOf(c1), MAC);
	assert.ok(addressesOf(c1).includes(`2001:db8:abc4:0:${INTERFACE_ID}/64`));
	await eventually("and every other container too", () =>
		addressesOf(c2).some((address) => address.startsWith("2001:db8:abc4:")),
	);
});

test("S66: the lowest free IPv6 address, never the gateway, without detection of duplicates", async (site) => {
	const v6 = ["--subnet=2001:db8:abc8::/124", "--gateway=2001:db8:abc8::2"];
	site.create("small", "--subnet=10.1.0.0/24", ...v6, "-o", "parent=eth0.218");
	const given: string[] = [];
	while (given.length < 3) {
		const ns = await site.join("small");
		const [, six] = addressesOf(ns);
		given.push(six ?? "");
		assert.match(ns.must(["ip", "-6", "address", "show", "dev", "eth0", "scope", "global"]), /scope global nodad/);
	}
	assert.equal(given, ["2001:db8:abc8::1/124", "2001:db8:abc8::3/124", "2001:db8:abc8::4/124"]);
});

test("S67: the default route is the gateway of the endpoint's own subnet", async (site) => {
	macvlan216(site);
	assert.is(defaultRoute(await site.join("macvlan216")), "default via 192.168.216.1 dev eth0");
	assert.is(defaultRoute(await site.join("macvlan216", { ip: "192.168.218.5" })), "default via 192.168.218.1 dev eth0");
});

test("S68: the IPv6 routes: what was announced, the subnet, and the default", async (site) => {
	macvlan216(site);
	const c1 = await site.join("macvlan216", { mac: MAC });
	advertise(site);
	await slaac(c1, `2001:db8:abc4:0:${INTERFACE_ID}`);
	const routes = linesOf(c1.must(["ip", "-6", "route"])).filter((line) => !line.startsWith("fe80:"));
	const metrics = routes.map((line) => line.replace(/ (proto \w+|expires \w+|pref \w+)/g, "")).sort();
	assert.equal(metrics, [
		"2001:db8:abc4::/64 dev eth0 metric 256",
		"2001:db8:abc8::/64 dev eth0 metric 256",
		"default via 2001:db8:abc8::10 dev eth0 metric 1024",
	]);
});

subnets.run();
