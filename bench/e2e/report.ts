/** Results for people: tables in Markdown, so that they can be put into documents as they are. */
import { columnsOf, titleOf } from "./columns.js";
import type { Results, Sample, Summary } from "./samples.js";

/** The peer that all others are compared with. */
const OURS = "vlane";

function number(value: number, digits: number, scale: number): string {
	return (value / scale).toFixed(digits);
}

/** Median and, when there are several samples, the lowest and the highest. */
function cell(summary: Summary | undefined, digits: number, scale = 1): string {
	if (!summary) return "-";
	const middle = number(summary.median, digits, scale);
	if (summary.count === 1) return middle;
	return `${middle} (${number(summary.lowest, digits, scale)}-${number(summary.highest, digits, scale)})`;
}

/** Rows with columns as wide as they have to be. */
function table(rows: string[][]): string {
	const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
	const line = (row: string[]) => `| ${row.map((text, at) => text.padEnd(widths[at]!)).join(" | ")} |`;
	const [head, ...body] = rows;
	return [line(head!), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...body.map(line)].join("\n");
}

/** One case: each peer, and below them what vlane is in units of each. */
function caseTable(results: Results, name: string): string {
	const columns = columnsOf(name).filter(({ key }) =>
		results.peers(name).some((peer) => results.summary(name, peer, key) !== undefined),
	);
	const peers = results.peers(name);
	const rows = [
		["", ...columns.map(({ title }) => title)],
		...peers.map((peer) => [
			peer,
			...columns.map(({ key, digits, scale }) => cell(results.summary(name, peer, key), digits, scale)),
		]),
		...peers
			.filter((peer) => peer !== OURS && peers.includes(OURS))
			.map((peer) => [
				`${OURS} / ${peer}`,
				...columns.map(({ key }) => {
					const ratio = results.ratio(name, key, OURS, peer);
					return ratio && Number.isFinite(ratio.median) ? ratio.median.toFixed(2) : "-";
				}),
			]),
	];
	return `## ${titleOf(name)}\n\n${table(rows)}`;
}

function distinct(samples: Sample[], describe: (sample: Sample) => string): string {
	return [...new Set(samples.map(describe))].join("; ");
}

/** How far the processors were from each other, at least and at most. */
function apart(samples: Sample[]): string[] {
	const distances = samples.flatMap(({ apartNs }) => apartNs ?? []);
	return distances.length > 0 ? [`processors ${Math.min(...distances)} to ${Math.max(...distances)} ns apart`] : [];
}

/** The machine that the samples come from. */
export function conditions({ samples }: Results): string {
	const rounds = new Set(samples.map(({ run, round }) => `${run} ${round}`)).size;
	const seconds = distinct(samples, (sample) => `${sample.seconds}`);
	return [
		distinct(samples, ({ cpu }) => cpu),
		distinct(samples, ({ kernel }) => `Linux ${kernel}`),
		distinct(samples, ({ node }) => `Node ${node}`),
		distinct(samples, ({ vlane, commit }) => `vlane ${vlane} (${commit})`),
		distinct(samples, ({ run }) => run.slice(0, 10)),
		`${rounds} rounds of ${seconds} s`,
		`at most ${(Math.max(...samples.map(({ stolenShare }) => stolenShare)) * 100).toFixed(1)} % of the time stolen`,
		...apart(samples),
	].join(", ");
}

/** Everything that was measured. */
export function report(results: Results): string {
	const tables = results.cases().map((name) => caseTable(results, name));
	return [conditions(results), "Medians (lowest-highest); ratios are medians of rounds.", ...tables].join("\n\n");
}
