/** What heals by itself under a running daemon, what `vlane reconcile` repairs and says, and what is left alone. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Lan, makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const reconcile = suite("reconcile");
const need = { root: true, tun: true, tools: ["ip", "ping"] };

let lan: Lan;
let vlane: Vlane;
let c1: Namespace;
let c2: Namespace;

reconcile.before.each(async () => {
	lan = await makeLan({ vlans: [50] });
	lan.station(50, ["192.168.50.1/24", "2001:db8:50::1/64"]);
	vlane = await startVlane(lan.host);
	c1 = new Namespace("c1");
	c2 = new Namespace("c2");
	const v4 = ["--subnet=192.168.50.0/24", "--gateway=192.168.50.1"];
	const v6 = ["--subnet=2001:db8:50::/64", "--gateway=2001:db8:50::1"];
	vlane.must("network", "create", ...v4, ...v6, "-o", "parent=eth0.50", "macvlan50");
	for (const ns of [c1, c2]) vlane.must("network", "connect", "macvlan50", `netns:${ns.path}`);
});

reconcile.after.each(async () => {
	await vlane.cleanup();
	for (const ns of [c1, c2]) ns.close();
	lan.close();
});

/** Addresses and routes that were given, without what the kernel adds. */
function view(ns: Namespace): string {
	const { stdout } = ns.run(["ip", "-o", "address", "show", "dev", "eth0", "scope", "global"]);
	const addresses = [...stdout.matchAll(/inet6? (\S+)/g)].map(([, cidr]) => cidr).sort();
	const routes = ["-4", "-6"].map((family) => ns.run(["ip", family, "route", "show", "default"]).stdout);
	return [...addresses, ...routes.map((text) => text.replaceAll(" linkdown", ""))].join("\n");
}

async function eventually(what: string, isSo: () => boolean): Promise<void> {
	for (let attempt = 0; attempt < 200; attempt++) {
		if (isSo()) return;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	assert.unreachable(`in ten seconds: ${what}`);
}

const nothing = "everything is as it should be";

for (const [what, take] of [
	["an interface that is deleted", (ns: Namespace) => ns.must(["ip", "link", "delete", "eth0"])],
	["addresses that are flushed", (ns: Namespace) => ns.must(["ip", "address", "flush", "dev", "eth0"])],
	[
		"what an interface lost while it was down",
		(ns: Namespace) => {
			ns.must(["ip", "link", "set", "eth0", "down"]);
			ns.must(["ip", "link", "set", "eth0", "up"]);
		},
	],
] as [string, (ns: Namespace) => void][]) {
	testOrSkip(reconcile, `${what}: given back by a running daemon, and by one that is started`, need, async () => {
		const before = view(c1);
		take(c1);
		await eventually("the namespace is as before", () => view(c1) === before);
		assert.is(c1.ping("192.168.50.3"), 1);
		assert.is(c1.ping("192.168.50.1"), 1);
		await vlane.stopDaemon("SIGKILL");
		take(c1);
		await vlane.startDaemon();
		await eventually("the namespace is as before", () => view(c1) === before);
		assert.is(c1.ping("192.168.50.1"), 1);
		assert.is(vlane.must("reconcile"), nothing);
	});
}

testOrSkip(reconcile, "an interface that is down stays down, and other addresses stay", need, async () => {
	c1.must(["ip", "address", "add", "10.1.1.1/32", "dev", "eth0"]);
	c1.must(["ip", "link", "set", "eth0", "down"]);
	await new Promise((resolve) => setTimeout(resolve, 300));
	assert.is(vlane.must("reconcile"), nothing);
	assert.not.ok(c1.ip("link", "show", "eth0")[0].flags.includes("UP"));
	c1.must(["ip", "link", "set", "eth0", "up"]);
	await eventually("IPv6 is back", () => view(c1).includes("2001:db8:50::"));
	assert.match(view(c1), /10\.1\.1\.1\/32/);
});

testOrSkip(reconcile, "the host's interface of a VLAN is made again", need, async () => {
	lan.host.must(["ip", "link", "delete", "eth0.50"]);
	await eventually("eth0.50 is there", () => lan.host.run(["ip", "link", "show", "eth0.50"]).status === 0);
	assert.match(vlane.must("network", "inspect", "macvlan50"), /"State": "up"/);
	assert.is(vlane.must("reconcile"), nothing);
});

testOrSkip(reconcile, "says on demand what it repairs, and what it can not", need, async () => {
	// With the address family switched off, nothing of it can be given back.
	c1.must(["tee", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"], { input: "1" });
	await new Promise((resolve) => setTimeout(resolve, 300));
	const { status, stderr } = vlane.vlane("reconcile");
	assert.is(status, 1);
	assert.match(stderr, /^endpoint .* of macvlan50: RTM_NEWADDR 2001:db8:50::.*\n$/);
	lan.host.must(["ip", "link", "set", "eth0", "down"]);
	const degraded = vlane.vlane("reconcile");
	assert.match(degraded.stderr, /^network macvlan50: degraded: parent interface eth0 is down/m);
	lan.host.must(["ip", "link", "set", "eth0", "up"]);
	c1.must(["tee", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"], { input: "0" });
	await eventually("IPv6 is back", () => view(c1).includes("2001:db8:50::"));
});

testOrSkip(reconcile, "what a parent has decided is on disk, too", need, async () => {
	lan.host.must(["ip", "link", "set", "eth0", "mtu", "1400"]);
	const mtus = () => {
		const { records } = JSON.parse(vlane.must("state", "export", "--state-dir", vlane.stateDirectory));
		const endpoints = Object.entries<{ mtuBytes: number }>(records).filter(([key]) => key.startsWith("endpoint/"));
		return endpoints.map(([, { mtuBytes }]) => mtuBytes);
	};
	await eventually("the records follow", () => mtus().every((mtuBytes) => mtuBytes === 1400));
	assert.is(c1.ip("link", "show", "eth0")[0].mtu, 1400);
});

reconcile.run();
