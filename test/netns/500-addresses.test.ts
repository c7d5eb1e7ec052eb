/** Address management by the real daemon: S37 to S41 to the last address, small subnets, pools, and who shares what. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addressesOf, linksOf, type Site, sharedSite } from "../support/site.js";

const addresses = suite("addresses");
const test = sharedSite(addresses);

function usage(
	site: Site,
	network: string,
	subnet: string,
): { Size: number; IPsInUse: number; DynamicIPsAvailable: number } {
	return site.inspect(network).Status.IPAM.Subnets[subnet];
}

/** Addresses of `count` newcomers, in their order. */
async function take(site: Site, network: string, count: number): Promise<string[]> {
	const found: string[] = [];
	for (let index = 0; index < count; index++) found.push(...addressesOf(await site.join(network)));
	return found;
}

test("S37-S41: range, gateway and auxiliary address, down to the last", async (site) => {
	site.create(
		"n",
		...["--subnet=192.168.32.0/24", "--ip-range=192.168.32.240/28", "--gateway=192.168.32.254"],
		...["--aux-address=exclude_host=192.168.32.250", "--aux-address=elsewhere=192.168.32.9"],
	);
	assert.equal(usage(site, "n", "192.168.32.0/24"), { Size: 256, IPsInUse: 5, DynamicIPsAvailable: 13 });
	const host = (last: number) => `192.168.32.${last}/24`;
	const expected = [240, 241, 242, 243, 244, 245, 246, 247, 248, 249, 251, 252, 253];
	assert.equal(await take(site, "n", 13), expected.map(host));
	assert.equal(usage(site, "n", "192.168.32.0/24"), { Size: 256, IPsInUse: 18, DynamicIPsAvailable: 0 });
	const last = site.namespace("last");
	const connect = (...flags: string[]) => ["network", "connect", ...flags, "n", `netns:${last.path}`];
	const { Id } = site.inspect("n");
	assert.is(site.refusal(...connect()), `no available IPv4 addresses on this network's address pools: n (${Id})`);
	for (const taken of [0, 9, 240, 250, 254, 255]) {
		assert.is(site.refusal(...connect(`--ip=192.168.32.${taken}`)), `Address already in use: 192.168.32.${taken}`);
	}
	assert.equal(linksOf(last), ["lo"]);
	site.vlane.must(...connect("--ip=192.168.32.7"));
	assert.equal(addressesOf(last), ["192.168.32.7/24"], "outside of the range, when asked for");
});

test("S38-S40: a range begins with its own first address; what is returned is given next", async (site) => {
	site.create("n", "--subnet=192.168.32.0/24", "--ip-range=192.168.32.128/25", "--gateway=192.168.32.254");
	const first = await site.join("n");
	assert.equal(addressesOf(first), ["192.168.32.128/24"]);
	assert.equal(await take(site, "n", 2), ["192.168.32.129/24", "192.168.32.130/24"]);
	await site.disconnect("n", first);
	assert.equal(await take(site, "n", 2), ["192.168.32.128/24", "192.168.32.131/24"]);
	assert.is(usage(site, "n", "192.168.32.0/24").DynamicIPsAvailable, 126 - 4);
});

for (const [subnet, expected] of [
	["10.5.0.6/31", ["10.5.0.6/31", "10.5.0.7/31"]],
	["10.5.0.9/32", ["10.5.0.9/32"]],
	["10.5.0.0/30", ["10.5.0.1/30", "10.5.0.2/30"]],
	["2001:db8::a/127", ["2001:db8::a/127", "2001:db8::b/127"]],
	["2001:db8::/126", ["2001:db8::1/126", "2001:db8::2/126", "2001:db8::3/126"]],
] as const) {
	test(`${subnet} has ${expected.length}`, async (site) => {
		site.create("n", `--subnet=${subnet}`, ...(subnet.includes(":") ? ["--ipv4=false"] : []));
		assert.equal(await take(site, "n", expected.length), expected);
		const { path } = site.namespace("late");
		assert.match(site.refusal("network", "connect", "n", `netns:${path}`), /^no available IPv[46] addresses on this/);
		assert.is(usage(site, "n", subnet).DynamicIPsAvailable, 0);
	});
}

test("several subnets of a family: the first one that has an address", async (site) => {
	site.create("n", "--subnet=10.5.0.0/30", "--subnet=10.6.0.0/30", "--gateway=10.6.0.1", "--gateway=10.5.0.1");
	assert.equal(await take(site, "n", 2), ["10.5.0.2/30", "10.6.0.2/30"]);
});

test("serial allocation goes on instead of filling gaps", async (site) => {
	site.create("n", "--subnet=10.5.0.0/24", "--ipam-opt=com.docker.network.ipam.serial=true");
	assert.equal(site.inspect("n").IPAM.Options, { "com.docker.network.ipam.serial": "true" });
	const first = await site.join("n");
	await site.disconnect("n", first);
	assert.equal(await take(site, "n", 1), ["10.5.0.2/24"]);
});

test("the null IPAM driver makes endpoints without addresses", async (site) => {
	site.create("n", "--ipam-driver=null", "--ipv4=false", "-o", "parent=eth0");
	assert.is(site.inspect("n").IPAM.Driver, "null");
	const ns = await site.join("n");
	assert.equal(linksOf(ns), ["lo", "eth0"]);
	assert.equal(addressesOf(ns), []);
});

test("networks without subnet get predefined ones, apart from each other and from the host's", async (site) => {
	site.lan.host.must(["ip", "address", "add", "172.17.9.1/24", "dev", "eth0"]);
	site.create("a", "-o", "parent=eth0.50", "--ipv6");
	site.create("b", "-o", "parent=eth0.60");
	const subnets = (name: string) => site.inspect(name).IPAM.Config.map(({ Subnet }: { Subnet: string }) => Subnet);
	assert.is(subnets("a")[0], "172.18.0.0/16");
	assert.match(subnets("a")[1], /^fd[0-9a-f]{2}:[0-9a-f:]+::\/64$/);
	assert.equal(subnets("b"), ["172.19.0.0/16"]);
});

test("S16: the same subnet on two VLANs is two address spaces; addresses survive a restart", async (site) => {
	for (const vid of [50, 60]) site.create(`v${vid}`, "--subnet=10.5.0.0/24", "-o", `parent=eth0.${vid}`);
	assert.equal(await take(site, "v50", 2), ["10.5.0.1/24", "10.5.0.2/24"]);
	assert.equal(await take(site, "v60", 1), ["10.5.0.1/24"]);
	await site.vlane.stopDaemon("SIGKILL");
	await site.vlane.startDaemon();
	assert.is(usage(site, "v50", "10.5.0.0/24").IPsInUse, 4);
	assert.equal(await take(site, "v50", 1), ["10.5.0.3/24"]);
	assert.equal(await take(site, "v60", 1), ["10.5.0.2/24"]);
});

test("--internal: addresses, but no way out; --attachable is kept and shown", async (site) => {
	site.create("n", "--internal", "--attachable", "--subnet=10.5.0.0/24", "--gateway=10.5.0.1", "-o", "parent=eth0");
	assert.equal([site.inspect("n").Internal, site.inspect("n").Attachable], [true, true]);
	const ns = await site.join("n");
	assert.equal(addressesOf(ns), ["10.5.0.2/24"]);
	assert.is(ns.must(["ip", "route", "show", "default"]), "");
});

test("a configuration network is filled in, and in use while it is", async (site) => {
	const flags = ["--subnet=10.5.0.0/24", "--gateway=10.5.0.1", "--label=team=blue", "-o", "parent=eth0.50"];
	site.create("base", "--config-only", ...flags);
	const base = site.inspect("base");
	assert.equal([base.Driver, base.ConfigOnly, base.Status.State], ["null", true, "up"]);
	assert.equal(linksOf(site.lan.host), ["lo", "eth0"], "it makes nothing");
	site.create("prod", "--config-from=base", "--attachable");
	const prod = site.inspect("prod");
	assert.equal(prod.ConfigFrom, { Network: "base" });
	assert.equal([prod.Driver, prod.ConfigOnly, prod.Attachable], ["macvlan", false, true]);
	assert.equal(prod.IPAM.Config, [{ Subnet: "10.5.0.0/24", Gateway: "10.5.0.1" }]);
	assert.equal([prod.Options, prod.Labels], [{ parent: "eth0.50" }, { team: "blue" }]);
	const ns = await site.join("prod");
	assert.equal(addressesOf(ns), ["10.5.0.2/24"]);
	assert.is(site.refusal("network", "rm", "base"), 'configuration network "base" is in use');
	assert.is(
		site.refusal("network", "connect", "base", `netns:${site.namespace("c").path}`),
		"cannot create endpoint on configuration-only network",
	);
	await site.vlane.stopDaemon();
	await site.vlane.startDaemon();
	assert.is(site.inspect("base").ConfigOnly, true);
	site.vlane.must("network", "prune", "-f");
	assert.is(site.vlane.must("network", "ls", "--format", "{{.Name}} {{.Driver}}"), "base null\nprod macvlan");
	await site.disconnect("prod", ns);
	site.vlane.must("network", "rm", "prod", "base");
});

addresses.run();
