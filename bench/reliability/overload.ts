/**
 * Three times what the switch can forward, offered by 16 ports at once:
 *
 *   node dist/bench/reliability/overload.js [--seconds N] [--times N] [--nice N] [--weight N] [--busy N]
 *
 * (default: 600 seconds, 3 times; --nice: of the daemon, as systemd's Nice=; --weight: as CPUWeight=, of a control
 * group of its own beside that of all senders, which has 100; --busy: so many processes that do nothing but compute
 * beside the senders). 16 endpoints of one network on a VLAN, each sends to the next one, frames of mixed sizes. What
 * the switch can forward is measured first: all 16 offer more and more, until no more of it arrives. The most that
 * arrived is the capacity. During the load, at so many times that rate:
 *
 *   memory    of the daemon, every second; its slope is that of the second half
 *   drops     each sender offers the same: Jain's index and the least and most of what arrives
 *   answers   GET /ports ten times a second; every two seconds an endpoint is connected and disconnected
 *   witness   a process that has nothing to do, with the daemon's priority: how late it answers and wakes up, and how
 *             long the kernel takes to remove a TAP of its
 *   waits     for a processor, of the daemon's main thread and of its forwarding one (/proc/.../schedstat): what of the
 *             answers' time is the machine's
 *
 * Then the books: the same load for some seconds and nothing else, an end, and each frame has to be found again:
 * arrived, or counted as dropped, by the sender's interface or by the switch. Right after it, echo requests every 10
 * ms: lost ones, and the longest round trip. One table, with a verdict behind what has a goal; ends with status 1
 * when one is missed, or the load was none: less than nine tenths of what it should be.
 */
import { readdirSync, readFileSync } from "node:fs";
import { cpus, release, setPriority } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ApiPort } from "../../src/control/types.js";
import { makeLan } from "../../test/support/lan.js";
import { Namespace, start } from "../../test/support/netns.js";
import { startVlaneBehind } from "../../test/support/vlane.js";
import { ask } from "../ask.js";
import { quantile, residentMiB } from "../e2e/statistics.js";
import { flag } from "../flag.js";
import { CpuGroup } from "./cpugroup.js";
import { type Counts, difference, type Member, Senders } from "./senders.js";

const PORTS = 16;
/** The first rate that is offered, of all senders together, and by what it grows. */
const RATE_LEAST = 100_000;
const RATE_STEP = 1.4;
const STEP_SECONDS = 3;
/** So many steps without more arriving, and that is the capacity. */
const STEPS_WITHOUT_MORE = 3;
const MORE = 1.03;
const RATE_MOST = 20_000_000;
const OFFERED_SHARE_MIN = 0.9;
const ASKER_NICE = -15;
const SENDERS_WEIGHT = 100;
const ANSWER_MS_MAX = 100;
const LATE_SHOWN = 10;
const GROWTH_MIB_PER_MINUTE_MAX = 1;
/** In less time what a start has left over comes and goes. */
const GROWTH_SECONDS_MIN = 120;
const JAIN_MIN = 0.95;
const ECHOES = 50;
const RECOVERY_MS_MAX = 1000;
const WITNESS = fileURLToPath(new URL("./overload-witness.js", import.meta.url));

const SECONDS = flag("--seconds", 600);
const TIMES = flag("--times", 3);
const NICE = flag("--nice", 0, -20);
/** 0: everybody is in one group. */
const WEIGHT = flag("--weight", 0, 0);
const BUSY = flag("--busy", 0, 0);

/** What a thread has run, and waited for a processor, until now (proc(5), schedstat). */
interface Scheduled {
	ranMs: number;
	waitedMs: number;
	times: number;
}

/** A request that took too long, and what the daemon's main thread and the asker's did meanwhile. */
interface Late {
	what: string;
	tookMs: number;
	daemon: Scheduled;
	asker: Scheduled;
}

/** Raises the rate until no more arrives. */
async function capacityOf(senders: Senders): Promise<number> {
	let most = 0;
	for (let rate = RATE_LEAST, without = 0; without < STEPS_WITHOUT_MORE && rate < RATE_MOST; rate *= RATE_STEP) {
		const { seconds, taken, dropped, arrived } = await senders.load(rate, () => sleep(STEP_SECONDS * 1000));
		const [before, now] = [(sum(taken) + sum(dropped)) / seconds, sum(arrived) / seconds];
		line(`  offered ${before.toFixed(0)} frames/s`, `${now.toFixed(0)} frames/s arrive`);
		without = now > most * MORE ? 0 : without + 1;
		most = Math.max(most, now);
	}
	return most;
}

function scheduled(pid: number, tid = pid): Scheduled {
	const text = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "latin1");
	const [ranNs = 0, waitedNs = 0, times = 0] = text.split(" ").map(Number);
	return { ranMs: ranNs / 1e6, waitedMs: waitedNs / 1e6, times };
}

function since(now: Scheduled, before: Scheduled | undefined): Scheduled {
	const { ranMs = 0, waitedMs = 0, times = 0 } = before ?? {};
	return { ranMs: now.ranMs - ranMs, waitedMs: now.waitedMs - waitedMs, times: now.times - times };
}

/** By name of thread. The one that forwards is the one that has run the longest, besides the main one. */
function threadsOf(pid: number): Map<string, Scheduled> {
	const found = new Map([["main", scheduled(pid)]]);
	for (const tid of readdirSync(`/proc/${pid}/task`).map(Number)) {
		const thread = scheduled(pid, tid);
		if (tid !== pid && thread.ranMs > (found.get("forwarding")?.ranMs ?? 0)) found.set("forwarding", thread);
	}
	return found;
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
async function repeat(everyMs: number, call: () => Promise<unknown>): Promise<number[]> {
	const times: number[] = [];
	for (const endMs = performance.now() + SECONDS * 1000; performance.now() < endMs; ) {
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
	console.log(`${what.padEnd(34)} ${value.padEnd(46)} ${said}`.trimEnd());
	if (verdict && !verdict.isMet) process.exitCode = 1;
}

const answers = (times: number[]): string => {
	const [p50, p99, most] = [0.5, 0.99, 1].map((share) => quantile(times, share).toFixed(1));
	return `p50 ${p50}, p99 ${p99}, max ${most} ms of ${times.length}`;
};

/** Frames of the switch's ports to the members: in, out, and dropped by reason. */
interface Switched {
	rx: number;
	tx: number;
	drops: Map<string, number>;
}

async function switched(): Promise<Switched> {
	const ports = (await ask(vlane.socket, "GET", "/ports")) as ApiPort[];
	const found: Switched = { rx: 0, tx: 0, drops: new Map() };
	for (const { name, rxFrames, txFrames, drops } of ports) {
		if (!names.has(name)) continue;
		found.rx += rxFrames;
		found.tx += txFrames;
		for (const [reason, count] of Object.entries(drops))
			found.drops.set(reason, (found.drops.get(reason) ?? 0) + count);
	}
	return found;
}

/** Whether each frame of so much overload is found again, in the end. */
async function books(senders: Senders, rate: number): Promise<void> {
	const [before, switchedBefore] = [await senders.settle(), await switched()];
	await senders.load(rate, () => sleep(STEP_SECONDS * 1000));
	const counts: Counts = difference(await senders.settle(), before);
	const after = await switched();
	const [taken, dropped, arrived] = [sum(counts.taken), sum(counts.dropped), sum(counts.arrived)];
	const reasons = [...after.drops].map(
		([name, count]) => [name, count - (switchedBefore.drops.get(name) ?? 0)] as const,
	);
	const lost = sum(reasons.map(([, count]) => count));
	const [rx, tx] = [after.rx - switchedBefore.rx, after.tx - switchedBefore.tx];
	line("books: offered", `${taken + dropped} = ${taken} taken + ${dropped} queue full`);
	line("  the switch has read", `${rx} = ${tx} written + ${lost} dropped`, {
		goal: "as many as were taken, and all of them again",
		isMet: rx === taken && rx === tx + lost,
	});
	for (const [name, count] of reasons) if (count > 0) line(`    ${name}`, `${count}`);
	line("  arrived", `${arrived}`, { goal: "as many as were written", isMet: arrived === tx });
}

const lan = await makeLan();
const vlane = await startVlaneBehind(NICE === 0 ? [] : ["nice", "-n", `${NICE}`], lan.host, "--log-level=warn");
const namespaces: Namespace[] = [];
/** Of the members' ports. */
const names = new Set<string>();
const guest = new Namespace("guest");
const groups: CpuGroup[] = [];
try {
	console.log(`${cpus()[0]?.model}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.version}`);
	vlane.must("network", "create", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50", "v50");
	const members: Member[] = [];
	for (let index = 0; index < PORTS; index++) {
		const ns = new Namespace(`c${index}`);
		// Nobody is to send but the senders.
		for (const which of ["all", "default"]) ns.sysctl(`net/ipv6/conf/${which}/disable_ipv6`, 1);
		namespaces.push(ns);
		vlane.must("network", "connect", `--ip=10.50.0.${index + 1}`, "v50", `netns:${ns.path}`);
		members.push({ path: ns.path, mac: ns.must(["cat", "/sys/class/net/eth0/address"]).trim() });
		names.add(`v50/${ns.name}`);
	}
	const { pid } = vlane;
	// One that answers, and one that removes TAPs: the second one waits for programs.
	const [witnessSocket, tapSocket] = ["witness", "tap"].map((name) => join(vlane.directory, name)) as [string, string];
	const witnesses = [witnessSocket, tapSocket].map((socket) =>
		start(["nice", "-n", `${NICE}`, process.execPath, WITNESS, socket]),
	);
	const flows = members.map((from, index) => ({ from, to: members[(index + 1) % PORTS]!.mac }));
	const senders = new Senders(members, flows, vlane.directory);
	const busy = Array.from({ length: BUSY }, () => start(["sh", "-c", "while :; do :; done"]));
	await Promise.all([senders.ready(), ...witnesses.map((witness) => witness.waitFor(/ready/))]);
	if (WEIGHT > 0) {
		const [own, others] = [new CpuGroup("vlane-daemon", WEIGHT), new CpuGroup("vlane-senders", SENDERS_WEIGHT)];
		groups.push(own, others);
		for (const eager of [pid, ...witnesses.map((witness) => witness.process.pid)]) own.add(eager);
		for (const other of [senders.pid, ...busy.map((started) => started.process.pid)]) others.add(other);
	}
	// Who asks is not to wait for a processor: the daemon's time is what counts.
	setPriority(ASKER_NICE);
	const capacity = await capacityOf(senders);
	line("forwarded of as many as can be", `${capacity.toFixed(0)} frames/s`);

	const resident: number[] = [];
	const late: Late[] = [];
	let [asked, changed, witnessed]: [number[], number[], number[]] = [[], [], []];
	const [woken, removed]: [number[], number[]] = [[], []];
	/** A request, and what was going on if it is late. */
	const timed = async (method: string, path: string, body?: object): Promise<void> => {
		const [daemon, asker, startMs] = [scheduled(pid), scheduled(process.pid), performance.now()];
		await ask(vlane.socket, method, path, body);
		const tookMs = performance.now() - startMs;
		if (tookMs <= ANSWER_MS_MAX) return;
		const what = `${method} ${path}`;
		late.push({ what, tookMs, daemon: since(scheduled(pid), daemon), asker: since(scheduled(process.pid), asker) });
	};
	const [threads, sendersBefore] = [threadsOf(pid), scheduled(senders.pid!)];
	const { seconds, taken, dropped, arrived } = await senders.load(capacity * TIMES, async () => {
		[asked, changed, witnessed] = await Promise.all([
			repeat(100, () => timed("GET", "/ports")),
			repeat(2000, async () => {
				await timed("POST", "/networks/v50/connect", { Target: `netns:${guest.path}`, Name: "guest" });
				await timed("POST", "/networks/v50/disconnect", { Target: "guest" });
			}),
			repeat(100, async () => {
				const { lateMs } = (await ask(witnessSocket, "GET", "/")) as { lateMs: number };
				woken.push(lateMs);
			}),
			repeat(2000, async () => {
				const { closeMs } = (await ask(tapSocket, "GET", "/tap")) as { closeMs: number };
				removed.push(closeMs);
			}),
			repeat(1000, async () => resident.push(residentMiB(pid))),
		]);
	});
	const [threadsSince, sendersNow] = [threadsOf(pid), scheduled(senders.pid!)];
	senders.setRate(0);
	const echoes = namespaces[0]!.run(["ping", "-q", "-i", "0.01", "-c", `${ECHOES}`, "-W", "1", "10.50.0.2"]).stdout;
	const returned = Number(/(\d+) received/.exec(echoes)?.[1]);
	const [, average, longest] = /= [\d.]+\/([\d.]+)\/([\d.]+)\//.exec(echoes) ?? [];

	const offered = taken.map((frames, index) => frames + dropped[index]!);
	const shares = offered.map((frames, index) => arrived[(index + 1) % PORTS]! / frames);
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
	line("the witness answers", answers(witnessed));
	line("the witness wakes up late, by", answers(woken));
	line("another's TAP is removed in", answers(removed));
	for (const { what, tookMs, daemon, asker } of late.toSorted((a, b) => b.tookMs - a.tookMs).slice(0, LATE_SHOWN)) {
		const did = ({ ranMs, waitedMs }: Scheduled) => `ran ${ranMs.toFixed(1)}, waited ${waitedMs.toFixed(1)}`;
		line(`  late: ${what}`, `${tookMs.toFixed(1)} ms; daemon ${did(daemon)}; asker ${did(asker)}`);
	}
	threads.set("senders'", sendersBefore);
	for (const [thread, now] of threadsSince.set("senders'", sendersNow)) {
		const { ranMs, waitedMs, times } = since(now, threads.get(thread));
		const each = `${(waitedMs / times).toFixed(2)} each time`;
		const [ran, waited] = [ranMs, waitedMs].map((ms) => (ms / seconds).toFixed(0));
		line(`${thread} thread, ms a second`, `runs ${ran}, waits for a CPU ${waited}, ${each}`);
	}
	line(`${ECHOES} echoes right after`, `${returned} return, ${average} ms on average, ${longest} at most`, {
		goal: `all, in ${RECOVERY_MS_MAX} ms`,
		isMet: returned >= ECHOES && Number(longest) <= RECOVERY_MS_MAX,
	});
	await books(senders, capacity * TIMES);
	await Promise.all([senders.stop(), ...[...witnesses, ...busy].map((started) => started.stop("SIGKILL"))]);
} finally {
	await vlane.cleanup();
	for (const group of groups) group.close();
	for (const ns of namespaces) ns.close();
	guest.close();
	lan.close();
}
