/** What the command table is made of: the form of an entry, and what several commands share. */
import type { FlagSpec, Flags } from "../flags.js";

/** What a command is called with. */
export interface Invocation {
	/** Operands, their number already checked. */
	args: string[];
	flags: Flags;
	/** The daemon, `unix:///path`. */
	host: string;
}

/** Does the work of a command; returns the exit code. Throws UsageError or any Error with a one-line message. */
export type Action = (invocation: Invocation) => Promise<number>;

/** One command. */
export interface CommandSpec {
	/** Words after `vlane`: `network create`. */
	path: string;
	aliases?: string[];
	summary: string;
	/** Operands as the usage line shows them. */
	operands: string;
	/** How many operands there must be; no `max`: any number from `min` on. */
	args: { min: number; max?: number };
	/** Flags end at the first operand that belongs to COMMAND: the rest is not ours to read. */
	endsAtCommand?: boolean;
	/** `run` and `exec` keep 125 for their own failures, so that COMMAND's exit codes can be told apart. */
	failsBeforeCommand?: boolean;
	/** The command handles SIGINT itself. */
	handlesInterrupt?: boolean;
	flags: FlagSpec[];
	load: () => Promise<{ run: Action }>;
}

/** Where the daemon listens when nobody says otherwise. */
export const DEFAULT_SOCKET = "/run/vlane/vlane.sock";

/** Where the daemon keeps its records when nobody says otherwise. */
export const DEFAULT_STATE_DIR = "/var/lib/vlane";

/** Where Docker Engine looks for drivers first. */
export const DEFAULT_PLUGIN_DIR = "/run/docker/plugins";

/** Where Docker Engine listens. */
export const DOCKER_SOCKET = "/var/run/docker.sock";

export const FILTER: FlagSpec = {
	name: "filter",
	short: "f",
	type: "filters",
	metavar: "filter",
	help: 'Provide filter values (e.g. "driver=macvlan")',
};
export const LIST_FORMAT: FlagSpec = {
	name: "format",
	type: "string",
	help: "Format output: 'table', 'table TEMPLATE', 'json', or a Go TEMPLATE",
};
export const NO_TRUNC: FlagSpec = { name: "no-trunc", type: "bool", help: "Do not truncate the output" };
export const IP: FlagSpec = { name: "ip", type: "string", help: "IPv4 address (e.g., 172.30.100.104)" };
export const IP6: FlagSpec = { name: "ip6", type: "string", help: "IPv6 address (e.g., 2001:db8::33)" };
export const MAC: FlagSpec = { name: "mac-address", type: "string", help: "MAC address (e.g., 92:d0:c6:0a:29:33)" };
export const DRIVER_OPT: FlagSpec = {
	name: "driver-opt",
	type: "map",
	help: "Set driver options of the endpoint (e.g. com.docker.network.endpoint.ifname=lan0)",
};
export const PLUGIN_DIR: FlagSpec = {
	name: "docker-plugin-dir",
	type: "string",
	metavar: "directory",
	help: `Where Docker looks for drivers (default "${DEFAULT_PLUGIN_DIR}")`,
};
export const DECLARATION: FlagSpec = {
	name: "file",
	short: "f",
	type: "string",
	metavar: "file",
	help: 'Compose file or declaration, "-" for STDIN (default vlane.yaml, compose.yaml or docker-compose.yml)',
};
export const PROJECT_NAME: FlagSpec = {
	name: "project-name",
	short: "p",
	type: "string",
	help: "Project name (default: the file's name:, or its directory)",
};
export const STATE_DIR: FlagSpec = {
	name: "state-dir",
	type: "string",
	metavar: "directory",
	help: `Where networks are kept (default "${DEFAULT_STATE_DIR}")`,
};
export const INTERACTIVE: FlagSpec = { name: "interactive", short: "i", type: "bool", help: "Keep STDIN open" };
export const TTY: FlagSpec = { name: "tty", short: "t", type: "bool", help: "Use the terminal (STDIN must be one)" };
