/** Networks by the real daemon: what they make on the host, what they refuse, and what they leave behind (nothing). */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Lan, makeLan, PARENT } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const network = suite("network");
const need = { root: true, tun: true, tools: ["ip"] };

let lan: Lan;
let vlane: Vlane;

network.before(async () => {
	lan = await makeLan();
	vlane = await startVlane(lan.host);
});

network.after(async () => {
	await vlane.cleanup();
	lan.close();
});

/** Everything about the host's links, addresses and routes that a user would see. */
function hostView(): string {
	return ["link", "address", "route"].map((what) => lan.host.must(["ip", what, "show"])).join("\n");
}

function create(...flags: string[]): string {
	return vlane.must("network", "create", "-d", "macvlan", ...flags);
}

function inspect(name: string) {
	return JSON.parse(vlane.must("network", "inspect", name))[0];
}

/** The daemon's refusal, without Docker's prefix. */
function refusal(...argv: string[]): string {
	const { status, stdout, stderr } = vlane.vlane(...argv);
	assert.is(status, 1, stderr);
	assert.is(stdout, "");
	assert.match(stderr, /^Error response from daemon: .*\n$/);
	return stderr.slice("Error response from daemon: ".length).trimEnd();
}

testOrSkip(network, "S50 S51 S69: an untagged network leaves the parent as it is", need, () => {
	lan.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", PARENT]);
	const before = hostView();
	const id = create("--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", "parent=eth0", "pub_net");
	assert.match(id, /^[0-9a-f]{64}$/);
	assert.is(hostView(), before);
	const shown = inspect("pub_net");
	assert.equal(shown.IPAM.Config, [{ Subnet: "172.16.86.0/24", Gateway: "172.16.86.1" }]);
	assert.equal(shown.Options, { parent: "eth0" });
	assert.is(shown.Status.State, "up");
	assert.is(inspect(id.slice(0, 6)).Name, "pub_net");
	assert.is(vlane.must("network", "rm", "pub_net"), "pub_net");
	assert.is(hostView(), before);
	lan.host.must(["ip", "address", "flush", "dev", PARENT]);
});

testOrSkip(network, "S46 S49: a sub-interface appears with its network, silent, and goes with it", need, () => {
	const before = hostView();
	create("--subnet=192.168.50.0/24", "-o", "parent=eth0.50", "macvlan50");
	const [link] = lan.host.ip("link", "show", "eth0.50");
	assert.is(link.address, lan.parentMac);
	assert.is(link.mtu, 1500);
	assert.ok(link.flags.includes("UP"));
	assert.equal(lan.host.ip("address", "show", "eth0.50")[0].addr_info, []);
	assert.equal(inspect("macvlan50").Status.Vlans, ["50"]);
	vlane.must("network", "rm", "macvlan50");
	assert.is(hostView(), before);
});

testOrSkip(network, "S49 S50 S55: an existing link of any name is used as it is and stays", need, () => {
	lan.host.must(["ip", "link", "add", "foo.7", "type", "veth", "peer", "name", "bar"]);
	const before = hostView();
	create("--subnet=10.7.0.0/24", "-o", "parent=foo.7", "foo");
	assert.equal(inspect("foo").Status.Vlans, []);
	assert.is(inspect("foo").Status.State, "degraded");
	assert.is(inspect("foo").Status.Detail, "parent interface foo.7 is down");
	assert.is(hostView(), before);
	vlane.must("network", "rm", "foo");
	assert.is(hostView(), before);
	lan.host.must(["ip", "link", "del", "foo.7"]);
});

testOrSkip(network, "S17: a parent has one network, unless the newcomer says share_parent", need, () => {
	create("--subnet=10.1.0.0/24", "-o", "parent=eth0.60", "first");
	const second = ["network", "create", "--subnet=10.2.0.0/24", "-o", "parent=eth0.60"];
	assert.is(
		refusal(...second, "second"),
		"network first is already using parent interface eth0.60; add -o share_parent=true to share it",
	);
	vlane.must(...second, "-o", "share_parent=true", "second");
	vlane.must("network", "rm", "first");
	lan.host.must(["ip", "link", "show", "eth0.60"]);
	vlane.must("network", "rm", "second");
	assert.is(lan.host.run(["ip", "link", "show", "eth0.60"]).status, 1);
});

testOrSkip(
	network,
	"S18: VLANs 1 and 4094 are there at the same time; a long name does without a host interface",
	need,
	() => {
		lan.host.must(["ip", "link", "add", "enxb827eb1e62b3", "type", "veth", "peer", "name", "bar"]);
		create("--subnet=10.1.0.0/24", "-o", "parent=eth0.1", "low");
		create("--subnet=10.1.0.0/24", "-o", "parent=eth0.4094", "high");
		create("--subnet=10.1.0.0/24", "-o", "parent=enxb827eb1e62b3.42", "long");
		assert.is(inspect("long").Status.HostInterface, "");
		assert.match(inspect("long").Status.Detail, /enxb827eb1e62b3.42 is too long for a host interface/);
		vlane.must("network", "rm", "low", "high", "long");
		lan.host.must(["ip", "link", "del", "enxb827eb1e62b3"]);
	},
);

testOrSkip(network, "what can not be made is refused in one line, and nothing of it is left", need, () => {
	create("--subnet=10.9.0.0/24", "taken");
	const before = hostView();
	const names = vlane.must("network", "ls", "-q");
	const cases: [flags: string[], error: string][] = [
		[["taken"], "network with name taken already exists"],
		[["-o", "parent=eth9.50", "x"], "-o parent interface was not found on the host: eth9"],
		[["-o", "parent=eth0.4095", "x"], "vlan id must be between 1-4094, received: 4095"],
		[
			["-o", "parent=eth0:10", "x"],
			"invalid subinterface vlan name eth0:10, example formatting is eth0.10; " +
				"no link named eth0:10 exists on this host",
		],
		[["-o", "parent=lo", "x"], "loopback interface is not a valid macvlan parent link"],
		[["-o", "parrent=eth0", "x"], 'unknown driver option "parrent"; did you mean "parent"?'],
		[
			["-o", "parent=eth0", "-o", "com.docker.network.driver.mtu=9000", "x"],
			'driver-opt "com.docker.network.driver.mtu" 9000 is larger than the MTU 1500 of parent interface eth0',
		],
	];
	for (const [flags, error] of cases) assert.is(refusal("network", "create", ...flags), error);
	assert.is(refusal("network", "rm", "nothing"), "network nothing not found");
	assert.is(hostView(), before);
	assert.is(vlane.must("network", "ls", "-q"), names);
	vlane.must("network", "rm", "taken");
});

testOrSkip(
	network,
	"a subnet that overlaps another one on the same VLAN is refused, and free again afterwards",
	need,
	() => {
		create("--subnet=10.77.0.0/24", "-o", "parent=eth0.78", "holder");
		const half = [
			"network",
			"create",
			"--subnet=10.77.0.0/25",
			"-o",
			"parent=eth0.78",
			"-o",
			"share_parent=true",
			"half",
		];
		assert.match(refusal(...half), /^invalid pool request: Pool overlaps with other one on this address space/);
		vlane.must("network", "rm", "holder");
		vlane.must(...half);
		vlane.must("network", "rm", "half");
	},
);

testOrSkip(network, "prune removes what has no endpoints, by label", need, () => {
	create("--subnet=10.3.0.0/24", "--label=keep=yes", "kept");
	create("--subnet=10.4.0.0/24", "--label=keep=no", "old");
	assert.match(vlane.must("network", "prune", "-f", "--filter", "label=keep=no"), /old/);
	assert.is(vlane.must("network", "ls", "--format", "{{.Name}}"), "kept");
	vlane.must("network", "prune", "-f");
	assert.is(vlane.must("network", "ls", "-q"), "");
});

network.run();
