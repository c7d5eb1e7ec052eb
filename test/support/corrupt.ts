/**
 * Makes the datapath of a running daemon fail as a bug or a bit flip would: its free list of frame buffers, in the
 * daemon's memory, is overwritten with numbers of buffers that do not exist. The next frame from a parent is written
 * beyond the end of the WebAssembly memory, which ends the thread.
 */
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import * as abi from "../../assembly/abi.js";
import { DAEMON_LIMITS } from "../../src/core/engine.js";
import { macBytes } from "./frames.js";

const NO_SLOT = 20_000;

/** The memory of a process, read and written through its file; what is not mapped (any more) reads as undefined. */
function memoryOf(file: number) {
	const read = (address: number, bytes: number): Buffer | undefined => {
		const data = Buffer.alloc(bytes);
		try {
			return readSync(file, data, 0, bytes, address) === bytes ? data : undefined;
		} catch {
			// EIO. The memory of a thread that has died goes at any moment, between two reads, too.
			return undefined;
		}
	};
	return { read, u32: (address: number) => read(address, 4)?.readUInt32LE(0) };
}

/** Where memory can be written to in a process. */
const writableOf = (pid: number): number[] =>
	readFileSync(`/proc/${pid}/maps`, "utf8")
		.split("\n")
		.flatMap((line) => {
			const [, start, rights] = /^([0-9a-f]+)-[0-9a-f]+ (\S+)/.exec(line) ?? [];
			return start !== undefined && rights?.startsWith("rw") ? [Number.parseInt(start, 16)] : [];
		});

/**
 * Overwrites the free lists of the cores in process `pid`. A core dies of it once a parent of its has a frame.
 * @param mac only of the core that has a port with this address; absent: of all
 * @throws Error when there is no such core
 */
export function corruptDatapath(pid: number, mac?: string): void {
	const file = openSync(`/proc/${pid}/mem`, "r+");
	try {
		const memory = memoryOf(file);
		const isCore = (base: number): boolean => {
			const field = (offset: number) => memory.u32(base + abi.HEADER + offset);
			return (
				field(abi.HEADER_ABI_VERSION) === abi.ABI_VERSION &&
				field(abi.HEADER_RX_MAX) === 1024 &&
				field(abi.HEADER_PORTS_MAX) === DAEMON_LIMITS.portsMax
			);
		};
		const hasPort = (base: number): boolean => {
			const ports = memory.u32(base + abi.HEADER + abi.HEADER_PORTS);
			if (ports === undefined) return false;
			const records = memory.read(base + ports, DAEMON_LIMITS.portsMax * abi.PORT_BYTES);
			return records?.includes(Buffer.from(macBytes(mac ?? ""))) ?? false;
		};
		let found = 0;
		for (const base of writableOf(pid).filter((at) => isCore(at) && (mac === undefined || hasPort(at)))) {
			const free = memory.u32(base + abi.HEADER + abi.HEADER_FREE);
			const slotsMax = memory.u32(base + abi.HEADER + abi.HEADER_SLOTS_MAX);
			if (free === undefined || slotsMax === undefined) continue;
			const slots = new Uint32Array(slotsMax).fill(NO_SLOT);
			try {
				writeSync(file, new Uint8Array(slots.buffer), 0, slots.byteLength, base + free);
			} catch {
				continue;
			}
			found++;
		}
		if (found === 0) throw new Error(`process ${pid} has no packet core${mac ? ` with ${mac}` : ""}`);
	} finally {
		closeSync(file);
	}
}
