/**
 * Makes the datapath of a running daemon fail as a bug or a bit flip would: its free list of frame buffers, in the
 * daemon's memory, is overwritten with numbers of buffers that do not exist. The next frame from a parent is written
 * beyond the end of the WebAssembly memory, which ends the thread.
 */
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import * as abi from "../../assembly/abi.js";
import { DAEMON_LIMITS } from "../../src/core/engine.js";

const NO_SLOT = 20_000;

/** Where the core's memory lies in a process. @throws Error when it is not there */
function memoryOf(pid: number, file: number): number {
	const header = Buffer.alloc(abi.HEADER_BYTES);
	for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
		const [, start, rights] = /^([0-9a-f]+)-[0-9a-f]+ (\S+)/.exec(line) ?? [];
		if (start === undefined || !rights?.startsWith("rw")) continue;
		const base = Number.parseInt(start, 16);
		try {
			readSync(file, header, 0, header.length, base + abi.HEADER);
		} catch {
			continue;
		}
		const holds = (field: number, value: number) => header.readUInt32LE(field) === value;
		const isLikeIt = holds(abi.HEADER_ABI_VERSION, abi.ABI_VERSION) && holds(abi.HEADER_RX_MAX, 1024);
		if (isLikeIt && holds(abi.HEADER_PORTS_MAX, DAEMON_LIMITS.portsMax)) return base;
	}
	throw new Error(`process ${pid} has no packet core`);
}

/** Overwrites the free list of the core in process `pid`. */
export function corruptDatapath(pid: number): void {
	const file = openSync(`/proc/${pid}/mem`, "r+");
	try {
		const base = memoryOf(pid, file);
		const field = Buffer.alloc(4);
		const u32 = (offset: number): number => {
			readSync(file, field, 0, 4, base + abi.HEADER + offset);
			return field.readUInt32LE(0);
		};
		const slots = new Uint32Array(u32(abi.HEADER_SLOTS_MAX)).fill(NO_SLOT);
		writeSync(file, new Uint8Array(slots.buffer), 0, slots.byteLength, base + u32(abi.HEADER_FREE));
	} finally {
		closeSync(file);
	}
}
