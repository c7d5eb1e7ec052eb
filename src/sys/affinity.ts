/** On which processors this process runs (sched_setaffinity(2)). */
import { readdirSync, readFileSync } from "node:fs";
import { schedGetaffinity, schedSetaffinity } from "./libc.js";

/** Room for 1,024 processors. */
const MASK_BYTES = 128;
/** Of /proc/self/stat, behind the command's name: proc_pid_stat(5), (39) processor. */
const PROCESSOR_FIELD = 36;

/**
 * Keeps all threads, and those that they will make, to the processor of the calling one, so that others have the rest
 * to themselves. Where that is refused nothing changes.
 * @returns what takes it back
 */
export function keepToOneProcessor(): () => void {
	try {
		const all = Buffer.alloc(MASK_BYTES);
		schedGetaffinity(process.pid, all);
		const one = Buffer.alloc(all.length);
		const stat = readFileSync("/proc/self/stat", "latin1");
		const processor = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[PROCESSOR_FIELD]);
		one[processor >> 3] = 1 << (processor & 7);
		setAll(one);
		return () => setAll(all);
	} catch {
		return () => undefined;
	}
}

/** Linux has it by thread. The calling one is first in the list, and makes no other meanwhile. */
function setAll(mask: Buffer): void {
	for (const tid of readdirSync("/proc/self/task")) {
		try {
			schedSetaffinity(Number(tid), mask);
		} catch {
			// The thread has ended, or a filter refuses the call: then none was changed.
		}
	}
}
