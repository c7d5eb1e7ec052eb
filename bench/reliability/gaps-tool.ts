/**
 * `node gaps-tool.js IFNAME MIN_MS`: watches what an interface receives, and prints each time in which nothing came, of
 * MIN_MS at least, as `END_MS LENGTH_MS` (END_MS since 1970). Looks as often as it can, and never sleeps.
 */
import { openSync, readSync } from "node:fs";

const [ifname = "eth0", minText = "5"] = process.argv.slice(2);
const minMs = Number(minText);
const file = openSync("/proc/self/net/dev", "r");
const buffer = Buffer.alloc(65536);
const pattern = new RegExp(`^ *${ifname}: *(\\d+)`, "m");

function received(): string {
	const bytes = readSync(file, buffer, 0, buffer.length, 0);
	return pattern.exec(buffer.toString("latin1", 0, bytes))?.[1] ?? "";
}

let last = received();
let lastMs = performance.now();
function look(): void {
	const now = received();
	if (now !== last) {
		const nowMs = performance.now();
		if (nowMs - lastMs >= minMs) console.log(`${Date.now()} ${(nowMs - lastMs).toFixed(1)}`);
		last = now;
		lastMs = nowMs;
	}
	setTimeout(look, 1);
}
console.log("watching");
look();
