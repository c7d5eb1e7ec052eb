/**
 * Three times what the switch can forward, offered by 16 ports at once:
 *
 *   node dist/bench/reliability/overload.js [--seconds N] [--times N] [--nice N]
 *
 * (default: 600 seconds, 3 times; --nice: of the daemon, as systemd's Nice=). 16 endpoints of one network on a VLAN,
 * each sends to the next one, frames of mixed sizes. What the switch can forward is measured first: all 16 offer more
 * and more, until no more of it arrives. The most that arrived is the capacity. During the load, at so many times that
 * rate:
 *
 *   memory    of the daemon, every second; its slope is that of the second half
 *   drops     each sender offers the same: Jain's index and the least and most of what arrives
 *   answers   GET /ports ten times a second; every two seconds an endpoint is connected and disconnected
 *   waits     for a processor, of the daemon's main thread and of its forwarding one (/proc/.../schedstat): what of the
 *             answers' time is the machine's
 *
 * Right after it, echo requests every 10 ms: lost ones, and the longest round trip. One table, with a verdict behind
 * what has a goal; ends with status 1 when one is missed, or the load was none: less than nine tenths of what it should
 * be.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, setPriority } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeLan } from "../../test/support/lan.js";
import { Namespace, type Started } from "../../test/support/netns.js";
import { startVlaneBehind } from "../../test/support/vlane.js";
import { ask } from "../ask.js";
import { quantile } from "../e2e/statistics.js";

const PORTS = 16;
/** The first rate that is offered, of all senders together, and by what it grows. */
const RATE_LEAST = 40_000;
const RATE_STEP = 1.4;
const STEP_SECONDS = 3;
/** So many steps without more arriving, and that is the capacity. */
const STEPS_WITHOUT_MORE = 3;
const MORE = 1.03;
const RATE_MOST = 20_000_000;
const OFFERED_SHARE_MIN = 0.9;
const ASKER_NICE = -15;
/** Until senders have seen a new rate, and their queues are as full as they will be. */
const SETTLE_MS = 500;
const ANSWER_MS_MAX = 100;
const GROWTH_MIB_PER_MINUTE_MAX = 1;
/** In less time what a start has left over comes and goes. */
const GROWTH_SECONDS_MIN = 120;
const JAIN_MIN = 0.95;
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

/** All members as senders in a ring. They offer what stands in a file. */
class Senders {
	readonly #senders: Started[];
	readonly #file = join(vlane.directory, "rate");

	constructor(members: Member[]) {
		this.setRate(0);
		this.#senders = members.map(({ ns, mac }, index) => {
			const target = members[(index + 1) % members.length]!.mac;
			return ns.start([process.execPath, TOOL, "eth0", mac, target, this.#file]);
		});
	}

	async ready(): Promise<void> {
		await Promise.all(this.#senders.map((sender) => sender.waitFor(/offered/)));
	}

	/** Frames per second of all together; 0: nothing. */
	setRate(rate: number): void {
		writeFileSync(this.#file, `${rate / PORTS}`);
	}

	/** What goes in and comes out as long as `during` takes. */
	async load(rate: number, during: () => Promise<void>): Promise<Load> {
		this.setRate(rate);
		await sleep(SETTLE_MS);
		const before = this.#senders.map(received);
		const said = this.#senders.map(({ process: { pid } }) => sent(pid!));
		const startMs = performance.now();
		await during();
		const seconds = (performance.now() - startMs) / 1000;
		const after = this.#senders.map(received);
		const offered = this.#senders.map(({ process: { pid } }, index) => sent(pid!) - said[index]!);
		const arrived = this.#senders.map((_, index) => {
			const next = (index + 1) % this.#senders.length;
			return after[next]! - before[next]!;
		});
		return { seconds, offered, arrived };
	}

	async stop(): Promise<void> {
		await Promise.all(this.#senders.map((sender) => sender.stop("SIGKILL")));
	}
}

/** Raises the rate until no more arrives. */
async function capacityOf(senders: Senders): Promise<number> {
	let most = 0;
	for (let rate = RATE_LEAST, without = 0; without < STEPS_WITHOUT_MORE && rate < RATE_MOST; rate *= RATE_STEP) {
		const { seconds, offered, arrived } = await senders.load(rate, () => sleep(STEP_SECONDS * 1000));
		const [before, now] = [sum(offered) / seconds, sum(arrived) / seconds];
		line(`  offered ${before.toFixed(0)} frames/s`, `${now.toFixed(0)} frames/s arrive`);
		without = now > most * MORE ? 0 : without + 1;
		most = Math.max(most, now);
	}
	return most;
}

/** Frames that the interface of a process's namespace has sent, or had no room for. */
function sent(pid: number): number {
	const [, counters = ""] = /eth0:\s*(.*)/.exec(readFileSync(`/proc/${pid}/net/dev`, "latin1")) ?? [];
	const [, , , , , , , , , packets, , dropped] = counters.split(/\s+/).map(Number);
	return packets! + dropped!;
}

/** By name of thread: milliseconds that it has waited for a processor, and how often it has run. */
function waits(pid: number): Map<string, { ms: number; times: number }> {
	const found = new Map<string, { ms: number; times: number }>();
	for (const tid of readdirSync(`/proc/${pid}/task`)) {
		const [, ns = 0, times = 0] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "latin1").split(" ").map(Number);
		if (Number(tid) === pid) found.set("main", { ms: ns / 1e6, times });
		else if (ns / 1e6 > (found.get("forwarding")?.ms ?? 0)) found.set("forwarding", { ms: ns / 1e6, times });
	}
	return found;
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

/** One line of the table. */
function line(what: string, value: string, verdict?: { goal: string; isMet: boolean }): void {
	const said = verdict ? `${verdict.isMet ? "met   " : "MISSED"}  ${verdict.goal}` : "";
	console.log(`${what.padEnd(32)} ${value.padEnd(46)} ${said}`.trimEnd());
	if (verdict && !verdict.isMet) process.exitCode = 1;
}

const answers = (times: number[]): string => {
	const [p50, p99, most] = [0.5, 0.99, 1].map((share) => quantile(times, share).toFixed(1));
	return `p50 ${p50}, p99 ${p99}, max ${most} ms of ${times.length}`;
};

const lan = await makeLan();
const nice = option("--nice", 0);
const vlane = await startVlaneBehind(nice === 0 ? [] : ["nice", "-n", `${nice}`], lan.host, "--log-level=warn");
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

	const senders = new Senders(members);
	await senders.ready();
	// Who asks is not to wait for a processor: the daemon's time is what counts.
	setPriority(ASKER_NICE);
	const capacity = await capacityOf(senders);
	line("forwarded of as many as can be", `${capacity.toFixed(0)} frames/s`);

	const { pid } = vlane;
	const resident: number[] = [];
	let asked: number[] = [];
	let changed: number[] = [];
	const waited = waits(pid);
	const { seconds, offered, arrived } = await senders.load(capacity * TIMES, async () => {
		[asked, changed] = await Promise.all([
			repeat(SECONDS, 100, () => ask(vlane.socket, "GET", "/ports")),
			repeat(SECONDS, 2000, async () => {
				await ask(vlane.socket, "POST", "/networks/v50/connect", { Target: `netns:${guest.path}`, Name: "guest" });
				await ask(vlane.socket, "POST", "/networks/v50/disconnect", { Target: "guest" });
			}),
			repeat(SECONDS, 1000, async () => resident.push(residentMiB(pid))),
		]);
	});
	const waitedSince = waits(pid);
	await senders.stop();
	const [from, to] = [members[0]!, "10.50.0.2"];
	const echoes = from.ns.run(["ping", "-q", "-i", "0.01", "-c", `${ECHOES}`, "-W", "1", to]).stdout;
	const returned = Number(/(\d+) received/.exec(echoes)?.[1]);
	const [, average, longest] = /= [\d.]+\/([\d.]+)\/([\d.]+)\//.exec(echoes) ?? [];

	const shares = arrived.map((frames, index) => frames / offered[index]!);
	const jain = sum(shares) ** 2 / (PORTS * sum(shares.map((share) => share ** 2)));
	const growth = slopePerMinute(resident.slice(Math.floor(resident.length / 2)));
	const rate = (frames: number[]): number => sum(frames) / seconds;
	const load = rate(offered) / capacity;
	const percent = (share: number): string => (share * 100).toFixed(1);
	const memory = [resident[0]!, resident.at(-1)!, Math.max(...resident)].map((mib) => mib.toFixed(0)).join(" / ");
	console.log(`\n${seconds.toFixed(0)} s of overload`);
	line("offered", `${rate(offered).toFixed(0)} frames/s, ${load.toFixed(1)} x`, {
		goal: `${TIMES} x what the switch can forward`,
		isMet: load >= OFFERED_SHARE_MIN * TIMES,
	});
	line("forwarded", `${rate(arrived).toFixed(0)} frames/s, ${(rate(arrived) / capacity).toFixed(2)} x`);
	line("fairness, Jain's index", jain.toFixed(4), { goal: `${JAIN_MIN}`, isMet: jain >= JAIN_MIN });
	line("arrives of a sender's", `${percent(Math.min(...shares))} to ${percent(Math.max(...shares))} %`);
	line("memory, first / last / most", `${memory} MiB`);
	line("memory, second half", `${growth.toFixed(2)} MiB a minute`, {
		goal: `at most ${GROWTH_MIB_PER_MINUTE_MAX}${SECONDS < GROWTH_SECONDS_MIN ? ", too short to say" : ""}`,
		isMet: SECONDS < GROWTH_SECONDS_MIN || growth <= GROWTH_MIB_PER_MINUTE_MAX,
	});
	line("GET /ports", answers(asked), {
		goal: `at most ${ANSWER_MS_MAX} ms`,
		isMet: Math.max(...asked) <= ANSWER_MS_MAX,
	});
	// Two requests.
	line("connect and disconnect", answers(changed), {
		goal: `at most ${2 * ANSWER_MS_MAX} ms`,
		isMet: Math.max(...changed) <= 2 * ANSWER_MS_MAX,
	});
	for (const [thread, { ms, times }] of waitedSince) {
		const [since, often] = [ms - (waited.get(thread)?.ms ?? 0), times - (waited.get(thread)?.times ?? 0)];
		const each = `${(since / often).toFixed(2)} each time`;
		line(`${thread} thread waits for a CPU`, `${(since / seconds).toFixed(0)} ms a second, ${each}`);
	}
	line(`${ECHOES} echoes right after`, `${returned} return, ${average} ms on average, ${longest} at most`, {
		goal: `all, in ${RECOVERY_MS_MAX} ms`,
		isMet: returned >= ECHOES && Number(longest) <= RECOVERY_MS_MAX,
	});
} finally {
	await vlane.cleanup();
	for (const { ns } of members) ns.close();
	guest.close();
	lan.close();
}
