/** Reading the capture ring out of the core's memory (assembly/capture.ts), from any one thread. */
import * as abi from "../../assembly/abi.js";
import { DROP_NAMES } from "./counters.js";

/** A frame as it came in through a port, or as it was queued to leave by it. */
export interface RingFrame {
	port: number;
	direction: "in" | "out";
	/** Name of the reason why a received frame was dropped; undefined: it was forwarded. */
	dropped: string | undefined;
	/** Nanoseconds since 1970-01-01 00:00 UTC; frames of one batch have the same. */
	timeNs: bigint;
	/** Bytes that the frame has; more than `bytes` when it was cut. */
	originalBytes: number;
	/** From the destination address on; valid until the next one is asked for. */
	bytes: Uint8Array;
}

/** The reader's end of one ring, or of several. */
export type CaptureReader = Omit<CaptureRing, "follow">;

/** The reader's end of the ring. */
export class CaptureRing {
	#u8: Uint8Array;
	#view: DataView;
	#words: Uint32Array;

	constructor(memory: WebAssembly.Memory) {
		this.#u8 = new Uint8Array(memory.buffer);
		this.#view = new DataView(memory.buffer);
		this.#words = new Uint32Array(memory.buffer);
	}

	/** Reads another core's ring from now on, which has taken over; the ports that are recorded stay the same. */
	follow(memory: WebAssembly.Memory): void {
		const isOn = Atomics.load(this.#words, this.#word(abi.CAPTURE_ON)) !== 0;
		this.#u8 = new Uint8Array(memory.buffer);
		this.#view = new DataView(memory.buffer);
		this.#words = new Uint32Array(memory.buffer);
		this.setOn(isOn);
	}

	/** Records the first `snapBytes` bytes of each frame of a port, from the next batch on; 0 ends it. */
	setPort(port: number, snapBytes: number): void {
		this.#view.setUint32(this.#port(port) + abi.PORT_SNAP_BYTES, snapBytes, true);
	}

	/** Forgets what the ring still holds. */
	forget(): void {
		Atomics.store(this.#words, this.#word(abi.CAPTURE_HEAD), this.#tail());
	}

	/** Whether any port may be recorded at all. */
	setOn(on: boolean): void {
		Atomics.store(this.#words, this.#word(abi.CAPTURE_ON), on ? 1 : 0);
	}

	/** Frames that the ring had no room for since the port was added. */
	lost(port: number): number {
		return Number(this.#view.getBigUint64(this.#port(port) + abi.PORT_CAPTURE_LOST, true));
	}

	/** The frames that are there now, oldest first. A frame's place is free again once the next one is asked for. */
	*read(): Generator<RingFrame, void, void> {
		const headWord = this.#word(abi.CAPTURE_HEAD);
		const mask = this.#header(abi.HEADER_CAPTURE_BYTES) - 1;
		const data = this.#ring() + abi.CAPTURE_DATA;
		const end = this.#tail();
		for (let head = Atomics.load(this.#words, headWord); head !== end; ) {
			const at = data + (head & mask);
			const frame = this.#frameAt(at);
			if (frame) yield frame;
			head = (head + this.#view.getUint32(at + abi.CAPTURED_SIZE, true)) >>> 0;
			Atomics.store(this.#words, headWord, head);
		}
	}

	#frameAt(at: number): RingFrame | undefined {
		const port = this.#view.getUint16(at + abi.CAPTURED_PORT, true);
		if (port === 0) return undefined;
		const start = at + abi.CAPTURED_BYTES;
		const verdict = this.#u8[at + abi.CAPTURED_VERDICT]!;
		return {
			port,
			direction: this.#u8[at + abi.CAPTURED_SENT] ? "out" : "in",
			dropped: verdict === abi.CAPTURED_PASSED ? undefined : DROP_NAMES[verdict],
			timeNs: this.#view.getBigUint64(at + abi.CAPTURED_TIME, true),
			originalBytes: this.#view.getUint32(at + abi.CAPTURED_ORIGINAL, true),
			bytes: this.#u8.subarray(start, start + this.#view.getUint32(at + abi.CAPTURED_LENGTH, true)),
		};
	}

	#tail(): number {
		return Atomics.load(this.#words, this.#word(abi.CAPTURE_TAIL));
	}

	#word(field: number): number {
		return (this.#ring() + field) >>> 2;
	}

	#ring(): number {
		return this.#header(abi.HEADER_CAPTURE);
	}

	#header(field: number): number {
		return this.#view.getUint32(abi.HEADER + field, true);
	}

	#port(port: number): number {
		return this.#header(abi.HEADER_PORTS) + port * abi.PORT_BYTES;
	}
}
