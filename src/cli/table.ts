/**
 * The command table: every command with its names, operands and flags. Parsing, help and usage errors are all made from
 * it; a command's code is loaded only when that command runs.
 */
import type { FlagSpec, Flags } from "./flags.js";
import { METRICS_FLAGS, OBSERVE_COMMANDS } from "./tableobserve.js";

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

/** Flags before the first command word. */
export const GLOBAL_FLAGS: FlagSpec[] = [
	{ name: "host", short: "H", type: "string", help: "Daemon socket to connect to (default $VLANE_HOST)" },
	{ name: "version", short: "v", type: "bool", help: "Print version information and quit" },
];

/** Where the daemon listens when nobody says otherwise. */
export const DEFAULT_SOCKET = "/run/vlane/vlane.sock";

/** Where the daemon keeps its records when nobody says otherwise. */
export const DEFAULT_STATE_DIR = "/var/lib/vlane";

/** Where Docker Engine looks for drivers first. */
export const DEFAULT_PLUGIN_DIR = "/run/docker/plugins";

/** Where Docker Engine listens. */
export const DOCKER_SOCKET = "/var/run/docker.sock";

/** Words that only hold other commands. */
export const GROUPS: Record<string, string> = {
	docker: "Serve Docker Engine",
	fdb: "Look into the forwarding database",
	network: "Manage networks",
	state: "Look after the records",
};

const FILTER: FlagSpec = {
	name: "filter",
	short: "f",
	type: "filters",
	metavar: "filter",
	help: 'Provide filter values (e.g. "driver=macvlan")',
};
const LIST_FORMAT: FlagSpec = {
	name: "format",
	type: "string",
	help: "Format output: 'table', 'table TEMPLATE', 'json', or a Go TEMPLATE",
};
const NO_TRUNC: FlagSpec = { name: "no-trunc", type: "bool", help: "Do not truncate the output" };
const IP: FlagSpec = { name: "ip", type: "string", help: "IPv4 address (e.g., 172.30.100.104)" };
const IP6: FlagSpec = { name: "ip6", type: "string", help: "IPv6 address (e.g., 2001:db8::33)" };
const MAC: FlagSpec = { name: "mac-address", type: "string", help: "MAC address (e.g., 92:d0:c6:0a:29:33)" };
const DRIVER_OPT: FlagSpec = {
	name: "driver-opt",
	type: "map",
	help: "Set driver options of the endpoint (e.g. com.docker.network.endpoint.ifname=lan0)",
};
const PLUGIN_DIR: FlagSpec = {
	name: "docker-plugin-dir",
	type: "string",
	metavar: "directory",
	help: `Where Docker looks for drivers (default "${DEFAULT_PLUGIN_DIR}")`,
};
const DECLARATION: FlagSpec = {
	name: "file",
	short: "f",
	type: "string",
	metavar: "file",
	help: 'Compose file or declaration, "-" for STDIN (default vlane.yaml, compose.yaml or docker-compose.yml)',
};
const PROJECT_NAME: FlagSpec = {
	name: "project-name",
	short: "p",
	type: "string",
	help: "Project name (default: the file's name:, or its directory)",
};
const STATE_DIR: FlagSpec = {
	name: "state-dir",
	type: "string",
	metavar: "directory",
	help: `Where networks are kept (default "${DEFAULT_STATE_DIR}")`,
};
const INTERACTIVE: FlagSpec = { name: "interactive", short: "i", type: "bool", help: "Keep STDIN open" };
const TTY: FlagSpec = { name: "tty", short: "t", type: "bool", help: "Use the terminal (STDIN must be one)" };

/** Every command, in the order of the help text. */
export const COMMANDS: CommandSpec[] = [
	{
		path: "run",
		summary: "Run a command in a container of its own",
		operands: "COMMAND [ARG...]",
		args: { min: 1 },
		endsAtCommand: true,
		failsBeforeCommand: true,
		flags: [
			{ name: "add-host", type: "list", help: "Add a custom host-to-IP mapping (host:ip)" },
			{ name: "detach", short: "d", type: "bool", help: "Run in background and print container ID" },
			{ name: "dns", type: "list", help: "Set custom DNS servers" },
			{ name: "dns-option", type: "list", help: "Set DNS options" },
			{ name: "dns-search", type: "list", help: "Set custom DNS search domains" },
			DRIVER_OPT,
			{ name: "hostname", short: "h", type: "string", help: "Container host name" },
			INTERACTIVE,
			IP,
			IP6,
			MAC,
			{ name: "name", type: "string", help: "Assign a name to the container" },
			{ name: "network", aliases: ["net"], type: "list", metavar: "network", help: "Connect to a network" },
			{ name: "network-alias", type: "list", help: "Add network-scoped alias for the container" },
			{ name: "rm", type: "bool", help: "Automatically remove the container when it exits" },
			TTY,
		],
		load: () => import("./commands/run.js"),
	},
	{
		path: "exec",
		summary: "Execute a command in a running container",
		operands: "CONTAINER COMMAND [ARG...]",
		args: { min: 2 },
		endsAtCommand: true,
		failsBeforeCommand: true,
		flags: [INTERACTIVE, TTY],
		load: () => import("./commands/exec.js"),
	},
	{
		path: "ps",
		summary: "List containers",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [
			{ name: "all", short: "a", type: "bool", help: "Show all containers (default shows just running)" },
			{ ...FILTER, help: 'Provide filter values (e.g. "network=pub_net")' },
			LIST_FORMAT,
			NO_TRUNC,
			{ name: "quiet", short: "q", type: "bool", help: "Only display container IDs" },
		],
		load: () => import("./commands/ps.js"),
	},
	{
		path: "stop",
		summary: "Stop one or more running containers",
		operands: "CONTAINER [CONTAINER...]",
		args: { min: 1 },
		flags: [
			{
				name: "timeout",
				short: "t",
				aliases: ["time"],
				type: "int",
				help: "Seconds to wait before killing the container (default 10)",
			},
		],
		load: () => import("./commands/stop.js"),
	},
	{
		path: "rm",
		aliases: ["remove"],
		summary: "Remove one or more containers",
		operands: "CONTAINER [CONTAINER...]",
		args: { min: 1 },
		flags: [
			{ name: "force", short: "f", type: "bool", help: "Force the removal of a running container (uses SIGKILL)" },
		],
		load: () => import("./commands/rm.js"),
	},
	{
		path: "logs",
		summary: "Print what a detached container has written",
		operands: "CONTAINER",
		args: { min: 1, max: 1 },
		flags: [],
		load: () => import("./commands/logs.js"),
	},
	{
		path: "network create",
		summary: "Create a network",
		operands: "NETWORK",
		args: { min: 1, max: 1 },
		flags: [
			{ name: "attachable", type: "bool", help: "Enable manual container attachment" },
			{ name: "aux-address", type: "map", help: "Addresses of other hosts, never handed out" },
			{ name: "config-from", type: "string", help: "The network from which to copy the configuration" },
			{ name: "config-only", type: "bool", help: "Create a configuration only network" },
			{
				name: "driver",
				short: "d",
				type: "string",
				values: ["ipvlan", "macvlan"],
				help: 'Driver to manage the Network (default "macvlan")',
			},
			{ name: "gateway", type: "strings", help: "IPv4 or IPv6 Gateway for the subnet that contains it" },
			{ name: "internal", type: "bool", help: "Restrict external access to the network" },
			{ name: "ip-range", type: "strings", help: "Allocate container ip from a sub-range" },
			{ name: "ipam-driver", type: "string", help: 'IP Address Management Driver (default "default")' },
			{ name: "ipam-opt", type: "map", help: "Set IPAM driver specific options" },
			{ name: "ipv4", type: "bool", help: "Enable or disable IPv4 address assignment" },
			{ name: "ipv6", type: "bool", help: "Enable or disable IPv6 address assignment" },
			{ name: "label", type: "labels", help: "Set metadata on a network" },
			{ name: "opt", short: "o", type: "map", help: "Set driver specific options (e.g. parent=eth0.50)" },
			{ name: "scope", type: "string", help: 'Control the network\'s scope (only "local")' },
			{ name: "subnet", type: "strings", help: "Subnet in CIDR format that represents a network segment" },
		],
		load: () => import("./commands/networkcreate.js"),
	},
	{
		path: "network ls",
		aliases: ["list"],
		summary: "List networks",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [
			FILTER,
			LIST_FORMAT,
			NO_TRUNC,
			{ name: "quiet", short: "q", type: "bool", help: "Only display network IDs" },
		],
		load: () => import("./commands/networkls.js"),
	},
	{
		path: "network inspect",
		summary: "Display detailed information on one or more networks",
		operands: "NETWORK [NETWORK...]",
		args: { min: 1 },
		flags: [{ name: "format", short: "f", type: "string", help: "Format output: 'json', or a Go TEMPLATE" }],
		load: () => import("./commands/networkinspect.js"),
	},
	{
		path: "network rm",
		aliases: ["remove"],
		summary: "Remove one or more networks",
		operands: "NETWORK [NETWORK...]",
		args: { min: 1 },
		flags: [{ name: "force", short: "f", type: "bool", help: "Do not error if the network does not exist" }],
		load: () => import("./commands/networkrm.js"),
	},
	{
		path: "network connect",
		summary: "Connect a container or a network namespace to a network",
		operands: "NETWORK CONTAINER|netns:PATH|pid:N",
		args: { min: 2, max: 2 },
		flags: [
			{ name: "alias", type: "list", help: "Add network-scoped alias for the container" },
			DRIVER_OPT,
			{ name: "gw-priority", type: "int", help: "Highest gw-priority provides the default gateway" },
			{ name: "interface", type: "string", help: "Name of the interface in the container (default: next free ethN)" },
			IP,
			IP6,
			MAC,
			{ name: "name", type: "string", help: "Assign a name to the endpoint of a netns: or pid: target" },
		],
		load: () => import("./commands/networkconnect.js"),
	},
	{
		path: "network disconnect",
		summary: "Disconnect a container or a network namespace from a network",
		operands: "NETWORK CONTAINER|netns:PATH|pid:N",
		args: { min: 2, max: 2 },
		flags: [{ name: "force", short: "f", type: "bool", help: "Force the container to disconnect from a network" }],
		load: () => import("./commands/networkdisconnect.js"),
	},
	{
		path: "network prune",
		summary: "Remove all unused networks",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [
			{ name: "filter", type: "filters", metavar: "filter", help: 'Provide filter values (e.g. "label=lab")' },
			{ name: "force", short: "f", type: "bool", help: "Do not prompt for confirmation" },
		],
		load: () => import("./commands/networkprune.js"),
	},
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
		load: () => import("./commands/up.js"),
	},
	{
		path: "down",
		summary: "Remove what vlane up has made",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [DECLARATION, PROJECT_NAME],
		load: () => import("./commands/down.js"),
	},
	{
		path: "diff",
		summary: "Show what vlane up would change (exit status 1: something)",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [DECLARATION, PROJECT_NAME],
		load: () => import("./commands/diff.js"),
	},
	{
		path: "docker install",
		summary: "Write the systemd unit that starts the daemon before Docker",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [
			PLUGIN_DIR,
			{ name: "dry-run", type: "bool", help: "Print the unit and change nothing" },
			{ name: "enable", type: "bool", help: "Enable and start it, too" },
			{ name: "unit-dir", type: "string", metavar: "directory", help: 'Where it goes (default "/etc/systemd/system")' },
		],
		load: () => import("./commands/dockerinstall.js"),
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
		load: () => import("./commands/dockerstatus.js"),
	},
	{
		path: "reconcile",
		summary: "Compare the records with the kernel, and repair what differs",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [],
		load: () => import("./commands/reconcile.js"),
	},
	{
		path: "state export",
		summary: "Print the records as JSON",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [STATE_DIR],
		load: () => import("./commands/stateexport.js"),
	},
	{
		path: "state import",
		summary: "Fill a state directory with exported records",
		operands: "FILE|-",
		args: { min: 1, max: 1 },
		flags: [{ name: "force", short: "f", type: "bool", help: "Replace the records that are there" }, STATE_DIR],
		load: () => import("./commands/stateimport.js"),
	},
	{
		path: "state check",
		summary: "Check that the records are consistent",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [STATE_DIR],
		load: () => import("./commands/statecheck.js"),
	},
	...OBSERVE_COMMANDS,
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
		load: () => import("./ping.js"),
	},
	{
		path: "dashboard",
		summary: "Print the address of the daemon's dashboard",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [],
		load: () => import("./commands/dashboard.js"),
	},
	{
		path: "completion",
		summary: "Print a shell's completion script",
		operands: "bash|fish|zsh",
		args: { min: 1 },
		endsAtCommand: true,
		flags: [],
		load: () => import("./commands/completion.js"),
	},
	{
		path: "bench",
		summary: "Measure how fast this machine forwards, in private namespaces",
		operands: "",
		args: { min: 0, max: 0 },
		handlesInterrupt: true,
		flags: [],
		load: () => import("./commands/bench.js"),
	},
	{
		path: "demo",
		summary: "Run the tutorial in private namespaces",
		operands: "",
		args: { min: 0, max: 0 },
		handlesInterrupt: true,
		flags: [],
		load: () => import("./commands/demo.js"),
	},
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
			{ name: "socket", type: "string", help: `Where the API listens (default "${DEFAULT_SOCKET}")` },
			STATE_DIR,
		],
		load: () => import("./commands/daemon.js"),
	},
];
