/** Writing capture files. */
import { closeSync, constants, writeSync } from "node:fs";
import { O_CLOEXEC, open } from "../sys/libc.js";
import {
	BLOCK_ENHANCED_PACKET,
	BLOCK_INTERFACE,
	BLOCK_SECTION,
	BYTE_ORDER_MAGIC,
	CAPTURED_BYTES_MAX,
	type CapturedFrame,
	CaptureError,
	LINKTYPE_ETHERNET,
	MAGIC_MICROSECONDS,
	MAGIC_NANOSECONDS,
	OPTION_TSRESOL,
	PCAP_HEADER_BYTES,
	PCAP_RECORD_BYTES,
} from "./format.js";

const CHUNK_BYTES = 1 << 20;
const ENHANCED_PACKET_BYTES = 32;
const U32_END = 2n ** 32n;
const U64_END = 2n ** 64n;

/** How frames are written. */
export interface CaptureFormat {
	/** Default: `pcapng` if the file's name ends so, else `pcap`. */
	format?: "pcap" | "pcapng";
	/** Unit of time. Default: `ns`. */
	timeUnit?: "us" | "ns";
	/** Byte order of numbers. Default: `little`. */
	byteOrder?: "little" | "big";
}

/** Writes frames to a new file; an old one of that name is overwritten. */
export class CaptureWriter {
	readonly #fd: number;
	readonly #chunk = Buffer.alloc(CHUNK_BYTES);
	#used = 0;
	readonly #isNg: boolean;
	readonly #bigEndian: boolean;
	/** Nanoseconds in a unit of time. */
	readonly #unitNs: bigint;

	/** @throws SysError when the file can not be made */
	constructor(
		/** The file. */
		readonly path: string,
		options: CaptureFormat = {},
	) {
		this.#isNg = (options.format ?? (path.endsWith(".pcapng") ? "pcapng" : "pcap")) === "pcapng";
		this.#bigEndian = options.byteOrder === "big";
		this.#unitNs = options.timeUnit === "us" ? 1000n : 1n;
		this.#fd = open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | O_CLOEXEC, 0o666);
		if (this.#isNg) this.#sectionHeader();
		else this.#fileHeader();
	}

	/**
	 * Writes one frame. What is finer than the unit of time is cut off.
	 * @throws CaptureError when the file can not hold the frame or its time, or on a full disk
	 */
	write(frame: CapturedFrame): void {
		const { bytes, timeNs, originalBytes } = frame;
		if (bytes.length > CAPTURED_BYTES_MAX)
			this.#fail(`a frame of ${bytes.length} bytes; ${CAPTURED_BYTES_MAX} are allowed`);
		const seconds = timeNs / 1_000_000_000n;
		const units = timeNs / this.#unitNs;
		if (timeNs < 0n || (this.#isNg ? units >= U64_END : seconds >= U32_END))
			this.#fail(`time ${timeNs} ns does not fit in its format`);
		const padding = this.#isNg ? -bytes.length & 3 : 0;
		const overhead = this.#isNg ? ENHANCED_PACKET_BYTES : PCAP_RECORD_BYTES;
		if (this.#used + overhead + bytes.length + padding > CHUNK_BYTES) this.#flush();
		if (this.#isNg) {
			const blockBytes = ENHANCED_PACKET_BYTES + bytes.length + padding;
			this.#u32(BLOCK_ENHANCED_PACKET, blockBytes, 0, Number(units >> 32n), Number(units & 0xffffffffn));
			this.#u32(bytes.length, originalBytes);
			this.#bytes(bytes, padding);
			this.#u32(blockBytes);
		} else {
			const fraction = (timeNs % 1_000_000_000n) / this.#unitNs;
			this.#u32(Number(seconds), Number(fraction), bytes.length, originalBytes);
			this.#bytes(bytes, 0);
		}
	}

	/**
	 * Writes what is left and closes the file.
	 * @throws CaptureError when the last frames can not be written; the file is closed then too
	 */
	close(): void {
		try {
			this.#flush();
		} finally {
			closeSync(this.#fd);
		}
	}

	#fileHeader(): void {
		this.#u32(this.#unitNs === 1n ? MAGIC_NANOSECONDS : MAGIC_MICROSECONDS);
		this.#u16(2, 4);
		this.#u32(0, 0, CAPTURED_BYTES_MAX, LINKTYPE_ETHERNET);
		if (this.#used !== PCAP_HEADER_BYTES) throw new RangeError("pcap: its header has 24 bytes");
	}

	/** A section of unknown length with one interface. */
	#sectionHeader(): void {
		this.#u32(BLOCK_SECTION, 28, BYTE_ORDER_MAGIC);
		this.#u16(1, 0);
		this.#u32(0xffffffff, 0xffffffff, 28);
		this.#u32(BLOCK_INTERFACE, 32);
		this.#u16(LINKTYPE_ETHERNET, 0);
		this.#u32(CAPTURED_BYTES_MAX);
		this.#u16(OPTION_TSRESOL, 1);
		this.#bytes(Uint8Array.of(this.#unitNs === 1n ? 9 : 6), 3);
		this.#u32(0, 32);
	}

	#u16(...numbers: number[]): void {
		for (const number of numbers) {
			if (this.#bigEndian) this.#chunk.writeUInt16BE(number, this.#used);
			else this.#chunk.writeUInt16LE(number, this.#used);
			this.#used += 2;
		}
	}

	#u32(...numbers: number[]): void {
		for (const number of numbers) {
			if (this.#bigEndian) this.#chunk.writeUInt32BE(number, this.#used);
			else this.#chunk.writeUInt32LE(number, this.#used);
			this.#used += 4;
		}
	}

	#bytes(bytes: Uint8Array, padding: number): void {
		this.#chunk.set(bytes, this.#used);
		this.#chunk.fill(0, this.#used + bytes.length, this.#used + bytes.length + padding);
		this.#used += bytes.length + padding;
	}

	#flush(): void {
		let done = 0;
		try {
			while (done < this.#used) done += writeSync(this.#fd, this.#chunk, done, this.#used - done);
		} catch (error) {
			this.#fail(`write: ${(error as Error).message}`);
		} finally {
			this.#used = 0;
		}
	}

	#fail(problem: string): never {
		throw new CaptureError(this.path, problem);
	}
}
