/**
 * The ring that the packet core drives, in two makes with one interface: the kernel's io_uring, its queues lying in the
 * core's memory, or its software twin (src/core/softring.ts) where the kernel has none. `openRing` takes the best one
 * that works.
 *
 * Kernel interface: include/uapi/linux/io_uring.h.
 */
import * as abi from "../../assembly/abi.js";
import type { Engine } from "../core/engine.js";
import { SOFT_RING, SoftRing } from "../core/softring.js";
import { errnoName, SysError } from "../sys/errno.js";
import { addressOf, close, errno, ioUringEnter, ioUringRegister, ioUringSetup } from "../sys/libc.js";

export type RingKind = "io_uring" | "poll";

export interface Ring {
	readonly kind: RingKind;
	/** The kernel's descriptor of it, -1 when there is none. */
	readonly fd: number;
	/**
	 * Submits `count` requests and, with `wait` 1, blocks until there is a completion. Called once per batch: allocates
	 * nothing.
	 */
	enter(count: number, wait: number): void;
	/** Puts a descriptor under a file number; -1 takes it out. */
	setFile(file: number, fd: number): void;
	/** Cancels what waits on a file; the completions still come. */
	cancel(file: number): void;
	close(): void;
}

const SETUP_CQSIZE = 1 << 3;
const SETUP_SUBMIT_ALL = 1 << 7;
const SETUP_SINGLE_ISSUER = 1 << 12;
const SETUP_DEFER_TASKRUN = 1 << 13;
const SETUP_NO_MMAP = 1 << 14;
const FEAT_NO_IOWAIT = 1 << 17;
const ENTER_GETEVENTS = 1 << 0;
const ENTER_REGISTERED_RING = 1 << 4;
const ENTER_NO_IOWAIT = 1 << 7;
const REGISTER_FILES = 2;
const REGISTER_FILES_UPDATE = 6;
const REGISTER_RING_FDS = 20;
const REGISTER_SYNC_CANCEL = 24;
const CANCEL_ALL = 1 << 0;
const CANCEL_FD = 1 << 1;
const CANCEL_FD_FIXED = 1 << 3;

const EINTR = 4;
const EAGAIN = 11;
const EBUSY = 16;
const ENOENT = 2;
const EMFILE = 24;
/** Fewer ports than that are not worth a ring. */
const FILES_MIN = 64;

/** Offsets in struct io_uring_params. */
const PARAMS_BYTES = 120;
const PARAMS_CQ_ENTRIES = 4;
const PARAMS_FLAGS = 8;
const PARAMS_FEATURES = 20;
const PARAMS_SQ_OFF = 40;
const PARAMS_SQ_ADDRESS = 72;
const PARAMS_CQ_OFF = 80;
const PARAMS_CQ_ADDRESS = 112;

/**
 * Opens a ring over the engine's memory and tells the core where its fields are.
 * @throws SysError when `mode` is "io_uring" and the kernel refuses.
 */
export function openRing(engine: Engine, mode: "auto" | RingKind): Ring {
	if (mode === "poll") return new PollRing(engine);
	try {
		return new UringRing(engine);
	} catch (error) {
		if (mode === "io_uring" || !(error instanceof SysError)) throw error;
		return new PollRing(engine);
	}
}

function tellCore(engine: Engine, offsets: typeof SOFT_RING): void {
	const base = engine.address;
	engine.core.ringInit(
		base >>> 0,
		Math.floor(base / 0x1_0000_0000),
		offsets.sqHead,
		offsets.sqTail,
		offsets.sqArray,
		offsets.cqHead,
		offsets.cqTail,
		offsets.cqes,
	);
}

class PollRing implements Ring {
	readonly kind = "poll";
	readonly fd = -1;
	readonly #soft: SoftRing;

	constructor(engine: Engine) {
		this.#soft = new SoftRing(engine.memory, engine.header(abi.HEADER_RING), engine.header(abi.HEADER_SQES));
		tellCore(engine, SOFT_RING);
	}

	enter(count: number, wait: number): void {
		this.#soft.enter(count, wait);
	}

	setFile(file: number, fd: number): void {
		this.#soft.setFile(file, fd);
	}

	cancel(file: number): void {
		this.#soft.cancel(file);
	}

	close(): void {}
}

class UringRing implements Ring {
	readonly kind = "io_uring";
	readonly fd: number;
	/** The ring as io_uring_enter takes it: its index in the thread's table of registered rings, or the descriptor. */
	#enterFd: number;
	#enterFlags = 0;
	/**
	 * What the kernel reads through an address needs an owner: a temporary may be collected before the call is made. A
	 * page, because V8 moves small arrays.
	 */
	readonly #files = new Int32Array(1024);
	readonly #filesAddress = BigInt(addressOf(bytesOf(this.#files)));

	constructor(engine: Engine) {
		const params = Buffer.alloc(PARAMS_BYTES);
		this.fd = setup(engine, params);
		this.#enterFd = this.fd;
		this.#enterFlags = params.readUInt32LE(PARAMS_FEATURES) & FEAT_NO_IOWAIT ? ENTER_NO_IOWAIT : 0;
		const sq = (index: number) => params.readUInt32LE(PARAMS_SQ_OFF + index * 4);
		const cq = (index: number) => params.readUInt32LE(PARAMS_CQ_OFF + index * 4);
		// io_sqring_offsets: head, tail, ring_mask, ring_entries, flags, dropped, array; io_cqring_offsets: head, tail, mask,
		// entries, overflow, cqes.
		tellCore(engine, {
			sqHead: sq(0),
			sqTail: sq(1),
			sqArray: sq(6),
			cqHead: cq(0),
			cqTail: cq(1),
			cqes: cq(5),
		});
		this.#registerFiles(engine.header(abi.HEADER_PORTS_MAX));
		this.#registerRing();
	}

	/**
	 * An empty table of files. The kernel takes no more than RLIMIT_NOFILE (EMFILE): then the highest port numbers do not
	 * work.
	 */
	#registerFiles(portsMax: number): void {
		for (let count = portsMax; ; count /= 2) {
			const files = new Int32Array(count).fill(-1);
			if (ioUringRegister(this.fd, REGISTER_FILES, bytesOf(files), count) >= 0) return;
			const code = errno();
			if (code !== EMFILE || count <= FILES_MIN) throw new SysError("IORING_REGISTER_FILES", "", code);
		}
	}

	/** Saves the kernel a lookup for each call; kernels before 5.18 do without. */
	#registerRing(): void {
		const update = Buffer.alloc(16);
		update.writeUInt32LE(0xffffffff, 0);
		update.writeBigUInt64LE(BigInt(this.fd), 8);
		if (ioUringRegister(this.fd, REGISTER_RING_FDS, update, 1) !== 1) return;
		this.#enterFd = update.readUInt32LE(0);
		this.#enterFlags |= ENTER_REGISTERED_RING;
	}

	#register(opcode: number, arg: Uint8Array, count: number, call: string): void {
		if (ioUringRegister(this.fd, opcode, arg, count) < 0) throw new SysError(call, "", errno());
	}

	enter(count: number, wait: number): void {
		if (ioUringEnter(this.#enterFd, count, wait, ENTER_GETEVENTS | this.#enterFlags) >= 0) return;
		const code = errno();
		// Interrupted, or the completion queue has to be emptied first: the next batch submits what is left.
		if (code === EINTR || code === EAGAIN || code === EBUSY) return;
		throw new SysError("io_uring_enter", "", code);
	}

	setFile(file: number, fd: number): void {
		this.#files[0] = fd;
		const update = Buffer.alloc(16); // struct io_uring_files_update: u32 offset, u32 resv, u64 fds
		update.writeUInt32LE(file, 0);
		update.writeBigUInt64LE(this.#filesAddress, 8);
		this.#register(REGISTER_FILES_UPDATE, update, 1, "IORING_REGISTER_FILES_UPDATE");
	}

	cancel(file: number): void {
		const request = Buffer.alloc(64); // struct io_uring_sync_cancel_reg
		request.writeInt32LE(file, 8);
		request.writeUInt32LE(CANCEL_ALL | CANCEL_FD | CANCEL_FD_FIXED, 12);
		request.writeBigInt64LE(-1n, 16); // no timeout
		request.writeBigInt64LE(-1n, 24);
		if (ioUringRegister(this.fd, REGISTER_SYNC_CANCEL, request, 1) >= 0) return;
		const code = errno();
		if (code !== ENOENT) throw new SysError("IORING_REGISTER_SYNC_CANCEL", "", code);
	}

	close(): void {
		close(this.fd);
	}
}

function bytesOf(array: Int32Array): Uint8Array {
	return new Uint8Array(array.buffer);
}

/**
 * io_uring_setup with the queues in the core's memory (NO_MMAP, Linux 6.5; the kernel refuses to map its own queues
 * there), with fewer flags as long as the kernel says EINVAL.
 */
function setup(engine: Engine, params: Buffer): number {
	const base = engine.address;
	const least = SETUP_CQSIZE | SETUP_NO_MMAP;
	const ladder = [SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN, SETUP_SUBMIT_ALL, 0];
	let code = 0;
	for (const flags of ladder) {
		params.fill(0);
		params.writeUInt32LE(abi.CQ_ENTRIES, PARAMS_CQ_ENTRIES);
		params.writeUInt32LE(least | flags, PARAMS_FLAGS);
		params.writeBigUInt64LE(BigInt(base + engine.header(abi.HEADER_SQES)), PARAMS_SQ_ADDRESS);
		params.writeBigUInt64LE(BigInt(base + engine.header(abi.HEADER_RING)), PARAMS_CQ_ADDRESS);
		const fd = ioUringSetup(abi.SQ_ENTRIES, params);
		if (fd >= 0) return fd;
		code = errno();
		if (errnoName(code) !== "EINVAL") break;
	}
	throw new SysError("io_uring_setup", "", code);
}
