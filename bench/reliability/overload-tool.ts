/**
 * A sender that offers more than is taken: `overload-tool.js IFNAME SOURCE-MAC TARGET-MAC RATE`, in the sender's
 * namespace, until it is ended. Frames of mixed sizes (7 of 64, 4 of 594, 1 of 1518 bytes), a piece every 10
 * ms. Prints, once a second, how many frames it has offered so far.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { FrameGenerator } from "../../src/raw/generator.js";

const SIZES = [64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 64, 594];
const PIECE_MS = 10;

const [ifname = "", source = "", target = "", rate = "0"] = process.argv.slice(2);
const generator = new FrameGenerator(ifname, source, target);
let offered = 0;
let round = 0;
setInterval(() => console.log(`offered ${offered}`), 1000);
for (const startMs = performance.now(); ; await sleep(PIECE_MS)) {
	const due = Math.floor(((performance.now() - startMs) / 1000) * Number(rate)) - offered;
	// Whoever was not scheduled for long does not make up for all of it at once.
	const frames = Math.min(due, (Number(rate) * PIECE_MS * 4) / 1000);
	const bytes = SIZES[round++ % SIZES.length]!;
	if (frames > 0) offered += generator.offer(bytes, frames);
}
