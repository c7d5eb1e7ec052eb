/** The packet core under the fuzzer: its corpus, then new inputs. `VLANE_FUZZ_SECONDS=N` looks for longer. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildFuzzer, CORPUS, FUZZ_TOOLS, fuzzCore } from "../fuzz/core.js";
import { onCleanup } from "../support/cleanup.js";
import { testOrSkip } from "../support/needs.js";

const SECONDS = Number(process.env.VLANE_FUZZ_SECONDS ?? 3);
const CORPUS_BYTES_MAX = 200_000;
/** Of all branches; what drives io_uring and AF_XDP is another third, and not reached. */
const EDGES_SHARE_MIN = 0.22;

const tests = suite("fuzz core");

testOrSkip(
	tests,
	"no invariant breaks, with the corpus and with new inputs",
	{ tools: FUZZ_TOOLS, fuzzer: true },
	async () => {
		const directory = mkdtempSync(join(tmpdir(), "vlane-fuzz-"));
		onCleanup(() => rmSync(directory, { recursive: true, force: true }));
		const program = await buildFuzzer(directory);
		const known = await fuzzCore(program, [CORPUS], 0);
		assert.is(known.status, 0, known.output);
		assert.ok(known.frames > readdirSync(CORPUS).length, `${known.frames} frames`);
		assert.ok(known.edges > known.edgesTotal * EDGES_SHARE_MIN, `${known.edges} of ${known.edgesTotal} branches`);
		const fresh = mkdtempSync(join(directory, "corpus-"));
		const found = await fuzzCore(program, [fresh, CORPUS], SECONDS);
		assert.is(found.status, 0, found.output);
	},
);

tests("the corpus stays small", () => {
	const bytes = readdirSync(CORPUS).map((name) => statSync(join(CORPUS, name)).size);
	assert.ok(bytes.reduce((sum, size) => sum + size, 0) < CORPUS_BYTES_MAX);
});

tests.run();
