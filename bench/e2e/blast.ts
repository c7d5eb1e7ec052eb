/**
 * The generator of frames, in a process inside the sender's namespace: `blast.js IFNAME SOURCE-MAC TARGET-MAC`.
 *
 * A message `{ bytes, rate, seconds }` is answered with `{ offered, seconds }`. Prepared messages go out with
 * sendmmsg(2), up to 64 with each call, so the time is the kernel's. Without a rate it is as fast as one core can. What
 * the kernel refuses because the queue is full counts as offered: it is a frame that was lost.
 */
import * as libc from "../../src/sys/libc.js";

/** What is to be sent. */
export interface Burst {
	/** Length on the wire with the checksum that hardware adds; 64 to 1518. */
	bytes: number;
	/** Frames per second; as many as there can be when absent. */
	rate?: number;
	seconds: number;
}

/** What was sent. */
export interface Blasted {
	offered: number;
	seconds: number;
}

const FCS_BYTES = 4;
const FRAME_BYTES_MAX = 1518;
const MESSAGES = 64;
const MMSGHDR_BYTES = 64;
const ETHERTYPE_EXPERIMENT = 0x88b5; // IEEE 802, local experimental
const SOL_PACKET = 263;
const PACKET_QDISC_BYPASS = 20;
const SOCKADDR_BYTES = 20;

const [ifname = "", source = "", target = ""] = process.argv.slice(2);

const socket = libc.socket(libc.AF_PACKET, libc.SOCK_RAW | libc.SOCK_CLOEXEC, 0);
libc.setsockopt(socket, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS", ifname);
const address = Buffer.alloc(SOCKADDR_BYTES); // struct sockaddr_ll
address.writeUInt16LE(libc.AF_PACKET, 0);
address.writeInt32LE(libc.ifNameToIndex(ifname), 4);
libc.bind(socket, address, ifname);

// One piece of memory for all that the kernel reads through addresses, large enough that V8 never moves it.
const memory = Buffer.alloc(16384);
const frame = memory.subarray(0, FRAME_BYTES_MAX);
Buffer.from(target.replaceAll(":", ""), "hex").copy(frame, 0);
Buffer.from(source.replaceAll(":", ""), "hex").copy(frame, 6);
frame.writeUInt16BE(ETHERTYPE_EXPERIMENT, 12);
const iovec = memory.subarray(2048, 2048 + 16);
const messages = memory.subarray(4096, 4096 + MESSAGES * MMSGHDR_BYTES);
const start = libc.addressOf(memory);
iovec.writeBigUInt64LE(BigInt(start), 0);
for (let i = 0; i < MESSAGES; i++) {
	messages.writeBigUInt64LE(BigInt(start + 2048), i * MMSGHDR_BYTES + 16);
	messages.writeBigUInt64LE(1n, i * MMSGHDR_BYTES + 24);
}
const at = start + 4096;

/** Offers up to `count` frames; answers how many were. A refused one ends the call. */
function offer(count: number): number {
	const sent = libc.sendmmsgAt(socket, at, count, 0);
	return sent < 0 ? 1 : Math.min(count, sent < count ? sent + 1 : sent);
}

function blast({ bytes, rate, seconds }: Burst): Blasted {
	iovec.writeBigUInt64LE(BigInt(bytes - FCS_BYTES), 8);
	const startMs = performance.now();
	const endMs = startMs + seconds * 1000;
	let offered = 0;
	for (let nowMs = startMs; nowMs < endMs; nowMs = performance.now()) {
		const due = rate === undefined ? MESSAGES : Math.floor(((nowMs - startMs) / 1000) * rate) - offered;
		if (due > 0) offered += offer(Math.min(due, MESSAGES));
	}
	return { offered, seconds: (performance.now() - startMs) / 1000 };
}

process.on("message", (burst: Burst) => process.send!(blast(burst)));
process.send!("ready");
