/**
 * Process of `capture`: `capture-tool.js IFNAME` writes every frame of an interface to stdout until stdin ends, then
 * what is still queued, and ends. A record is u32 little endian length, u8 direction (1: sent by this side), and the
 * frame.
 */
import { writeSync } from "node:fs";
import { POLLIN, poll } from "../../src/sys/libc.js";
import { PacketSocket } from "./device.js";

const STDIN = 0;
const STDOUT = 1;
const socket = new PacketSocket(process.argv[2] ?? "");

function writeAll(bytes: Uint8Array): void {
	for (let at = 0; at < bytes.length; ) at += writeSync(STDOUT, bytes, at);
}

function drain(): void {
	for (let frame = socket.receive(); frame; frame = socket.receive()) {
		const head = new Uint8Array(5);
		new DataView(head.buffer).setUint32(0, frame.bytes.length, true);
		head[4] = frame.outgoing ? 1 : 0;
		writeAll(head);
		writeAll(frame.bytes);
	}
}

console.error("ready");
const pollfds = new Int16Array(Int32Array.of(socket.fd, POLLIN, STDIN, POLLIN).buffer);
for (;;) {
	poll(new Uint8Array(pollfds.buffer), -1);
	const isOver = pollfds[7] !== 0;
	drain();
	if (isOver) break;
}
