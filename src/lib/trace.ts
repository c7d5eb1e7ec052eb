/** The capture files that a switch reads, as one stream of frames in the order of their times. */
import type { CapturedFrame } from "../pcap/format.js";
import { readCapture } from "../pcap/read.js";

interface Trace {
	frames: Generator<CapturedFrame, void, void>;
	/** Read ahead, because its time decides whose turn it is; absent once it was handed out. */
	head?: CapturedFrame;
}

/** Files by what they belong to. */
export class Traces<Key> {
	readonly #traces = new Map<Key, Trace>();

	/** Begins to read a file. @throws SysError, CaptureError when it can not be read at all */
	add(key: Key, path: string): void {
		const trace = { frames: readCapture(path) };
		this.#traces.set(key, trace);
		this.#readAhead(key, trace);
	}

	remove(key: Key): void {
		this.#traces.get(key)?.frames.return();
		this.#traces.delete(key);
	}

	/**
	 * The oldest frame of all files, undefined at their end. Each file's frames stay in their order.
	 * @throws CaptureError where a file is damaged: it has ended then, the others go on
	 */
	next(): { key: Key; frame: CapturedFrame } | undefined {
		for (const [key, trace] of this.#traces) this.#readAhead(key, trace);
		let oldest: { key: Key; frame: CapturedFrame } | undefined;
		for (const [key, { head }] of this.#traces) {
			if (head && (!oldest || head.timeNs < oldest.frame.timeNs)) oldest = { key, frame: head };
		}
		if (oldest) this.#traces.get(oldest.key)!.head = undefined;
		return oldest;
	}

	#readAhead(key: Key, trace: Trace): void {
		if (trace.head) return;
		try {
			const { done, value } = trace.frames.next();
			if (done) this.#traces.delete(key);
			else trace.head = value;
		} catch (error) {
			this.#traces.delete(key);
			throw error;
		}
	}
}
