/**
 * The kernel's side of the core's rings, as slow, as partial and as disorderly as a real one may be: it takes some of
 * the requests that wait in the submission queue, completes them in any order and with any result, and lets completions
 * wait when their queue is full. What no kernel forgives is an error here: a request without a file, or a buffer that
 * is read into twice at once.
 */
import * as abi from "../../assembly/abi.js";
import { SOFT_RING } from "../../src/core/softring.js";
import type { Ring } from "../../src/host/ring.js";

const OP_WRITEV = 2;
const OP_POLL_ADD = 6;
const OP_RECVMSG = 10;
const OP_READ = 22;
const OP_WRITE = 23;
const EAGAIN = 11;
const EBADFD = 77;
const ECANCELED = 125;
/** What reads and writes fail with now and then: EINTR, EIO, ENOMEM, ENETDOWN, ENOBUFS. */
const FAILURES = [4, 5, 12, 100, 105];
const MSG_TRUNC = 0x20;
const IOVEC_BYTES = 16;

/** Numbers below 1, the same ones for the same seed (mulberry32). */
export type Chance = () => number;
export function chanceOf(seed: number): Chance {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** How a kernel behaves: shares between 0 and 1. */
export interface Mood {
	/** Calls that take nothing at all (EBUSY, EINTR). */
	busy: number;
	/** Calls that take only a part of the requests. */
	partial: number;
	/** Of what can be completed, that is left for a later call. */
	late: number;
	/** Reads and writes that fail. */
	failing: number;
}
export const WILLING: Mood = { busy: 0, partial: 0, late: 0, failing: 0 };

/** What is behind a file number. */
export interface Device {
	/** Frames that wait to be read; Infinity: always one more. */
	waiting: number;
	/** Its device is gone: all fails with EBADFD. */
	isGone: boolean;
	/** Ethernet frame of what is read. */
	frame: Uint8Array;
}

interface Pending {
	op: number;
	file: number;
	address: number;
	length: number;
	user: number;
	/** High half of user_data: the slot. */
	slot: number;
	isCancelled: boolean;
}

export class ModelKernel implements Ring {
	readonly kind = "io_uring";
	readonly fd = -1;
	mood: Mood = WILLING;
	/** The last call would have blocked. */
	isAsleep = false;
	/** Whether a call may block at all: nobody is going to wake it up otherwise. */
	mayBlock = true;
	/** The eventfd's count. */
	signals = 0;
	/** Devices by descriptor. */
	readonly devices = new Map<number, Device>();
	readonly #files = new Map<number, number>();
	#pending: Pending[] = [];
	/** Completed, but the queue had no room. */
	readonly #overflow: [user: number, slot: number, result: number][] = [];
	readonly #view: DataView;
	readonly #bytes: Uint8Array;

	constructor(
		memory: WebAssembly.Memory,
		private readonly header: (field: number) => number,
		private readonly chance: Chance,
	) {
		this.#view = new DataView(memory.buffer);
		this.#bytes = new Uint8Array(memory.buffer);
	}

	setFile(file: number, fd: number): void {
		if (fd < 0) this.#files.delete(file);
		else this.#files.set(file, fd);
	}

	/** Only what the kernel has taken already. */
	cancel(file: number): void {
		for (const request of this.#pending) if (request.file === file) request.isCancelled = true;
	}

	close(): void {
		if (this.#pending.some(({ file }) => file !== 0)) throw new Error("the ring is closed with requests under way");
	}

	enter(count: number, wait: number): void {
		this.isAsleep = false;
		if (this.chance() < this.mood.busy) return;
		const waiting = this.#get(SOFT_RING.sqTail) - this.#get(SOFT_RING.sqHead);
		if (count > waiting) throw new Error(`${count} requests are to be submitted, ${waiting} are there`);
		const taken = this.chance() < this.mood.partial ? Math.floor(this.chance() * count) : count;
		for (let index = 0; index < taken; index++) this.#take();
		this.#complete(this.chance() < this.mood.late ? this.chance() : 0);
		const isEmpty = () => this.#get(SOFT_RING.cqHead) === this.#get(SOFT_RING.cqTail);
		if (!wait || taken < count || !isEmpty()) return;
		this.#complete(0);
		this.isAsleep = isEmpty();
		if (this.isAsleep && !this.mayBlock) throw new Error("the thread waits for what never comes");
	}

	/** By port: the requests that are waiting, under way, or completed and not seen yet. */
	held(): Map<number, number> {
		const held = new Map<number, number>();
		const add = (user: number): void => {
			const port = (user >>> 8) & 0xffff;
			held.set(port, (held.get(port) ?? 0) + 1);
		};
		for (let at = this.#get(SOFT_RING.sqHead); at !== this.#get(SOFT_RING.sqTail); at++)
			add(this.#view.getUint32(this.#sqe(at) + 32, true));
		for (let at = this.#get(SOFT_RING.cqHead); at !== this.#get(SOFT_RING.cqTail); at++)
			add(this.#view.getUint32(this.#cqe(at), true));
		for (const { user } of this.#pending) add(user);
		for (const [user] of this.#overflow) add(user);
		return held;
	}

	#get(offset: number): number {
		return this.#view.getUint32(this.header(abi.HEADER_RING) + offset, true);
	}

	#set(offset: number, value: number): void {
		this.#view.setUint32(this.header(abi.HEADER_RING) + offset, value, true);
	}

	#sqe(index: number): number {
		return this.header(abi.HEADER_SQES) + (index & (abi.SQ_ENTRIES - 1)) * 64;
	}

	#cqe(index: number): number {
		return this.header(abi.HEADER_RING) + SOFT_RING.cqes + (index & (abi.CQ_ENTRIES - 1)) * 16;
	}

	#take(): void {
		const head = this.#get(SOFT_RING.sqHead);
		const at = this.#sqe(head);
		const u32 = (offset: number): number => this.#view.getUint32(at + offset, true);
		this.#set(SOFT_RING.sqHead, head + 1);
		const request = {
			op: u32(0) & 0xff,
			file: u32(4),
			address: u32(16),
			length: u32(24),
			user: u32(32),
			slot: u32(36),
		};
		if (!this.#files.has(request.file)) throw new Error(`a request for file ${request.file}, which is not there`);
		const reads = [OP_READ, OP_RECVMSG];
		const isSame = ({ op, slot, file }: Pending): boolean => slot === request.slot && file !== 0 && op !== OP_POLL_ADD;
		const rival = request.file !== 0 && request.op !== OP_POLL_ADD ? this.#pending.find(isSame) : undefined;
		if (rival && (reads.includes(rival.op) || reads.includes(request.op)))
			throw new Error(`slot ${request.slot} is in use by request ${rival.op} and now by ${request.op}`);
		this.#pending.push({ ...request, isCancelled: false });
	}

	/** Completes what can be, in any order, but for the share `late` of it. */
	#complete(late: number): void {
		while (this.#overflow.length > 0 && this.#post(...this.#overflow[0]!)) this.#overflow.shift();
		const left: Pending[] = [];
		const now: Pending[] = [];
		for (const request of this.#pending) (this.chance() < late ? left : now).push(request);
		for (let index = now.length - 1; index > 0; index--) {
			const other = Math.floor(this.chance() * (index + 1));
			[now[index], now[other]] = [now[other]!, now[index]!];
		}
		for (const request of now) {
			const result = this.#execute(request);
			if (result === undefined) left.push(request);
			else if (this.#overflow.length > 0 || !this.#post(request.user, request.slot, result))
				this.#overflow.push([request.user, request.slot, result]);
		}
		this.#pending = left;
	}

	#post(user: number, slot: number, result: number): boolean {
		const tail = this.#get(SOFT_RING.cqTail);
		if (tail - this.#get(SOFT_RING.cqHead) >= abi.CQ_ENTRIES) return false;
		const at = this.#cqe(tail);
		this.#view.setUint32(at, user, true);
		this.#view.setUint32(at + 4, slot, true);
		this.#view.setInt32(at + 8, result, true);
		this.#set(SOFT_RING.cqTail, tail + 1);
		return true;
	}

	/** The result, or undefined: it has to wait. */
	#execute({ op, file, address, length, isCancelled }: Pending): number | undefined {
		if (file === 0) {
			if (this.signals === 0) return undefined;
			this.signals = 0;
			return 8;
		}
		const device = this.devices.get(this.#files.get(file)!)!;
		if (isCancelled && (op === OP_POLL_ADD || this.chance() < 0.5)) return -ECANCELED;
		if (op === OP_POLL_ADD) return device.waiting > 0 || device.isGone ? 1 : undefined;
		if (device.isGone) return -EBADFD;
		if (this.chance() < this.mood.failing) return -FAILURES[Math.floor(this.chance() * FAILURES.length)]!;
		if (op === OP_WRITE) return length;
		const iovec = op === OP_RECVMSG ? Number(this.#view.getBigUint64(address + 16, true)) : address;
		const u64 = (at: number): number => Number(this.#view.getBigUint64(at, true));
		if (op === OP_WRITEV) return u64(iovec + 8) + u64(iovec + IOVEC_BYTES + 8);
		if (device.waiting === 0) return -EAGAIN;
		device.waiting--;
		if (op === OP_READ) return this.#receive(address, device.frame);
		if (op !== OP_RECVMSG) throw new Error(`request ${op} is not one of the core's`);
		this.#view.setBigUint64(address + 40, 0n, true); // no control message
		if (this.chance() < this.mood.failing) this.#view.setUint32(address + 48, MSG_TRUNC, true);
		return this.#receive(u64(iovec), device.frame);
	}

	#receive(address: number, frame: Uint8Array): number {
		this.#bytes.fill(0, address, address + abi.VNET_BYTES);
		this.#bytes.set(frame, address + abi.VNET_BYTES);
		return abi.VNET_BYTES + frame.length;
	}
}
