/**
 * Help texts in docker's layout, made from the command table.
 */
import type { FlagSpec } from "./flags.js";
import type { CommandSpec } from "./table/spec.js";
import { COMMANDS, GLOBAL_FLAGS, GROUPS } from "./table.js";

/** Help texts are 80 columns wide wherever they go, so that they can be compared and documented. */
const COLUMNS = 80;

/** `vlane network create [OPTIONS] NETWORK`. */
export function usageLine(spec: CommandSpec): string {
	return ["vlane", spec.path, spec.flags.length > 0 ? "[OPTIONS]" : "", spec.operands].filter(Boolean).join(" ");
}

/** What `vlane COMMAND --help` prints. */
export function commandHelp(spec: CommandSpec): string {
	const sections = [`Usage:  ${usageLine(spec)}`, spec.summary];
	if (spec.aliases !== undefined) {
		const parent = `vlane ${spec.path}`.split(" ").slice(0, -1).join(" ");
		const names = [`vlane ${spec.path}`, ...spec.aliases.map((alias) => `${parent} ${alias}`)];
		sections.push(`Aliases:\n  ${names.join(", ")}`);
	}
	if (spec.flags.length > 0) sections.push(`Options:\n${flagLines(spec.flags)}`);
	return `${sections.join("\n\n")}\n`;
}

/** What `vlane GROUP --help` prints. */
export function groupHelp(group: string): string {
	const commands = COMMANDS.filter((spec) => spec.path.startsWith(`${group} `));
	const rows = commands.map((spec): [string, string] => [`  ${spec.path.slice(group.length + 1)}`, spec.summary]);
	return [
		`Usage:  vlane ${group} COMMAND`,
		GROUPS[group],
		`Commands:\n${columns(rows.sort(byName))}`,
		`Run 'vlane ${group} COMMAND --help' for more information on a command.\n`,
	].join("\n\n");
}

/** What `vlane --help` prints. */
export function rootHelp(): string {
	const single = COMMANDS.filter((spec) => !spec.path.includes(" "));
	return [
		"Usage:  vlane [OPTIONS] COMMAND",
		"Docker-style macvlan and 802.1Q networks in userspace",
		`Commands:\n${columns(single.map((spec) => [`  ${spec.path}`, spec.summary]))}`,
		`Management Commands:\n${columns(Object.entries(GROUPS).map(([name, text]) => [`  ${name}`, text]))}`,
		`Options:\n${flagLines(GLOBAL_FLAGS)}`,
		"Run 'vlane COMMAND --help' for more information on a command.\n",
	].join("\n\n");
}

function byName(left: [string, string], right: [string, string]): number {
	return left[0] < right[0] ? -1 : 1;
}

function flagLines(flags: readonly FlagSpec[]): string {
	return columns(
		flags.map((flag) => {
			return [`${flag.short === undefined ? "      " : "  "}${flagSyntax(flag)}`, flag.help];
		}),
	);
}

/** `-d, --driver string`. */
export function flagSyntax(flag: FlagSpec): string {
	const short = flag.short === undefined ? "" : `-${flag.short}, `;
	const value = flag.type === "bool" ? "" : ` ${flag.metavar ?? VALUE_WORDS[flag.type]}`;
	return `${short}--${flag.name}${value}`;
}

/** The words pflag uses for the types. */
const VALUE_WORDS = {
	bool: "",
	string: "string",
	int: "int",
	list: "list",
	strings: "strings",
	map: "map",
	labels: "list",
	filters: "filter",
};

/** Two columns three blanks apart, the second one wrapped. */
function columns(rows: [string, string][]): string {
	const left = Math.max(...rows.map(([name]) => name.length)) + 3;
	return rows.map(([name, text]) => name.padEnd(left) + wrap(text, COLUMNS - left, left)).join("\n");
}

function wrap(text: string, width: number, indent: number): string {
	const lines: string[] = [];
	for (const word of text.split(" ")) {
		const last = lines.at(-1);
		if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
		else lines.push(word);
	}
	return lines.join(`\n${" ".repeat(indent)}`);
}
