/** Serving Docker Engine. */
import { type CommandSpec, DOCKER_SOCKET, PLUGIN_DIR } from "./spec.js";

export const DOCKER_COMMANDS: CommandSpec[] = [
	{
		path: "docker install",
		summary: "Write the systemd unit that starts the daemon before Docker",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [
			PLUGIN_DIR,
			{ name: "dry-run", type: "bool", help: "Print the unit and change nothing" },
			{ name: "enable", type: "bool", help: "Enable and start it, too" },
			{ name: "socket-group", type: "string", metavar: "group", help: "Group that the unit opens the API to" },
			{ name: "unit-dir", type: "string", metavar: "directory", help: 'Where it goes (default "/etc/systemd/system")' },
		],
		load: () => import("../commands/dockerinstall.js"),
	},
	{
		path: "docker status",
		summary: "Show whether Docker can use vlane",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [
			PLUGIN_DIR,
			{ name: "docker-socket", type: "string", metavar: "path", help: `The engine's (default "${DOCKER_SOCKET}")` },
		],
		load: () => import("../commands/dockerstatus.js"),
	},
];
