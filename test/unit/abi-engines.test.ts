/**
 * The same frames through every build of the core in every engine: V8 with the release, debug and baseline builds, the
 * baseline translated to C by wasm2c, and the baseline in an interpreter. Verdicts, output frames, counters and tables
 * are the same in each byte.
 *
 * VLANE_C_API=/path/to/libwasmtime.so adds an engine with WebAssembly's standard C interface (examples/c-api).
 * VLANE_FRAMES=1000000 sets the number of frames, VLANE_SEED=N the first of the random switches, each of which gets
 * FRAMES_EACH frames.
 */
import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildProgram, compileCores, coreOf, NATIVE_ENGINES, Replayer, TOOLS } from "../support/firmware.js";
import { needs, testOrSkip } from "../support/needs.js";
import { makeScript } from "../support/traffic.js";

const FRAMES = Number(process.env.VLANE_FRAMES ?? 100_000);
const FIRST_SEED = Number(process.env.VLANE_SEED ?? 1);
const FRAMES_EACH = 10_000;
const OUTPUT_BYTES_MAX = 1 << 30;

const engines = suite("engines");

/** Fails with the place of the first difference. */
function same(name: string, seed: number, actual: Buffer, expected: Buffer): void {
	if (actual.equals(expected)) return;
	let at = 0;
	while (at < Math.min(actual.length, expected.length) && actual[at] === expected[at]) at++;
	const lengths = `${actual.length} bytes, release has ${expected.length}`;
	assert.unreachable(`${name} differs from release at byte ${at} (${lengths}): VLANE_SEED=${seed} VLANE_FRAMES=1`);
}

function replay([program, ...argv]: string[], script: Buffer): Buffer {
	const ran = spawnSync(program!, argv, { input: script, maxBuffer: OUTPUT_BYTES_MAX });
	assert.is(ran.status, 0, `${program}: ${ran.error?.message ?? ran.stderr.toString()}`);
	return ran.stdout;
}

/** Compares with the engines of the names given; answers how many frames and bytes were the same. */
function compare(programs: Map<string, string[]>, frames: number): { frames: number; bytes: number } {
	const modules = compileCores();
	const total = { frames: 0, bytes: 0 };
	for (let seed = FIRST_SEED; total.frames < frames; seed++) {
		const reference = new Replayer("release", modules);
		const script = makeScript(seed, FRAMES_EACH, reference).view();
		const expected = reference.out.view();
		for (const build of ["debug", "baseline"] as const) {
			const replayer = new Replayer(build, modules);
			replayer.run(script);
			same(`V8 ${build}`, seed, replayer.out.view(), expected);
		}
		for (const [name, program] of programs) same(name, seed, replay(program, script), expected);
		total.frames += FRAMES_EACH;
		total.bytes += expected.length;
	}
	return total;
}

const tools = [...new Set(NATIVE_ENGINES.flatMap((engine) => TOOLS[engine].tools ?? []))];

testOrSkip(
	engines,
	`${NATIVE_ENGINES.join(", ")} and three builds in V8 agree over ${FRAMES} frames`,
	{ tools },
	() => {
		const programs = new Map(
			NATIVE_ENGINES.map((engine) => [engine, [buildProgram(engine, "replay"), coreOf(engine)]]),
		);
		const { frames, bytes } = compare(programs, FRAMES);
		console.log(`${frames} frames, ${bytes} bytes of output, the same in ${programs.size + 3} engines`);
	},
);

if (needs({ tools }) !== undefined) {
	engines("without the tools: three builds in V8 agree", () => {
		compare(new Map(), FRAMES);
	});
}

engines.run();
