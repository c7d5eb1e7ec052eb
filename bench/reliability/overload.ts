/**
 * Three times what the switch can forward, offered by 16 ports at once:
 *
 *   node dist/bench/reliability/overload.js [--seconds N] [--times N]
 *
 * (default: 600 seconds, 3 times). 16 endpoints of one network on a VLAN, each sends to the next one, frames of mixed
 * sizes. What the switch can forward is measured first, with two of the senders offering without end: more of them
 * would take its processor time. During the load:
 *
 *   memory    of the daemon, every second; its slope is that of the second half
 *   drops     each sender offers the same: Jain's index and the least and most of what arrives
 *   answers   GET /ports ten times a second; every two seconds an endpoint is connected and disconnected
 *
 * Right after it, echo requests every 10 ms: lost ones, and the longest round trip. Ends with status 1 when an answer
 * took longer than 100 ms, an echo was lost for longer than a second, or memory grows.
 */
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeLan } from "../../test/support/lan.js";
import { Namespace, type Started } from "../../test/support/netns.js";
import { startVlane } from "../../test/support/vlane.js";
import { ask } from "../ask.js";
import { quantile } from "../e2e/statistics.js";

const PORTS = 16;
const CAPACITY_SECONDS = 5;
/** For the first measurement: more than any machine forwards. */
const RATE_WITHOUT_END = 4_000_000;
const ANSWER_MS_MAX = 100;
const GROWTH_MIB_PER_MINUTE_MAX = 1;
const ECHOES = 50;
const RECOVERY_MS_MAX = 1000;
const TOOL = fileURLToPath(new URL("./overload-tool.js", import.meta.url));

const option = (name: string, otherwise: number): number => {
	const index = process.argv.indexOf(name);
	return index < 0 ? otherwise : Number(process.argv[index + 1]);
};
const SECONDS = option("--seconds", 600);
const TIMES = option("--times", 3);

interface Member {
	ns: Namespace;
	mac: string;
}

interface Load {
	seconds: number;
	/** By sender. */
	offered: number[];
	/** By sender: what the next one's interface got of it. */
	arrived: number[];
}

/** Frames that the interface of a process's namespace has received. */
function received({ process: { pid } }: Started): number {
	const [, counters = ""] = /eth0:\s*(.*)/.exec(readFileSync(`/proc/${pid}/net/dev`, "latin1")) ?? [];
	return Number(counters.split(/\s+/)[1]);
}

/** Loads the switch from the first `count` members, in a ring, for as long as `during` takes. */
async function load(members: Member[], count: number, rate: number, during: () => Promise<void>): Promise<Load> {
	const senders: Started[] = members.slice(0, count).map(({ ns, mac }, index) => {
		const target = members[(index + 1) % count]!.mac;
		return ns.start([process.execPath, TOOL, "eth0", mac, target, `${rate / count}`]);
	});
	await Promise.all(senders.map((sender) => sender.waitFor(/offered/)));
	const before = senders.map(received);
	const startMs = performance.now();
	await during();
	const seconds = (performance.now() - startMs) / 1000;
	const after = senders.map(received);
	const ended = await Promise.all(senders.map((sender) => sender.stop("SIGKILL")));
	const arrived = senders.map((_, index) => {
		const next = (index + 1) % count;
		return after[next]! - before[next]!;
	});
	return { seconds, offered: ended.map(({ stdout }) => offeredPerSecond(stdout) * seconds), arrived };
}

/** Of what a sender has said: between its first line and its last. */
function offeredPerSecond(said: string): number {
	const counts = [...said.matchAll(/offered (\d+)/g)].map(([, count]) => Number(count));
	return counts.length < 2 ? Number.NaN : (counts.at(-1)! - counts[0]!) / (counts.length - 1);
}

function residentMiB(pid: number): number {
	return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) / 1024;
}

/** Slope of the line through values that are a second apart (least squares), per minute. */
function slopePerMinute(values: number[]): number {
	const middle = (values.length - 1) / 2;
	const mean = sum(values) / values.length;
	const above = sum(values.map((value, index) => (index - middle) * (value - mean)));
	return (60 * above) / sum(values.map((_, index) => (index - middle) ** 2));
}

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

/** Calls until the time is over, each `everyMs` after the one before has begun, or later. */
async function repeat(seconds: number, everyMs: number, call: () => Promise<unknown>): Promise<number[]> {
	const times: number[] = [];
	for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; ) {
		const startMs = performance.now();
		await call();
		const tookMs = performance.now() - startMs;
		times.push(tookMs);
		await sleep(Math.max(0, everyMs - tookMs));
	}
	return times;
}

const line = (what: string, value: string): void => console.log(`${what.padEnd(34)} ${value}`);
const answers = (times: number[]): string => {
	const [p50, p99, most] = [0.5, 0.99, 1].map((share) => quantile(times, share).toFixed(1));
	return `p50 ${p50}, p99 ${p99}, max ${most} ms of ${times.length}`;
};

const lan = await makeLan();
const vlane = await startVlane(lan.host, "--log-level=warn");
const members: Member[] = [];
const guest = new Namespace("guest");
try {
	console.log(`${cpus()[0]?.model}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.version}`);
	vlane.must("network", "create", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50", "v50");
	for (let index = 0; index < PORTS; index++) {
		const ns = new Namespace(`c${index}`);
		vlane.must("network", "connect", `--ip=10.50.0.${index + 1}`, "v50", `netns:${ns.path}`);
		members.push({ ns, mac: ns.must(["cat", "/sys/class/net/eth0/address"]).trim() });
	}

	const most = await load(members, 2, RATE_WITHOUT_END, () => sleep(CAPACITY_SECONDS * 1000));
	const capacity = sum(most.arrived) / most.seconds;
	line("forwarded of as many as can be", `${capacity.toFixed(0)} frames/s`);

	const { pid } = vlane;
	const resident: number[] = [];
	let asked: number[] = [];
	let changed: number[] = [];
	const { seconds, offered, arrived } = await load(members, PORTS, capacity * TIMES, async () => {
		[asked, changed] = await Promise.all([
			repeat(SECONDS, 100, () => ask(vlane.socket, "GET", "/ports")),
			repeat(SECONDS, 2000, async () => {
				await ask(vlane.socket, "POST", "/networks/v50/connect", { Target: `netns:${guest.path}`, Name: "guest" });
				await ask(vlane.socket, "POST", "/networks/v50/disconnect", { Target: "guest" });
			}),
			repeat(SECONDS, 1000, async () => resident.push(residentMiB(pid))),
		]);
	});
	const [from, to] = [members[0]!, "10.50.0.2"];
	const echoes = from.ns.run(["ping", "-q", "-i", "0.01", "-c", `${ECHOES}`, "-W", "1", to]).stdout;
	const returned = Number(/(\d+) received/.exec(echoes)?.[1]);
	const [, average, longest] = /= [\d.]+\/([\d.]+)\/([\d.]+)\//.exec(echoes) ?? [];

	const shares = arrived.map((frames, index) => frames / offered[index]!);
	const growth = slopePerMinute(resident.slice(Math.floor(resident.length / 2)));
	const rate = (frames: number[]): number => sum(frames) / seconds;
	line("offered", `${rate(offered).toFixed(0)} frames/s, ${(rate(offered) / capacity).toFixed(1)} times that`);
	line("forwarded", `${rate(arrived).toFixed(0)} frames/s for ${seconds.toFixed(0)} s`);
	line("fairness, Jain's index", (sum(shares) ** 2 / (PORTS * sum(shares.map((share) => share ** 2)))).toFixed(4));
	line(
		"arrives of a sender's",
		`${(Math.min(...shares) * 100).toFixed(1)} to ${(Math.max(...shares) * 100).toFixed(1)} %`,
	);
	line(
		"memory, first / last / most",
		[resident[0]!, resident.at(-1)!, Math.max(...resident)].map((mib) => mib.toFixed(0)).join(" / ") +
			` MiB, ${growth.toFixed(2)} MiB a minute in the second half`,
	);
	line("GET /ports", answers(asked));
	line("connect and disconnect", answers(changed));
	line(`echoes right after, ${ECHOES} in 0.5 s`, `${returned} return, ${average} ms on average, ${longest} ms at most`);
	const isLate = Math.max(...asked) > ANSWER_MS_MAX || Math.max(...changed) > 2 * ANSWER_MS_MAX;
	const isGrowing = SECONDS >= 120 && growth > GROWTH_MIB_PER_MINUTE_MAX;
	const isSlow = returned < ECHOES || Number(longest) > RECOVERY_MS_MAX;
	if (isLate || isGrowing || isSlow) {
		console.log(`missed:${isLate ? " answers" : ""}${isGrowing ? " memory" : ""}${isSlow ? " recovery" : ""}`);
		process.exitCode = 1;
	}
} finally {
	await vlane.cleanup();
	for (const { ns } of members) ns.close();
	guest.close();
	lan.close();
}
