/** The measuring tools measure something on any machine: no figure is judged here. */
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { testOrSkip } from "../support/needs.js";
import { run } from "../support/netns.js";

const BIN = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
const program = (name: string) => fileURLToPath(new URL(`../../bench/${name}.js`, import.meta.url));
const bench = suite("measuring tools");

testOrSkip(bench, "vlane bench says what this machine does, and what limits it", { root: true, tun: true }, () => {
	const { status, stdout, stderr } = run([process.execPath, BIN, "bench"]);
	assert.is(status, 0, stderr);
	for (const row of ["packet core", "64-byte frames", "one TCP stream", "round trip"])
		assert.ok(stdout.includes(row), row);
	assert.match(stdout, /, Linux \S+, Node \S+\n/);
	assert.match(stdout, /[1-9][\d,]* frames\/s/);
	assert.match(stdout, /the core takes \d+ %/);
	assert.not.match(stdout, /NaN|Infinity|undefined/);
});

const peers = ["vlane", "c-loop"];
const need = { root: true, tun: true, tools: ["ip", "ping", "iperf3", "cc"] };
testOrSkip(bench, "the benchmark of whole paths compares peers", need, () => {
	const argv = [program("e2e"), "--rounds=1", "--seconds=0.2", `--only=${peers}`, "--cases=ping,tcp,frames"];
	const { status, stdout, stderr } = run([process.execPath, ...argv]);
	assert.is(status, 0, stderr);
	for (const peer of peers) assert.ok(stdout.includes(`| ${peer} `), stdout);
	assert.is(stdout.match(/\| vlane \/ c-loop /g)?.length, 3);
});

bench("each program says what there is to type, and what there is not", () => {
	for (const name of ["core", "e2e", "profile", "capture", "firmware"]) {
		const help = run([process.execPath, program(name), "--help"]);
		assert.equal([help.status, help.stderr], [0, ""], name);
		assert.match(help.stdout, /^usage: .*\n\n {2}--/, name);
		const typo = run([process.execPath, program(name), "--roundz=1"]);
		assert.equal([typo.status, typo.stdout], [2, ""], name);
		assert.is(typo.stderr, "Unknown option '--roundz'; --help says what there is\n", name);
	}
});

bench.run();
