/**
 * io_uring in software, for kernels (or seccomp profiles, or sysctls) without it: executes the requests that the core
 * wrote to its submission queue with plain system calls and writes the completions. The core runs unchanged.
 *
 * Only what the core asks for exists: READ, WRITE, WRITEV, RECVMSG and POLL_ADD, all on descriptors that never block,
 * and one READ of the control eventfd that waits.
 */
import * as abi from "../../assembly/abi.js";
import { addressOf, errno, pollAt, readAt, recvmsgAt, writeAt, writevAt } from "../sys/libc.js";

const OP_WRITEV = 2;
const OP_POLL_ADD = 6;
const OP_RECVMSG = 10;
const OP_READ = 22;
const OP_WRITE = 23;

const EAGAIN = 11;
const EBADF = 9;
const EINVAL = 22;
const EINTR = 4;
const ECANCELED = 125;
const POLLIN = 1;
const POLLFD_BYTES = 8;

/** Offsets from HEADER_RING, in the order of the core's `ringInit`. */
export const SOFT_RING = { sqHead: 0, sqTail: 64, cqHead: 128, cqTail: 192, sqArray: 256, cqes: 4096 };

interface Waiting {
	file: number;
	user: number;
	/** High half of user_data. */
	userHigh: number;
	/** Address to read 8 bytes to, or 0 for a poll. */
	readAddress: number;
}

export class SoftRing {
	readonly #u32: Uint32Array;
	readonly #ring: number;
	readonly #sqes: number;
	readonly #files = new Map<number, number>();
	#waiting: Waiting[] = [];
	/** struct pollfd for everything that waits; kept outside of the core's memory. */
	#pollfds: DataView;
	#pollAddress: number;

	/** `ring` and `sqes`: HEADER_RING and HEADER_SQES. */
	constructor(memory: WebAssembly.Memory, ring: number, sqes: number) {
		this.#u32 = new Uint32Array(memory.buffer);
		this.#ring = ring;
		this.#sqes = sqes;
		const bytes = new Uint8Array(POLLFD_BYTES * 64);
		this.#pollfds = new DataView(bytes.buffer);
		this.#pollAddress = addressOf(bytes);
	}

	/** Descriptor behind a file number; -1 takes it out. */
	setFile(file: number, fd: number): void {
		if (fd < 0) this.#files.delete(file);
		else this.#files.set(file, fd);
	}

	/** Completes the requests that wait on a file with ECANCELED. */
	cancel(file: number): void {
		for (const waiting of this.#waiting.filter((w) => w.file === file)) {
			this.#complete(waiting.user, waiting.userHigh, -ECANCELED);
		}
		this.#waiting = this.#waiting.filter((w) => w.file !== file);
	}

	/** Executes `count` requests, then waits for a completion if `wait` is not 0 and there is none. */
	enter(count: number, wait: number): void {
		for (let i = 0; i < count; i++) this.#execute();
		const isEmpty = this.#u32[this.#at(SOFT_RING.cqHead)] === this.#u32[this.#at(SOFT_RING.cqTail)];
		this.#poll(wait && isEmpty ? -1 : 0);
	}

	#at(offset: number): number {
		return (this.#ring + offset) >>> 2;
	}

	#execute(): void {
		const u32 = this.#u32;
		const head = u32[this.#at(SOFT_RING.sqHead)]!;
		u32[this.#at(SOFT_RING.sqHead)] = head + 1;
		const sqe = (this.#sqes + (head & (abi.SQ_ENTRIES - 1)) * 64) >>> 2;
		const op = u32[sqe]! & 0xff;
		const file = u32[sqe + 1]!;
		const address = u32[sqe + 4]! + u32[sqe + 5]! * 0x1_0000_0000;
		const length = u32[sqe + 6]!;
		const user = u32[sqe + 8]!;
		const userHigh = u32[sqe + 9]!;
		const fd = this.#files.get(file);
		if (fd === undefined) return this.#complete(user, userHigh, -EBADF);
		if (op === OP_POLL_ADD || file === 0) {
			this.#waiting.push({ file, user, userHigh, readAddress: op === OP_READ ? address : 0 });
			return;
		}
		let result: number;
		if (op === OP_READ) result = readAt(fd, address, length);
		else if (op === OP_WRITE) result = writeAt(fd, address, length);
		else if (op === OP_WRITEV) result = writevAt(fd, address, length);
		else if (op === OP_RECVMSG) result = recvmsgAt(fd, address, u32[sqe + 7]!);
		else return this.#complete(user, userHigh, -EINVAL);
		this.#complete(user, userHigh, result < 0 ? -errno() : result);
	}

	#complete(user: number, userHigh: number, result: number): void {
		const u32 = this.#u32;
		const tail = u32[this.#at(SOFT_RING.cqTail)]!;
		const cqe = this.#at(SOFT_RING.cqes + (tail & (abi.CQ_ENTRIES - 1)) * 16);
		u32[cqe] = user;
		u32[cqe + 1] = userHigh;
		u32[cqe + 2] = result >>> 0;
		u32[cqe + 3] = 0;
		u32[this.#at(SOFT_RING.cqTail)] = tail + 1;
	}

	#poll(timeoutMs: number): void {
		const count = this.#waiting.length;
		if (count === 0) return;
		if (count * POLLFD_BYTES > this.#pollfds.byteLength) {
			const bytes = new Uint8Array(POLLFD_BYTES * count * 2);
			this.#pollfds = new DataView(bytes.buffer);
			this.#pollAddress = addressOf(bytes);
		}
		this.#waiting.forEach((waiting, i) => {
			this.#pollfds.setInt32(i * POLLFD_BYTES, this.#files.get(waiting.file) ?? -1, true);
			this.#pollfds.setUint32(i * POLLFD_BYTES + 4, POLLIN, true);
		});
		const ready = pollAt(this.#pollAddress, count, timeoutMs);
		if (ready < 0 && errno() !== EINTR && errno() !== EAGAIN) throw new Error(`poll: errno ${errno()}`);
		if (ready <= 0) return;
		const left: Waiting[] = [];
		this.#waiting.forEach((waiting, i) => {
			const events = this.#pollfds.getUint16(i * POLLFD_BYTES + 6, true);
			if (events === 0) {
				left.push(waiting);
				return;
			}
			let result: number = events;
			if (waiting.readAddress) result = readAt(this.#files.get(waiting.file)!, waiting.readAddress, 8);
			this.#complete(waiting.user, waiting.userHigh, result);
		});
		this.#waiting = left;
	}
}
