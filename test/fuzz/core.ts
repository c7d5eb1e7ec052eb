/**
 * Fuzzes the packet core, guided by coverage: the baseline build as C (wasm2c) below libFuzzer and AddressSanitizer.
 * test/fuzz/core/ has the program, the invariants that it checks on every frame, and a small corpus.
 *
 * `node scripts/run.mjs fuzz [SECONDS]` runs it, with a corpus that grows in .fuzz/. An input that breaks something
 * is left in .fuzz/; `.fuzz/fuzz FILE` shows it again.
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout, seen from dist/test/fuzz/. */
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const SOURCES = join(ROOT, "test/fuzz/core");
const INPUT_BYTES_MAX = 1500;
const SECONDS_DEFAULT = 600;
/** What is kept of what a program says; its beginning, which says how many branches there are, among it. */
const OUTPUT_MAX = 100_000;
const OUTPUT_HEAD = 10_000;

/** What building takes, besides libFuzzer and AddressSanitizer. */
export const FUZZ_TOOLS = ["make", "clang", "wasm2c"];
export const CORPUS = join(SOURCES, "corpus");

/** What a run says about itself. */
export interface FuzzReport {
	/** Exit status; not 0 when something broke. */
	status: number;
	output: string;
	/** Frames forwarded. */
	frames: number;
	/** Branches of the core that were taken, and all that it has (those that drive io_uring are not reached). */
	edges: number;
	edgesTotal: number;
}

function run(argv: string[], env: NodeJS.ProcessEnv = {}): Promise<{ status: number; output: string }> {
	return new Promise((resolve, reject) => {
		const [command = "", ...rest] = argv;
		const child = spawn(command, rest, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
		let output = "";
		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding("utf8").on("data", (text: string) => {
				output += text;
				if (output.length > OUTPUT_MAX) output = output.slice(0, OUTPUT_HEAD) + output.slice(OUTPUT_HEAD - OUTPUT_MAX);
			});
		}
		child.on("error", reject);
		child.on("close", (status) => resolve({ status: status ?? 1, output }));
	});
}

/** Builds the program in a directory; answers its path. @throws Error with the compiler's words */
export async function buildFuzzer(directory: string): Promise<string> {
	const { status, output } = await run(["make", "-s", "-C", SOURCES, `OUT=${directory}`, join(directory, "fuzz")]);
	if (status !== 0) throw new Error(`the fuzzer does not build:\n${output}`);
	return join(directory, "fuzz");
}

/**
 * Runs the inputs of `corpora`, then new ones for `seconds`; 0: only those that are there.
 * @param corpora directories; new inputs go to the first one
 */
export async function fuzzCore(program: string, corpora: string[], seconds: number): Promise<FuzzReport> {
	const limits = [`-max_len=${INPUT_BYTES_MAX}`, `-artifact_prefix=${join(program, "..")}/`];
	const until = seconds === 0 ? "-runs=0" : `-max_total_time=${seconds}`;
	// The memory is allocated once: freed memory need not be kept for long.
	const env = { ASAN_OPTIONS: "quarantine_size_mb=16" };
	const { status, output } = await run([program, ...limits, until, ...corpora], env);
	const last = (pattern: RegExp): number => Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0);
	return {
		status,
		output,
		frames: last(/^frames: (\d+)$/gm),
		edges: last(/ cov: (\d+)/g),
		edgesTotal: last(/ PC tables \((\d+) PCs\)/g),
	};
}

async function main(): Promise<void> {
	const seconds = Number(process.argv[2] ?? SECONDS_DEFAULT);
	const directory = join(ROOT, ".fuzz");
	const grown = join(directory, "corpus");
	mkdirSync(grown, { recursive: true });
	const report = await fuzzCore(await buildFuzzer(directory), [grown, CORPUS], seconds);
	if (report.status !== 0) console.error(report.output);
	const { frames, edges, edgesTotal, status } = report;
	console.log(`${frames} frames, ${edges} of ${edgesTotal} branches, ${status === 0 ? "nothing broke" : "BROKEN"}`);
	process.exitCode = status;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
