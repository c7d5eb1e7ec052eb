/** Medians and spreads, and what /proc says about processors and processes. */
import { readdirSync, readFileSync } from "node:fs";

/** The middle one, or the mean of the two in the middle; NaN of nothing. */
export function median(values: number[]): number {
	return (
		(quantile(values, 0.5) +
			quantile(
				values.map((value) => -value),
				0.5,
			) *
				-1) /
		2
	);
}

/** Nearest-rank quantile; NaN of nothing. */
export function quantile(values: number[], share: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Jiffies since boot, of all processors: proc(5), /proc/stat. */
export interface ProcessorTime {
	total: number;
	/** Nothing to do, or nothing but what gives way to everybody (nice). */
	idle: number;
	iowait: number;
	/** Taken by the hypervisor for others. */
	stolen: number;
}

/** Jiffies until now. */
export function processorTime(): ProcessorTime {
	const fields = readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).slice(1).map(Number);
	const total = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
	return { total, idle: fields[1]! + fields[3]!, iowait: fields[4]!, stolen: fields[7] ?? 0 };
}

/** The share that a kind of time had since `before`. */
export function shareSince(before: ProcessorTime, kind: "idle" | "iowait" | "stolen"): number {
	const now = processorTime();
	return (now[kind] - before[kind]) / Math.max(1, now.total - before.total);
}

/** One thread of a process. */
export interface ThreadUse {
	cpuSeconds: number;
	/** Times that it was put to sleep or displaced. */
	switches: number;
}

/** Threads of a process by number. */
export function threadsOf(pid: number): Map<string, ThreadUse> {
	const directory = `/proc/${pid}/task`;
	return new Map(
		readdirSync(directory).map((thread) => {
			const [runNs = "0"] = readFileSync(`${directory}/${thread}/schedstat`, "latin1").split(" ");
			const status = readFileSync(`${directory}/${thread}/status`, "latin1");
			const switches = [...status.matchAll(/ctxt_switches:\s+(\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0);
			return [thread, { cpuSeconds: Number(runNs) / 1e9, switches }];
		}),
	);
}

/** CPU seconds of all threads of a process; NaN without one. */
export function cpuSecondsOf(pid: number | undefined): number {
	if (pid === undefined) return Number.NaN;
	return [...threadsOf(pid).values()].reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

/** Memory of a process in MiB. */
export function residentMiB(pid: number): number {
	const [, kib = "0"] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
	return Number(kib) / 1024;
}
