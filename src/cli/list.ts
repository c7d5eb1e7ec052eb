/**
 * Lists as docker prints them: a table, one JSON object per row, ids only, or a template per row.
 */

import { CliError } from "./errors.js";
import { cutPair, type Flags } from "./flags.js";
import { print } from "./output.js";
import { alignTabs } from "./tabwriter.js";
import { Template } from "./template.js";
import { goJson, HEADER_FUNCTIONS } from "./templatefunctions.js";

/** How one kind of thing is listed. */
export interface ListLayout {
	/** Header of every field that a template can name; methods give the header from their arguments. */
	headers: Record<string, string | ((...given: unknown[]) => string)>;
	/** Row template of the table, without the word `table`. */
	table: string;
	/** Row template of `--format raw`; `quiet` is the one of `--format raw -q`. */
	raw?: { full: string; quiet: string };
}

/** A row: the values by field name, all texts, and methods. */
export type ListRow = Record<string, string | ((...given: unknown[]) => string)>;

/** Prints `rows` as `--format` and `--quiet` ask. @throws CliError for a bad template. */
export function printList(layout: ListLayout, rows: ListRow[], flags: Flags): void {
	const format = flags.string("format") ?? "";
	const quiet = flags.bool("quiet") ?? false;
	if (format === "json") {
		printRows(rows.map((row) => goJson(sorted(row))));
		return;
	}
	if (format === "raw" && layout.raw !== undefined) {
		printRows(rows.map(rowPrinter(quiet ? layout.raw.quiet : layout.raw.full)));
		return;
	}
	if (format !== "" && format !== "table" && !format.startsWith("table ")) {
		const printed = rowPrinter(readEscapes(format));
		// A template that fits no row is wrong also where there is none to show it.
		if (rows.length === 0) printed(blankRow(layout));
		printRows(rows.map(printed));
		return;
	}
	const custom = format.slice("table ".length).trim();
	if (quiet && custom === "") {
		printRows(rows.map(rowPrinter("{{.ID}}")));
		return;
	}
	const template = new Template(readEscapes(custom === "" ? layout.table : custom));
	const lines = [
		template.execute(layout.headers, HEADER_FUNCTIONS),
		...rows.map((row) => template.execute(sorted(row))),
	];
	print(alignTabs(`${lines.join("\n")}\n`));
}

/**
 * Keeps the things that pass `--filter`: filters of one name are alternatives, different names must all hold.
 * @param tests By filter name; whether the thing matches the filter's value.
 * @throws CliError for a filter that does not exist.
 */
export function applyFilters<T>(
	things: T[],
	filters: string[],
	tests: Record<string, (thing: T, value: string) => boolean>,
): T[] {
	const byName = new Map<string, string[]>();
	for (const filter of filters) {
		const [name, value = ""] = cutPair(filter);
		if (!Object.hasOwn(tests, name)) {
			throw new CliError(`invalid filter '${name}'; there are: ${Object.keys(tests).sort().join(", ")}`);
		}
		byName.set(name, [...(byName.get(name) ?? []), value]);
	}
	return things.filter((thing) =>
		[...byName].every(([name, values]) => values.some((value) => tests[name]?.(thing, value))),
	);
}

/** An id as lists show it. */
export function shortId(id: string, full: boolean): string {
	return full ? id : id.slice(0, 12);
}

function blankRow({ headers }: ListLayout): ListRow {
	return Object.fromEntries(
		Object.entries(headers).map(([name, header]) => [name, typeof header === "string" ? "" : () => ""]),
	);
}

function rowPrinter(text: string): (row: ListRow) => string {
	const template = new Template(text);
	return (row) => template.execute(sorted(row));
}

function printRows(lines: string[]): void {
	if (lines.length > 0) print(`${lines.join("\n")}\n`);
}

/** On the command line a tab and a line break are written `\t` and `\n`. */
function readEscapes(format: string): string {
	return format.trim().replaceAll("\\t", "\t").replaceAll("\\n", "\n");
}

/** Fields in alphabetical order, as Go writes maps. */
function sorted(row: ListRow): ListRow {
	return Object.fromEntries(Object.entries(row).sort(([left], [right]) => (left < right ? -1 : 1)));
}
