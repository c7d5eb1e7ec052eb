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
import { type InterfaceCounts, interfaceBlock, packetBlock, sectionBlock, statisticsBlock } from "../pcap/stream.js";
import type { Filter } from "./filter.js";

/** The ring is emptied so often: at 1 Gb/s it holds more than ten times as much. */
const TICK_MS = 10;
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
	write(block: Buffer): void;
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
		for (const frame of this.source.capture.read()) {
			for (const capture of this.#captures.values()) capture.take(frame);
		}
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
		if (!watched || this.isComplete) return;
		const { order, sink } = this;
		watched.received++;
		if (watched.accepts?.(frame.bytes) === false || !order.filter(frame.bytes)) return;
		watched.accepted++;
		if (sink.isBehind()) {
			watched.late++;
			return;
		}
		const { direction, timeNs, originalBytes, dropped } = frame;
		const comment = dropped === undefined ? undefined : `dropped: ${dropped}`;
		const bytes = frame.bytes.subarray(0, order.snapBytes);
		sink.write(packetBlock({ interfaceIndex: watched.index, direction, comment, timeNs, bytes, originalBytes }));
		watched.delivered++;
		this.#delivered++;
		this.#lastNs = timeNs;
	}

	finish(): Promise<void> {
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
