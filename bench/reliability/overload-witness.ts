/**
 * A process that has nothing to do but to wake up and to answer, for comparison: `overload-witness.js SOCKET`. What it
 * is late by is the machine's. Answers JSON:
 *
 *   GET /      lateMs: a timer wakes it every ten milliseconds; the latest waking since somebody has asked before
 *   GET /tap   closeMs: how long the kernel takes to remove a TAP device, up and with an address, when its descriptor
 *              is closed; in another thread, as the daemon does it
 */
import { execFileSync } from "node:child_process";
import { close } from "node:fs";
import { createServer } from "node:http";
import { inNetns, newNetns } from "../../src/sys/netns.js";
import { openTap } from "../../src/tap/tap.js";

const EVERY_MS = 10;
const TAP = "witness0";
const ADDRESS = "198.18.0.1/24";

const [socket = ""] = process.argv.slice(2);
const netns = newNetns();
let lateMs = 0;
const wait = (dueMs: number): void => {
	setTimeout(() => {
		const nowMs = performance.now();
		lateMs = Math.max(lateMs, nowMs - dueMs);
		wait(nowMs + EVERY_MS);
	}, EVERY_MS);
};

async function removeTap(): Promise<object> {
	const { fd } = openTap({ name: TAP, netnsFd: netns, persist: false });
	inNetns(netns, () => execFileSync("ip", ["address", "add", ADDRESS, "dev", TAP]));
	inNetns(netns, () => execFileSync("ip", ["link", "set", TAP, "up"]));
	const startMs = performance.now();
	await new Promise<void>((resolve) => close(fd, () => resolve()));
	return { closeMs: performance.now() - startMs };
}

wait(performance.now() + EVERY_MS);
createServer(async ({ url }, response) => {
	const answer = url === "/tap" ? await removeTap() : { lateMs };
	if (url !== "/tap") lateMs = 0;
	response.end(JSON.stringify(answer));
}).listen(socket, () => console.log("ready"));
