/**
 * Captures that are under way: takes the core's records out of their ring, and hands each capture those of its ports
 * that its filter lets through, as pcapng.
 *
 *   core --ring--> Hub --every 10 ms--> capture 1: cut, filter --> sink
 *                                       capture 2: ...
 *
 * A sink that does not keep up loses frames, and they are counted; nobody waits for it.
 */
import type { RingFrame } from "../core/capturering.js";
import {
	type InterfaceCounts,
	interfaceBlock,
	packetBlockBytes,
	sectionBlock,
	statisticsBlock,
	writePacketBlock,
} from "../pcap/stream.js";
import type { Filter } from "./filter.js";

/** The ring is emptied so often: at 1 Gb/s, each frame in and out, it holds more than twenty times as much. */
const TICK_MS = 10;
/** Blocks are handed over in pieces of this size: a write for each frame costs several times what the frame does. */
const PIECE_BYTES = 256 << 10;
/** Pieces that are kept to be filled again: new memory costs as much as filling it. */
const SPARE_PIECES_MAX = 16;
/** Whatever is asked for, so much of each frame comes out of the core, for filters to look at. */
const FILTER_BYTES = 128;

/** Written into each capture. */
const COMMENT =
	"Frames as ports of the switch exchange them, before segmentation and checksum offload: they may be longer than the " +
	"MTU, and checksums of local senders are not computed yet. Inbound: into the switch. A comment says why a frame was " +
	"dropped.";

/** A port that a capture listens to. */
export interface CapturedPort {
	port: number;
	name: string;
	description: string;
	/** Whether a frame of the port is of concern at all; absent: all are. */
	accepts?: Filter;
}

/** What a capture wants. */
export interface CaptureOrder {
	/** Asked again whenever ports come or go. */
	select(): CapturedPort[];
	filter: Filter;
	/** As it was typed. */
	filterText: string;
	snapBytes: number;
	/** Ends by itself after so many frames. */
	countMax?: number;
	/** Ends by itself after so many seconds. */
	secondsMax?: number;
	/** What made it, for the file: `vlane 0.1.0`. */
	application: string;
}

/** Where a capture goes. */
export interface CaptureSink {
	/** `taken` is called once the memory may be used for something else. */
	write(blocks: Buffer, taken?: () => void): void;
	/** Has not taken what was written before. */
	isBehind(): boolean;
	/** Nothing follows; resolves when all has been taken. */
	end(): Promise<void>;
}

/** The part of the datapath that the hub needs. */
export interface CaptureSource {
	readonly generation: number;
	readonly capture: {
		setPort(port: number, snapBytes: number): void;
		forget(): void;
		setOn(on: boolean): void;
		lost(port: number): number;
		read(): Iterable<RingFrame>;
	};
}

export class Hub {
	readonly #captures = new Map<number, Capture>();
	/** What the core was told, by port. */
	readonly #told = new Map<number, number>();
	#timer: NodeJS.Timeout | undefined;
	#generation = 0;
	#nextId = 1;

	constructor(readonly source: CaptureSource) {}

	/** A number for a capture. */
	newId(): number {
		return this.#nextId++;
	}

	/** Begins a capture under a number of its own. */
	open(id: number, order: CaptureOrder, sink: CaptureSink): void {
		if (this.#captures.size === 0) {
			this.source.capture.forget();
			this.source.capture.setOn(true);
			this.#timer = setInterval(() => this.#tick(), TICK_MS);
		}
		const capture = new Capture(order, sink, (port) => this.source.capture.lost(port));
		this.#captures.set(id, capture);
		capture.select();
		this.#tell();
	}

	/** Ends a capture with its counts; false when there is no such one (any more). */
	end(id: number): boolean {
		const capture = this.#captures.get(id);
		if (!capture) return false;
		this.#drain();
		void this.#finish(id, capture);
		return true;
	}

	/** Ends all. */
	async close(): Promise<void> {
		this.#drain();
		await Promise.all([...this.#captures].map(([id, capture]) => this.#finish(id, capture)));
	}

	#finish(id: number, capture: Capture): Promise<void> {
		this.#captures.delete(id);
		if (this.#captures.size === 0) {
			clearInterval(this.#timer);
			this.source.capture.setOn(false);
		}
		this.#tell();
		return capture.finish();
	}

	#tick(): void {
		if (this.source.generation !== this.#generation) {
			for (const capture of this.#captures.values()) capture.select();
			// A port that was made anew under an old number has forgotten what it was told, as has a core that took over.
			this.#told.clear();
			this.source.capture.setOn(true);
			this.#tell();
		}
		this.#drain();
		for (const [id, capture] of this.#captures) if (capture.isComplete) void this.#finish(id, capture);
	}

	#drain(): void {
		if (this.#captures.size === 0) return;
		const captures = [...this.#captures.values()];
		for (const frame of this.source.capture.read()) {
			for (const capture of captures) capture.take(frame);
		}
		for (const capture of captures) capture.handOver();
	}

	/** Lets the core record what somebody wants to see, and nothing else. */
	#tell(): void {
		this.#generation = this.source.generation;
		const wanted = new Map<number, number>();
		for (const capture of this.#captures.values()) {
			const { snapBytes } = capture.order;
			for (const port of capture.ports()) wanted.set(port, Math.max(wanted.get(port) ?? FILTER_BYTES, snapBytes));
		}
		for (const port of this.#told.keys()) if (!wanted.has(port)) this.source.capture.setPort(port, 0);
		for (const [port, snapBytes] of wanted) {
			if (this.#told.get(port) !== snapBytes) this.source.capture.setPort(port, snapBytes);
		}
		this.#told.clear();
		for (const [port, snapBytes] of wanted) this.#told.set(port, snapBytes);
	}
}

/** A port as a capture counts it; under one name it may be another port after a while. */
interface Watched extends InterfaceCounts {
	index: number;
	accepts: Filter | undefined;
	/** The port's count of lost frames when it was met. */
	lostBefore: number;
}

class Capture {
	readonly #byName = new Map<string, Watched>();
	#byPort = new Map<number, Watched>();
	readonly #endMs: number;
	#delivered = 0;
	#lastNs = nowNs();
	/** Blocks that the sink has not been given yet, from `#begin` to `#end`. */
	#piece = Buffer.alloc(0);
	readonly #spares: Buffer<ArrayBuffer>[] = [];
	#begin = 0;
	#end = 0;

	constructor(
		readonly order: CaptureOrder,
		readonly sink: CaptureSink,
		readonly lostOf: (port: number) => number,
	) {
		this.#endMs = order.secondsMax === undefined ? Number.POSITIVE_INFINITY : Date.now() + order.secondsMax * 1000;
		sink.write(sectionBlock(order.application, COMMENT));
	}

	ports(): Iterable<number> {
		return this.#byPort.keys();
	}

	get isComplete(): boolean {
		return this.#delivered >= (this.order.countMax ?? Number.POSITIVE_INFINITY) || Date.now() >= this.#endMs;
	}

	/** Looks which ports there are by now. */
	select(): void {
		this.handOver();
		const { snapBytes, filterText } = this.order;
		this.#countLost();
		const found = new Map<number, Watched>();
		for (const { port, name, description, accepts } of this.order.select()) {
			let watched = this.#byName.get(name);
			if (!watched) {
				const counts = { startNs: nowNs(), endNs: 0n, received: 0, lost: 0, accepted: 0, late: 0, delivered: 0 };
				watched = { index: this.#byName.size, accepts, lostBefore: 0, ...counts };
				this.#byName.set(name, watched);
				this.sink.write(interfaceBlock({ name, description, snapBytes, filter: filterText }));
			}
			watched.lostBefore = this.lostOf(port);
			found.set(port, watched);
		}
		this.#byPort = found;
	}

	take(frame: RingFrame): void {
		const watched = this.#byPort.get(frame.port);
		const { order } = this;
		if (!watched || this.#delivered >= (order.countMax ?? Number.POSITIVE_INFINITY)) return;
		watched.received++;
		if (watched.accepts?.(frame.bytes) === false || !order.filter(frame.bytes)) return;
		watched.accepted++;
		const { direction, timeNs, originalBytes, dropped } = frame;
		const comment = dropped === undefined ? undefined : Buffer.from(`dropped: ${dropped}`);
		const bytes = frame.bytes.length > order.snapBytes ? frame.bytes.subarray(0, order.snapBytes) : frame.bytes;
		const packet = { interfaceIndex: watched.index, direction, comment, timeNs, bytes, originalBytes };
		if (!this.#hasRoom(packetBlockBytes(packet))) {
			watched.late++;
			return;
		}
		this.#end = writePacketBlock(this.#piece, this.#end, packet);
		watched.delivered++;
		this.#delivered++;
		this.#lastNs = timeNs;
	}

	/** Gives the sink what has been collected; `full`: and the rest of the piece will not be used. */
	handOver(full = false): void {
		const piece = this.#piece;
		const taken = () => {
			if (piece.length === PIECE_BYTES && this.#spares.length < SPARE_PIECES_MAX) this.#spares.push(piece);
		};
		if (this.#end > this.#begin) this.sink.write(piece.subarray(this.#begin, this.#end), full ? taken : undefined);
		this.#begin = this.#end;
	}

	/** Room for so many bytes more at `#end`; none while the sink is behind. */
	#hasRoom(bytes: number): boolean {
		const fits = this.#end + bytes <= this.#piece.length;
		if (!fits) this.handOver(true);
		if (this.#begin === this.#end && this.sink.isBehind()) return false;
		if (!fits) {
			const spare = bytes <= PIECE_BYTES ? this.#spares.pop() : undefined;
			this.#piece = spare ?? Buffer.allocUnsafeSlow(Math.max(PIECE_BYTES, bytes));
			this.#begin = 0;
			this.#end = 0;
		}
		return true;
	}

	finish(): Promise<void> {
		this.handOver();
		this.#countLost();
		// The clock here is coarser than that of the frames.
		const endNs = maxOf(nowNs(), this.#lastNs);
		for (const watched of this.#byName.values()) {
			this.sink.write(statisticsBlock(watched.index, { ...watched, endNs }));
		}
		return this.sink.end();
	}

	#countLost(): void {
		for (const [port, watched] of this.#byPort) {
			const lost = this.lostOf(port);
			watched.lost += Math.max(0, lost - watched.lostBefore);
			watched.lostBefore = lost;
		}
	}
}

function nowNs(): bigint {
	return BigInt(Date.now()) * 1_000_000n;
}

function maxOf(left: bigint, right: bigint): bigint {
	return left < right ? right : left;
}
