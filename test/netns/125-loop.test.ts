/**
 * What the thread's loop costs JavaScript: it is compiled before there are frames, no object is made for a frame, and a
 * thread without frames is not woken up. A small object for each batch would not be seen: a batch has some thirty
 * frames.
 */
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";

const NEED = { root: true, tun: true, tools: ["ip"] };
const TOOL = fileURLToPath(new URL("../support/loop-tool.js", import.meta.url));
const FRAMES = Number(process.env.VLANE_LOOP_FRAMES ?? 1_000_000);
/** V8 collects whenever its space for young objects is full: with this, after about as many bytes. */
const YOUNG_BYTES = 1 << 20;
/** The smallest object that V8 makes has 12 bytes, with the pointers of Node's builds 16. */
const OBJECT_BYTES = 12;

const tests = suite("loop");

interface Moved {
	frames: number;
	batches: number;
	wakeups: number;
	/** How often memory was collected in the thread that forwards. */
	collections: number;
	/** How often V8 compiled the loop, and how often it went back to interpreting it. */
	compiled: number;
	interpreted: number;
}

/** Moves frames in a process whose collections and compilations are traced by V8. */
function move(frames: number): Moved {
	const ns = new Namespace("loop");
	try {
		ns.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
		const flags = ["--trace-gc", "--trace-opt", "--trace-deopt", "--max-semi-space-size=1"];
		const lines = ns
			.must([process.execPath, ...flags, TOOL, `${frames}`])
			.trimEnd()
			.split("\n");
		// [PID:HEAP] MS: Scavenge ...: the process's first thread loads most and collects first.
		const heaps = lines.flatMap((line) => /^\[\d+:(0x[0-9a-f]+)\]/.exec(line)?.[1] ?? []);
		const collections = heaps.filter((heap) => heap !== heaps[0]).length;
		const count = (what: RegExp): number => lines.filter((line) => what.test(line)).length;
		// The loop and a turn of it: V8 compiles either alone, or the loop with the turn in it, whichever it finds hot first.
		const compiled = count(/completed optimizing .*<JSFunction (run|turn) /);
		const interpreted = count(/bailout .*deoptimizing .*<JSFunction (run|turn) /);
		const moved = JSON.parse(lines.find((line) => line.startsWith("{")) ?? "");
		// Seen when the test fails.
		console.log(lines.filter((line) => /JSFunction (run|turn) |^\{/.test(line)).join("\n"));
		return { ...moved, collections, compiled, interpreted };
	} finally {
		ns.close();
	}
}

testOrSkip(tests, "no object is made for a frame, and nobody is woken up without one", NEED, () => {
	const few = move(1000);
	const many = move(FRAMES);
	console.log(`loop: ${JSON.stringify({ few, many })}`);
	assert.ok(many.frames >= FRAMES);
	const collected = (many.collections - few.collections + 1) * YOUNG_BYTES;
	assert.ok(collected < many.frames * OBJECT_BYTES, `about ${collected} bytes for ${many.frames} frames`);
	assert.is(few.wakeups, 0);
	assert.is(many.wakeups, 0);
	for (const { compiled, interpreted } of [few, many]) {
		// Newer versions of V8 compile in two steps.
		assert.ok(compiled > 0);
		assert.is(interpreted, 0);
	}
});

tests.run();
