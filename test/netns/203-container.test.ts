/** Containers by the real daemon and command line: their life from `run` to `rm`, and what ends with them. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ApiNetwork } from "../../src/control/types.js";
import { type Lan, makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { inspectAtRest, MAIN, startVlane, type Vlane } from "../support/vlane.js";

const container = suite("container");
const need = { root: true, tun: true, tools: ["ip", "ping", "pgrep"] };

type ContainerEntry = ApiNetwork["Containers"][string];

let lan: Lan;
let vlane: Vlane;

container.before.each(async () => {
	lan = await makeLan();
	lan.station(undefined, ["172.16.86.1/24"]);
	vlane = await startVlane(lan.host);
	vlane.must("network", "create", "--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", "parent=eth0", "pub_net");
});

container.after.each(async () => {
	await vlane.cleanup();
	lan.close();
});

function addressOf(name: string): string {
	const { Containers } = JSON.parse(vlane.must("network", "inspect", "pub_net"))[0];
	const entry = Object.values<ContainerEntry>(Containers).find(({ Name }) => Name === name);
	return entry?.IPv4Address ?? "";
}

function names(...flags: string[]): string[] {
	return vlane
		.must("ps", "--format", "{{.Names}}", ...flags)
		.split("\n")
		.filter(Boolean)
		.sort();
}

/** Durations that no other process on this machine sleeps for. */
const NAP = 1_000_000 + process.pid * 10;

function sleepers(seconds: number): string[] {
	return lan.host
		.run(["pgrep", "-f", `^sleep ${seconds}$`])
		.stdout.split("\n")
		.filter(Boolean);
}

async function eventually(what: string, isSo: () => boolean): Promise<void> {
	for (let attempt = 0; attempt < 100; attempt++) {
		if (isSo()) return;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	assert.unreachable(`in five seconds: ${what}`);
}

testOrSkip(container, "run, ps, exec, stop, rm", need, () => {
	const id = vlane.must("run", "--net=pub_net", "--ip=172.16.86.10", "-d", "--name", "c1", "sleep", "600");
	assert.match(id, /^[0-9a-f]{64}$/);
	assert.equal(names(), ["c1"]);
	const run = vlane.vlane("run", "--net=pub_net", "--rm", "ping", "-c", "2", "-i", "0.2", "172.16.86.10");
	assert.is(run.status, 0, run.stderr);
	assert.match(run.stdout, /2 received/);
	assert.match(vlane.must("exec", "c1", "ip", "route"), /^default via 172.16.86.1 dev eth0/);
	const conflict = vlane.vlane("run", "-d", "--name", "c1", "sleep", "600");
	assert.is(conflict.status, 125);
	assert.match(
		conflict.stderr,
		new RegExp(`Conflict. The container name "/c1" is already in use by container "${id}".`),
	);
	const running = vlane.vlane("rm", "c1");
	assert.is(running.status, 1);
	assert.match(
		running.stderr,
		/cannot remove container "\/c1": container is running: stop the container before removing or force remove/,
	);
	vlane.must("stop", "c1");
	assert.equal(names(), []);
	assert.equal(names("-a"), ["c1"]);
	assert.is(addressOf("c1"), "");
	vlane.must("rm", "c1");
	assert.equal(names("-a"), []);
});

testOrSkip(
	container,
	"a container that ends takes its background processes and its record (--rm) with it",
	need,
	async () => {
		vlane.must(
			"run",
			"--net=pub_net",
			"--rm",
			"-d",
			"--name",
			"c1",
			"sh",
			"-c",
			`sleep ${NAP} & sleep ${NAP + 1}; true`,
		);
		await eventually("both run", () => sleepers(NAP).length === 1 && sleepers(NAP + 1).length === 1);
		lan.host.must(["kill", ...sleepers(NAP + 1)]);
		await eventually("the record is gone", () => names("-a").length === 0);
		assert.equal(sleepers(NAP), []);
		vlane.must("run", "--net=pub_net", "-d", "--name", "c2", "sleep", "600");
		assert.is(addressOf("c2"), "172.16.86.2/24");
	},
);

testOrSkip(container, "COMMAND may open as many files as the caller of vlane, not as many as Node", need, () => {
	for (const flags of [["--rm"], ["-d", "--name", "limited"]]) {
		const command = ["run", ...flags, "sh", "-c", "ulimit -S -n"].map((word) => `'${word}'`).join(" ");
		const caller = `ulimit -S -n 999; ${process.execPath} ${MAIN} ${command}; true`;
		const { stdout } = lan.host.run(["sh", "-c", caller], { env: { VLANE_HOST: `unix://${vlane.socket}` } });
		if (flags[0] === "--rm") assert.is(stdout, "999\n");
	}
	assert.is(vlane.must("logs", "limited"), "999");
});

testOrSkip(container, "what ignores SIGTERM is killed after the timeout", need, () => {
	vlane.must("run", "-d", "--name", "stubborn", "sh", "-c", `trap '' TERM; while :; do sleep ${NAP}; done`);
	vlane.must("stop", "-t", "1", "stubborn");
	assert.equal(names(), []);
	assert.equal(sleepers(NAP), []);
	vlane.must("rm", "stubborn");
});

testOrSkip(container, "several networks: all of them or none", need, () => {
	vlane.must("network", "create", "--subnet=10.20.0.0/24", "-o", "parent=eth0.20", "net20");
	vlane.must("run", "--net=pub_net", "--net=net20", "-d", "--name", "both", "sleep", "600");
	assert.match(vlane.must("exec", "both", "ip", "-br", "address", "show", "eth1"), /10\.20\.0\.1\/24/);
	const before = ["pub_net", "net20"].map((name) => inspectAtRest(vlane, name));
	const failed = vlane.vlane("run", "--net=pub_net", "--net=missing", "-d", "--name", "half", "sleep", "600");
	assert.is(failed.status, 125);
	assert.match(failed.stderr, /network missing not found/);
	vlane.must("network", "create", "--subnet=10.21.0.0/32", "full");
	const full = vlane.vlane("run", "--net=pub_net", "--net=full", "-d", "sleep", "600");
	assert.is(full.status, 0, full.stderr);
	const exhausted = vlane.vlane("run", "--net=net20", "--net=full", "-d", "--name", "half", "sleep", "600");
	assert.is(exhausted.status, 125);
	assert.match(exhausted.stderr, /no available IPv4 addresses on this network's address pools: full \([0-9a-f]{64}\)/);
	vlane.must("rm", "-f", full.stdout.trim());
	assert.equal(
		["pub_net", "net20"].map((name) => inspectAtRest(vlane, name)),
		before,
	);
	assert.equal(names("-a"), ["both"]);
});

testOrSkip(container, "connect and disconnect a running container by name", need, () => {
	vlane.must("network", "create", "--subnet=10.20.0.0/24", "net20");
	vlane.must("run", "--net=pub_net", "-d", "--name", "c1", "sleep", "600");
	vlane.must("network", "connect", "--ip=10.20.0.9", "net20", "c1");
	assert.match(vlane.must("exec", "c1", "ip", "-br", "address", "show", "eth1"), /10\.20\.0\.9\/24/);
	const twice = vlane.vlane("network", "connect", "net20", "c1");
	assert.match(twice.stderr, /endpoint with name c1 already exists in network net20/);
	vlane.must("network", "disconnect", "net20", "c1");
	assert.is(vlane.vlane("exec", "c1", "ip", "link", "show", "eth1").status, 1);
});

testOrSkip(container, "containers outlive the daemon; what ended meanwhile is noticed", need, async () => {
	vlane.must("run", "--net=pub_net", "-d", "--name", "stays", "sleep", "600");
	vlane.must("run", "--net=pub_net", "-d", "--name", "ends", "sleep", `${NAP}`);
	vlane.must("run", "--net=pub_net", "-d", "--rm", "--name", "vanishes", "sleep", `${NAP}`);
	await vlane.stopDaemon("SIGKILL");
	lan.host.must(["kill", ...sleepers(NAP)]);
	await eventually("they have ended", () => sleepers(NAP).length === 0);
	await vlane.startDaemon();
	assert.equal(names(), ["stays"]);
	assert.equal(names("-a"), ["ends", "stays"]);
	assert.is(addressOf("ends"), "");
	assert.match(vlane.must("exec", "stays", "ping", "-c", "1", "172.16.86.1"), /1 received/);
	vlane.must("stop", "stays");
});

container.run();
