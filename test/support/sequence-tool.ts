/**
 * Numbered datagrams: `node sequence-tool.js send ADDRESS PORT COUNT` sends one each millisecond, as well as timers
 * can, and `node sequence-tool.js receive PORT` prints at SIGTERM how many different ones have come, and how many
 * twice. The receiver has room for all of them: none is lost because it is late.
 */
import { createSocket } from "node:dgram";
import * as libc from "../../src/sys/libc.js";
import { FdPoller } from "../../src/sys/poller.js";

const SO_RCVBUFFORCE = 33;
const BUFFER_BYTES = 1 << 26;

const [command, ...rest] = process.argv.slice(2);

if (command === "send") {
	const socket = createSocket("udp4");
	const [address = "", port = "", count = "0"] = rest;
	const startMs = performance.now();
	let next = 0;
	const timer = setInterval(() => {
		const due = Math.min(performance.now() - startMs, Number(count));
		for (; next < due; next++) {
			const bytes = Buffer.alloc(100);
			bytes.writeUInt32BE(next);
			socket.send(bytes, Number(port), address, () => undefined);
		}
		if (next < Number(count)) return;
		clearInterval(timer);
		setTimeout(() => socket.close(), 100);
	}, 1);
} else {
	const seen = new Set<number>();
	let twice = 0;
	const fd = libc.socket(libc.AF_INET, libc.SOCK_DGRAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC, 0);
	libc.setsockopt(fd, libc.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES, "SO_RCVBUFFORCE", "receiver");
	const address = Buffer.alloc(16);
	address.writeUInt16LE(libc.AF_INET, 0);
	address.writeUInt16BE(Number(rest[0]), 2);
	libc.bind(fd, address, `port ${rest[0]}`);
	const bytes = Buffer.alloc(2048);
	const take = () => {
		while (libc.recv(fd, bytes, 0) >= 4) {
			const number = bytes.readUInt32BE(0);
			if (seen.has(number)) twice++;
			seen.add(number);
		}
	};
	const poller = new FdPoller();
	poller.watch(fd, libc.POLLIN, () => {
		take();
		poller.rearm(fd);
	});
	poller.rearm(fd);
	setInterval(() => undefined, 1000); // The watch does not keep the process alive.
	console.log("receiving");
	process.on("SIGTERM", () => {
		take();
		console.log(JSON.stringify({ received: seen.size, twice }));
		process.exit(0);
	});
}
