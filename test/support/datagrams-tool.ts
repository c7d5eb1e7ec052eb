/**
 * Process of `sendDatagrams`: `datagrams-tool.js sink FAMILY PORT` prints at SIGTERM how many datagrams have come, and
 * how many of them were not what was sent; `datagrams-tool.js source ADDRESS PORT COUNT` sends so many pieces of up
 * to 64 KiB that the kernel is to cut into datagrams (UDP_SEGMENT, udp(7)).
 */
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";
import ipaddr from "ipaddr.js";
import { AF_INET, AF_INET6, check, connect, SOCK_DGRAM, send, setsockopt, socket } from "../../src/sys/libc.js";

const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const DATAGRAM_BYTES = 1200;
const LAST_BYTES = 77;
const AT_ONCE = 40;
const SINK_BUFFER_BYTES = 8 << 20;
const [role, ...rest] = process.argv.slice(2);

/** Datagram `number`: the number, and what follows from it. */
function datagram(number: number, bytes: number): Buffer {
	const made = Buffer.alloc(bytes);
	const seed = createHash("sha256").update(`${number}`).digest();
	for (let at = 0; at < bytes; at += seed.length) seed.copy(made, at);
	made.writeUInt32BE(number);
	return made;
}

function sink(family: "udp4" | "udp6", port: number): void {
	const seen = new Set<number>();
	let wrong = 0;
	const receiver = createSocket({ type: family, recvBufferSize: SINK_BUFFER_BYTES });
	receiver.on("message", (bytes) => {
		const number = bytes.length < 4 ? -1 : bytes.readUInt32BE();
		const isLast = number % AT_ONCE === AT_ONCE - 1;
		if (number < 0 || !bytes.equals(datagram(number, isLast ? LAST_BYTES : DATAGRAM_BYTES))) wrong++;
		else seen.add(number);
	});
	receiver.bind(port, () => console.log("listening"));
	process.on("SIGTERM", () => {
		console.log(JSON.stringify({ received: seen.size, wrong }));
		process.exit(0);
	});
}

function sockaddr(address: string, port: number): Buffer {
	const bytes = ipaddr.parse(address).toByteArray();
	const made = Buffer.alloc(bytes.length === 4 ? 16 : 28); // struct sockaddr_in, sockaddr_in6
	made.writeUInt16LE(bytes.length === 4 ? AF_INET : AF_INET6);
	made.writeUInt16BE(port, 2);
	made.set(bytes, bytes.length === 4 ? 4 : 8);
	return made;
}

async function source(address: string, port: number, count: number): Promise<void> {
	const fd = socket(address.includes(":") ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	connect(fd, sockaddr(address, port), address);
	setsockopt(fd, SOL_UDP, UDP_SEGMENT, DATAGRAM_BYTES, "UDP_SEGMENT", address);
	for (let piece = 0; piece < count; piece++) {
		const parts = Array.from({ length: AT_ONCE }, (_, index) =>
			datagram(piece * AT_ONCE + index, index === AT_ONCE - 1 ? LAST_BYTES : DATAGRAM_BYTES),
		);
		check(send(fd, Buffer.concat(parts), 0), "send", address);
		await sleep(2); // what the receiver has no room for is lost, and that is not what is looked for
	}
	console.log(count * AT_ONCE);
}

if (role === "sink") sink(rest[0] === "6" ? "udp6" : "udp4", Number(rest[1]));
else await source(rest[0] ?? "", Number(rest[1]), Number(rest[2]));
