/**
 * Senders that offer more than is taken, all in one process, until it is ended:
 *
 *   overload-tool.js FILE (NETNS IFNAME SOURCE-MAC TARGET-MAC)...
 *
 * FILE has the rate in frames per second of each sender, which may change at any time. Frames of mixed sizes (7 of 64,
 * 4 of 594, 1 of 1518 bytes), one of each sender in turn; none of them can be put together with its neighbours.
 *
 * A sender has to be far cheaper for each frame than who forwards it. A packet socket is not, least of all when
 * frames are dropped: it makes a packet of each, and hears of each drop. Here the kernel makes the frames itself: an
 * XDP program runs once for each of as many frames as a call asks for, gives it addresses and length, and sends it to
 * an interface (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18; Documentation/bpf/bpf_prog_run.rst).
 * What a TAP's queue has no room for is dropped and counted there. It counts one drop for each delivery, so a
 * delivery is one frame for each interface.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { macBytes } from "../../src/netlink/codec.js";
import * as bpf from "../../src/raw/bpf.js";
import { SysError } from "../../src/sys/errno.js";
import * as libc from "../../src/sys/libc.js";
import { inNetns, openNetns } from "../../src/sys/netns.js";

const SIZES = [64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 64, 594];
const FCS_BYTES = 4;
/** What the kernel copies into each piece of memory that is new; longer frames get zeros behind it. */
const FRAME_BYTES = Math.min(...SIZES) - FCS_BYTES;
const ETHERTYPE_EXPERIMENT = 0x88b5; // IEEE 802, local experimental
const PIECE_MS = 10;
/** Who was not scheduled for long does not make up for all of it at once. */
const PIECES_LATE_MAX = 10;
const LOOK_MS = 20;
/** As many frames as the kernel delivers together (DEV_MAP_BULK_SIZE). */
const DELIVERY_MAX = 16;

// include/uapi/linux/bpf.h
const MAP_CREATE = 0;
const MAP_UPDATE_ELEM = 2;
const PROG_TEST_RUN = 10;
const MAP_TYPE_ARRAY = 2;
const MAP_TYPE_DEVMAP = 14;
const TEST_XDP_LIVE_FRAMES = 2;
const ATTR_BYTES = 80;
const CALL_MAP_LOOKUP = 1;
const CALL_REDIRECT_MAP = 51;
const CALL_XDP_ADJUST_TAIL = 65;
const XDP_DROP = 1;
const LOAD_U64 = 0x79;
const STORE_U32 = 0x63;
const MODULO = 0x97;

/** What becomes of a frame: addresses (12 bytes), index in the device map, bytes that are put to its end. */
const KIND_BYTES = 24;
const KIND_DEVICE = 12;
const KIND_MORE = 16;

interface Sender {
	path: string;
	ifname: string;
	source: string;
	target: string;
}

/** All that the kernel reads through addresses: one piece, so large that V8 never moves it. */
const memory = Buffer.alloc(8192);
const [KEY, VALUE, FRAME] = [0, 64, 256];
const address = (at: number): bigint => BigInt(libc.addressOf(memory) + at);

function call(command: number, name: string, fields: [at: number, value: number | bigint][]): number {
	const attributes = Buffer.alloc(ATTR_BYTES);
	for (const [at, value] of fields) {
		if (typeof value === "bigint") attributes.writeBigUInt64LE(value, at);
		else attributes.writeUInt32LE(value, at);
	}
	const result = libc.bpf(command, attributes);
	if (result < 0) throw new SysError(name, "", libc.errno(), "needs root and Linux 5.18");
	return result;
}

function createMap(type: number, valueBytes: number, entries: number): number {
	const words = [type, 4, valueBytes, entries].map((value, index): [number, number] => [4 * index, value]);
	return call(MAP_CREATE, "BPF_MAP_CREATE", words);
}

/** A map of devices takes an index of the calling thread's namespace. */
function update(map: number, key: number, value: Buffer): void {
	memory.writeUInt32LE(key, KEY);
	memory.set(value, VALUE);
	call(MAP_UPDATE_ELEM, "BPF_MAP_UPDATE_ELEM", [
		[0, map],
		[8, address(KEY)],
		[16, address(VALUE)],
	]);
}

/** The map of all kinds of frames, in the order in which they are sent: all senders, then the next size. */
function kindsOf(senders: Sender[]): number {
	const kinds = createMap(MAP_TYPE_ARRAY, KIND_BYTES, senders.length * SIZES.length);
	for (const [round, bytes] of SIZES.entries()) {
		for (const [index, { source, target }] of senders.entries()) {
			const kind = Buffer.alloc(KIND_BYTES);
			kind.set([...macBytes(target), ...macBytes(source)]);
			kind.writeUInt32LE(index, KIND_DEVICE);
			kind.writeInt32LE(bytes - FCS_BYTES - FRAME_BYTES, KIND_MORE);
			update(kinds, round * senders.length + index, kind);
		}
	}
	return kinds;
}

function devicesOf(senders: Sender[]): number {
	const devices = createMap(MAP_TYPE_DEVMAP, 4, senders.length);
	for (const [index, { path, ifname }] of senders.entries()) {
		const netns = openNetns(path);
		inNetns(netns, () => {
			const ifindex = Buffer.alloc(4);
			ifindex.writeUInt32LE(libc.ifNameToIndex(ifname));
			update(devices, index, ifindex);
		});
		libc.close(netns);
	}
	return devices;
}

/** Makes the next kind of frame, and sends it. */
function load(kindCount: number, kinds: number, devices: number): number {
	const count = createMap(MAP_TYPE_ARRAY, 8, 1);
	const lookUp = (map: number): bpf.Instruction[] => [
		{ code: STORE_U32, to: 10, from: 7, offset: -4 },
		{ code: bpf.MOVE, to: 2, from: 10 },
		{ code: bpf.ADD, to: 2, value: -4 },
		{ code: bpf.LOAD_MAP, to: 1, value: map },
		{ code: bpf.CALL, value: CALL_MAP_LOOKUP },
		{ code: bpf.JUMP_IF_VALUE, to: 0, value: 0, target: "drop" },
	];
	return bpf.loadXdp(
		bpf.assemble([
			{ code: bpf.MOVE, to: 6, from: 1 },
			{ code: bpf.SET, to: 7, value: 0 },
			...lookUp(count),
			{ code: LOAD_U64, to: 7, from: 0, offset: 0 },
			{ code: bpf.MOVE, to: 1, from: 7 },
			{ code: bpf.ADD, to: 1, value: 1 },
			{ code: bpf.STORE_U64, to: 0, from: 1, offset: 0 },
			{ code: MODULO, to: 7, value: kindCount },
			...lookUp(kinds),
			{ code: bpf.MOVE, to: 8, from: 0 },
			{ code: bpf.LOAD_U32, to: 2, from: 6, offset: 0 },
			{ code: bpf.LOAD_U32, to: 3, from: 6, offset: 4 },
			{ code: bpf.MOVE, to: 4, from: 2 },
			{ code: bpf.ADD, to: 4, value: 12 },
			{ code: bpf.JUMP_IF_ABOVE, to: 4, from: 3, target: "drop" },
			{ code: LOAD_U64, to: 1, from: 8, offset: 0 },
			{ code: bpf.STORE_U64, to: 2, from: 1, offset: 0 },
			{ code: bpf.LOAD_U32, to: 1, from: 8, offset: 8 },
			{ code: STORE_U32, to: 2, from: 1, offset: 8 },
			{ code: bpf.LOAD_U32, to: 2, from: 8, offset: KIND_MORE },
			{ code: bpf.JUMP_IF_VALUE, to: 2, value: 0, target: "send" },
			{ code: bpf.MOVE, to: 1, from: 6 },
			{ code: bpf.CALL, value: CALL_XDP_ADJUST_TAIL },
			{ code: bpf.LOAD_MAP, to: 1, value: devices, label: "send" },
			{ code: bpf.LOAD_U32, to: 2, from: 8, offset: KIND_DEVICE },
			{ code: bpf.SET, to: 3, value: 0 },
			{ code: bpf.CALL, value: CALL_REDIRECT_MAP },
			{ code: bpf.EXIT },
			{ code: bpf.SET, to: 0, value: XDP_DROP, label: "drop" },
			{ code: bpf.EXIT },
		]),
	);
}

const [file = "", ...rest] = process.argv.slice(2);
const senders: Sender[] = [];
while (rest.length >= 4) {
	const [path = "", ifname = "", source = "", target = ""] = rest.splice(0, 4);
	senders.push({ path, ifname, source, target });
}
const program = load(senders.length * SIZES.length, kindsOf(senders), devicesOf(senders));
const interfaces = new Set(senders.map(({ path, ifname }) => `${path} ${ifname}`)).size;
const delivery = interfaces === senders.length ? Math.min(DELIVERY_MAX, interfaces) : 1;
memory.writeUInt16BE(ETHERTYPE_EXPERIMENT, FRAME + 12);

function send(frames: number): void {
	call(PROG_TEST_RUN, "BPF_PROG_TEST_RUN", [
		[0, program],
		[8, FRAME_BYTES],
		[16, address(FRAME)],
		[32, frames],
		[64, TEST_XDP_LIVE_FRAMES],
		[72, delivery],
	]);
}

let rate = 0;
setInterval(() => {
	rate = Number(readFileSync(file, "latin1"));
}, LOOK_MS);
console.log("ready");
let dueFrames = 0;
for (let beforeMs = performance.now(); ; ) {
	const nowMs = performance.now();
	const pieces = Math.min((nowMs - beforeMs) / PIECE_MS, PIECES_LATE_MAX);
	beforeMs = nowMs;
	dueFrames += (pieces * PIECE_MS * rate * senders.length) / 1000;
	const frames = Math.floor(dueFrames / senders.length) * senders.length;
	if (frames > 0) send(frames);
	dueFrames -= frames;
	await sleep(Math.max(1, PIECE_MS - (performance.now() - nowMs)));
}
