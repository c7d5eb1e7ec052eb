/** What looks at the switch. */
import type { FlagSpec } from "../flags.js";
import { type CommandSpec, LIST_FORMAT } from "./spec.js";

/** The daemon's. */
export const METRICS_FLAGS: FlagSpec[] = [
	{
		name: "metrics",
		type: "string",
		metavar: "address",
		help: "Serve metrics for Prometheus there: unix:PATH or 127.0.0.1:PORT (default: nowhere)",
	},
	{
		name: "metrics-remote",
		type: "bool",
		help: "Allow --metrics addresses that other hosts can reach; they need the token in the state directory",
	},
];

/** Commands that change nothing. */
export const OBSERVE_COMMANDS: CommandSpec[] = [
	{
		path: "ports",
		summary: "Show the switch's ports and their counters",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [LIST_FORMAT, { name: "json", type: "bool", help: "Print the counters as a JSON array" }],
		load: () => import("../commands/ports.js"),
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
		load: () => import("../commands/stats.js"),
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
		load: () => import("../commands/fdbshow.js"),
	},
	{
		path: "capture",
		summary: "Record the frames that pass a port, a network or a container",
		operands: "PORT|NETWORK|CONTAINER [FILTER...]",
		args: { min: 1 },
		handlesInterrupt: true,
		flags: [
			{ name: "count", short: "c", type: "int", help: "Stop after so many frames (default: until interrupted)" },
			{ name: "seconds", type: "int", help: "Stop after so much time" },
			{ name: "snaplen", short: "s", type: "int", help: "Record so many bytes of each frame (default 262144)" },
			{ name: "write", short: "w", type: "string", metavar: "file", help: "Write pcapng to a file, or to - (a pipe)" },
		],
		load: () => import("../commands/capture.js"),
	},
	{
		path: "top",
		summary: "Show the rates of all ports, again and again",
		operands: "",
		args: { min: 0, max: 0 },
		handlesInterrupt: true,
		flags: [
			{ name: "delay", short: "d", type: "string", metavar: "seconds", help: "Time between two looks (default 1)" },
			{ name: "iterations", short: "n", type: "int", help: "Stop after so many looks (default: until q is pressed)" },
		],
		load: () => import("../commands/top.js"),
	},
];
