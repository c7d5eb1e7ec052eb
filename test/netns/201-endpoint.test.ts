/** Endpoints by the real daemon in namespaces that somebody else made: their interface, who they reach, how they go. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Lan, makeLan, PARENT } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { inspectAtRest, startVlane, type Vlane } from "../support/vlane.js";

const endpoint = suite("endpoint");
const need = { root: true, tun: true, tools: ["ip", "ping"] };

/** As `ip -j address` shows it. */
interface Address {
	local: string;
	prefixlen: number;
	scope: string;
}

let lan: Lan;
let vlane: Vlane;
let c1: Namespace;
let c2: Namespace;

endpoint.before.each(async () => {
	lan = await makeLan();
	vlane = await startVlane(lan.host);
	c1 = new Namespace("c1");
	c2 = new Namespace("c2");
});

endpoint.after.each(async () => {
	await vlane.cleanup();
	for (const ns of [c1, c2]) ns.close();
	lan.close();
});

function create(...flags: string[]): void {
	vlane.must("network", "create", "-d", "macvlan", ...flags);
}

function connect(network: string, ns: Namespace, ...flags: string[]): void {
	vlane.must("network", "connect", ...flags, network, `netns:${ns.path}`);
}

function refusal(...argv: string[]): string {
	const { status, stderr } = vlane.vlane(...argv);
	assert.is(status, 1, stderr);
	return stderr.replace("Error response from daemon: ", "").trimEnd();
}

function linkNames(ns: Namespace): string[] {
	return ns.ip("link", "show").map(({ ifname }) => ifname);
}

async function eventually(what: string, isSo: () => boolean): Promise<void> {
	for (let attempt = 0; attempt < 100; attempt++) {
		if (isSo()) return;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	assert.unreachable(`in five seconds: ${what}`);
}

testOrSkip(
	endpoint,
	"S29-S33: interface, addresses and routes of an endpoint; two of them ping each other",
	need,
	() => {
		lan.station(undefined, ["172.16.86.1/24"]);
		create("--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", "parent=eth0", "pub_net");
		connect("pub_net", c1, "--ip=172.16.86.10");
		connect("pub_net", c2);
		const [eth0] = c2.ip("address", "show", "eth0");
		assert.is(eth0.mtu, 1500);
		assert.is(Number.parseInt(eth0.address.slice(0, 2), 16) & 3, 2, "locally administered, unicast");
		assert.equal(
			eth0.addr_info.map(({ local, prefixlen, scope }: Address) => [local, prefixlen, scope]),
			[["172.16.86.2", 24, "global"]],
		);
		assert.equal(
			c2
				.must(["ip", "route"])
				.trim()
				.split("\n")
				.map((line) => line.trim()),
			["default via 172.16.86.1 dev eth0", "172.16.86.0/24 dev eth0 proto kernel scope link src 172.16.86.2"],
		);
		assert.is(c2.must(["ip", "-6", "address", "show", "eth0"]), "", "no IPv6 that nobody asked for");
		assert.is(c2.ping("172.16.86.10", 2), 2);
		assert.is(c2.ping("172.16.86.1", 2), 2);
	},
);

testOrSkip(endpoint, "S34: the parent's own addresses are out of reach, both ways", need, () => {
	lan.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", PARENT]);
	create("--subnet=172.16.86.0/24", "-o", "parent=eth0", "pub_net");
	connect("pub_net", c1);
	assert.is(c1.ping("172.16.86.250"), 0);
	assert.is(lan.host.ping("172.16.86.1"), 0);
});

testOrSkip(endpoint, "two families on a VLAN, and a second network in the same namespace", need, () => {
	create(
		"--subnet=10.5.0.0/24",
		"--gateway=10.5.0.1",
		"--subnet=2001:db8:5::/64",
		"--gateway=2001:db8:5::1",
		"-o",
		"parent=eth0.50",
		"dual",
	);
	create("--subnet=10.6.0.0/24", "--gateway=10.6.0.1", "local");
	for (const ns of [c1, c2]) {
		connect("dual", ns);
		connect("local", ns);
	}
	assert.equal(linkNames(c1), ["lo", "eth0", "eth1"]);
	const six = c1.ip("-6", "address", "show", "eth0")[0].addr_info.find(({ scope }: Address) => scope === "global");
	assert.is(six.local, "2001:db8:5::2");
	assert.ok(six.nodad);
	assert.match(c1.must(["ip", "-6", "route"]), /default via 2001:db8:5::1 dev eth0/);
	assert.is(
		c1.must(["ip", "route", "show", "default"]).trim(),
		"default via 10.5.0.1 dev eth0",
		"internal: no second one",
	);
	assert.is(c1.ping("10.5.0.3"), 1);
	assert.is(c1.ping("2001:db8:5::3"), 1);
	assert.is(c1.ping("10.6.0.3"), 1);
});

testOrSkip(endpoint, "S16 S45: VLANs, and networks that share a parent, are isolated from each other", need, () => {
	create("--subnet=10.8.0.0/24", "-o", "parent=eth0.50", "v50");
	create("--subnet=10.8.0.0/24", "-o", "parent=eth0.60", "v60");
	connect("v50", c1, "--ip=10.8.0.2");
	connect("v60", c2, "--ip=10.8.0.3");
	assert.is(c1.ping("10.8.0.3"), 0);
	vlane.must("network", "disconnect", "v60", `netns:${c2.path}`);
	create("--subnet=10.8.0.0/24", "--ip-range=10.8.0.128/25", "-o", "parent=eth0.50", "-o", "share_parent=true", "v50b");
	connect("v50b", c2);
	assert.is(c2.ip("address", "show", "eth0")[0].addr_info[0].local, "10.8.0.128");
	assert.is(c1.ping("10.8.0.128"), 0);
});

testOrSkip(endpoint, "what can not be connected is refused, and nothing of it is left", need, () => {
	create("--subnet=10.9.0.0/24", "--gateway=10.9.0.1", "-o", "parent=eth0", "net9");
	connect("net9", c1, "--ip=10.9.0.5");
	const inspected = () => inspectAtRest(vlane, "net9");
	const before = inspected();
	const target = `netns:${c2.path}`;
	const mac = c1.ip("link", "show", "eth0")[0].address;
	const cases: [flags: string[], error: string | RegExp][] = [
		[["--ip=10.9.0.5", "net9", target], "Address already in use: 10.9.0.5"],
		[["--ip=10.9.0.1", "net9", target], "Address already in use: 10.9.0.1"],
		[
			["--ip=10.10.0.1", "net9", target],
			"invalid endpoint settings: no configured subnet contains IP address 10.10.0.1",
		],
		[["net9", `netns:${c1.path}`], /^endpoint with name .* already exists in network net9$/],
		[["net9", "netns:/run/netns/nothing"], "network namespace /run/netns/nothing not found; see 'ip netns list'"],
		[["net9", `netns:${lan.host.path}`], /is in the network namespace of the host/],
		[["net9", "pid:1x"], "invalid target pid:1x: it should be pid:N or netns:/run/netns/NAME"],
		[["net9", "nobody"], "No such container: nobody"],
		[["missing", target], "network missing not found"],
	];
	for (const [flags, error] of cases) {
		const said = refusal("network", "connect", ...flags);
		typeof error === "string" ? assert.is(said, error) : assert.match(said, error);
	}
	assert.match(mac, /^[0-9a-f:]{17}$/);
	assert.equal(inspected(), before);
	assert.equal(linkNames(c2), ["lo"]);
	assert.match(refusal("network", "disconnect", "net9", target), /is not connected to network net9$/);
	assert.match(
		refusal("network", "rm", "net9"),
		/^error while removing network: network net9 has active endpoints \(name:".*-c1" id:"[0-9a-f]{12}"\)$/,
	);
	connect("net9", c2);
	assert.is(c2.ip("address", "show", "eth0")[0].addr_info[0].local, "10.9.0.2", "no address was lost");
});

testOrSkip(endpoint, "disconnect, and the end of a namespace, free the address at once", need, async () => {
	create("--subnet=10.9.0.0/24", "net9");
	connect("net9", c1);
	vlane.must("network", "disconnect", "net9", `netns:${c1.path}`);
	assert.equal(linkNames(c1), ["lo"]);
	const gone = new Namespace("gone");
	connect("net9", gone);
	gone.close();
	await eventually("the endpoint is released", () => {
		const [{ Containers }] = JSON.parse(vlane.must("network", "inspect", "net9"));
		return Object.keys(Containers).length === 0;
	});
	connect("net9", c2);
	assert.is(c2.ip("address", "show", "eth0")[0].addr_info[0].local, "10.9.0.1");
});

testOrSkip(endpoint, "a deleted interface comes back by itself, and disconnect takes it away", need, async () => {
	create("--subnet=10.9.0.0/24", "net9");
	connect("net9", c1);
	const index = () => c1.ip("link", "show")[1]?.ifindex;
	const before = index();
	c1.must(["ip", "link", "del", "eth0"]);
	await eventually("the interface is there again", () => ![undefined, before].includes(index()));
	const { Status } = JSON.parse(vlane.must("network", "inspect", "net9"))[0];
	assert.is(Status.Detail, "");
	vlane.must("network", "disconnect", "net9", `netns:${c1.path}`);
	assert.equal(linkNames(c1), ["lo"]);
	vlane.must("network", "rm", "net9");
});

endpoint.run();
