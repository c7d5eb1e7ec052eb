/**
 * `node dist/bench/reliability/group.js [--endpoints N] [--seconds N] [--etcd-down N]`: three hosts that share
 * addresses through three members of etcd, with up to N endpoints on each, changed by four clients on each: first in
 * peace, then while daemons and members are killed, frozen and cut off (test/support/groupchaos.ts). At last etcd is
 * stopped as a whole while a container sends to one on another host. `VLANE_SEED=N` repeats the choices of a run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { makeGroup } from "../../test/support/group.js";
import { Chaos } from "../../test/support/groupchaos.js";
import { randomOf } from "../../test/support/kills.js";
import { median, quantile } from "../e2e/statistics.js";
import { flag } from "../flag.js";

const ENDPOINTS = flag("--endpoints", 300);
const SECONDS = flag("--seconds", 180);
const DOWN_SECONDS = flag("--etcd-down", 120);
const SEED = Number(process.env.VLANE_SEED ?? Date.now() % 1_000_000);
const ECHOES_EACH_SECOND = 50;

const directory = mkdtempSync(join(tmpdir(), "vlane-chaos-"));
const group = await makeGroup({ members: 3, hosts: 3, daemon: ["--log-level=error"] });
const chaos = new Chaos(group, randomOf(SEED), ENDPOINTS, directory);
const problems: string[] = [];
const say = (what: string, value: unknown) => console.log(`${what.padEnd(32)}${value}`);
const spread = (times: number[]) => {
	const [middle, late, most] = [median(times), quantile(times, 0.99), quantile(times, 1)].map((time) =>
		time.toFixed(0),
	);
	return `${times.length}, ms p50 ${middle}, p99 ${late}, max ${most}`;
};
try {
	const today = new Date().toISOString().slice(0, 10);
	const load = loadavg()[0]?.toFixed(1);
	console.log(
		`${cpus()[0]?.model} x ${cpus().length}, Linux ${release()}, Node ${process.versions.node}, load ${load}, ${today}`,
	);
	await chaos.start();
	await chaos.run(Math.ceil(SECONDS / 4), false);
	problems.push(...(await chaos.check()));
	await chaos.run(SECONDS, true);
	problems.push(...(await chaos.check()));
	problems.push(...(await chaos.clear()));
	say("seed", SEED);
	for (const [what, count] of Object.entries(chaos.counts)) say(what, count);
	say("leases in peace", spread(chaos.leaseMs.calm));
	say("leases under faults", spread(chaos.leaseMs.faults));

	const [a, b] = [group.host(0), group.host(1)];
	a.run("sender", "vlan50");
	const address = b.run("receiver", "vlan50");
	const count = (DOWN_SECONDS + 10) * ECHOES_EACH_SECOND;
	const ping = a.vlane.start(
		...["exec", "sender", "ping", "-n", "-q", "-i", `${1 / ECHOES_EACH_SECOND}`, "-c", `${count}`, address],
	);
	await delay(3000);
	for (const member of group.etcd.members) await member.stop("SIGKILL");
	const { status, stderr } = a.vlane.vlane("run", "-d", "--network", "vlan50", "sleep", "infinity");
	if (status === 0) problems.push("an address was given out without etcd");
	say("without etcd", stderr.trimEnd());
	await delay(DOWN_SECONDS * 1000);
	for (const member of group.etcd.members) member.start();
	for (const member of group.etcd.members) await member.ready();
	const { stdout } = await ping.ended;
	say(`etcd away for ${DOWN_SECONDS} s`, /\d+ packets transmitted.*/.exec(stdout)?.[0]);
	if (!/ 0% packet loss/.test(stdout)) problems.push("frames were lost while etcd was away");
	for (const host of [a, b]) host.must("rm", "-f", host === a ? "sender" : "receiver");
	problems.push(...(await chaos.check()), ...(await chaos.clear()));
} finally {
	await chaos.close();
	await group.close();
	rmSync(directory, { recursive: true, force: true });
}
say("problems", problems.length === 0 ? "none" : problems.join("\n"));
process.exitCode = problems.length > 0 ? 1 : 0;
