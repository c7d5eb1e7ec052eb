/**
 * Engine and daemon end and start again, in good order or not: containers keep what they have, nothing is left over.
 */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type DockerSite, ENGINE, makeDockerSite } from "../support/engine.js";
import { testOrSkip } from "../support/needs.js";
import { eventually } from "../support/site.js";

const docker = suite("docker: restarts");
const SUBNET = ["--subnet=172.16.86.0/24", "--gateway=172.16.86.1"];
const PLUGIN = ["--docker-plugin-dir", "/run/docker/plugins"];
const C1 = "172.16.86.10";

let site: DockerSite;

docker.before(async () => {
	site = await makeDockerSite();
	site.lan.station(undefined, ["172.16.86.1/24"]);
	site.engine.must("network", "create", "-d", "vlane", ...SUBNET, "-o", "parent=eth0", "pub_net");
});

docker.after(async () => {
	await site?.cleanup();
});

docker.before.each(() => {
	run("c1", "--restart=always", `--ip=${C1}`, "sh", "-c", "while :; do nc -l -p 9000 -e cat; done");
});

docker.after.each(() => {
	site.engine.removeAll();
	assert.equal(site.links(), ["lo", "eth0"]);
	assert.equal(endpoints(), []);
});

/** The last flags are the command. */
function run(name: string, restart: string, ip: string, ...command: string[]): void {
	site.engine.must("run", "-d", "--name", name, "--net=pub_net", restart, ip, "alpine", ...command);
}

/** Names of the daemon's ports that are endpoints. */
function endpoints(): string[] {
	const ports: { name: string; kind: string }[] = JSON.parse(site.vlane.must("ports", "--json"));
	return ports.filter(({ kind }) => kind === "endpoint").map(({ name }) => name);
}

async function startDaemon(): Promise<void> {
	await site.vlane.startDaemon(...PLUGIN);
}

async function answers(address = C1): Promise<void> {
	await eventually(`${address} answers`, () => site.lan.far.ping(address) === 1);
}

testOrSkip(docker, "a daemon that ends, or is killed, under an open connection", ENGINE, async () => {
	await answers();
	// The container answers pings before its shell has come as far as to listen.
	await eventually("c1 listens", () => site.inside("c1", "ss", "-Hltn", "sport = :9000").stdout !== "");
	const pipe = join(site.vlane.directory, "typed");
	execFileSync("mkfifo", [pipe]);
	const client = site.lan.far.start(["sh", "-c", `exec busybox nc ${C1} 9000 < ${pipe}`]);
	const typed = openSync(pipe, "w");
	const before = site.inside("c1", "ip", "-o", "address", "show", "eth0").stdout;
	for (const [index, signal] of (["SIGTERM", "SIGKILL", "SIGKILL"] as const).entries()) {
		writeSync(typed, `before ${index}\n`);
		await client.waitFor(new RegExp(`^before ${index}$`));
		await site.vlane.stopDaemon(signal);
		writeSync(typed, `meanwhile ${index}\n`);
		await startDaemon();
		await client.waitFor(new RegExp(`^meanwhile ${index}$`));
	}
	closeSync(typed);
	await client.stop();
	assert.is(site.inside("c1", "ip", "-o", "address", "show", "eth0").stdout, before);
	assert.is(endpoints().length, 1);
	site.engine.must("restart", "-t", "0", "c1");
	await answers();
});

testOrSkip(docker, "an engine that ends in good order, with the daemon up", ENGINE, async () => {
	await site.engine.stopEngine();
	await eventually("the endpoint is gone", () => endpoints().length === 0);
	assert.equal(site.links(), ["lo", "eth0"]);
	await site.engine.startEngine();
	await answers();
});

testOrSkip(docker, "an engine that is killed, with the daemon up", ENGINE, async () => {
	run("c2", "--restart=no", "--ip=172.16.86.20", "sleep", "1000000");
	await site.engine.stopEngine("SIGKILL");
	// Nobody has told the containers.
	assert.is(site.lan.far.ping(C1), 1);
	await site.engine.startEngine();
	await answers();
	await eventually("the other endpoint is collected", () => endpoints().length === 1);
	site.engine.must("start", "c2");
	await answers("172.16.86.20");
});

testOrSkip(docker, "an engine that is killed after the daemon was", ENGINE, async () => {
	await site.vlane.stopDaemon("SIGKILL");
	await startDaemon();
	await site.engine.stopEngine("SIGKILL");
	await site.engine.startEngine();
	await answers();
	assert.is(endpoints().length, 1);
});

testOrSkip(docker, "an engine that ends and starts while the daemon is down", ENGINE, async () => {
	await site.vlane.stopDaemon();
	await site.engine.stopEngine("SIGKILL");
	await startDaemon();
	await site.engine.startEngine();
	await answers();
	assert.is(endpoints().length, 1);
});

testOrSkip(docker, "a host that crashes: what is started again finds nothing in its way", ENGINE, async () => {
	const pid = site.engine.pid("c1");
	await site.engine.stopEngine("SIGKILL");
	await site.vlane.stopDaemon("SIGKILL");
	process.kill(pid, "SIGKILL");
	// As after a boot: no namespaces, no interfaces.
	site.host.run(["sh", "-c", "umount /tmp/vlane-docker-*/exec/netns/* /run/docker/netns/* 2>/dev/null"]);
	await startDaemon();
	assert.equal(endpoints(), []);
	await site.engine.startEngine();
	await answers();
	assert.is(endpoints().length, 1);
});

testOrSkip(docker, "with --live-restore the engine restarts and the containers do not notice", ENGINE, async () => {
	site.engine.must("rm", "-f", "c1");
	await site.engine.stopEngine();
	await site.engine.startEngine("--live-restore");
	run("c1", "--restart=no", `--ip=${C1}`, "sleep", "1000000");
	const pid = site.engine.pid("c1");
	for (const signal of ["SIGTERM", "SIGKILL"] as const) {
		await site.engine.stopEngine(signal);
		assert.is(site.lan.far.ping(C1), 1);
		await site.engine.startEngine("--live-restore");
		assert.is(site.engine.pid("c1"), pid);
		await answers();
	}
	site.engine.must("rm", "-f", "c1");
	await site.engine.stopEngine();
	await site.engine.startEngine();
});

docker.run();
