/**
 * `vlane bench`: how fast this machine forwards between two containers, in private namespaces, in some seconds. It
 * measures what a user gets, and says what limits it; comparisons with others are bench/e2e.ts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import Table from "cli-table3";
import { coreNsPerFrame } from "../core/selftest.js";
import { type RunningDatapath, startDatapath } from "../host/datapath.js";
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { close } from "../sys/libc.js";
import { inNetns, newNetns } from "../sys/netns.js";
import { openTap } from "../tap/tap.js";
import { becomeRoot } from "./userns.js";

const TOOL = fileURLToPath(new URL("./benchtool.js", import.meta.url));
const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
const IFNAME = "eth0";
const MTU_BYTES = 1500;
const SECONDS = 2;
/** Before frames are counted: caches, compiled code. */
const WARM_MS = 300;
const START_MS = 300;
const PINGS = 200;
/** As often as an ordinary user may. */
const PING_SECONDS = 0.002;
const STOLEN_SHARE_MAX = 0.02;
const BUSY_SHARE = 0.9;

/** A container of the self-test. */
interface End {
	netns: number;
	address: string;
	mac: string;
	port: number;
}

/** Runs the self-test; answers the exit code. */
export async function runBench(): Promise<number> {
	if (process.getuid?.() !== 0) return becomeRoot();
	const coreNs = coreNsPerFrame();
	const datapath = await startDatapath();
	const children = new Set<ChildProcess>();
	const kill = (): void => {
		for (const child of children) child.kill("SIGKILL");
	};
	const interrupted = (signal: NodeJS.Signals): never => {
		kill();
		process.exit(signal === "SIGINT" ? 130 : 143);
	};
	process.on("exit", kill).on("SIGINT", interrupted).on("SIGTERM", interrupted);
	try {
		const ends = await makeEnds(datapath);
		print(coreNs, await new SelfTest(datapath, ends, children).measure());
		for (const { netns } of ends) close(netns);
		return 0;
	} finally {
		kill();
		await datapath.close();
		process.off("exit", kill).off("SIGINT", interrupted).off("SIGTERM", interrupted);
	}
}

async function makeEnds(datapath: RunningDatapath): Promise<[End, End]> {
	const segment = await datapath.addSegment({ uplink: null, tags: [] });
	const make = async (index: number): Promise<End> => {
		const [netns, mac, address] = [newNetns(), `02:00:5e:00:01:0${index}`, `10.9.0.${index}`];
		const { fd } = openTap({ name: IFNAME, netnsFd: netns, persist: false });
		inNetns(netns, () => {
			const netlink = new Rtnetlink();
			const link = netlink.link(IFNAME)!.index;
			netlink.setLink(link, { mac, up: true });
			netlink.addAddress(link, `${address}/24`);
			netlink.close();
		});
		const spec = { fd, name: `end ${index}`, mac, mtuBytes: MTU_BYTES, segment, network: 1 };
		return { netns, address, mac, port: await datapath.addPort({ ...spec, kind: "endpoint", mode: "bridge" }) };
	};
	return [await make(1), await make(2)];
}

/** What was measured. */
interface Measured {
	ring: string;
	tcpGbps: number;
	/** CPUs that forwarding took during the TCP stream. */
	tcpCpus: number;
	framesPerSecond: number;
	frameCpuUs: number;
	pingUs: number[];
	stolenShare: number;
}

class SelfTest {
	constructor(
		private readonly datapath: RunningDatapath,
		private readonly ends: [End, End],
		private readonly children: Set<ChildProcess>,
	) {}

	async measure(): Promise<Measured> {
		const before = processorTime();
		const pingUs = await this.#ping();
		const tcp = await this.#tcp();
		const flood = await this.#flood();
		const after = processorTime();
		const stolenShare = (after.stolen - before.stolen) / Math.max(1, after.total - before.total);
		return { ring: this.datapath.ring, pingUs, ...tcp, ...flood, stolenShare };
	}

	async #ping(): Promise<number[]> {
		const [one, two] = this.ends;
		const argv = ["-c", `${PINGS}`, "-i", `${PING_SECONDS}`, two.address];
		const output =
			(await this.#output(one, "ping", argv)) ?? (await this.#output(one, process.execPath, [VLANE, "ping", ...argv]));
		return [...(output ?? "").matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms) * 1000).sort((a, b) => a - b);
	}

	async #tcp(): Promise<{ tcpGbps: number; tcpCpus: number }> {
		const [one, two] = this.ends;
		this.#start(two, process.execPath, [TOOL, "sink"]);
		await sleep(START_MS);
		const before = { cpu: cpuSeconds(), ms: performance.now() };
		const output = await this.#output(one, process.execPath, [TOOL, "blast", two.address, `${SECONDS}`]);
		const tcpCpus = ((cpuSeconds() - before.cpu) * 1000) / (performance.now() - before.ms);
		const gbps = /([\d.]+) Gbit/.exec(output ?? "")?.[1];
		if (gbps === undefined) throw new Error("the TCP transfer between the two namespaces failed");
		return { tcpGbps: Number(gbps), tcpCpus };
	}

	async #flood(): Promise<{ framesPerSecond: number; frameCpuUs: number }> {
		const [one, two] = this.ends;
		const argv = [TOOL, "flood", IFNAME, one.mac, two.mac, `${SECONDS + 1}`];
		const child = this.#start(one, process.execPath, argv);
		const received = () => this.datapath.stats().find(({ port }) => port === two.port)?.txFrames ?? 0;
		for (const start = received(); received() < start + 1000 && child.exitCode === null; ) await sleep(10);
		await sleep(WARM_MS);
		const before = { frames: received(), cpu: cpuSeconds(), ms: performance.now() };
		await sleep(SECONDS * 500);
		const frames = received() - before.frames;
		const frameCpuUs = ((cpuSeconds() - before.cpu) * 1e6) / frames;
		const framesPerSecond = (frames * 1000) / (performance.now() - before.ms);
		child.kill("SIGKILL");
		return { framesPerSecond, frameCpuUs };
	}

	#start({ netns }: End, command: string, argv: string[]): ChildProcess {
		const child = inNetns(netns, () => spawn(command, argv, { stdio: ["ignore", "pipe", "inherit"] }));
		this.children.add(child);
		child.on("error", () => this.children.delete(child)).on("exit", () => this.children.delete(child));
		return child;
	}

	/** Standard output of a command that succeeds; undefined when it does not, or is not there. */
	async #output(end: End, command: string, argv: string[]): Promise<string | undefined> {
		const child = this.#start(end, command, argv);
		let text = "";
		child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
			text += chunk;
		});
		const [status] = await once(child, "close").catch(() => [127]);
		return status === 0 ? text : undefined;
	}
}

function cpuSeconds(): number {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1e6;
}

/** Jiffies since boot: proc(5), /proc/stat. */
function processorTime(): { total: number; stolen: number } {
	const fields = readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).slice(1).map(Number);
	return { total: fields.slice(0, 8).reduce((sum, value) => sum + value, 0), stolen: fields[7] ?? 0 };
}

function print(coreNs: number, measured: Measured): void {
	const { pingUs, tcpGbps, framesPerSecond, frameCpuUs } = measured;
	const at = (share: number) => (pingUs[Math.floor(share * (pingUs.length - 1))] ?? Number.NaN).toFixed(0);
	const table = new Table({ style: { head: [], border: [] } });
	const thousands = (value: number) => Math.round(value).toLocaleString("en-US");
	table.push(
		["packet core, 64-byte frame", `${coreNs.toFixed(1)} ns`, `${thousands(1e9 / coreNs)} frames/s`],
		[
			"container to container, 64-byte frames",
			`${frameCpuUs.toFixed(2)} us CPU`,
			`${thousands(framesPerSecond)} frames/s`,
		],
		["container to container, one TCP stream", `${measured.tcpCpus.toFixed(2)} CPUs`, `${tcpGbps.toFixed(1)} Gbit/s`],
		["container to container, round trip", `${at(0.5)} us median`, `${at(0.99)} us p99`],
	);
	const { length } = cpus();
	console.log(`${cpus()[0]?.model.trim()} x ${length}, Linux ${release()}, Node ${process.versions.node}`);
	console.log(table.toString());
	for (const line of limits(coreNs, measured, length)) console.log(line);
}

/** What keeps the numbers from being higher. */
function limits(coreNs: number, measured: Measured, processors: number): string[] {
	const { ring, frameCpuUs, tcpCpus, stolenShare } = measured;
	const coreShare = (coreNs / (frameCpuUs * 1000)) * 100;
	const lines = [
		`Small frames: of ${frameCpuUs.toFixed(2)} us for each, the core takes ${coreShare.toFixed(0)} %; the rest is the kernel's.`,
		tcpCpus > BUSY_SHARE
			? "TCP: the forwarding thread has no time left."
			: `TCP: the forwarding thread is idle ${((1 - tcpCpus) * 100).toFixed(0)} % of the time; sender and receiver limit.`,
	];
	if (ring === "poll") lines.push("io_uring is missing or forbidden: plain reads and writes do about half as much.");
	if (processors < 3) lines.push(`Sender, forwarder and receiver share ${processors} processors.`);
	if (stolenShare > STOLEN_SHARE_MAX)
		lines.push(`The hypervisor took ${(stolenShare * 100).toFixed(0)} % of the time: measure again.`);
	return lines;
}
