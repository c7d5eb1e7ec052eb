/** The records, and whether the kernel agrees with them. */
import { type CommandSpec, STATE_DIR } from "./spec.js";

export const STATE_COMMANDS: CommandSpec[] = [
	{
		path: "reconcile",
		summary: "Compare the records with the kernel, and repair what differs",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [],
		load: () => import("../commands/reconcile.js"),
	},
	{
		path: "state export",
		summary: "Print the records as JSON",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [STATE_DIR],
		load: () => import("../commands/stateexport.js"),
	},
	{
		path: "state import",
		summary: "Fill a state directory with exported records",
		operands: "FILE|-",
		args: { min: 1, max: 1 },
		flags: [{ name: "force", short: "f", type: "bool", help: "Replace the records that are there" }, STATE_DIR],
		load: () => import("../commands/stateimport.js"),
	},
	{
		path: "state check",
		summary: "Check that the records are consistent",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [STATE_DIR],
		load: () => import("../commands/statecheck.js"),
	},
];
