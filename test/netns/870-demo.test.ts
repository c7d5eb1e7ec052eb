/** `vlane demo`, which `npm start` runs: the tutorial types itself, and everything holds. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { testOrSkip } from "../support/needs.js";
import { start } from "../support/netns.js";
import { MAIN } from "../support/vlane.js";

const demo = suite("demo");

testOrSkip(demo, "everything that it claims holds", { root: true, tun: true }, async () => {
	const { status, stdout, stderr } = await start([process.execPath, MAIN, "demo"]).ended;
	assert.is(status, 0, `${stdout}\n${stderr}`);
	assert.match(stdout, /(\d+) of \1 held/);
});

demo.run();
