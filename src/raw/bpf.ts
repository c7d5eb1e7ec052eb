/**
 * Programs and maps of the kernel's BPF machine, as far as AF_XDP needs them: bpf(2) and instructions written by hand
 * (include/uapi/linux/bpf.h; RFC 9669 for the instruction set). All descriptors are close-on-exec.
 */
import { SysError } from "../sys/errno.js";
import { addressOf, bpf, capabilityHint, errno } from "../sys/libc.js";
import { withCapability } from "../sys/privileges.js";

const BPF_MAP_CREATE = 0;
const BPF_MAP_UPDATE_ELEM = 2;
const BPF_MAP_DELETE_ELEM = 3;
const BPF_PROG_LOAD = 5;
const BPF_LINK_CREATE = 28;

const MAP_TYPE_HASH = 1;
const MAP_TYPE_XSKMAP = 17;
const MAP_F_NO_PREALLOC = 1;
const PROG_TYPE_XDP = 6;
const ATTACH_TYPE_XDP = 37;
/** The driver runs the program, before the kernel makes a packet of the frame. */
const XDP_FLAGS_DRV_MODE = 1 << 2;

/** Bytes of a union bpf_attr that are enough for all calls here. */
const ATTR_BYTES = 72;
const INSTRUCTION_BYTES = 8;

/** What the kernel reads by address has to stay where it is: V8 moves small arrays, but none of this size. */
const scratch = Buffer.from(new ArrayBuffer(4096));
const scratchAddress = BigInt(addressOf(scratch));
const LICENCE = Buffer.from("Apache-2.0\0");

function call(command: number, name: string, attributes: Buffer, object = ""): number {
	return withCapability("CAP_SYS_ADMIN", () => {
		const result = bpf(command, attributes);
		if (result < 0) throw new SysError(name, object, errno(), capabilityHint("CAP_BPF and CAP_NET_ADMIN"));
		return result;
	});
}

function createMap(type: number, keyBytes: number, valueBytes: number, entriesMax: number, flags: number): number {
	const attributes = Buffer.alloc(ATTR_BYTES);
	[type, keyBytes, valueBytes, entriesMax, flags].forEach((value, i) => {
		attributes.writeUInt32LE(value, i * 4);
	});
	return call(BPF_MAP_CREATE, "BPF_MAP_CREATE", attributes);
}

/** A set of 8-byte keys. @throws SysError */
export const createSet = (entriesMax: number): number => createMap(MAP_TYPE_HASH, 8, 1, entriesMax, MAP_F_NO_PREALLOC);

/** AF_XDP sockets by receive queue. @throws SysError */
export const createSocketMap = (queues: number): number => createMap(MAP_TYPE_XSKMAP, 4, 4, queues, 0);

/** Puts a key into a map, with a value, or takes it out. @throws SysError */
function change(command: number, name: string, mapFd: number, key: Uint8Array, value?: Uint8Array): void {
	scratch.set(key, 0);
	if (value) scratch.set(value, 64);
	const attributes = Buffer.alloc(ATTR_BYTES);
	attributes.writeUInt32LE(mapFd, 0);
	attributes.writeBigUInt64LE(scratchAddress, 8);
	if (value) attributes.writeBigUInt64LE(scratchAddress + 64n, 16);
	call(command, name, attributes);
}

/** @throws SysError E2BIG when the set is full */
export function addToSet(setFd: number, key: Uint8Array): void {
	change(BPF_MAP_UPDATE_ELEM, "BPF_MAP_UPDATE_ELEM", setFd, key, Uint8Array.of(1));
}

/** @throws SysError ENOENT */
export function removeFromSet(setFd: number, key: Uint8Array): void {
	change(BPF_MAP_DELETE_ELEM, "BPF_MAP_DELETE_ELEM", setFd, key);
}

/** What arrives through a queue, as far as the program says so, goes to this AF_XDP socket from now on. */
export function setSocket(mapFd: number, queue: number, fd: number): void {
	const [key, value] = [Buffer.alloc(4), Buffer.alloc(4)];
	key.writeUInt32LE(queue);
	value.writeUInt32LE(fd);
	change(BPF_MAP_UPDATE_ELEM, "BPF_MAP_UPDATE_ELEM", mapFd, key, value);
}

/** Has the kernel check an XDP program and keep it. @throws SysError EPERM; EACCES: refused by its verifier */
export function loadXdp(instructions: Buffer): number {
	scratch.set(instructions, 0);
	scratch.set(LICENCE, 4000);
	const attributes = Buffer.alloc(ATTR_BYTES);
	attributes.writeUInt32LE(PROG_TYPE_XDP, 0);
	attributes.writeUInt32LE(instructions.length / INSTRUCTION_BYTES, 4);
	attributes.writeBigUInt64LE(scratchAddress, 8);
	attributes.writeBigUInt64LE(scratchAddress + 4000n, 16);
	attributes.write("vlane", 48);
	return call(BPF_PROG_LOAD, "BPF_PROG_LOAD", attributes);
}

/**
 * Attaches an XDP program to a link of this thread's namespace, in its driver. It runs as long as the answered
 * descriptor is open, however this process ends.
 * @throws SysError EOPNOTSUPP (the driver has no XDP), EBUSY (another program is there), ERANGE and EINVAL (not
 * with this MTU or these offloads), ENODEV
 */
export function attachXdp(programFd: number, ifindex: number, object: string): number {
	const attributes = Buffer.alloc(ATTR_BYTES);
	[programFd, ifindex, ATTACH_TYPE_XDP, XDP_FLAGS_DRV_MODE].forEach((value, i) => {
		attributes.writeUInt32LE(value, i * 4);
	});
	return call(BPF_LINK_CREATE, "BPF_LINK_CREATE", attributes.subarray(0, 16), object);
}

// ---- Instructions.

export interface Instruction {
	/** Operation. */
	code: number;
	/** Numbers of the registers. */
	to?: number;
	from?: number;
	offset?: number;
	value?: number;
	/** Where a jump goes. */
	target?: string;
	/** What jumps name the instruction. */
	label?: string;
}

export const LOAD_U32 = 0x61;
export const LOAD_U16 = 0x69;
export const STORE_U64 = 0x7b;
export const MOVE = 0xbf;
export const SET = 0xb7;
export const ADD = 0x07;
export const AND = 0x57;
export const OR = 0x4f;
export const SHIFT_LEFT = 0x67;
export const TO_BIG_ENDIAN = 0xdc;
export const JUMP = 0x05;
export const JUMP_IF_VALUE = 0x15;
export const JUMP_IF_ABOVE = 0x2d;
export const JUMP_IF_NOT_ABOVE = 0xbd;
export const CALL = 0x85;
export const EXIT = 0x95;
/** Two instructions long; `value` is the descriptor of a map. */
export const LOAD_MAP = 0x18;
const FROM_MAP = 1;

/** The bytes of a program, its jumps resolved. */
export function assemble(program: Instruction[]): Buffer {
	const labels = new Map<string, number>();
	let length = 0;
	for (const { code, label } of program) {
		if (label) labels.set(label, length);
		length += code === LOAD_MAP ? 2 : 1;
	}
	const bytes = Buffer.alloc(length * INSTRUCTION_BYTES);
	let at = 0;
	for (const { code, to = 0, from = 0, offset = 0, value = 0, target } of program) {
		const jump = target === undefined ? offset : (labels.get(target) ?? 0) - at - 1;
		const start = at * INSTRUCTION_BYTES;
		bytes.writeUInt8(code, start);
		bytes.writeUInt8(to | ((code === LOAD_MAP ? FROM_MAP : from) << 4), start + 1);
		bytes.writeInt16LE(jump, start + 2);
		bytes.writeInt32LE(value, start + 4);
		at += code === LOAD_MAP ? 2 : 1;
	}
	return bytes;
}
