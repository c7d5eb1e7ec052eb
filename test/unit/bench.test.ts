/** The benchmark's judgement: ratios are those of one round, and what misses its floor is named. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { judge } from "../../bench/e2e/floors.js";
import { report } from "../../bench/e2e/report.js";
import { Results, type Sample } from "../../bench/e2e/samples.js";
import { panelsSvg } from "../../bench/e2e/svg.js";

const bench = suite("bench");

function sample(round: number, peer: string, name: string, values: Sample["values"]): Sample {
	const about = { vlane: "0.0.0", commit: "c", cpu: "CPU", kernel: "6", node: "20" };
	return { run: "2026-01-01T00:00:00Z", round, peer, case: name, seconds: 1, stolenShare: 0, ...about, values };
}

const floods = (ours: number[], theirs: number[], other: string): Results =>
	new Results([
		...ours.map((pairFps, round) => sample(round, "vlane", "frames", { pairFps, pairCpuUs: 2 })),
		...theirs.map((pairFps, round) => sample(round, other, "frames", { pairFps, pairCpuUs: Number.NaN })),
	]);

bench("a machine that changes between rounds does not change the ratio", () => {
	const results = floods([200, 1000, 600], [100, 500, 300], "macvlan");
	assert.equal(results.ratio("frames", "pairFps", "vlane", "macvlan"), {
		median: 2,
		lowest: 2,
		highest: 2,
		count: 3,
	});
});

bench("a floor that is missed is named; what was not measured is not judged", () => {
	const [missed, ...others] = judge(floods([40], [100], "macvlan"));
	assert.equal(others, []);
	assert.is(missed!.reachesFloor, false);
	assert.is(missed!.text, "64-byte frames between containers (pairFps): 0.40 x macvlan; goal 0.75, floor 0.5");
	const [met] = judge(floods([60], [100], "macvlan"));
	assert.equal([met!.reachesGoal, met!.reachesFloor], [false, true]);
});

bench("what frames cost among many is compared with what they cost between two in the same round", () => {
	const results = new Results(
		[0.9, 0.5, 0.9].flatMap((pairCpuUs, round) => [
			sample(round, "vlane", "ports-2", { pairCpuUs }),
			...(round === 0 ? [sample(round, "vlane", "ports-100", { pairCpuUs: 0.99 })] : []),
		]),
	);
	const [flat] = judge(results);
	assert.equal(flat, {
		text: "cost of a frame, ports-100 / ports-2: 1.10; at most 1.15",
		reachesGoal: true,
		reachesFloor: true,
	});
});

bench("the tables have every peer, medians with the lowest and the highest, and no values that there are not", () => {
	const text = report(floods([1000, 3000, 2000], [1000, 1000, 1000], "macvlan"));
	assert.match(text, /\| vlane +\| 2 \(1-3\) +\| 2\.00 \(2\.00-2\.00\) \|/);
	assert.match(text, /\| macvlan +\| 1 \(1-1\) +\| - +\|/);
	assert.match(text, /\| vlane \/ macvlan \| 2\.00 +\| - +\|/);
});

bench("a diagram is well-formed, whatever labels say", () => {
	const bar = { label: "a<b&'\"", value: 1, lowest: 0.5, highest: 2, isOurs: true };
	const svg = panelsSvg([{ title: "t", bars: [bar, { ...bar, isOurs: false }], digits: 1 }], "footer");
	assert.not.match(svg, /a<b/);
	assert.is(svg.match(/<rect/g)?.length, 3);
	assert.not.match(svg, /NaN|undefined/);
});

bench.run();
