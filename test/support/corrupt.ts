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

/** Where the cores' memories lie in a process, those of threads that have died included, until they are collected. */
function memoriesOf(pid: number, file: number): number[] {
	const header = Buffer.alloc(abi.HEADER_BYTES);
	return readFileSync(`/proc/${pid}/maps`, "utf8")
		.split("\n")
		.flatMap((line) => {
			const [, start, rights] = /^([0-9a-f]+)-[0-9a-f]+ (\S+)/.exec(line) ?? [];
			if (start === undefined || !rights?.startsWith("rw")) return [];
			const base = Number.parseInt(start, 16);
			try {
				readSync(file, header, 0, header.length, base + abi.HEADER);
			} catch {
				return [];
			}
			const holds = (field: number, value: number) => header.readUInt32LE(field) === value;
			const isLikeIt = holds(abi.HEADER_ABI_VERSION, abi.ABI_VERSION) && holds(abi.HEADER_RX_MAX, 1024);
			return isLikeIt && holds(abi.HEADER_PORTS_MAX, DAEMON_LIMITS.portsMax) ? [base] : [];
		});
}

/**
 * Overwrites the free lists of the cores in process `pid`. A core dies of it once a parent of its has a frame.
 * @param mac only of the core that has a port with this address; absent: of all
 * @throws Error when there is no such core
 */
export function corruptDatapath(pid: number, mac?: string): void {
	const file = openSync(`/proc/${pid}/mem`, "r+");
	try {
		const u32 = (base: number, offset: number): number => {
			const field = Buffer.alloc(4);
			readSync(file, field, 0, 4, base + abi.HEADER + offset);
			return field.readUInt32LE(0);
		};
		const hasPort = (base: number): boolean => {
			const ports = Buffer.alloc(u32(base, abi.HEADER_PORTS_MAX) * abi.PORT_BYTES);
			readSync(file, ports, 0, ports.length, base + u32(base, abi.HEADER_PORTS));
			return ports.includes(Buffer.from(macBytes(mac ?? "")));
		};
		const meant = memoriesOf(pid, file).filter((base) => mac === undefined || hasPort(base));
		if (meant.length === 0) throw new Error(`process ${pid} has no packet core${mac ? ` with ${mac}` : ""}`);
		for (const base of meant) {
			const slots = new Uint32Array(u32(base, abi.HEADER_SLOTS_MAX)).fill(NO_SLOT);
			writeSync(file, new Uint8Array(slots.buffer), 0, slots.byteLength, base + u32(base, abi.HEADER_FREE));
		}
	} finally {
		closeSync(file);
	}
}
