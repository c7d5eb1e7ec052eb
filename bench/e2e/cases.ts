/** What is measured. Each case takes a picture that stands, and answers numbers by name. */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Blasted, Burst } from "../../src/raw/generator.js";
import { BBR, CUBIC, hasBbr } from "../congestion.js";
import { framesReceived, protocolCounters } from "./counters.js";
import { fork, type Helper } from "./process.js";
import { cpuSecondsOf, processorTime, quantile, residentMiB, shareSince, threadsOf } from "./statistics.js";
import type { Picture, Place, WireKind } from "./wire.js";

const BLAST = fileURLToPath(new URL("./blast.js", import.meta.url));

/** Measured values by name; what a peer does not have is absent. */
export type Values = Record<string, number>;

/** A group of measurements on one kind of wire. */
export interface Case {
	name: string;
	wire: WireKind;
	/** Containers on the network. */
	ports: number;
	/** Whether a LAN is needed. */
	needsLan: boolean;
	/**
	 * @param seconds Length of each measurement
	 * @param trialSeconds Length of each trial of a search
	 */
	measure(picture: Picture, seconds: number, trialSeconds: number): Promise<Values>;
}

const PINGS = 300;
const PING_SECONDS = 0.002;
/** Before a window is measured: caches, learned addresses, compiled code. */
const WARM_SECONDS = 0.2;
const SMALL_BYTES = 64;
/** A typical RTP, DNS or game packet is small; 18 bytes make the shortest Ethernet frame. */
const DATAGRAM_BYTES = 18;
const SEARCH_STEPS = 7;
/** Of one trial of the search for the highest rate without a loss. */
export const TRIAL_SECONDS = 0.2;
/** After a trial, for what is still on its way. */
const DRAIN_MS = 30;
/** From this length of a trial on, RFC 2544 is followed to the letter (section 23): two seconds. */
const RFC_TRIAL_SECONDS = 60;
const RFC_DRAIN_MS = 2000;
const IDLE_SECONDS_MIN = 3;
/** What containers say by themselves after traffic: neighbours are asked again after 5 s, up to three times. */
const SETTLE_MS = 9000;

/** One TCP stream. */
async function tcp(
	from: Place,
	to: Place,
	pid: number | undefined,
	seconds: number,
	prefix: string,
	control = CUBIC,
): Promise<Values> {
	const server = to.ns.start(["iperf3", "-s", "-1", "--forceflush"]);
	await server.waitFor(/Server listening/);
	const before = { cpu: cpuSecondsOf(pid), counters: protocolCounters(from.ns), at: performance.now() };
	const length = ["-t", `${Math.ceil(seconds)}`]; // 0 is for ever
	const client = from.ns.start(["iperf3", "-J", ...control, "-c", to.address, ...length]);
	const { stdout } = await client.ended;
	const cpuShare = (cpuSecondsOf(pid) - before.cpu) / ((performance.now() - before.at) / 1000);
	await server.stop("SIGKILL"); // if the client has failed, it would wait for the next
	const { error, end } = JSON.parse(stdout);
	if (error) {
		console.error(`iperf3 ${to.address}: ${error}`);
		return {};
	}
	const { sum_received, sum_sent } = end;
	const reorders = "TcpExt.TCPSACKReorder";
	return {
		[`${prefix}Gbps`]: sum_received.bits_per_second / 1e9,
		[`${prefix}Retransmits`]: sum_sent.retransmits,
		[`${prefix}Reorders`]: (protocolCounters(from.ns).get(reorders) ?? 0) - (before.counters.get(reorders) ?? 0),
		[`${prefix}CpuShare`]: cpuShare,
	};
}

async function pings(from: Place, to: Place, prefix: string): Promise<Values> {
	const { stdout } = await from.ns.start(["ping", "-c", `${PINGS}`, "-i", `${PING_SECONDS}`, to.address]).ended;
	const us = [...stdout.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms) * 1000);
	return { [`${prefix}P50Us`]: quantile(us, 0.5), [`${prefix}P99Us`]: quantile(us, 0.99) };
}

const macOf = ({ ns, ifname }: Place): string => ns.ip("link", "show", ifname)[0].address;

/** Runs `use` with a generator that sends from one place to another. */
async function withBlast<Result>(from: Place, to: Place, use: (blast: Helper) => Promise<Result>): Promise<Result> {
	const blast = await fork(from.ns, BLAST, [from.ifname, macOf(from), macOf(to)]);
	try {
		return await use(blast);
	} finally {
		await blast.stop();
	}
}

/** As many small frames as get through, and the CPU time of the forwarder for each. */
async function flood(
	from: Place,
	to: Place,
	pid: number | undefined,
	seconds: number,
	prefix: string,
): Promise<Values> {
	return withBlast(from, to, async (blast) => {
		const burst: Burst = { bytes: SMALL_BYTES, seconds: WARM_SECONDS + seconds + WARM_SECONDS };
		const done = blast.ask<Blasted>(burst);
		await sleep(WARM_SECONDS * 1000);
		const before = { frames: framesReceived(to), cpu: cpuSecondsOf(pid), at: performance.now() };
		await sleep(seconds * 1000);
		const frames = framesReceived(to) - before.frames;
		const cpuSeconds = cpuSecondsOf(pid) - before.cpu;
		const elapsedSeconds = (performance.now() - before.at) / 1000;
		await done;
		return { [`${prefix}Fps`]: frames / elapsedSeconds, [`${prefix}CpuUs`]: (cpuSeconds * 1e6) / frames };
	});
}

/** The highest rate of the search at which every frame arrived: RFC 2544, 26.1, with trials of another length. */
async function zeroLoss(from: Place, to: Place, trialSeconds: number): Promise<Values> {
	const drainMs = trialSeconds >= RFC_TRIAL_SECONDS ? RFC_DRAIN_MS : DRAIN_MS;
	return withBlast(from, to, async (blast) => {
		const values: Values = {};
		for (const bytes of [64, 512, 1500]) {
			const most = await blast.ask<Blasted>({ bytes, seconds: Math.min(trialSeconds, 2) });
			let [lowest, highest] = [0, most.offered / most.seconds];
			for (let step = 0; step < SEARCH_STEPS; step++) {
				const rate = (lowest + highest) / 2;
				const before = framesReceived(to);
				const { offered } = await blast.ask<Blasted>({ bytes, rate, seconds: trialSeconds });
				await sleep(drainMs);
				if (framesReceived(to) - before >= offered) lowest = rate;
				else highest = rate;
			}
			values[`zeroLoss${bytes}Fps`] = lowest;
		}
		return values;
	});
}

/** Small UDP datagrams that reach the receiving program, from a program that sends them one by one. */
async function datagrams(from: Place, to: Place, seconds: number): Promise<Values> {
	const server = to.ns.start(["iperf3", "-s", "-1", "--forceflush"]);
	await server.waitFor(/Server listening/);
	const length = WARM_SECONDS + seconds + WARM_SECONDS;
	const size = ["-l", `${DATAGRAM_BYTES}`, "-t", `${Math.ceil(length)}`];
	const client = from.ns.start(["iperf3", "-u", "-b", "0", ...size, "-c", to.address]);
	const received = () => protocolCounters(to.ns).get("Udp.InDatagrams") ?? 0;
	while (received() === 0 && client.process.exitCode === null) await sleep(5);
	await sleep(WARM_SECONDS * 1000);
	const before = { datagrams: received(), at: performance.now() };
	await sleep(seconds * 1000);
	const perSecond = (received() - before.datagrams) / ((performance.now() - before.at) / 1000);
	await client.stop("SIGKILL");
	await server.stop("SIGKILL");
	return { datagramsPerSecond: perSecond };
}

/** What the forwarder does when there is nothing to do. */
async function idle({ pid }: Picture, seconds: number): Promise<Values> {
	if (pid === undefined) return {};
	await sleep(SETTLE_MS);
	const before = { threads: threadsOf(pid), time: processorTime() };
	// The one that has worked most is the one that forwards.
	const [forwarder] = [...before.threads].toSorted(([, a], [, b]) => b.cpuSeconds - a.cpuSeconds)[0]!;
	const length = Math.max(seconds, IDLE_SECONDS_MIN);
	await sleep(length * 1000);
	const after = threadsOf(pid);
	const switched = [...after].map(([thread, { switches }]) => switches - (before.threads.get(thread)?.switches ?? 0));
	return {
		wakeupsPerSecond: (after.get(forwarder)!.switches - before.threads.get(forwarder)!.switches) / length,
		processWakeupsPerSecond: switched.reduce((sum, count) => sum + count, 0) / length,
		iowaitShare: shareSince(before.time, "iowait"),
		residentMiB: residentMiB(pid),
	};
}

/** Container and LAN, both ways. */
async function throughParent({ one, lan, pid }: Picture, seconds: number): Promise<Values> {
	return {
		...(await pings(one, lan!, "ping")),
		...(await tcp(one, lan!, pid, seconds, "tcpUp")),
		...(await tcp(lan!, one, pid, seconds, "tcpDown")),
		...(await flood(one, lan!, pid, seconds, "up")),
		...(await flood(lan!, one, pid, seconds, "down")),
	};
}

const pair = { wire: "untagged" as const, ports: 2, needsLan: false };

/** Cases by name, in the order in which they are measured. */
export const CASES: Case[] = [
	{ ...pair, name: "ping", measure: ({ one, two }) => pings(one, two, "ping") },
	{ ...pair, name: "tcp", measure: ({ one, two, pid }, seconds) => tcp(one, two, pid, seconds, "tcp") },
	{
		...pair,
		name: "tcp-bbr",
		measure: async ({ one, two, pid }, seconds) => (hasBbr() ? tcp(one, two, pid, seconds, "tcp", BBR) : {}),
	},
	{ ...pair, name: "frames", measure: ({ one, two, pid }, seconds) => flood(one, two, pid, seconds, "pair") },
	{ ...pair, name: "loss", measure: ({ one, two }, _, trialSeconds) => zeroLoss(one, two, trialSeconds) },
	{ ...pair, name: "udp", measure: ({ one, two }, seconds) => datagrams(one, two, seconds) },
	{ ...pair, name: "lan", needsLan: true, measure: throughParent },
	{ ...pair, name: "idle", measure: idle },
	{ ...pair, name: "tagged", wire: "tagged", needsLan: true, measure: throughParent },
	{ ...pair, name: "qinq", wire: "qinq", needsLan: true, measure: throughParent },
	...[2, 16, 100, 1000].map((ports) => ({
		...pair,
		name: `ports-${ports}`,
		ports,
		async measure({ one, two, pid }: Picture, seconds: number) {
			const values = await flood(one, two, pid, seconds, "pair");
			return pid === undefined ? values : { ...values, residentMiB: residentMiB(pid) };
		},
	})),
];
