/** When and on which processors threads of this process run (sched(7)). */
import { readdirSync, readFileSync } from "node:fs";
import { schedGetaffinity, schedGetattr, schedSetaffinity, schedSetattr } from "./libc.js";

/** Room for 1,024 processors. */
const MASK_BYTES = 128;
/** Of /proc/self/stat, behind the command's name: proc_pid_stat(5), (39) processor. */
const PROCESSOR_FIELD = 36;

/** `struct sched_attr` (linux/sched/types.h), its first version. */
const ATTR_BYTES = 48;
const ATTR_POLICY = 4;
const ATTR_RUNTIME_NS = 24;
const SCHED_OTHER = 0;

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

/**
 * Lets the calling thread have its share of a processor in turns of `turnNs` (100,000 to 100,000,000). Of those who
 * wait for a processor, who wants less comes first (EEVDF, kernel/sched/fair.c): short turns are for a thread that is
 * woken up for little, and that others wait for. Linux takes it since 6.12 and ignores it before; where it is refused,
 * and under another policy than the usual one, nothing changes.
 */
export function takeShortTurns(turnNs: number): void {
	const attr = Buffer.alloc(ATTR_BYTES);
	try {
		schedGetattr(attr);
		if (attr.readUInt32LE(ATTR_POLICY) !== SCHED_OTHER) return;
		attr.writeUInt32LE(turnNs, ATTR_RUNTIME_NS);
		schedSetattr(attr);
	} catch {
		// Refused: by a filter of system calls, say.
	}
}
