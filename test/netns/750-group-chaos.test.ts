/**
 * Three hosts and three members of etcd, changes on all hosts at once, and faults of every kind: nothing is given
 * twice, lost or left behind. `node dist/bench/reliability/group.js` is the long version; `VLANE_SEED=N` repeats
 * choices.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { ETCD } from "../support/etcd.js";
import { makeGroup } from "../support/group.js";
import { Chaos } from "../support/groupchaos.js";
import { randomOf } from "../support/kills.js";
import { testOrSkip } from "../support/needs.js";

const SEED = Number(process.env.VLANE_SEED ?? Date.now() % 1_000_000);
const ENDPOINTS_EACH = 12;
const FAULT_SECONDS = 8;

const chaos = suite("group chaos");
const need = { ...ETCD, tools: [...(ETCD.tools ?? []), "tcpdump"] };

testOrSkip(chaos, "kills, freezes and cuts give no address twice, and lose none", need, async () => {
	const directory = mkdtempSync(join(tmpdir(), "vlane-chaos-"));
	const forget = onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	const group = await makeGroup({ members: 3, hosts: 3, daemon: ["--log-level=error"] });
	const run = new Chaos(group, randomOf(SEED), ENDPOINTS_EACH, directory);
	await run.start();
	await run.run(FAULT_SECONDS, true);
	const problems = [...(await run.check()), ...(await run.clear())];
	console.log(`seed ${SEED}: ${JSON.stringify(run.counts)}`);
	assert.equal(problems, [], `with VLANE_SEED=${SEED}`);
	assert.ok(run.counts.acknowledged > 0 && run.counts.heard > 0, JSON.stringify(run.counts));
	await run.close();
	await group.close();
	forget();
});

chaos.run();
