/** The bytes of a file, one piece after another, without ever holding more of it than that and a buffer. */
import { closeSync, readSync } from "node:fs";
import { O_CLOEXEC, O_RDONLY, open } from "../sys/libc.js";
import { CaptureError, LINKTYPE_ETHERNET } from "./format.js";

const CHUNK_BYTES = 1 << 20;

export class ByteSource {
	readonly #fd: number;
	#chunk = Buffer.alloc(0);
	#at = 0;
	/** Bytes of the file before the chunk. */
	#before = 0;
	/** Numbers are read in this order. */
	bigEndian = false;

	/** @throws SysError when the file can not be opened. */
	constructor(readonly path: string) {
		this.#fd = open(path, O_RDONLY | O_CLOEXEC);
	}

	/** Offset in the file of the byte that comes next. */
	get offset(): number {
		return this.#before + this.#at;
	}

	/** Whether the file ends here. */
	isAtEnd(): boolean {
		return !this.#has(1);
	}

	/**
	 * The next `bytes` bytes, a view that stays as it is.
	 * @param what they are, for the error
	 * @throws CaptureError when the file ends before
	 */
	take(bytes: number, what: string): Buffer {
		const start = this.offset;
		if (!this.#has(bytes)) this.fail(`ends in the middle of ${what}`, start);
		this.#at += bytes;
		return this.#chunk.subarray(this.#at - bytes, this.#at);
	}

	u16(buffer: Buffer, at: number): number {
		return this.bigEndian ? buffer.readUInt16BE(at) : buffer.readUInt16LE(at);
	}

	u32(buffer: Buffer, at: number): number {
		return this.bigEndian ? buffer.readUInt32BE(at) : buffer.readUInt32LE(at);
	}

	/** @throws CaptureError always */
	fail(problem: string, at = this.offset): never {
		throw new CaptureError(this.path, `byte ${at}: ${problem}`);
	}

	/** @throws CaptureError for link types other than Ethernet, found at byte `at` */
	requireEthernet(linkType: number, at: number): void {
		if (linkType !== LINKTYPE_ETHERNET)
			this.fail(`link type ${linkType}; only ${LINKTYPE_ETHERNET}, Ethernet, is read`, at);
	}

	close(): void {
		closeSync(this.#fd);
	}

	/** A new chunk for each reading: views of the old one are not overwritten. */
	#has(bytes: number): boolean {
		const rest = this.#chunk.length - this.#at;
		if (rest >= bytes) return true;
		const chunk = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, bytes));
		this.#chunk.copy(chunk, 0, this.#at);
		let filled = rest;
		while (filled < bytes) {
			const got = this.#read(chunk, filled);
			if (got === 0) break;
			filled += got;
		}
		this.#before += this.#at;
		this.#chunk = chunk.subarray(0, filled);
		this.#at = 0;
		return filled >= bytes;
	}

	#read(chunk: Buffer, at: number): number {
		try {
			return readSync(this.#fd, chunk, at, chunk.length - at, null);
		} catch (error) {
			throw new CaptureError(this.path, `read: ${(error as Error).message}`);
		}
	}
}
