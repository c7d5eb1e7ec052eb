/** Samples as lines of JSON, and what is computed from many of them. */
import { appendFileSync, readFileSync } from "node:fs";
import type { Values } from "./cases.js";
import { median } from "./statistics.js";

/** What one peer did in one case of one round. */
export interface Sample {
	/** ISO date and time of the start of the run; rounds of different runs are never compared. */
	run: string;
	round: number;
	peer: string;
	case: string;
	/** Length of each measurement. */
	seconds: number;
	/** Share of the time that the hypervisor took. */
	stolenShare: number;
	/** From one processor to another when it was over, in nanoseconds (bench/e2e/handover.ts); older ones are without. */
	apartNs?: number;
	vlane: string;
	commit: string;
	cpu: string;
	kernel: string;
	node: string;
	values: Values;
}

/** The middle of all samples, and how far they are apart. */
export interface Summary {
	median: number;
	lowest: number;
	highest: number;
	count: number;
}

/** Appends a sample to a file of JSON lines. */
export function appendSample(file: string, sample: Sample): void {
	appendFileSync(file, `${JSON.stringify(sample)}\n`);
}

/** Reads files of JSON lines. @throws Error of node:fs, SyntaxError */
export function readSamples(files: string[]): Sample[] {
	return files.flatMap((file) => {
		const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
		// What JSON has no word for was not a number.
		return lines.map((line) => JSON.parse(line, (_, value) => (value === null ? Number.NaN : value)) as Sample);
	});
}

/** Samples of one case, all of them. */
export class Results {
	constructor(readonly samples: Sample[]) {}

	/** Peers that were measured in a case, in the order in which they came. */
	peers(name?: string): string[] {
		const of = this.samples.filter((sample) => name === undefined || sample.case === name);
		return [...new Set(of.map(({ peer }) => peer))];
	}

	/** Cases that were measured. */
	cases(): string[] {
		return [...new Set(this.samples.map((sample) => sample.case))];
	}

	/** Undefined when nothing was measured. */
	summary(name: string, peer: string, key: string): Summary | undefined {
		return summarize(this.#of(name, peer).map(({ values }) => values[key] ?? Number.NaN));
	}

	/** One peer's value divided by another's of the same round, or by its own in another case of that round. */
	ratio(name: string, key: string, peer: string, other: string, otherName = name): Summary | undefined {
		return summarize(
			this.#of(name, peer).map((sample) => {
				const same = this.#of(otherName, other).find(({ run, round }) => run === sample.run && round === sample.round);
				return (sample.values[key] ?? Number.NaN) / (same?.values[key] ?? Number.NaN);
			}),
		);
	}

	#of(name: string, peer: string): Sample[] {
		return this.samples.filter((sample) => sample.case === name && sample.peer === peer);
	}
}

function summarize(values: number[]): Summary | undefined {
	const known = values.filter((value) => !Number.isNaN(value));
	if (known.length === 0) return undefined;
	return { median: median(known), lowest: Math.min(...known), highest: Math.max(...known), count: known.length };
}
