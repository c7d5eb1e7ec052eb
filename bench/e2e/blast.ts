/**
 * Sends minimum-size frames as fast as one core can, from inside a namespace: `node blast.js IFNAME DST-MAC SECONDS`.
 *
 * 64 prepared messages go out with each sendmmsg(2), so the time is the kernel's. Prints the number of frames that were
 * sent.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as libc from "../../src/sys/libc.js";

const FRAME_BYTES = 60;
const MESSAGES = 64;
const MMSGHDR_BYTES = 64;
const ETHERTYPE_EXPERIMENT = 0x88b5; // IEEE 802, local experimental
const SOL_PACKET = 263;
const PACKET_QDISC_BYPASS = 20;
const SOCKADDR_BYTES = 20;

const [ifname = "", target = "", seconds = "1"] = process.argv.slice(2);

const socket = libc.socket(libc.AF_PACKET, libc.SOCK_RAW | libc.SOCK_CLOEXEC, 0);
libc.setsockopt(socket, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS", ifname);
const address = Buffer.alloc(SOCKADDR_BYTES); // struct sockaddr_ll
address.writeUInt16LE(libc.AF_PACKET, 0);
address.writeInt32LE(libc.ifNameToIndex(ifname), 4);
libc.bind(socket, address, ifname);

// One large buffer: V8 keeps small ones in its own heap and moves them, which the kernel would not know.
const MESSAGES_BYTES = MESSAGES * MMSGHDR_BYTES;
const IOVEC_BYTES = 16;
const memory = Buffer.alloc(MESSAGES_BYTES + IOVEC_BYTES + FRAME_BYTES);
const at = libc.addressOf(memory);

const frame = memory.subarray(MESSAGES_BYTES + IOVEC_BYTES);
Buffer.from(target.replaceAll(":", ""), "hex").copy(frame, 0);
Buffer.from("020000000099", "hex").copy(frame, 6);
frame.writeUInt16BE(ETHERTYPE_EXPERIMENT, 12);

memory.writeBigUInt64LE(BigInt(at + MESSAGES_BYTES + IOVEC_BYTES), MESSAGES_BYTES);
memory.writeBigUInt64LE(BigInt(FRAME_BYTES), MESSAGES_BYTES + 8);
for (let i = 0; i < MESSAGES; i++) {
	memory.writeBigUInt64LE(BigInt(at + MESSAGES_BYTES), i * MMSGHDR_BYTES + 16);
	memory.writeBigUInt64LE(1n, i * MMSGHDR_BYTES + 24);
}

await sleep(10);
const endMs = performance.now() + Number(seconds) * 1000;
let sent = 0;
while (performance.now() < endMs) {
	for (let i = 0; i < 16; i++) sent += Math.max(0, libc.sendmmsgAt(socket, at, MESSAGES, 0));
}
console.log(sent);
