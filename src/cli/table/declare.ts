/** Networks and endpoints that a file declares. */
import { type CommandSpec, DECLARATION, PROJECT_NAME } from "./spec.js";

export const DECLARE_COMMANDS: CommandSpec[] = [
	{
		path: "up",
		summary: "Make the networks and endpoints that a file declares",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [
			{ name: "dry-run", type: "bool", help: "Print what would change and change nothing" },
			DECLARATION,
			PROJECT_NAME,
		],
		load: () => import("../commands/up.js"),
	},
	{
		path: "down",
		summary: "Remove what vlane up has made",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [DECLARATION, PROJECT_NAME],
		load: () => import("../commands/down.js"),
	},
	{
		path: "diff",
		summary: "Show what vlane up would change (exit status 1: something)",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [DECLARATION, PROJECT_NAME],
		load: () => import("../commands/diff.js"),
	},
];
