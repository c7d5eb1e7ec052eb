/** Medians and spreads, and how much of the time the hypervisor took for itself. */
import { readFileSync } from "node:fs";

export function median(values: number[]): number {
	return quantile(values, 0.5);
}

/** Nearest-rank quantile; NaN of nothing. */
export function quantile(values: number[], share: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Jiffies since boot: all of them, and those stolen by the hypervisor (proc(5), /proc/stat). */
export function processorTime(): { total: number; stolen: number } {
	const fields = readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).slice(1).map(Number);
	return { total: fields.slice(0, 8).reduce((sum, value) => sum + value, 0), stolen: fields[7] ?? 0 };
}

/** CPU seconds and resident bytes of a process. */
export function processUse(pid: number): { cpuSeconds: number; residentBytes: number } {
	const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
		.replace(/^.*\) /, "")
		.split(" ")
		.map(Number);
	const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
	return { cpuSeconds: (fields[11]! + fields[12]!) / 100, residentBytes: pages * 4096 };
}
