/**
 * The packet core in other engines: the programs of examples/ built for a test, and the same scripts that they read run
 * in V8.
 *
 * A script (examples/common/replay.c says what it is made of) goes through an engine and comes out as bytes: every
 * transmitted frame with its descriptor, every counter after each batch, and at the end all of the core's memory but
 * the buffers. Engines that agree write the same bytes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as abi from "../../assembly/abi.js";
import { CORE_DEBUG, CORE_RELEASE, type CoreLimits, compileCore, createMemory, Engine } from "../../src/core/engine.js";
import { onCleanup } from "./cleanup.js";
import type { Need } from "./needs.js";
import { must } from "./netns.js";

/** The checkout, seen from dist/test/support/. */
export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const CORE_BASELINE = new URL("../../../build/core.baseline.wasm", import.meta.url);
/** The baseline with a memory of its own, for engines whose hosts can not bring one. */
export const CORE_STANDALONE = new URL("../../../build/core.standalone.wasm", import.meta.url);
export const CORES = { release: CORE_RELEASE, debug: CORE_DEBUG, baseline: CORE_BASELINE };
export type CoreBuild = keyof typeof CORES;

/** A library with WebAssembly's standard C interface, to be tested beside the other engines. */
const C_API_LIBRARY = process.env.VLANE_C_API;

/** Engines that examples/ has glue for. */
export type NativeEngine = "wasm2c" | "interpreter" | "c-api";
export const NATIVE_ENGINES: NativeEngine[] = ["wasm2c", "interpreter", ...(C_API_LIBRARY ? ["c-api" as const] : [])];

/** The core's file that an engine's programs are given; the one of wasm2c is linked in. */
export const coreOf = (engine: NativeEngine): string =>
	fileURLToPath(engine === "c-api" ? CORE_STANDALONE : CORE_BASELINE);

/** What building for each engine takes. */
export const TOOLS: Record<NativeEngine, Need> = {
	wasm2c: { tools: ["make", "cc", "wasm2c"] },
	interpreter: { tools: ["make", "cc", "g++", "wasm2c"] },
	"c-api": { tools: ["make", "cc"] },
};

/** Builds one of the examples' programs in a directory that ends with the test; answers the program's path. */
export function buildProgram(engine: NativeEngine, program: "host" | "replay" | "measure"): string {
	const directory = mkdtempSync(join(tmpdir(), "vlane-firmware-"));
	onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	const settings = [`OUT=${directory}`, ...(engine === "c-api" ? [`LIBRARY=${C_API_LIBRARY}`] : [])];
	must(["make", "-s", "-C", join(ROOT, "examples", engine), ...settings, join(directory, program)]);
	return join(directory, program);
}

/** An engine of V8 around any build: the baseline's memory is not shared. */
export function openCore(build: CoreBuild, modules: Record<CoreBuild, WebAssembly.Module>, limits: CoreLimits): Engine {
	const shared = createMemory(modules.release, limits);
	if (build !== "baseline") return new Engine(modules[build], shared, limits);
	const pages = shared.buffer.byteLength / 65536;
	const memory = new WebAssembly.Memory({ initial: pages, maximum: pages } as never);
	return new Engine(modules.baseline, memory, limits);
}

/** All three builds, compiled. */
export function compileCores(): Record<CoreBuild, WebAssembly.Module> {
	return { release: compileCore(CORE_RELEASE), debug: compileCore(CORE_DEBUG), baseline: compileCore(CORE_BASELINE) };
}

/** Bytes that are appended to. */
export class Bytes {
	#buffer: Buffer;
	length = 0;

	constructor(capacityBytes = 1 << 20) {
		this.#buffer = Buffer.allocUnsafe(capacityBytes);
	}

	/** Room for `bytes` more; answers where they go. The buffer may be another one than before. */
	room(bytes: number): { buffer: Buffer; at: number } {
		const at = this.length;
		if (at + bytes > this.#buffer.length) {
			const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, at + bytes));
			this.#buffer.copy(larger, 0, 0, at);
			this.#buffer = larger;
		}
		this.length = at + bytes;
		return { buffer: this.#buffer, at };
	}

	u32(...values: number[]): void {
		const { buffer, at } = this.room(values.length * 4);
		values.forEach((value, i) => {
			buffer.writeUInt32LE(value >>> 0, at + i * 4);
		});
	}

	u8(value: number): void {
		const { buffer, at } = this.room(1);
		buffer[at] = value;
	}

	append(source: Uint8Array): void {
		const { buffer, at } = this.room(source.length);
		buffer.set(source, at);
	}

	/** What was appended, from `start` on; valid until more is. */
	view(start = 0): Buffer {
		return this.#buffer.subarray(start, this.length);
	}
}

/** Calls of a script, in the order of their numbers. */
const CALLS = [
	"portAdd",
	"segmentAdd",
	"sourceAdd",
	"ipAdd",
	"portSetMtu",
	"portClose",
	"portFree",
	"sourceRemove",
	"segmentRemove",
	"fdbAdd",
	"fdbRemove",
] as const;
export type ScriptCall = (typeof CALLS)[number];
export const callNumber = (call: ScriptCall): number => CALLS.indexOf(call);
export const CALL_ARGUMENTS = 7;

const TX_USED_BYTES = 20;
const COUNTERS_BYTES = 8 * (4 + abi.DROP_REASONS);

/** What examples/common/replay.c is, in V8. */
export class Replayer {
	readonly out = new Bytes(8 << 20);
	#engine: Engine | undefined;

	constructor(
		readonly build: CoreBuild,
		readonly modules: Record<CoreBuild, WebAssembly.Module>,
	) {}

	get engine(): Engine {
		if (!this.#engine) throw new Error("the script does not begin with a layout");
		return this.#engine;
	}

	/** Runs (a part of) a script; answers the result of its last call. */
	run(script: Buffer): number {
		let result = 0;
		for (let at = 0; at < script.length; ) {
			const operation = String.fromCharCode(script[at]!);
			const word = (index: number, from = at + 1): number => script.readUInt32LE(from + index * 4);
			if (operation === "L") {
				const [portsMax, segmentsMax, tablesMax, fdbCapacity, slotsMax] = [0, 1, 2, 3, 4].map((i) => word(i)) as [
					number,
					number,
					number,
					number,
					number,
				];
				const limits = { portsMax, segmentsMax, tablesMax, fdbCapacity, slotsMax };
				this.#engine = openCore(this.build, this.modules, limits);
				at += 1 + 5 * 4;
			} else if (operation === "C") {
				const values = Array.from({ length: CALL_ARGUMENTS }, (_, i) => word(i, at + 2));
				result = this.#call(CALLS[script[at + 1]!]!, values);
				this.out.u32(result);
				at += 2 + CALL_ARGUMENTS * 4;
			} else if (operation === "B") {
				at = this.#batch(script, at + 5, word(0));
			} else {
				const { engine } = this;
				this.out.append(engine.view(abi.HEADER, engine.header(abi.HEADER_RX) - abi.HEADER));
				at += 1;
			}
		}
		return result;
	}

	#call(call: ScriptCall, values: number[]): number {
		const { core } = this.engine;
		const [a, low, high, b] = values as [number, number, number, number];
		const mac = BigInt(low) | (BigInt(high) << 32n);
		if (call === "fdbAdd") return core.fdbAdd(a, mac, b);
		if (call === "fdbRemove") return core.fdbRemove(a, mac);
		return (core[call] as (...rest: number[]) => number | undefined)(...values) ?? 0;
	}

	#batch(script: Buffer, start: number, count: number): number {
		const { engine, out } = this;
		const { core } = engine;
		if (core.batchPrepare(count) < count) throw new RangeError("batch larger than the RX queue");
		const memory = engine.view(0, engine.header(abi.HEADER_BYTES_TOTAL));
		const view = new DataView(memory.buffer);
		const slots = engine.header(abi.HEADER_SLOTS);
		let at = start;
		for (let i = 0; i < count; i++) {
			const rx = engine.header(abi.HEADER_RX) + i * abi.RX_BYTES;
			const length = script.readUInt32LE(at + 4);
			view.setUint16(rx + abi.RX_PORT, script.readUInt32LE(at), true);
			view.setUint32(rx + abi.RX_LENGTH, length, true);
			view.setUint32(rx + abi.RX_TAG, script.readUInt32LE(at + 8), true);
			const end = at + 12 + abi.VNET_BYTES + length;
			const slot = slots + view.getUint16(rx + abi.RX_SLOT, true) * abi.SLOT_BYTES;
			memory.set(script.subarray(at + 12, end), slot + abi.SLOT_FRAME - abi.VNET_BYTES);
			at = end;
		}
		for (let sends = core.batchForward(count); ; sends = core.batchForward(0)) {
			for (let i = 0; i < sends; i++) {
				const tx = engine.header(abi.HEADER_TX) + i * abi.TX_BYTES;
				const part = (address: number, length: number): void => {
					const from = view.getUint32(tx + address, true);
					out.append(memory.subarray(from, from + view.getUint32(tx + length, true)));
				};
				out.append(memory.subarray(tx, tx + TX_USED_BYTES));
				part(abi.TX_HEAD, abi.TX_HEAD_LENGTH);
				part(abi.TX_BODY, abi.TX_BODY_LENGTH);
			}
			core.batchDone();
			if (core.rxPending() === 0) break;
		}
		for (let port = 0; port < engine.header(abi.HEADER_PORTS_MAX); port++) {
			const counters = engine.header(abi.HEADER_PORTS) + port * abi.PORT_BYTES + abi.PORT_RX_FRAMES;
			out.append(memory.subarray(counters, counters + COUNTERS_BYTES));
		}
		return at;
	}
}
