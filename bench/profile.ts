/**
 * `node dist/bench/profile.js [OPTION...]`: where the time goes, in tables for docs/performance.md. For each peer and
 * load: which threads of the machine ran for how long and how often they were put to sleep, how many frames a batch
 * had, how many system calls a frame took, and in which groups of functions the forwarding process was found. Needs
 * perf for the last two. Each is a window of its own: who is watched is slower.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Burst } from "../src/raw/generator.js";
import { CUBIC } from "./congestion.js";
import { framesReceived, protocolCounters } from "./e2e/counters.js";
import { handoverNs } from "./e2e/handover.js";
import { PEERS } from "./e2e/peers/index.js";
import { fork } from "./e2e/process.js";
import { processorTime, shareSince, threadsOf } from "./e2e/statistics.js";
import type { Peer, Picture, Place, WireKind } from "./e2e/wire.js";
import { readOptions } from "./flag.js";

const USAGE = `usage: node dist/bench/profile.js [OPTION...]

  --only P,P    peers of bench/e2e/peers (vlane,c-loop,macvlan)
  --cases C,C   between two containers: frames tcp udp ping (all of them);
                between a container and the LAN host: up-frames down-frames up-tcp down-tcp
  --wire W      untagged, tagged or qinq (untagged)
  --ports N     containers (2)
  --seconds S   length of each window (2)`;

const options = readOptions(USAGE, {
	only: { type: "string", default: "vlane,c-loop,macvlan" },
	cases: { type: "string", default: "frames,tcp,udp,ping" },
	wire: { type: "string", default: "untagged" },
	ports: { type: "string", default: "2" },
	seconds: { type: "string", default: "2" },
});
const seconds = Number(options.seconds);
const ports = Number(options.ports);
/** Warm-up, then four windows with what perf needs to start and to end. */
const LOAD_SECONDS = Math.ceil(4 * seconds + 4);
const WARM_MS = 500;
const BLAST = fileURLToPath(new URL("./e2e/blast.js", import.meta.url));
/** Threads that ran for less are not shown. */
const SHARE_MIN = 0.02;
/** Groups of functions, the first that matches: what is done, not where it is defined. */
const GROUPS: [string, RegExp][] = [
	["copying", /copy_to_iter|copy_from_iter|copy_user|rep_movs|memcpy|_copy_|skb_copy_datagram|copy_page_from/],
	[
		"waking and sleeping",
		/wake|schedule|sched_|finish_task|switch_to|enqueue_task|dequeue_|pick_next|idle|ipi|smp_call/,
	],
	[
		"buffers (skb, slab, pages)",
		/skb|kmem|kmalloc|kfree|slab|slub|page_frag|free_unref|alloc_pages|consume|sock_wfree/,
	],
	["TAP and packet socket", /^tun_|^tap_|packet_|ptr_ring|virtio_net_hdr|eth_type_trans/],
	["receiving stack", /netif_receive|ip_rcv|ip_local|tcp_|udp_|inet_|__sock|sock_|gro|napi|dev_|nf_|ipv4/],
	["io_uring", /^(__)?io_|iou_|req_/],
	["entering and leaving the kernel", /syscall|entry_|swapgs|error_entry|irqentry|asm_|exit_to_user|pvm|switcher/],
	["locks", /lock/],
];

interface Thread {
	name: string;
	cpuSeconds: number;
	switches: number;
}

/** Every thread of the machine, by number. */
function everyThread(): Map<string, Thread> {
	const all = new Map<string, Thread>();
	for (const pid of readdirSync("/proc")) {
		if (!/^\d+$/.test(pid)) continue;
		try {
			for (const [thread, use] of threadsOf(Number(pid))) {
				const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim();
				all.set(thread, { name: `${name} ${pid}`, ...use });
			}
		} catch {
			// It has just ended.
		}
	}
	return all;
}

/** Keeps a load going from one place to another; answers what ends it. */
type Load = (from: Place, to: Place) => Promise<() => Promise<void>>;

async function blastLoad(from: Place, to: Place): Promise<() => Promise<void>> {
	const macOf = ({ ns, ifname }: Place): string => ns.ip("link", "show", ifname)[0].address;
	const blast = await fork(from.ns, BLAST, [from.ifname, macOf(from), macOf(to)]);
	const burst: Burst = { bytes: 64, seconds: LOAD_SECONDS * 3 };
	blast.ask(burst).catch(() => {}); // it is stopped before it has answered
	return () => blast.stop();
}

const iperfLoad =
	(...argv: string[]): Load =>
	async (from, to) => {
		const server = to.ns.start(["iperf3", "-s", "-1", "--forceflush"]);
		await server.waitFor(/Server listening/);
		const client = from.ns.start(["iperf3", ...argv, "-t", `${LOAD_SECONDS * 3}`, "-c", to.address]);
		return async () => {
			await client.stop("SIGKILL");
			await server.stop("SIGKILL");
		};
	};

const LOADS: Record<string, Load> = {
	frames: blastLoad,
	tcp: iperfLoad(...CUBIC),
	udp: iperfLoad("-u", "-b", "0", "-l", "18"),
	async ping(from, to) {
		const ping = from.ns.start(["ping", "-q", "-i", "0.002", to.address]);
		return async () => {
			await ping.stop("SIGKILL");
		};
	},
};

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** Where a load comes from and where it goes. */
function ends(name: string, { one, two, lan }: Picture): { load: string; from: Place; to: Place } {
	const [, direction, load] = /^(up|down)-(.*)$/.exec(name) ?? [];
	if (load === undefined) return { load: name, from: one, to: two };
	if (!lan) throw new Error(`no LAN for ${name}`);
	return direction === "up" ? { load, from: one, to: lan } : { load, from: lan, to: one };
}

const datagramsTo = ({ ns }: Place): number => protocolCounters(ns).get("Udp.InDatagrams") ?? 0;

/** How full batches were, and how many frames went into others. */
async function batches(counts: NonNullable<Picture["counts"]>): Promise<void> {
	const before = await counts();
	await sleep(seconds * 1000);
	const after = await counts();
	const [frames, count] = [after.frames - before.frames, after.batches - before.batches];
	const merged = (after.merged - before.merged) / frames;
	console.log(`\n${(frames / count).toFixed(2)} frames in a batch; ${percent(merged)} of them went into others`);
}

/** What the machine did for a while. */
async function useOfThreads(to: Place): Promise<void> {
	const time = processorTime();
	const before = {
		threads: everyThread(),
		frames: framesReceived(to),
		datagrams: datagramsTo(to),
		at: performance.now(),
	};
	await sleep(seconds * 1000);
	const elapsed = (performance.now() - before.at) / 1000;
	const frames = framesReceived(to) - before.frames;
	const datagrams = datagramsTo(to) - before.datagrams;
	const others = { cpuSeconds: 0, switches: 0 };
	const arrived = `${(frames / elapsed).toFixed(0)} frames and ${(datagrams / elapsed).toFixed(0)} datagrams a second`;
	console.log(`${arrived} arrive; idle ${percent(shareSince(time, "idle"))}\n`);
	console.log("| thread | CPUs | us/frame | put to sleep or displaced, times a second |\n|---|---|---|---|");
	const row = (name: string, cpu: number, switches: number): void =>
		console.log(
			`| ${name} | ${(cpu / elapsed).toFixed(2)} | ${((cpu * 1e6) / frames).toFixed(2)} | ${(switches / elapsed).toFixed(0)} |`,
		);
	for (const [id, { name, cpuSeconds, switches }] of everyThread()) {
		const then = before.threads.get(id) ?? { cpuSeconds: 0, switches: 0 };
		const [cpu, count] = [cpuSeconds - then.cpuSeconds, switches - then.switches];
		if (cpu / elapsed >= SHARE_MIN) row(name, cpu, count);
		else {
			others.cpuSeconds += cpu;
			others.switches += count;
		}
	}
	row("all others", others.cpuSeconds, others.switches);
}

function perf(...argv: string[]): string {
	const { stdout, stderr } = spawnSync("perf", argv, { encoding: "utf8", maxBuffer: 64 << 20 });
	return `${stdout}${stderr}`;
}

function systemCalls(pid: number, to: Place): void {
	const before = framesReceived(to);
	const text = perf("stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", `${pid}`, "--", "sleep", `${seconds}`);
	const frames = framesReceived(to) - before;
	const calls = Number(/^(\d+),,raw_syscalls/m.exec(text)?.[1] ?? Number.NaN);
	console.log(`\n${(calls / frames).toFixed(3)} system calls for a frame (${frames} frames)`);
}

function functions(pid: number): void {
	const file = `/tmp/vlane-profile-${process.pid}.data`;
	perf("record", "-q", "-o", file, "-F", "4999", "-e", "cpu-clock", "-p", `${pid}`, "--", "sleep", `${seconds}`);
	const text = perf("report", "-i", file, "--stdio", "-q", "-F", "overhead,dso,symbol", "-w", "6,40,60");
	spawnSync("rm", ["-f", file]);
	const shares = new Map<string, number>();
	const names = new Map<string, string[]>();
	for (const line of text.split("\n")) {
		const [, share, dso = "", mode, symbol = ""] = /^\s*([\d.]+)%\s+(.+?)\s+\[(.)\]\s+(\S+)/.exec(line) ?? [];
		if (share === undefined) continue;
		const group =
			mode === "k"
				? (GROUPS.find(([, pattern]) => pattern.test(symbol))?.[0] ?? "other functions of the kernel")
				: dso.includes("perf-") || dso.includes("[JIT]") || dso === "[unknown]" || dso.startsWith("anon")
					? "WebAssembly and JavaScript"
					: "programs and libraries";
		shares.set(group, (shares.get(group) ?? 0) + Number(share));
		const list = names.get(group) ?? [];
		if (list.length < 4) list.push(`\`${symbol.trim()}\` ${share}`);
		names.set(group, list);
	}
	console.log("\n| of the forwarding process | % | most of it |\n|---|---|---|");
	for (const [group, share] of [...shares].toSorted(([, a], [, b]) => b - a))
		console.log(`| ${group} | ${share.toFixed(1)} | ${names.get(group)!.join(", ")} |`);
}

async function profile(peer: Peer): Promise<void> {
	const picture = await peer.build({ wire: options.wire as WireKind, ports });
	try {
		for (const name of options.cases.split(",")) {
			const { load: kind, from, to } = ends(name, picture);
			const load = LOADS[kind];
			if (!load) throw new Error(`"${kind}" is none of ${Object.keys(LOADS).join(", ")}`);
			from.ns.must(["ping", "-c", "2", "-i", "0.2", to.address]);
			console.log(`\n### ${peer.name}, ${name}, ${options.wire}, ${ports} containers\n`);
			console.log(`a cache line from one processor to the other: ${(await handoverNs()).toFixed(0)} ns`);
			const end = await load(from, to);
			try {
				await sleep(WARM_MS);
				await useOfThreads(to);
				if (picture.counts) await batches(picture.counts);
				if (picture.pid === undefined) continue;
				systemCalls(picture.pid, to);
				functions(picture.pid);
			} finally {
				await end();
			}
		}
	} finally {
		await picture.close();
	}
}

console.log(`${cpus()[0]?.model} x ${cpus().length}, Linux ${release()}, Node ${process.versions.node}`);
for (const name of options.only.split(",")) {
	const peer = PEERS.find((one) => one.name === name);
	if (!peer) throw new Error(`"${name}" is none of ${PEERS.map((one) => one.name).join(", ")}`);
	if (peer.missing) console.error(`${name} is left out: ${peer.missing}`);
	else await profile(peer);
}
