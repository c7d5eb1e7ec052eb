/**
 * TCP streams through a daemon that is killed and started again:
 *
 *   node dist/bench/reliability/flows.js [TIMES] [SIGNAL|replace]
 *
 * (default: 20, SIGKILL; SIGTERM is what `systemctl restart` sends; `replace`: a planned restart, `--replace`).
 *
 *   c1 --iperf3--> c2       two containers of a network on a VLAN
 *   c1 --iperf3--> lan50    a container and a station on the LAN
 *
 * The daemon is started as its systemd unit does. Both streams run from before the first kill until after the last. It
 * is started again as soon as it has ended, as a supervisor without delay does. Outage: the longest time around a kill
 * in which the receiving interface got no byte; it holds the time that the daemon is away and the time until TCP sends
 * again. Ends with status 1 when a stream does not survive.
 */
import { cpus, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { FAR_END, makeLan } from "../../test/support/lan.js";
import { Namespace, type Started } from "../../test/support/netns.js";
import { quantile } from "../e2e/statistics.js";
import { startAsUnit } from "./asunit.js";

const TIMES = Number(process.argv[2] ?? 20);
const HOW = process.argv[3] ?? "SIGKILL";
const SETTLE_MS = 3000;
const GAP_MS_MIN = 5;
const GAPS_TOOL = fileURLToPath(new URL("./gaps-tool.js", import.meta.url));

interface Stream {
	name: string;
	client: Started;
	gaps: Started;
}

/** A time in which nothing came. */
interface Gap {
	endMs: number;
	lengthMs: number;
}

async function startStream(name: string, from: Namespace, to: Namespace, ifname: string, ip: string): Promise<Stream> {
	const seconds = Math.ceil((TIMES * (SETTLE_MS + 2000)) / 1000) + 30;
	const server = to.start(["iperf3", "-s", "-1", "-B", ip, "--forceflush"]);
	await server.waitFor(/listening/i);
	const gaps = to.start([process.execPath, GAPS_TOOL, ifname, `${GAP_MS_MIN}`]);
	await gaps.waitFor(/watching/);
	// Slow enough that the machine is not busy with it: what is measured is when bytes come again.
	const client = from.start(["iperf3", "-c", ip, "-t", `${seconds}`, "-b", "200M", "-J"]);
	return { name, client, gaps };
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
vlane.must("network", "create", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50", "v50");
for (const [index, ns] of [c1, c2].entries()) {
	vlane.must("network", "connect", `--ip=10.50.0.${index + 1}`, "v50", `netns:${ns.path}`);
}
const streams = [
	await startStream("container to container", c1, c2, "eth0", "10.50.0.2"),
	await startStream("container to LAN", c1, lan.far, FAR_END, "10.50.0.254"),
];
await sleep(SETTLE_MS);
const killsMs: number[] = [];
const awayMs: number[] = [];
for (let time = 0; time < TIMES; time++) {
	killsMs.push(Date.now());
	const startMs = performance.now();
	if (HOW === "replace") await vlane.replaceDaemon();
	else {
		await vlane.stopDaemon(HOW as NodeJS.Signals);
		await vlane.startDaemon();
	}
	awayMs.push(performance.now() - startMs);
	await sleep(SETTLE_MS);
}
console.log(
	`${TIMES} times ${HOW}; ${cpus()[0]?.model}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.version}`,
);
const line = (what: string, values: number[]): void => {
	const [half, most] = [quantile(values, 0.5), quantile(values, 1)].map((value) => value.toFixed(0).padStart(6));
	console.log(`${what.padEnd(40)} p50 ${half} ms, max ${most} ms`);
};
line("until the daemon says that it is ready", awayMs);
for (const { name, client, gaps } of streams) {
	// Still there after the last restart; iperf3 ends with an error as soon as its connection is gone.
	const survives = client.process.exitCode === null;
	const { stdout: seen } = await gaps.stop();
	line(
		`outage, ${name}`,
		killsMs.map((killMs) => outage(gapsOf(seen), killMs)),
	);
	console.log(`${`stream, ${name}`.padEnd(40)} ${survives ? "survives" : "BROKEN"}`);
	if (!survives) process.exitCode = 1;
	await client.stop("SIGKILL");
}
await vlane.cleanup();
for (const ns of [c1, c2]) ns.close();
lan.close();
