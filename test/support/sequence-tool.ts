/**
 * Numbered datagrams: `node sequence-tool.js send ADDRESS PORT COUNT` sends one each millisecond, as well as timers
 * can, and `node sequence-tool.js receive PORT` prints at SIGTERM how many different ones have come, how many twice.
 */
import { createSocket } from "node:dgram";

const [command, ...rest] = process.argv.slice(2);
const socket = createSocket("udp4");

if (command === "send") {
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
	socket.on("message", (bytes) => {
		const number = bytes.readUInt32BE(0);
		if (seen.has(number)) twice++;
		seen.add(number);
	});
	socket.bind(Number(rest[0]), () => console.log("receiving"));
	process.on("SIGTERM", () => {
		console.log(JSON.stringify({ received: seen.size, twice }));
		process.exit(0);
	});
}
