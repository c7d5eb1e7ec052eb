/**
 * `npm run bench [-- OPTION...]`: how long the packet core takes for a frame, without any kernel around it, beside
 * the same algorithm in C.
 *
 * A round is batches of 64 frames of 64 bytes through the full pipeline: sanity checks, ingress VLAN, source check,
 * forwarding database, bridge rules, tag push or pop, counters, transmit descriptors, slots. Every frame has another
 * destination, out of the whole table. The other side is bench/firmware/native.c, written by hand, with the same tables
 * and tests, at -O3, in the same process. What stands for the kernel (writing heads and descriptors) is measured alone
 * and taken off on both sides. The two take turns of a few milliseconds, so that other work on the machine hits both;
 * ratios are medians of the rounds. `--core` puts another build of the core (build/core.wasm of another commit, with
 * the same layout) beside them.
 */
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import Benchmark from "benchmark";
import { type Contestant, coreInV8, type Runner, twinInC, twinMissing } from "./core/engines.js";
import { BATCH, type Scene } from "./core/scene.js";
import { median } from "./e2e/statistics.js";
import { readOptions } from "./flag.js";

const USAGE = `usage: npm run bench [-- OPTION...]

  --rounds N    samples of each side (25)
  --core FILE   another build of the core to put beside the two`;

const options = readOptions(USAGE, { rounds: { type: "string", default: "25" }, core: { type: "string" } });

/** Batches in each call of what is measured: a call into C costs as much as ten frames. */
const BATCHES = 16;
/** Of one turn; short, so that both sides see the same machine. */
const TURN = { minTime: 0.001, maxTime: 0.006, minSamples: 4 };

const flat = (route: Scene["route"], ports: number, vlans: number, busy: number): Scene => ({
	route,
	stations: ports,
	ports,
	vlans,
	busy: Math.min(busy, ports),
});
const PORTS = [2, 16, 100, 1000];
const VLANS = [1, 16, 256, 4094];

const TABLES: Scene[] = [
	...[64, 4096, 100_000, 1_000_000].map((stations): Scene => ({ route: "sibling", stations, ports: 2, vlans: 1 })),
	...(
		[
			"to the wire, tag pushed",
			"from the wire, tag popped",
			"to the wire, two tags pushed",
			"from the wire, two tags popped",
		] as const
	).map((route): Scene => ({ route, stations: 4096, ports: 2, vlans: 1 })),
	{ route: "broadcast, 15 siblings and the wire", stations: 4096, ports: 16, vlans: 1 },
];
/**
 * What must not get dearer when there is more of it: each list by its first scene. Where all of them are busy, every
 * frame needs other records than the one before, which are in no near cache: that is the processor's share.
 */
const FLAT: { what: string; scenes: [number, Scene][] }[] = [
	{ what: "ports, two are busy", scenes: PORTS.map((n) => [n, flat("sibling", n, 1, 2)]) },
	{ what: "ports, all are busy", scenes: PORTS.map((n) => [n, flat("sibling", n, 1, n)]) },
	...(["to the wire, tag pushed", "from the wire, tag popped"] as const).flatMap((route) =>
		[1, Number.POSITIVE_INFINITY].map((busy): (typeof FLAT)[number] => ({
			what: `VLANs, ${route.slice(0, route.indexOf(","))}, ${busy === 1 ? "one is" : "all are"} busy`,
			scenes: VLANS.map((n) => [n, flat(route, n, n, busy)]),
		})),
	),
];

/** Nanoseconds for a frame, one value for each sample. */
function turn(runner: Runner, kind: keyof Runner): number[] {
	const benchmark = new Benchmark({ ...TURN, fn: () => runner[kind](BATCHES) });
	benchmark.run();
	const { error } = benchmark as unknown as { error?: Error };
	if (error) throw error;
	return (benchmark.stats?.sample ?? []).map((seconds) => (seconds * 1e9) / (BATCHES * BATCH));
}

interface Cost {
	ns: number;
	/** A quarter of the rounds is lower, a quarter higher. */
	spread: [number, number];
	/** What the core takes in units of this one: the median of the rounds. */
	ratio: number;
}

/** What each contestant takes for a frame of a scene. */
function measure(scene: Scene, contestants: Contestant[]): Cost[] {
	const runners = contestants.map((contestant) => contestant.prepare(scene));
	const costs = runners.map((): number[] => []);
	for (const runner of runners) for (const kind of ["forward", "receive"] as const) turn(runner, kind);
	for (let round = 0; round < Number(options.rounds); round++) {
		for (let at = 0; at < runners.length; at++) {
			const index = (at + round) % runners.length;
			const [all, received] = (["forward", "receive"] as const).map((kind) => median(turn(runners[index]!, kind)));
			costs[index]!.push(all! - received!);
		}
	}
	return costs.map((rounds) => {
		const sorted = rounds.toSorted((a, b) => a - b);
		const quarter = sorted.length >> 2;
		return {
			ns: median(rounds),
			spread: [sorted[quarter]!, sorted[sorted.length - 1 - quarter]!],
			ratio: median(costs[0]!.map((ns, round) => ns / rounds[round]!)),
		};
	});
}

function machine(): string {
	const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
	const date = new Date().toISOString().slice(0, 10);
	const { length } = cpus();
	return `vlane ${version}, ${cpus()[0]?.model} x ${length}, Linux ${release()}, Node ${process.versions.node}, ${date}`;
}

const cell = ({ ns, spread }: Cost): string => `${ns.toFixed(1)} (${spread.map((of) => of.toFixed(1)).join("-")})`;
const WIDTHS = [38, 11, 11];
const CELL = 20;

const contestants = [coreInV8()];
if (twinMissing) console.error(`without the twin in C: ${twinMissing}`);
else contestants.push(twinInC());
if (options.core) contestants.push(coreInV8("other core", pathToFileURL(resolve(options.core))));
const others = contestants.slice(1);

console.log(`Packet core, batches of ${BATCH} frames of 64 bytes\n${machine()}`);
console.log(`ns per frame: median of ${options.rounds} rounds (a quarter is lower, a quarter higher)\n`);
const heading = (what: string[]): string =>
	[
		...what.map((text, at) => (at ? text.padStart(WIDTHS[at]!) : text.padEnd(WIDTHS[0]!))),
		...contestants.map(({ name }) => name.padStart(CELL)),
		...others.map(({ name }) => `/ ${name}`.padStart(14)),
	].join("");
console.log(heading(["what", "addresses", "Mframes/s"]));
for (const scene of TABLES) {
	const costs = measure(scene, contestants);
	const [first, ...rest] = costs as [Cost, ...Cost[]];
	const rate = (1e3 / first.ns).toFixed(1);
	console.log(
		[
			scene.route.padEnd(WIDTHS[0]!),
			scene.stations.toString().padStart(WIDTHS[1]!),
			rate.padStart(WIDTHS[2]!),
			...costs.map((cost) => cell(cost).padStart(CELL)),
			...rest.map(({ ratio }) => ratio.toFixed(2).padStart(14)),
		].join(""),
	);
}
console.log(`\n${heading(["what", "number", "/ first"])}`);
for (const { what, scenes } of FLAT) {
	let base = 0;
	for (const [number, scene] of scenes) {
		const costs = measure(scene, contestants);
		const [first, ...rest] = costs as [Cost, ...Cost[]];
		base ||= first.ns;
		console.log(
			[
				what.padEnd(WIDTHS[0]!),
				number.toString().padStart(WIDTHS[1]!),
				(first.ns / base).toFixed(2).padStart(WIDTHS[2]!),
				...costs.map((cost) => cell(cost).padStart(CELL)),
				...rest.map(({ ratio }) => ratio.toFixed(2).padStart(14)),
			].join(""),
		);
	}
}
