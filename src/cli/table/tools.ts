/** What needs no daemon, or only its address. */
import { type CommandSpec, STATE_DIR } from "./spec.js";

export const TOOL_COMMANDS: CommandSpec[] = [
	{
		path: "ping",
		summary: "Send ICMP echo requests",
		operands: "HOST",
		args: { min: 1, max: 1 },
		handlesInterrupt: true,
		flags: [
			{ name: "count", short: "c", type: "int", help: "Stop after so many requests (default: until interrupted)" },
			{ name: "in", type: "string", metavar: "container", help: "Send from this container" },
			{ name: "interval", short: "i", type: "string", metavar: "seconds", help: "Time between requests (default 1)" },
			{
				name: "timeout",
				short: "W",
				type: "string",
				metavar: "seconds",
				help: "Time to wait for a reply (default 10)",
			},
		],
		load: () => import("../ping.js"),
	},
	{
		path: "doctor",
		summary: "Show what this machine and a parent can do, and what to do about the rest",
		operands: "[PARENT]",
		args: { min: 0, max: 1 },
		flags: [
			{ name: "json", type: "bool", help: "Print the findings as a JSON object" },
			{
				name: "probe",
				type: "string",
				metavar: "address",
				help: "Send ARP and echo requests for this IPv4 address, also from a made-up MAC address",
			},
			STATE_DIR,
		],
		load: () => import("../commands/doctor.js"),
	},
	{
		path: "dashboard",
		summary: "Print the address of the daemon's dashboard",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [],
		load: () => import("../commands/dashboard.js"),
	},
	{
		path: "completion",
		summary: "Print a shell's completion script",
		operands: "bash|fish|zsh",
		args: { min: 1 },
		endsAtCommand: true,
		flags: [],
		load: () => import("../commands/completion.js"),
	},
	{
		path: "bench",
		summary: "Measure how fast this machine forwards, in private namespaces",
		operands: "",
		args: { min: 0, max: 0 },
		handlesInterrupt: true,
		flags: [],
		load: () => import("../commands/bench.js"),
	},
	{
		path: "demo",
		summary: "Run the tutorial in private namespaces",
		operands: "",
		args: { min: 0, max: 0 },
		handlesInterrupt: true,
		flags: [],
		load: () => import("../commands/demo.js"),
	},
];
