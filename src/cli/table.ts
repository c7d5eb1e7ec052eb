/**
 * The command table: every command with its names, operands and flags. Parsing, help and usage errors are all made from
 * it; a command's code is loaded only when that command runs. The commands themselves are in table/, by subject.
 */
import type { FlagSpec } from "./flags.js";
import { CONTAINER_COMMANDS } from "./table/containers.js";
import { DAEMON_COMMANDS } from "./table/daemon.js";
import { DECLARE_COMMANDS } from "./table/declare.js";
import { DOCKER_COMMANDS } from "./table/docker.js";
import { HOST_COMMANDS } from "./table/hosts.js";
import { NETWORK_COMMANDS } from "./table/networks.js";
import { OBSERVE_COMMANDS } from "./table/observe.js";
import type { CommandSpec } from "./table/spec.js";
import { STATE_COMMANDS } from "./table/state.js";
import { TOOL_COMMANDS } from "./table/tools.js";

/** Flags before the first command word. */
export const GLOBAL_FLAGS: FlagSpec[] = [
	{ name: "host", short: "H", type: "string", help: "Daemon socket to connect to (default $VLANE_HOST)" },
	{ name: "version", short: "v", type: "bool", help: "Print version information and quit" },
];

/** Words that only hold other commands. */
export const GROUPS: Record<string, string> = {
	docker: "Serve Docker Engine",
	fdb: "Look into the forwarding database",
	host: "Look after the hosts that share networks",
	network: "Manage networks",
	state: "Look after the records",
};

/** Every command, in the order of the help text. */
export const COMMANDS: CommandSpec[] = [
	...CONTAINER_COMMANDS,
	...NETWORK_COMMANDS,
	...HOST_COMMANDS,
	...DECLARE_COMMANDS,
	...DOCKER_COMMANDS,
	...STATE_COMMANDS,
	...OBSERVE_COMMANDS,
	...TOOL_COMMANDS,
	...DAEMON_COMMANDS,
];
