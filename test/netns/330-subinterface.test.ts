/** The tutorial's sub-interfaces: who makes them, who removes them, what survives a restart: S46-S52, S55. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { PARENT } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { addressesOf, eventually, linksOf, macOf, sharedSite, siteTest } from "../support/site.js";

const subinterface = suite("sub-interface");
const test = sharedSite(subinterface, { vlans: [50] });

/** Everything that `ip -d` shows of a link, but for those who listen to it. */
function linkView(ns: Namespace, ifname: string): string {
	return ns.must(["ip", "-d", "address", "show", "dev", ifname]).replaceAll(/(promiscuity|allmulti) \d+/g, "$1");
}

test("S46: the sub-interface appears with its network, up and silent, and is the host's way into the VLAN", (site) => {
	site.lan.station(50, ["192.168.50.1/24"]);
	site.create("v50", "--subnet=192.168.50.0/24", "--gateway=192.168.50.1", "-o", "parent=eth0.50");
	const [link] = site.lan.host.ip("address", "show", "dev", "eth0.50");
	assert.equal([link.address, link.mtu, link.addr_info], [site.lan.parentMac, 1500, []]);
	assert.ok(link.flags.includes("UP"));
	assert.is(site.inspect("v50").Status.HostInterface, "eth0.50");
	site.lan.host.must(["ip", "address", "add", "192.168.50.250/24", "dev", "eth0.50"]);
	assert.is(site.lan.host.ping("192.168.50.1", 2), 2);
});

siteTest(
	subinterface,
	"S47: the daemon makes all links again that it had made, when it starts",
	async (site) => {
		site.lan.station(50, ["192.168.50.1/24"]);
		site.create("v50", "--subnet=192.168.50.0/24", "--gateway=192.168.50.1", "-o", "parent=eth0.50");
		const c1 = await site.join("v50");
		const before = [linksOf(site.lan.host), addressesOf(c1), macOf(c1)];
		await site.vlane.stopDaemon("SIGKILL");
		site.lan.host.must(["ip", "link", "del", "eth0.50"]);
		c1.must(["ip", "link", "del", "eth0"]);
		await site.vlane.startDaemon();
		assert.equal([linksOf(site.lan.host), addressesOf(c1), macOf(c1)], before);
		assert.is(c1.ping("192.168.50.1", 2), 2);
		assert.is(site.inspect("v50").Status.State, "up");
	},
	{ vlans: [50] },
);

siteTest(
	subinterface,
	"S48: a sub-interface of the user's is not made again: its network is degraded until it is back",
	async (site) => {
		const add = ["ip", "link", "add", "eth0.50", "type", "veth", "peer", "name", "other"];
		site.lan.host.must(add);
		site.lan.host.must(["ip", "link", "set", "eth0.50", "up"]);
		site.create("users", "--subnet=192.168.50.0/24", "-o", "parent=eth0.50");
		site.create("ours", "--subnet=192.168.60.0/24", "-o", "parent=eth0.60");
		await site.vlane.stopDaemon();
		for (const link of ["eth0.50", "eth0.60"]) site.lan.host.must(["ip", "link", "del", link]);
		await site.vlane.startDaemon();
		assert.equal(linksOf(site.lan.host).sort(), [PARENT, "eth0.60", "lo"]);
		const { State, Detail } = site.inspect("users").Status;
		assert.equal([State, Detail], ["degraded", "parent interface eth0.50 was not found on the host"]);
		assert.is(site.inspect("ours").Status.State, "up");
		site.lan.host.must(add);
		for (const link of ["eth0.50", "other"]) site.lan.host.must(["ip", "link", "set", link, "up"]);
		await eventually("the network is whole again", () => site.inspect("users").Status.State === "up");
	},
);

test("S49: network rm deletes the sub-interface if it made it, and only then", (site) => {
	site.lan.host.must(["ip", "link", "add", "eth0.60", "type", "veth", "peer", "name", "other"]);
	site.create("ours", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	site.create("users", "--subnet=10.60.0.0/24", "-o", "parent=eth0.60");
	site.vlane.must("network", "rm", "ours", "users");
	assert.equal(linksOf(site.lan.host).sort(), [PARENT, "eth0.60", "lo", "other"]);
});

test("S50: an existing link is used as it is and never modified", async (site) => {
	site.lan.host.must(["ip", "link", "add", "eth0.60", "mtu", "1400", "type", "veth", "peer", "name", "other"]);
	// An address that IPv6 gives itself is tentative first: a change of the kernel's own.
	site.lan.host.sysctl("net/ipv6/conf/eth0.60/disable_ipv6", 1);
	site.lan.host.must(["ip", "address", "add", "10.60.0.250/24", "dev", "eth0.60"]);
	for (const state of ["up", "down"]) {
		site.lan.host.must(["ip", "link", "set", "other", state]);
		site.lan.host.must(["ip", "link", "set", "eth0.60", state]);
		const before = linkView(site.lan.host, "eth0.60");
		site.create("users", "--subnet=10.60.0.0/24", "-o", "parent=eth0.60");
		assert.equal(site.inspect("users").Status.Vlans, [], "no tag: it is a parent like any other");
		const c1 = await site.join("users");
		assert.is(c1.ip("link", "show", "eth0")[0].mtu, 1400);
		assert.is(linkView(site.lan.host, "eth0.60"), before);
		await site.disconnect("users", c1);
		site.vlane.must("network", "rm", "users");
		assert.is(linkView(site.lan.host, "eth0.60"), before);
	}
});

test("S51: the parent itself is never deleted, nor a sub-interface that another network is on", async (site) => {
	const before = linkView(site.lan.host, PARENT);
	site.create("plain", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	site.create("first", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	site.create("second", "--subnet=10.51.0.0/24", "-o", "parent=eth0.50", "-o", "share_parent=true");
	site.vlane.must("network", "rm", "plain", "first");
	assert.equal(linksOf(site.lan.host).sort(), [PARENT, "eth0.50", "lo"]);
	site.vlane.must("network", "rm", "second");
	assert.equal(linksOf(site.lan.host).sort(), [PARENT, "lo"]);
	assert.is(linkView(site.lan.host, PARENT), before);
});

test("S52: what is not exactly NAME.VLAN is refused, and leaves nothing", (site) => {
	const before = site.hostView();
	const wrong: [parent: string, error: RegExp][] = [
		["eth0:10", /^invalid subinterface vlan name eth0:10, example formatting is eth0\.10/],
		["eth0-10", /^invalid subinterface vlan name eth0-10, example formatting is eth0\.10/],
		["eth0.", /^unable to parse a valid vlan id from: /],
		["eth0.abc", /^unable to parse a valid vlan id from: abc/],
		["eth0.010", /^unable to parse a valid vlan id from: 010/],
		["eth0.+5", /^unable to parse a valid vlan id from: \+5/],
		["eth0.5 ", /^unable to parse a valid vlan id from: 5 /],
		[
			"eth0.1.2.3",
			/^required interface name format is: name\.vlan_id, ex\. eth0\.10 .* instead received eth0\.1\.2\.3/,
		],
		["eth0.1.0", /^vlan id must be between 1-4094, received: 0/],
		[".10", /^required interface name format is: name\.vlan_id/],
		["eth1.10", /^-o parent interface was not found on the host: eth1/],
	];
	for (const [parent, error] of wrong) {
		assert.match(site.refusal("network", "create", "-o", `parent=${parent}`, "x"), error);
	}
	assert.is(site.vlane.must("network", "ls", "-q"), "");
	assert.is(site.hostView(), before);
});

test("S55: a link of any other name is the user's to add and to remove", async (site) => {
	site.lan.host.must(["ip", "link", "add", "foo", "type", "veth", "peer", "name", "bar", "netns", site.lan.far.name]);
	site.lan.host.sysctl("net/ipv6/conf/foo/disable_ipv6", 1);
	site.lan.host.must(["ip", "link", "set", "foo", "up"]);
	site.lan.far.must(["ip", "link", "set", "bar", "up"]);
	site.lan.far.must(["ip", "address", "add", "10.7.0.1/24", "dev", "bar"]);
	const before = linkView(site.lan.host, "foo");
	site.create("foo", "--subnet=10.7.0.0/24", "--gateway=10.7.0.1", "-o", "parent=foo");
	const c1 = await site.join("foo");
	assert.is(c1.ping("10.7.0.1", 2), 2);
	await site.disconnect("foo", c1);
	site.vlane.must("network", "rm", "foo");
	assert.is(linkView(site.lan.host, "foo"), before);
});

subinterface.run();
