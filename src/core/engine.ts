/**
 * The packet core in this process: its memory, its instance, and typed access to what lies in between.
 *
 * Together with counters.ts, capturering.ts and softring.ts the only TypeScript that touches WebAssembly memory.
 * Offsets come from assembly/abi.ts, the same file that the core is compiled from.
 */
import { readFileSync } from "node:fs";
import { instantiateSync } from "@assemblyscript/loader";
import ipaddr from "ipaddr.js";
import * as abi from "../../assembly/abi.js";
import { addressOf } from "../sys/libc.js";
import { wallClockNs } from "./clock.js";

/** The core's functions (assembly/index.ts). Numbers only; booleans are 0 or 1. */
export interface CoreExports {
	layout(portsMax: number, segmentsMax: number, tablesMax: number, fdbCapacity: number, slotsMax: number): number;
	init(): number;
	portAdd(
		kind: number,
		mode: number,
		segment: number,
		network: number,
		macLow: number,
		macHigh: number,
		mtuBytes: number,
	): number;
	portClose(port: number): void;
	portFree(port: number): number;
	portSecure(port: number, flags: number): void;
	portOffload(port: number, takes: number, coalesce: number): void;
	portSetMtu(port: number, mtuBytes: number): void;
	portStart(port: number): void;
	segmentAdd(uplink: number, outer: number, inner: number): number;
	segmentRemove(segment: number): number;
	sourceAdd(segment: number, network: number, macLow: number, macHigh: number): number;
	sourceRemove(segment: number, macLow: number, macHigh: number): number;
	ipAdd(segment: number, a: number, b: number, c: number, d: number, port: number): number;
	stationPort(segment: number, macLow: number, macHigh: number): number;
	ringInit(
		baseLow: number,
		baseHigh: number,
		sqHead: number,
		sqTail: number,
		sqArray: number,
		cqHead: number,
		cqTail: number,
		cqes: number,
	): void;
	captureInit(address: number, bytes: number): void;
	xskAdd(
		xsk: number,
		uplink: number,
		isVirtual: number,
		rxProducer: number,
		rxConsumer: number,
		rxEntries: number,
		fillProducer: number,
		fillEntries: number,
	): number;
	controlArm(): void;
	pump(): number;
	batchPrepare(count: number): number;
	batchForward(count: number): number;
	batchDone(): void;
	rxPending(): number;
	txPending(): number;
	slotsFree(): number;
	parse(frame: number, bytes: number, out: number): number;
	push(frame: number, tag: number): number;
	pop(frame: number): number;
	rewriteVid(frame: number, vid: number): void;
	buildHead(target: number, frame: number, outer: number, inner: number): number;
	fdbAdd(fid: number, mac: bigint, port: number): number;
	fdbLookup(fid: number, mac: bigint): number;
	fdbRemove(fid: number, mac: bigint): number;
}

/** How large the core's tables are. They are laid out once and never grow. */
export interface CoreLimits {
	/** Power of two; port 0 is not used. */
	portsMax: number;
	segmentsMax: number;
	/** VLAN tables: one for each uplink and for each outer tag of stacked VLANs, and one that is not used. */
	tablesMax: number;
	/** Power of two; half of it can be filled. */
	fdbCapacity: number;
	/** Frame buffers of 68 KiB; memory is taken from the system only as they are used. At most 65535. */
	slotsMax: number;
	/** Data of the capture ring, a power of two; absent: nothing can be captured. */
	captureBytes?: number;
	/** AF_XDP sockets; absent: none. Their memory is taken from the system only as they are used. */
	xsksMax?: number;
}

/** 4,094 VLANs on one parent, 4,095 ports and as many stations. */
export const DEFAULT_LIMITS: CoreLimits = {
	portsMax: 8192,
	segmentsMax: 8192,
	tablesMax: 64,
	fdbCapacity: 16384,
	slotsMax: 512,
};

/**
 * The daemon's: a quarter of a second of 1 Gb/s, in and out, fits in the capture ring, because a busy machine lets the
 * reader wait. Its pages are taken from the system only once something is captured.
 */
export const DAEMON_LIMITS: CoreLimits = { ...DEFAULT_LIMITS, captureBytes: 1 << 26, xsksMax: 16 };

const PAGE_BYTES = 65536;

/** Where the built cores lie, seen from dist/src/core/. */
export const CORE_RELEASE = new URL("../../../build/core.wasm", import.meta.url);
export const CORE_DEBUG = new URL("../../../build/core.debug.wasm", import.meta.url);

/** Six bytes of `aa:bb:cc:dd:ee:ff` as the two little-endian numbers that the core takes. */
export function macNumbers(mac: string): { low: number; high: number } {
	const b = mac.split(":").map((part) => Number.parseInt(part, 16)) as [number, number, number, number, number, number];
	return { low: (b[0] | (b[1] << 8) | (b[2] << 16) | (b[3] << 24)) >>> 0, high: b[4] | (b[5] << 8) };
}

/** An IP address as the four little-endian numbers that the core takes; IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
export function ipNumbers(address: string): [number, number, number, number] {
	const parsed = ipaddr.parse(address);
	const bytes = (parsed.kind() === "ipv4" ? (parsed as ipaddr.IPv4).toIPv4MappedAddress() : parsed).toByteArray();
	const view = new DataView(Uint8Array.from(bytes).buffer);
	return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true), view.getUint32(12, true)];
}

/**
 * Compiles a core, all of it at once: with V8's defaults the first frame waits for each function that it is the first
 * to call. What is hot V8 compiles again, optimised, in a thread of its own, while frames pass (ADR 23).
 */
export function compileCore(file: URL = CORE_RELEASE): WebAssembly.Module {
	const { setFlagsFromString } = process.getBuiltinModule("node:v8"); // with streams, which few threads need
	setFlagsFromString("--no-wasm-lazy-compilation");
	try {
		return new WebAssembly.Module(readFileSync(file));
	} finally {
		// V8 takes code that it has kept only as long as its flags are the same.
		setFlagsFromString("--wasm-lazy-compilation");
	}
}

function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): CoreExports {
	return instantiateSync(module, { env: { memory } }).exports as unknown as CoreExports;
}

/** Memory of the right size for `limits`: shared, because counters are read from other threads, and of a fixed size. */
export function createMemory(module: WebAssembly.Module, limits: CoreLimits): WebAssembly.Memory {
	const page = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
	const { portsMax, segmentsMax, tablesMax, fdbCapacity, slotsMax } = limits;
	const bytes = instantiate(module, page).layout(portsMax, segmentsMax, tablesMax, fdbCapacity, slotsMax) >>> 0;
	const pages = Math.ceil(xskOffset(bytes, limits, limits.xsksMax ?? 0) / PAGE_BYTES);
	return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/** Where the memory of the `index`th AF_XDP socket begins, behind all else, of which the core has `bytes`. */
function xskOffset(bytes: number, { captureBytes, xsksMax }: CoreLimits, index: number): number {
	const end = bytes + (captureBytes ? abi.CAPTURE_DATA + captureBytes : 0);
	return xsksMax ? Math.ceil(end / PAGE_BYTES) * PAGE_BYTES + index * abi.XSK_BYTES : end;
}

/** Memory of all AF_XDP sockets of a core: its address in this process. */
export function xsksOf(memory: WebAssembly.Memory, limits: CoreLimits): { address: number; bytes: number } {
	const total = new DataView(memory.buffer).getUint32(abi.HEADER + abi.HEADER_BYTES_TOTAL, true);
	const offset = xskOffset(total, limits, 0);
	return { address: addressOf(new Uint8Array(memory.buffer)) + offset, bytes: (limits.xsksMax ?? 0) * abi.XSK_BYTES };
}

/** A frame to be forwarded; `tag` as the kernel strips it: tpid << 16 | tci, 0 for none. */
export interface InputFrame {
	port: number;
	/** virtio_net_hdr (10 bytes) and Ethernet frame. */
	bytes: Uint8Array;
	tag?: number;
}

export interface OutputFrame {
	port: number;
	/** Index of the input frame that it comes from. */
	input: number;
	bytes: Uint8Array;
}

/** One instance of the core. Not thread safe: the thread that made it is the one that uses it. */
export class Engine {
	readonly core: CoreExports;
	readonly #u8: Uint8Array;
	readonly #view: DataView;
	/** Address of the capture ring; 0: none. */
	readonly #captureRing: number;

	/** `memory` must be fresh (`createMemory`); `limits` the same as it was made for. */
	constructor(
		module: WebAssembly.Module,
		readonly memory: WebAssembly.Memory,
		readonly limits: CoreLimits,
	) {
		this.core = instantiate(module, memory);
		const { portsMax, segmentsMax, tablesMax, fdbCapacity, slotsMax, captureBytes } = limits;
		this.core.layout(portsMax, segmentsMax, tablesMax, fdbCapacity, slotsMax);
		if (!this.core.init()) throw new Error("packet core: its memory is too small for the limits");
		this.#u8 = new Uint8Array(memory.buffer);
		this.#view = new DataView(memory.buffer);
		if (this.header(abi.HEADER_ABI_VERSION) !== abi.ABI_VERSION)
			throw new Error("packet core: other ABI version, rebuild it");
		if (captureBytes) this.core.captureInit(this.header(abi.HEADER_BYTES_TOTAL), captureBytes);
		this.#captureRing = this.header(abi.HEADER_CAPTURE);
	}

	/** Address of byte 0 of the memory in this process. */
	get address(): number {
		return addressOf(this.#u8);
	}

	/** Before each batch: the time of the frames in it, when somebody captures. */
	stampCapture(): void {
		const ring = this.#captureRing;
		if (ring && this.#view.getUint32(ring + abi.CAPTURE_ON, true))
			this.#view.setBigUint64(ring + abi.CAPTURE_CLOCK, wallClockNs(), true);
	}

	/** A u32 field of the header. */
	header(field: number): number {
		return this.#view.getUint32(abi.HEADER + field, true);
	}

	/** Errno that ended the port's reception, or 0. */
	portError(port: number): number {
		return this.#view.getInt32(this.#port(port) + abi.PORT_ERROR, true);
	}

	/** Offset of the memory that the `index`th AF_XDP socket has; undefined: there is none for so many. */
	xsk(index: number): number | undefined {
		const hasRoom = index < (this.limits.xsksMax ?? 0);
		return hasRoom ? xskOffset(this.header(abi.HEADER_BYTES_TOTAL), this.limits, index) : undefined;
	}

	/** Requests of the port that the kernel still holds. */
	portInflight(port: number): number {
		return this.#view.getUint32(this.#port(port) + abi.PORT_INFLIGHT, true);
	}

	/**
	 * Gives a port the counters, and the captures, that it had in the memory of an earlier core; port 0: what is counted
	 * for all of them. Both cores have the same limits.
	 */
	takeCounters(port: number, previous: WebAssembly.Memory): void {
		const old = new Uint8Array(previous.buffer);
		const at = this.#port(port);
		const take = (start: number, bytes: number) => this.#u8.set(old.subarray(start, start + bytes), start);
		take(at + abi.PORT_RX_FRAMES, abi.PORT_DROPS + 8 * abi.DROP_REASONS - abi.PORT_RX_FRAMES);
		for (const field of [abi.PORT_RX_OFFLOADS, abi.PORT_CAPTURE_LOST, abi.PORT_MERGED, abi.PORT_FINISHED])
			take(at + field, 8);
		take(at + abi.PORT_SNAP_BYTES, 4);
		if (port !== 0) return;
		take(abi.HEADER + abi.HEADER_BATCHES, 8);
		take(abi.HEADER + abi.HEADER_BATCH_SIZES, 8 * abi.BATCH_SIZES);
	}

	#port(port: number): number {
		return this.header(abi.HEADER_PORTS) + port * abi.PORT_BYTES;
	}

	/**
	 * Forwards frames without any kernel, for tests, benchmarks and hosts of other kinds. Answers what would be sent, in
	 * order. At most RX_MAX frames and no more than there are free slots.
	 */
	forward(frames: InputFrame[]): OutputFrame[] {
		if (this.core.batchPrepare(frames.length) < frames.length) throw new RangeError("batch larger than the RX queue");
		const rx = this.header(abi.HEADER_RX);
		const slots = this.header(abi.HEADER_SLOTS);
		const inputOfSlot = new Map<number, number>();
		frames.forEach((frame, index) => {
			const at = rx + index * abi.RX_BYTES;
			const slot = this.#view.getUint16(at + abi.RX_SLOT, true);
			inputOfSlot.set(slot, index);
			this.#u8.set(frame.bytes, slots + slot * abi.SLOT_BYTES + abi.SLOT_FRAME - abi.VNET_BYTES);
			this.#view.setUint16(at + abi.RX_PORT, frame.port, true);
			this.#view.setUint32(at + abi.RX_LENGTH, frame.bytes.length - abi.VNET_BYTES, true);
			this.#view.setUint32(at + abi.RX_TAG, frame.tag ?? 0, true);
		});
		const out: OutputFrame[] = [];
		let count = this.core.batchForward(frames.length);
		for (;;) {
			for (let i = 0; i < count; i++)
				out.push(this.#output(this.header(abi.HEADER_TX) + i * abi.TX_BYTES, inputOfSlot));
			this.core.batchDone();
			if (this.core.rxPending() === 0) return out;
			count = this.core.batchForward(0);
		}
	}

	#output(at: number, inputOfSlot: Map<number, number>): OutputFrame {
		const u32 = (field: number) => this.#view.getUint32(at + field, true);
		const head = u32(abi.TX_HEAD);
		const bytes = new Uint8Array(u32(abi.TX_HEAD_LENGTH) + u32(abi.TX_BODY_LENGTH));
		bytes.set(this.#u8.subarray(head, head + u32(abi.TX_HEAD_LENGTH)));
		bytes.set(this.#u8.subarray(u32(abi.TX_BODY), u32(abi.TX_BODY) + u32(abi.TX_BODY_LENGTH)), u32(abi.TX_HEAD_LENGTH));
		const slot = this.#view.getUint16(at + abi.TX_SLOT, true);
		return { port: this.#view.getUint16(at + abi.TX_PORT, true), input: inputOfSlot.get(slot) ?? -1, bytes };
	}

	/** A view of `bytes` bytes at an address, for tests of the core's small functions. */
	view(address: number, bytes: number): Uint8Array {
		return this.#u8.subarray(address, address + bytes);
	}
}
