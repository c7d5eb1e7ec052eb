/**
 * A sender that offers more than is taken: `overload-tool.js IFNAME SOURCE-MAC TARGET-MAC FILE`, in the sender's
 * namespace, until it is ended. FILE has the rate in frames per second, which may change at any time. Frames of mixed
 * sizes (7 of 64, 4 of 594, 1 of 1518 bytes), a piece every 10 ms; none of them can be put together with its
 * neighbours. Prints, once a second, how many frames it has offered so far.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { FrameGenerator } from "../../src/raw/generator.js";

const SIZES = [64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 64, 594];
const PIECE_MS = 10;

const LOOK_MS = 200;

const [ifname = "", source = "", target = "", file = ""] = process.argv.slice(2);
const generator = new FrameGenerator(ifname, source, target);
let offered = 0;
let round = 0;
let rate = 0;
let dueFrames = 0;
setInterval(() => console.log(`offered ${offered}`), 1000);
setInterval(() => {
	rate = Number(readFileSync(file, "latin1"));
}, LOOK_MS);
for (let beforeMs = performance.now(); ; await sleep(PIECE_MS)) {
	const nowMs = performance.now();
	// Whoever was not scheduled for long does not make up for all of it at once.
	dueFrames = Math.min(dueFrames + ((nowMs - beforeMs) / 1000) * rate, (rate * PIECE_MS * 4) / 1000);
	beforeMs = nowMs;
	const bytes = SIZES[round++ % SIZES.length]!;
	if (dueFrames < 1) continue;
	const frames = generator.offer(bytes, Math.floor(dueFrames));
	offered += frames;
	dueFrames -= frames;
}
