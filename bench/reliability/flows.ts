/**
 * TCP streams through a daemon that is ended and started again:
 *
 *   node dist/bench/reliability/flows.js [TIMES] [HOW...]
 *
 * (default: 20 SIGKILL replace). HOW is a signal (SIGTERM is what `systemctl restart` sends), `replace` for a planned
 * restart, or `SIGKILL-alone`, a kill without a supervisor that keeps descriptors.
 *
 *   c1 --iperf3--> c2       two containers of a network on a VLAN
 *   c1 --iperf3--> lan50    a container and a station on the LAN
 *
 * The daemon is started as its systemd unit does, and its supervisor keeps descriptors as systemd does. Both streams
 * run from before the first time until after the last. It is started again as soon as it has ended. Outage: the longest
 * time around that in which the receiving interface got no byte; it holds the time that the daemon is away and the time
 * until TCP sends again. One table; ends with status 1 when a stream does not survive, or a goal is missed.
 */
import { cpus, loadavg, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { FAR_END, makeLan } from "../../test/support/lan.js";
import { Namespace, type Started } from "../../test/support/netns.js";
import { Supervisor } from "../../test/support/supervisor.js";
import { CUBIC } from "../congestion.js";
import { quantile } from "../e2e/statistics.js";
import { startAsUnit } from "./asunit.js";

const TIMES = Number(process.argv[2] ?? 20);
const WAYS = process.argv.length > 3 ? process.argv.slice(3) : ["SIGKILL", "replace"];
/** Goals for the outage. */
const OUTAGE_MS_MAX: Record<string, number> = { SIGKILL: 500, replace: 50 };
const SETTLE_MS = 3000;
const GAP_MS_MIN = 5;
const GAPS_TOOL = fileURLToPath(new URL("./gaps-tool.js", import.meta.url));

interface Stream {
	server: Started;
	client: Started;
	gaps: Started;
}

/** A time in which nothing came. */
interface Gap {
	endMs: number;
	lengthMs: number;
}

async function startStream(from: Namespace, to: Namespace, ifname: string, ip: string): Promise<Stream> {
	const seconds = Math.ceil((TIMES * (SETTLE_MS + 2000)) / 1000) + 30;
	const server = to.start(["iperf3", "-s", "-1", "-B", ip, "--forceflush"]);
	await server.waitFor(/listening/i);
	const gaps = to.start([process.execPath, GAPS_TOOL, ifname, `${GAP_MS_MIN}`]);
	await gaps.waitFor(/watching/);
	// Slow enough that the machine is not busy with it: what is measured is when bytes come again.
	const client = from.start(["iperf3", ...CUBIC, "-c", ip, "-t", `${seconds}`, "-b", "200M", "-J"]);
	return { server, client, gaps };
}

const gapsOf = (output: string): Gap[] =>
	output
		.split("\n")
		.map((line) => line.split(" ").map(Number))
		.flatMap(([endMs, lengthMs]) => (endMs && lengthMs ? [{ endMs, lengthMs }] : []));

/** The longest gap that has something of the time from a kill to when all is as before. */
const outage = (gaps: Gap[], killMs: number): number =>
	Math.max(
		0,
		...gaps.flatMap(({ endMs, lengthMs }) => (endMs > killMs && endMs - lengthMs < killMs + SETTLE_MS ? lengthMs : [])),
	);

const lan = await makeLan({ vlans: [50] });
lan.station(50, ["10.50.0.254/24"]);
const vlane = await startAsUnit(lan.host);
const [c1, c2] = [new Namespace("c1"), new Namespace("c2")];

/** Ends the daemon and starts another one. */
async function restart(how: string): Promise<void> {
	if (how === "replace") return void (await vlane.replaceDaemon());
	await vlane.stopDaemon(how.split("-")[0] as NodeJS.Signals);
	await vlane.startDaemon();
}

const COLUMNS = [16, 20, 22, 22, 10, 8];
const row = (...cells: string[]): void => {
	console.log(
		cells
			.map((cell, index) => cell.padEnd(COLUMNS[index]!))
			.join(" ")
			.trimEnd(),
	);
};
const figures = (values: number[]): string =>
	[0.5, 1]
		.map((share) => quantile(values, share).toFixed(0))
		.join(" / ")
		.concat(" ms");

/** All that is done in one way: one row. */
async function measure(how: string): Promise<void> {
	await vlane.stopDaemon();
	// Its descriptors go, too.
	vlane.supervisor?.close();
	vlane.supervisor = how.endsWith("-alone") ? undefined : new Supervisor();
	await vlane.startDaemon();
	const streams = [
		await startStream(c1, c2, "eth0", "10.50.0.2"),
		await startStream(c1, lan.far, FAR_END, "10.50.0.254"),
	];
	await sleep(SETTLE_MS);
	const endedMs: number[] = [];
	const awayMs: number[] = [];
	for (let time = 0; time < TIMES; time++) {
		endedMs.push(Date.now());
		const startMs = performance.now();
		await restart(how);
		awayMs.push(performance.now() - startMs);
		await sleep(SETTLE_MS);
	}
	const outages: number[][] = [];
	let survivors = 0;
	for (const { server, client, gaps } of streams) {
		// Still there after the last restart; iperf3 ends with an error as soon as its connection is gone.
		if (client.process.exitCode === null) survivors++;
		const { stdout: seen } = await gaps.stop();
		outages.push(endedMs.map((ms) => outage(gapsOf(seen), ms)));
		for (const end of [client, server]) await end.stop("SIGKILL");
	}
	const isMet =
		survivors === streams.length && Math.max(...outages.flat()) < (OUTAGE_MS_MAX[how] ?? Number.POSITIVE_INFINITY);
	if (!isMet) process.exitCode = 1;
	const verdict = survivors < streams.length ? "BROKEN" : isMet ? "met" : "missed";
	row(`${TIMES} x ${how}`, figures(awayMs), ...outages.map(figures), `${survivors} of ${streams.length}`, verdict);
}

vlane.must("network", "create", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50", "v50");
for (const [index, ns] of [c1, c2].entries()) {
	vlane.must("network", "connect", `--ip=10.50.0.${index + 1}`, "v50", `netns:${ns.path}`);
}
console.log(
	`${cpus()[0]?.model}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}`,
);
row("p50 / max", "until ready", "outage to a sibling", "outage to the LAN", "survive", "goal");
for (const how of WAYS) await measure(how);
await vlane.cleanup();
vlane.supervisor?.close();
for (const ns of [c1, c2]) ns.close();
lan.close();
