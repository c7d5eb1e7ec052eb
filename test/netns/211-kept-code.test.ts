/** What V8 has compiled of the daemon is used again, and is never a reason not to start (src/cli/keptcode.ts). */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { type Lan, makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { startVlaneBehind, type Vlane } from "../support/vlane.js";

const tests = suite("kept code");
const need = { root: true, tun: true, tools: ["ip"] };
const KEPT_MS_MAX = 20_000;
/** Longer than a daemon takes until it keeps something. */
const QUIET_MS = 4000;

const cache = mkdtempSync(join(tmpdir(), "vlane-cache-"));
onCleanup(() => rmSync(cache, { recursive: true, force: true }));
let lan: Lan;
let vlane: Vlane;

/** Somebody else's. */
const OTHER = "other.code";

/** The one file that there is besides, once there is one that `isWanted`. */
async function kept(isWanted: (name: string) => boolean = () => true): Promise<string> {
	const endMs = performance.now() + KEPT_MS_MAX;
	for (;;) {
		const names = readdirSync(cache).filter((name) => name !== OTHER);
		if (names.length === 1 && isWanted(names[0]!)) return join(cache, names[0]!);
		assert.ok(performance.now() < endMs, `not kept, but there is: ${names}`);
		await sleep(100);
	}
}

tests.before(async () => {
	lan = await makeLan();
	vlane = await startVlaneBehind(["env", `CACHE_DIRECTORY=${cache}`], lan.host);
});

tests.after(async () => {
	await vlane.cleanup();
	lan.close();
});

async function restart(): Promise<void> {
	await vlane.stopDaemon("SIGKILL");
	await vlane.startDaemon();
	vlane.must("network", "ls");
}

testOrSkip(tests, "it is kept, for the owner only", need, async () => {
	assert.match(await kept(), /\.code$/);
	assert.is(statSync(await kept()).mode & 0o777, 0o600);
});

testOrSkip(tests, "V8 takes it: the next daemon has nothing new to keep", need, async () => {
	const { mtimeMs } = statSync(await kept());
	await restart();
	await sleep(QUIET_MS);
	assert.is(statSync(await kept()).mtimeMs, mtimeMs);
});

testOrSkip(tests, "damaged, cut short or empty, it is made anew", need, async () => {
	const path = await kept();
	const whole = readFileSync(path);
	const flipped = Buffer.from(whole);
	flipped[whole.length >> 1]! ^= 1;
	for (const damaged of [flipped, whole.subarray(0, whole.length - 100), Buffer.alloc(0)]) {
		writeFileSync(path, damaged);
		const { mtimeMs } = statSync(path);
		await restart();
		await kept((name) => statSync(join(cache, name)).mtimeMs !== mtimeMs);
	}
});

testOrSkip(tests, "that of another release goes", need, async () => {
	const own = await kept();
	rmSync(own);
	writeFileSync(join(cache, `${"0".repeat(64)}-v20.0.0-x64.code`), "old");
	writeFileSync(join(cache, OTHER), "other");
	await restart();
	assert.is(await kept((name) => !name.startsWith("000")), own);
});

testOrSkip(tests, "what is others' stays", need, () => {
	assert.is(readFileSync(join(cache, OTHER), "utf8"), "other");
});

testOrSkip(tests, "without a place for it, the daemon starts", need, async () => {
	const other = await startVlaneBehind(["env", "CACHE_DIRECTORY=/proc/vlane"], lan.host);
	await sleep(QUIET_MS);
	other.must("network", "ls");
	await other.cleanup();
});

tests.run();
