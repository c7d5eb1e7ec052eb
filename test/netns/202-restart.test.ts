/** What outlives the daemon, however it ends, and what it makes true again when it starts. */
import { readFileSync, writeFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FAR_END, type Lan, makeLan, PARENT } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const restart = suite("restart");
const need = { root: true, tun: true, tools: ["ip", "ping"] };

let lan: Lan;
let vlane: Vlane;
let c1: Namespace;
let c2: Namespace;

restart.before.each(async () => {
	lan = await makeLan({ vlans: [50] });
	lan.station(50, ["192.168.50.1/24"]);
	vlane = await startVlane(lan.host);
	c1 = new Namespace("c1");
	c2 = new Namespace("c2");
	vlane.must(
		"network",
		"create",
		"--subnet=192.168.50.0/24",
		"--gateway=192.168.50.1",
		"-o",
		"parent=eth0.50",
		"macvlan50",
	);
	for (const ns of [c1, c2]) vlane.must("network", "connect", "macvlan50", `netns:${ns.path}`);
});

restart.after.each(async () => {
	await vlane.cleanup();
	for (const ns of [c1, c2]) ns.close();
	lan.close();
});

function status(network: string): { State: string; Detail: string; HostInterface: string } {
	return JSON.parse(vlane.must("network", "inspect", network))[0].Status;
}

function view(ns: Namespace): string {
	const addresses = ns.ip("address", "show", "eth0").map(({ address, addr_info }) => [address, addr_info]);
	return JSON.stringify(addresses) + ns.must(["ip", "route"]).replaceAll(" linkdown", "");
}

function hasCarrier(ns: Namespace): boolean {
	return !ns.ip("link", "show", "eth0")[0].flags.includes("NO-CARRIER");
}

async function eventually(what: string, isSo: () => boolean): Promise<void> {
	for (let attempt = 0; attempt < 100; attempt++) {
		if (isSo()) return;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	assert.unreachable(`in five seconds: ${what}`);
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
	testOrSkip(restart, `endpoints keep their interfaces over a daemon that is ended by ${signal}`, need, async () => {
		const before = view(c1);
		const ended = await vlane.stopDaemon(signal);
		assert.is(ended.status, signal === "SIGTERM" ? 0 : 137, ended.stderr);
		assert.is(view(c1), before);
		await vlane.startDaemon();
		assert.is(view(c1), before);
		assert.is(c1.ping("192.168.50.3"), 1);
		assert.is(c1.ping("192.168.50.1"), 1);
		const late = new Namespace("late");
		vlane.must("network", "connect", "--ip=192.168.50.4", "macvlan50", `netns:${late.path}`);
		late.close();
	});
}

testOrSkip(restart, "S47: links that are gone are made again, if they were ours", need, async () => {
	await vlane.stopDaemon("SIGKILL");
	lan.host.must(["ip", "link", "del", "eth0.50"]);
	c1.must(["ip", "link", "del", "eth0"]);
	await vlane.startDaemon();
	lan.host.must(["ip", "link", "show", "eth0.50"]);
	assert.is(c1.ping("192.168.50.3"), 1);
	assert.is(c1.ping("192.168.50.1"), 1);
});

testOrSkip(
	restart,
	"S48: a link that was not ours is not made again; its network is degraded, never lost",
	need,
	async () => {
		lan.host.must(["ip", "link", "add", "eth0.60", "type", "veth", "peer", "name", "peer60"]);
		vlane.must("network", "create", "--subnet=192.168.60.0/24", "-o", "parent=eth0.60", "macvlan60");
		await vlane.stopDaemon();
		lan.host.must(["ip", "link", "del", "eth0.60"]);
		await vlane.startDaemon();
		assert.is(lan.host.run(["ip", "link", "show", "eth0.60"]).status, 1);
		assert.is(status("macvlan60").State, "degraded");
		assert.is(status("macvlan60").Detail, "parent interface eth0.60 was not found on the host");
		const connect = vlane.vlane("network", "connect", "macvlan60", `netns:${c1.path}`);
		assert.is(connect.status, 1);
		assert.match(connect.stderr, /network macvlan60 is degraded: parent interface eth0.60 was not found on the host/);
		lan.host.must(["ip", "link", "add", "eth0.60", "type", "veth", "peer", "name", "peer60"]);
		for (const end of ["eth0.60", "peer60"]) lan.host.must(["ip", "link", "set", end, "up"]);
		await eventually("the network is up again", () => status("macvlan60").State === "up");
		vlane.must("network", "connect", "macvlan60", `netns:${c1.path}`);
	},
);

testOrSkip(restart, "a namespace that ended meanwhile frees its address", need, async () => {
	await vlane.stopDaemon();
	c2.close();
	await vlane.startDaemon();
	c2 = new Namespace("c2");
	vlane.must("network", "connect", "macvlan50", `netns:${c2.path}`);
	assert.is(c2.ip("address", "show", "eth0")[0].addr_info[0].local, "192.168.50.3");
});

testOrSkip(restart, "a parent that is deleted and made again is taken back into use", need, async () => {
	lan.host.must(["ip", "link", "del", PARENT]);
	await eventually("the network is degraded", () => status("macvlan50").State === "degraded");
	await eventually("the endpoint has no carrier", () => !hasCarrier(c1));
	lan.host.must(["ip", "link", "add", PARENT, "type", "veth", "peer", "name", FAR_END, "netns", lan.far.name]);
	lan.host.must(["ip", "link", "set", PARENT, "up"]);
	lan.far.must(["ip", "link", "set", FAR_END, "up"]);
	await eventually("the network is up again", () => status("macvlan50").State === "up" && hasCarrier(c1));
	assert.is(c1.ping("192.168.50.3"), 1);
	const [parent] = lan.host.ip("link", "show", PARENT);
	assert.is(lan.host.ip("link", "show", "eth0.50")[0].address, parent.address);
});

testOrSkip(restart, "a parent that goes down and up again carries on", need, async () => {
	lan.host.must(["ip", "link", "set", PARENT, "down"]);
	assert.is(status("macvlan50").Detail, "parent interface eth0 is down");
	await eventually("the endpoint has no carrier", () => !hasCarrier(c1));
	lan.host.must(["ip", "link", "set", PARENT, "up"]);
	assert.is(status("macvlan50").State, "up");
	await eventually("the LAN answers", () => c1.ping("192.168.50.1") === 1);
});

testOrSkip(
	restart,
	"one daemon for a socket and for a state directory; a stale socket file is replaced",
	need,
	async () => {
		const second = (...argv: string[]) => vlane.vlane("daemon", ...argv);
		const sameSocket = second("--state-dir", `${vlane.directory}/other`, "--socket", vlane.socket);
		assert.is(sameSocket.status, 1);
		assert.match(
			sameSocket.stderr,
			/^a vlane daemon is listening on unix:\/\/.* already; stop it or give another --socket\n$/,
		);
		const sameState = second("--state-dir", vlane.stateDirectory, "--socket", `${vlane.directory}/other.sock`);
		assert.is(sameState.status, 1);
		assert.match(
			sameState.stderr,
			/^state directory .* is in use by another vlane daemon; stop it or use another --state-dir\n$/,
		);
		await vlane.stopDaemon("SIGKILL");
		await vlane.startDaemon();
		await vlane.stopDaemon();
		writeFileSync(vlane.socket, "not a socket");
		const notASocket = second("--state-dir", vlane.stateDirectory, "--socket", vlane.socket);
		assert.is(notASocket.status, 1);
		assert.match(notASocket.stderr, /^cannot use socket .*: something else has that name; give another --socket\n$/);
		assert.is(readFileSync(vlane.socket, "utf8"), "not a socket");
	},
);

restart.run();
