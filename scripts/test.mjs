/**
 * Runs the compiled test files, each in a process of its own: `node scripts/test.mjs [PATTERN...]`. A pattern is a part
 * of a file's name.
 *
 * Two files run side by side: while one waits, the other has the processors. uvu alone says nothing about a file that
 * forgets `.run()`, runs no test, or dies half way: here each of these is a failure.
 * VLANE_TEST_STRICT=1 turns skipped tests into failures.
 *
 * What failed is said again at the end, where it is found in the longest log; the last line is always
 * `N passed, N failed, N skipped`.
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** VLANE_TEST_SECONDS: for the long versions of some tests. */
const FILE_SECONDS_MAX = Number(process.env.VLANE_TEST_SECONDS || 600);
/** How long a test file that is told to end has for taking its namespaces and processes away. */
const CLEANUP_SECONDS_MAX = 20;
const STRICT = process.env.VLANE_TEST_STRICT === "1";
const AT_ONCE = Math.min(2, availableParallelism());
/** What needs no privilege first: it says soonest what is wrong. */
const STAGES = [["unit", "cli"], ["netns"]];

/** Process groups under way, so that an interrupted run takes its tests along. */
const running = new Set();
let stopping = false;

function testFiles(directory) {
	const path = join(root, "dist/test", directory);
	if (!existsSync(path)) return [];
	const names = readdirSync(path, { recursive: true }).filter((name) => name.endsWith(".test.js"));
	return names.sort().map((name) => join(path, name));
}

function kill(child, signal) {
	try {
		process.kill(-child.pid, signal);
	} catch (error) {
		if (error.code !== "ESRCH") throw error;
	}
}

/** Runs one file; resolves with what it printed and how it ended, whatever it does. */
function runFile(file) {
	return new Promise((resolve) => {
		const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" };
		const child = spawn(process.execPath, ["--enable-source-maps", file], {
			cwd: root,
			env,
			stdio: ["ignore", "pipe", "pipe"],
			detached: true,
		});
		running.add(child);
		let output = "";
		let timedOut = false;
		let hardKill;
		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding("utf8").on("data", (text) => {
				output += text;
			});
		}
		const timer = setTimeout(() => {
			timedOut = true;
			kill(child, "SIGTERM");
			hardKill = setTimeout(() => kill(child, "SIGKILL"), CLEANUP_SECONDS_MAX * 1000);
		}, FILE_SECONDS_MAX * 1000);
		child.on("exit", (status, signal) => {
			clearTimeout(timer);
			clearTimeout(hardKill);
			running.delete(child);
			// Processes that the test left behind hold its pipes open; without them "close" would not come.
			kill(child, "SIGKILL");
			const done = () => resolve({ output, status, signal, timedOut });
			const giveUp = setTimeout(done, 500);
			child.on("close", () => {
				clearTimeout(giveUp);
				done();
			});
		});
	});
}

function lastNumber(output, label) {
	const matches = [...output.matchAll(new RegExp(`^ {2}${label}: +(\\d+)$`, "gm"))];
	return matches.length > 0 ? Number(matches.at(-1)[1]) : undefined;
}

/** What a file's run counts as, with the reason where it is more than what uvu said. */
function judge({ output, status, signal, timedOut }) {
	const total = lastNumber(output, "Total");
	const passed = lastNumber(output, "Passed") ?? 0;
	const skipped = lastNumber(output, "Skipped") ?? 0;
	if (timedOut) return { passed, failed: 1, skipped, problem: `took longer than ${FILE_SECONDS_MAX} s` };
	if (total === undefined) {
		return {
			passed: 0,
			failed: 1,
			skipped: 0,
			problem: `no summary (${signal ?? `status ${status}`}): crashed or forgot .run()`,
		};
	}
	if (total + skipped === 0) return { passed, failed: 1, skipped, problem: "ran no test" };
	const failed = total - passed;
	if (failed > 0 && status === 0)
		return { passed, failed, skipped, problem: `${failed} tests never ran: a before hook threw` };
	if (failed === 0 && status !== 0)
		return { passed, failed: 1, skipped, problem: `tests passed, then ended with ${signal ?? `status ${status}`}` };
	if (STRICT && skipped > 0)
		return { passed, failed: failed + skipped, skipped: 0, problem: `${skipped} tests were skipped` };
	return { passed, failed, skipped };
}

const totals = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

/** The tests of a file that failed, each with the line that says why. */
function said(output) {
	return [...output.matchAll(/^ {3}FAIL {2}.*\n.*$/gm)].map(([lines]) => lines.replace(/^/gm, "    "));
}

async function report(file) {
	const started = Date.now();
	const run = await runFile(file);
	const { passed, failed, skipped, problem } = judge(run);
	totals.passed += passed;
	totals.failed += failed;
	totals.skipped += skipped;
	const name = relative(join(root, "dist"), file).replace(/\.js$/, "");
	const seconds = ((Date.now() - started) / 1000).toFixed(1);
	const counts = [`${passed} passed`, failed && `${failed} failed`, skipped && `${skipped} skipped`]
		.filter(Boolean)
		.join(", ");
	const result = `${name} (${seconds} s): ${counts}${problem ? `; ${problem}` : ""}`;
	console.log(`${failed > 0 ? "FAIL" : "ok  "} ${result}`);
	if (failed > 0) {
		console.log(run.output.replace(/^/gm, "    "));
		failures.push(`FAIL ${result}`, ...said(run.output));
	} else for (const [line] of run.output.matchAll(/^skipped: .*$/gm)) console.log(`     ${line}`);
}

async function runStage(directories, wanted) {
	const queue = directories.flatMap(testFiles).filter(wanted);
	const work = async () => {
		for (let file = queue.shift(); file && !stopping; file = queue.shift()) await report(file);
	};
	await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** Ends what runs, giving it time to clean up after itself, then ends with the status of the signal. */
async function interrupted(signal) {
	stopping = true;
	const ended = [...running].map((child) => new Promise((resolve) => child.on("exit", resolve)));
	for (const child of running) kill(child, "SIGTERM");
	setTimeout(() => {
		for (const child of running) kill(child, "SIGKILL");
	}, CLEANUP_SECONDS_MAX * 1000);
	await Promise.all(ended);
	process.exit(128 + constants.signals[signal]);
}

process.on("SIGINT", interrupted).on("SIGTERM", interrupted);

const patterns = process.argv.slice(2);
const wanted = (file) => patterns.length === 0 || patterns.some((pattern) => relative(root, file).includes(pattern));
for (const stage of STAGES) await runStage(stage, wanted);
if (totals.passed + totals.failed + totals.skipped === 0) {
	console.log(`no test file matches ${patterns.join(" ") || "dist/test"}`);
	totals.failed = 1;
}
for (const line of failures) console.log(line);
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed > 0 ? 1 : 0;
