/** The daemon itself. */
import { METRICS_FLAGS } from "./observe.js";
import { type CommandSpec, DEFAULT_PLUGIN_DIR, DEFAULT_SOCKET, PLUGIN_DIR, STATE_DIR } from "./spec.js";

export const DAEMON_COMMANDS: CommandSpec[] = [
	{
		path: "daemon",
		summary: "Run the daemon in the foreground",
		operands: "",
		args: { min: 0, max: 0 },
		handlesInterrupt: true,
		flags: [
			{
				name: "dashboard",
				type: "string",
				metavar: "address:port",
				help: "Serve the dashboard there, e.g. 127.0.0.1:8080 (default: nowhere)",
			},
			{ name: "dashboard-remote", type: "bool", help: "Allow --dashboard addresses that other hosts can reach" },
			{ ...PLUGIN_DIR, help: `Where Docker looks for drivers, or "none" (default "${DEFAULT_PLUGIN_DIR}")` },
			...METRICS_FLAGS,
			{ name: "detach", short: "d", type: "bool", help: "Run it in the background; return once it answers" },
			{
				name: "coalesce",
				type: "string",
				values: ["on", "off"],
				help: 'Put neighbouring frames of a flow together before they leave: on|off (default "on")',
			},
			{
				name: "log-level",
				type: "string",
				values: ["debug", "info", "warn", "error"],
				help: 'Least important messages shown: debug|info|warn|error (default "info")',
			},
			{
				name: "store",
				type: "string",
				metavar: "location",
				help: "Share networks and addresses with other hosts: etcd://host:2379,...[?option=value&...] (default: do not)",
			},
			{ name: "host-name", type: "string", metavar: "name", help: "Name among the hosts (default: the host's own)" },
			{
				name: "lease-ttl",
				type: "string",
				metavar: "duration",
				help: "How long other hosts keep the addresses of this one free while it is away (default 24h)",
			},
			{
				name: "parent-map",
				type: "list",
				metavar: "name=interface",
				help: "Interface of this host that networks of the group call by another name (repeatable)",
			},
			{ name: "replace", type: "bool", help: "Take over from the daemon that runs, without an interruption" },
			{ name: "socket", type: "string", help: `Where the API listens (default "${DEFAULT_SOCKET}")` },
			{
				name: "socket-group",
				type: "string",
				metavar: "group",
				help: "Group that may use the API, by name or number: it can act as root then (default: nobody)",
			},
			STATE_DIR,
			{
				name: "workers",
				type: "int",
				metavar: "number",
				help: "Threads that move frames, 1 to 64; each has some of the parents and isolated networks (default 1)",
			},
		],
		load: () => import("../commands/daemon.js"),
	},
];
