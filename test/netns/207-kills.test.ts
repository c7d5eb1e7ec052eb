/**
 * kill -9 at random instants during random changes: what was acknowledged is kept, nothing is given twice, nothing is
 * left behind. `VLANE_KILLS=1000 VLANE_TEST_SECONDS=7200 npm test -- 207` runs a thousand, `VLANE_SEED=N` repeats the
 * choices of a run.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Kills, randomOf } from "../support/kills.js";
import { makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { startVlane } from "../support/vlane.js";

const KILLS = Number(process.env.VLANE_KILLS ?? 10);
const SEED = Number(process.env.VLANE_SEED ?? Date.now() % 1_000_000);

const kills = suite("kills");

testOrSkip(
	kills,
	`${KILLS} kills lose no acknowledged change, and leave nothing behind`,
	{ root: true, tun: true, tools: ["ip", "unshare"] },
	async () => {
		const lan = await makeLan();
		const vlane = await startVlane(lan.host, "--log-level=warn");
		const run = new Kills(vlane, lan.host, randomOf(SEED));
		const problems: string[] = [];
		while (run.counts.kills < KILLS) {
			const found = await run.round();
			problems.push(...found.map((text) => `kill ${run.counts.kills}: ${text}`));
			if (KILLS > 100 && run.counts.kills % 50 < 2) console.log(JSON.stringify({ ...run.counts, problems }));
		}
		console.log(`seed ${SEED}: ${JSON.stringify(run.counts)}`);
		run.close();
		await vlane.cleanup();
		lan.close();
		assert.equal(problems, [], `with VLANE_SEED=${SEED}`);
	},
);

kills.run();
