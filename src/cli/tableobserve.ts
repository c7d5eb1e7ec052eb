/** The part of the command table that looks at the switch. */
import type { FlagSpec } from "./flags.js";
import type { CommandSpec } from "./table.js";

const LIST_FORMAT: FlagSpec = {
	name: "format",
	type: "string",
	help: "Format output: 'table', 'table TEMPLATE', 'json', or a Go TEMPLATE",
};

/** Commands that change nothing. */
export const OBSERVE_COMMANDS: CommandSpec[] = [
	{
		path: "ports",
		summary: "Show the switch's ports and their counters",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [LIST_FORMAT, { name: "json", type: "bool", help: "Print the counters as a JSON array" }],
		load: () => import("./commands/ports.js"),
	},
	{
		path: "stats",
		summary: "Show counters of the whole switch, or all about ports",
		operands: "[PORT...]",
		args: { min: 0 },
		flags: [
			{ name: "format", type: "string", help: "Format output: 'json', or a Go TEMPLATE" },
			{ name: "json", type: "bool", help: "Print everything as indented JSON" },
		],
		load: () => import("./commands/stats.js"),
	},
	{
		path: "fdb show",
		summary: "Show which port each station is behind",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [
			LIST_FORMAT,
			{ name: "json", type: "bool", help: "Print the stations as a JSON array" },
			{ name: "network", type: "string", metavar: "network", help: "Only stations of this network" },
		],
		load: () => import("./commands/fdbshow.js"),
	},
];
