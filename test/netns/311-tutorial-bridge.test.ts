/** The tutorial's bridge mode commands, typed as they stand there, and what the containers see: S27-S33, S37-S42. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { PARENT } from "../support/lan.js";
import { addressesOf, eventually, linesOf, linksOf, macOf, type Site, sharedSite } from "../support/site.js";

const tutorial = suite("tutorial: bridge mode");
const test = sharedSite(tutorial);
const PUB_NET = "network create -d macvlan --subnet=172.16.86.0/24 --gateway=172.16.86.1 -o parent=eth0 pub_net";
const MACNET32 =
	"network create -d macvlan --subnet=192.168.32.0/24 --ip-range=192.168.32.128/25 --gateway=192.168.32.254 " +
	"-o parent=eth0 macnet32";

/** Types a command line. */
function type(site: Site, line: string): string {
	return site.vlane.must(...line.split(" "));
}

/** What `vlane run ... COMMAND` prints on macnet32, of which the address is wanted. */
function addressOnRange(site: Site): string {
	const shown = type(site, "run --net=macnet32 --rm ip address show eth0");
	return /inet (\S+)/.exec(shown)?.[1] ?? shown;
}

test("S27: -d macvlan selects the driver, -o parent the parent", (site) => {
	const id = type(site, PUB_NET);
	assert.match(id, /^[0-9a-f]{64}$/);
	const { Driver, Options, Status, Scope } = site.inspect("pub_net");
	assert.equal([Driver, Options, Status.Link, Scope], ["macvlan", { parent: "eth0" }, "eth0", "local"]);
	assert.match(
		site.refusal("network", "create", "-d", "weave", "x"),
		/^network driver weave is not known; use -d macvlan/,
	);
});

test("S28: macvlan_mode is bridge when absent; inspect shows the options as they were typed", (site) => {
	type(site, PUB_NET);
	assert.equal(site.inspect("pub_net").Options, { parent: "eth0" });
	type(site, "network create -o macvlan_mode=bridge -o parent=eth0.60 macvlan60");
	assert.equal(site.inspect("macvlan60").Options, { macvlan_mode: "bridge", parent: "eth0.60" });
	const wrong = ["network", "create", "-o", "parent=eth0.61", "-o", "macvlan_mode=bridged", "x"];
	assert.match(
		site.refusal(...wrong),
		/^requested macvlan mode 'bridged' is not valid, 'bridge' mode is the macvlan driver default$/,
	);
});

test("S29: --ip is honoured verbatim", (site) => {
	type(site, PUB_NET);
	const id = type(site, "run --net=pub_net --ip=172.16.86.10 -itd /bin/sh");
	assert.match(site.exec(id, "ip", "address", "show", "eth0"), /inet 172\.16\.86\.10\/24 .*scope global eth0$/m);
});

test("S30: a second container pings the first, four times of four", (site) => {
	type(site, PUB_NET);
	type(site, "run --net=pub_net --ip=172.16.86.10 -itd /bin/sh");
	assert.match(
		type(site, "run --net=pub_net --rm ping -c 4 -i 0.2 172.16.86.10"),
		/4 packets transmitted, 4 received, 0% packet loss/,
	);
});

test("S31: the interface is eth0 with the parent's MTU, a local MAC and the subnet's prefix", async (site) => {
	for (const mtu of [1500, 1400, 9000]) {
		site.lan.host.must(["ip", "link", "set", PARENT, "mtu", `${mtu}`]);
		type(site, PUB_NET);
		const c1 = await site.join("pub_net");
		const [eth0] = c1.ip("address", "show", "dev", "eth0");
		assert.equal([eth0.ifname, eth0.mtu, eth0.flags.includes("UP")], ["eth0", mtu, true]);
		assert.is(Number.parseInt(eth0.address.slice(0, 2), 16) & 3, 2, "U/L bit set, I/G bit clear");
		assert.equal(addressesOf(c1), ["172.16.86.2/24"]);
		await site.disconnect("pub_net", c1);
		type(site, "network rm pub_net");
	}
	site.lan.host.must(["ip", "link", "set", PARENT, "mtu", "1500"]);
});

test("S32: the first address is the lowest free one", (site) => {
	type(site, PUB_NET);
	assert.match(type(site, "run --net=pub_net --rm ip address show eth0"), /inet 172\.16\.86\.2\/24 /);
});

test("S33: the routes are the default and the subnet's, no other", (site) => {
	type(site, PUB_NET);
	assert.equal(linesOf(type(site, "run --net=pub_net --rm ip route")), [
		"default via 172.16.86.1 dev eth0",
		"172.16.86.0/24 dev eth0 proto kernel scope link src 172.16.86.2",
	]);
});

test("S37: an auxiliary address is never given out", async (site) => {
	type(site, PUB_NET.replace("-o", "--aux-address=exclude_host=172.16.86.250 -o"));
	assert.equal(site.inspect("pub_net").IPAM.Config[0].AuxiliaryAddresses, { exclude_host: "172.16.86.250" });
	const taken = ["run", "--net=pub_net", "--ip=172.16.86.250", "--rm", "true"];
	const { status, stderr } = site.vlane.vlane(...taken);
	assert.is(status, 125);
	assert.match(stderr, /Error response from daemon: Address already in use/);
	site.create(
		"small",
		"--subnet=10.1.0.0/29",
		"--gateway=10.1.0.1",
		"--aux-address=exclude_host=10.1.0.4",
		"-o",
		"parent=eth0.5",
	);
	const given: string[] = [];
	while (given.length < 4) given.push(...addressesOf(await site.join("small")));
	assert.equal(given, ["10.1.0.2/29", "10.1.0.3/29", "10.1.0.5/29", "10.1.0.6/29"]);
	const full = site.refusal("network", "connect", "small", `netns:${site.namespace("late").path}`);
	assert.match(full, /^no available IPv4 addresses on this network's address pools: small/);
});

test("S38: --ip-range restricts what is given out, not what may be asked for", (site) => {
	type(site, MACNET32);
	assert.match(addressOnRange(site), /^192\.168\.32\.1(2[89]|[3-9][0-9])\/24$/);
	site.run("outside", "--net=macnet32", "--ip=192.168.32.5");
	assert.match(site.exec("outside", "ip", "address", "show", "eth0"), /inet 192\.168\.32\.5\/24 /);
});

test("S39: the range's own first address is the first one", (site) => {
	type(site, MACNET32);
	assert.is(addressOnRange(site), "192.168.32.128/24");
});

test("S40: then one up each time; what is free again is used again", async (site) => {
	type(site, MACNET32);
	const containers = [await site.join("macnet32"), await site.join("macnet32"), await site.join("macnet32")];
	const given = containers.map((ns) => addressesOf(ns)[0]);
	assert.equal(given, ["192.168.32.128/24", "192.168.32.129/24", "192.168.32.130/24"]);
	await site.disconnect("macnet32", containers[1]!);
	assert.is(addressOnRange(site), "192.168.32.129/24");
});

test("S41: the gateway is never given out, nor the broadcast address; then the range is exhausted", async (site) => {
	const range = ["--ip-range=192.168.32.248/29", "--gateway=192.168.32.254", "-o", "parent=eth0"];
	site.create("macnet32", "--subnet=192.168.32.0/24", ...range);
	const given: string[] = [];
	while (given.length < 6) given.push(...addressesOf(await site.join("macnet32")));
	assert.equal(
		given,
		[248, 249, 250, 251, 252, 253].map((last) => `192.168.32.${last}/24`),
	);
	const late = site.namespace("late");
	assert.match(
		site.refusal("network", "connect", "macnet32", `netns:${late.path}`),
		/^no available IPv4 addresses on this network's/,
	);
	assert.equal(linksOf(late), ["lo"]);
});

test("S42: network rm takes a name, an id, or the beginning of one", async (site) => {
	const ids = ["first", "second", "third"].map((name) => site.create(name, "--subnet=10.1.0.0/24"));
	assert.is(site.vlane.must("network", "rm", "first"), "first");
	assert.is(site.vlane.must("network", "rm", ids[1]!), ids[1]);
	assert.is(site.vlane.must("network", "rm", ids[2]!.slice(0, 12)), ids[2]!.slice(0, 12));
	assert.is(site.vlane.must("network", "ls", "-q"), "");
	assert.match(site.refusal("network", "rm", "first"), /^network first not found$/);
	const before = linksOf(site.lan.host);
	site.create("tagged", "--subnet=10.1.0.0/24", "-o", "parent=eth0.50");
	site.run("c1", "--net=tagged", "--mac-address=02:00:00:00:00:01");
	assert.match(site.exec("c1", "ip", "link", "show", "eth0"), /02:00:00:00:00:01/);
	site.vlane.must("rm", "-f", "c1");
	site.vlane.must("network", "rm", "tagged");
	await eventually("the links are as before", () => linksOf(site.lan.host).join() === before.join());
	assert.is(macOf(site.lan.host), site.lan.parentMac);
});

tutorial.run();
