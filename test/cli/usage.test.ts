/**
 * Command lines that never reach a daemon: help, version, usage errors, sockets that do not answer.
 */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { COMMANDS } from "../../src/cli/table.js";
import { testOrSkip } from "../support/needs.js";
import { fakeDaemon, NO_DAEMON, vlane, withDaemon } from "./harness.js";

const Usage = suite("usage");

const VERSION = (
	JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as { version: string }
).version;

for (const flag of ["-v", "--version"]) {
	Usage(`vlane ${flag}`, async () => {
		assert.equal(await vlane([flag]), { status: 0, stdout: `vlane version ${VERSION}\n`, stderr: "" });
	});
}

Usage("vlane network rm --help, in every spelling", async () => {
	const help = [
		"Usage:  vlane network rm [OPTIONS] NETWORK [NETWORK...]",
		"",
		"Remove one or more networks",
		"",
		"Aliases:",
		"  vlane network rm, vlane network remove",
		"",
		"Options:",
		"  -f, --force   Do not error if the network does not exist",
		"",
	].join("\n");
	for (const args of [
		["network", "rm", "--help"],
		["network", "rm", "-h"],
		["network", "remove", "--help"],
		["network", "rm", "-f", "n", "--help"],
		["help", "network", "rm"],
	]) {
		assert.equal(await vlane(args), { status: 0, stdout: help, stderr: "" }, args.join(" "));
	}
});

Usage("a group alone, with --help, and the help command show the same", async () => {
	const outcomes = [];
	for (const args of [["network"], ["network", "--help"], ["help", "network"]]) outcomes.push(await vlane(args));
	for (const outcome of outcomes) assert.equal(outcome, outcomes[0]);
	assert.is(outcomes[0]?.status, 0);
	assert.match(
		outcomes[0]?.stdout ?? "",
		/^Usage: {2}vlane network COMMAND\n\nManage networks\n\nCommands:\n {2}connect /,
	);
});

Usage("vlane alone and --help list every command", async () => {
	const alone = await vlane([]);
	assert.equal(await vlane(["--help"]), alone);
	assert.is(alone.status, 0);
	for (const { path } of COMMANDS) {
		const [word] = path.split(" ");
		assert.match(alone.stdout, new RegExp(`^  ${word} `, "m"), path);
	}
});

Usage("help texts fit 80 columns and name every flag", async () => {
	for (const spec of COMMANDS) {
		const { stdout, status } = await vlane([...spec.path.split(" "), "--help"]);
		assert.is(status, 0, spec.path);
		for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
		for (const flag of spec.flags) assert.match(stdout, `--${flag.name}`);
	}
});

const TABLE: [args: string[], message: string, path: string, status?: number][] = [
	[["bogus"], "vlane: unknown command: vlane bogus", "vlane"],
	[["network", "bogus"], "vlane: unknown command: vlane network bogus", "vlane network"],
	[["help", "bogus"], "vlane: unknown command: vlane bogus", "vlane"],
	[["--bogus"], "unknown flag: --bogus", "vlane"],
	[["-x"], "unknown shorthand flag: 'x' in -x", "vlane"],
	[["-H"], "flag needs an argument: 'H' in -H", "vlane"],
	[["network", "create"], "vlane: 'vlane network create' requires 1 argument", "vlane network create"],
	[["network", "create", "a", "b"], "vlane: 'vlane network create' requires 1 argument", "vlane network create"],
	[["network", "rm"], "vlane: 'vlane network rm' requires at least 1 argument", "vlane network rm"],
	[["network", "inspect"], "vlane: 'vlane network inspect' requires at least 1 argument", "vlane network inspect"],
	[["network", "connect", "n"], "vlane: 'vlane network connect' requires 2 arguments", "vlane network connect"],
	[
		["network", "disconnect", "n"],
		"vlane: 'vlane network disconnect' requires 2 arguments",
		"vlane network disconnect",
	],
	[["network", "ls", "x"], "vlane: 'vlane network ls' accepts no arguments", "vlane network ls"],
	[["stop"], "vlane: 'vlane stop' requires at least 1 argument", "vlane stop"],
	[["network", "create", "--bogus", "n"], "unknown flag: --bogus", "vlane network create"],
	[["network", "create", "--bogus=3", "n"], "unknown flag: --bogus", "vlane network create"],
	[["network", "create", "-xd", "n"], "unknown shorthand flag: 'x' in -xd", "vlane network create"],
	[["network", "create", "n", "--subnet"], "flag needs an argument: --subnet", "vlane network create"],
	[["network", "create", "n", "-d"], "flag needs an argument: 'd' in -d", "vlane network create"],
	[
		["network", "create", "--ipv6=maybe", "n"],
		'invalid argument "maybe" for "--ipv6" flag: expected true or false',
		"vlane network create",
	],
	[
		["network", "create", "--aux-address", "172.16.86.250", "n"],
		'invalid argument "172.16.86.250" for "--aux-address" flag: expected key=value',
		"vlane network create",
	],
	[
		["network", "create", "-o", "=eth0", "n"],
		'invalid argument "=eth0" for "-o, --opt" flag: empty key',
		"vlane network create",
	],
	[
		["network", "create", "--label", "=x", "n"],
		`invalid argument "=x" for "--label" flag: invalid label '=x': empty name`,
		"vlane network create",
	],
	[
		["network", "ls", "-f", "foo"],
		'invalid argument "foo" for "-f, --filter" flag: bad format of filter (expected name=value)',
		"vlane network ls",
	],
	[
		["run", "--add-host=foo", "true"],
		'invalid argument "foo" for "--add-host" flag: bad format for add-host: "foo"',
		"vlane run",
		125,
	],
	[
		["run", "--add-host=a:b", "true"],
		'invalid argument "a:b" for "--add-host" flag: invalid IP address in add-host: "b"',
		"vlane run",
		125,
	],
	[
		["run", "--dns=foo", "true"],
		'invalid argument "foo" for "--dns" flag: IP address is not correctly formatted: foo',
		"vlane run",
		125,
	],
	[
		["run", "--dns-search=a b", "true"],
		'invalid argument "a b" for "--dns-search" flag: a b is not a valid domain',
		"vlane run",
		125,
	],
	[["stop", "-t", "x", "c1"], 'invalid argument "x" for "-t, --timeout" flag: expected a whole number', "vlane stop"],
	[["stop", "-t", "-1", "c1"], 'invalid argument "-1" for "-t, --timeout" flag: must not be negative', "vlane stop"],
	[["ping", "-c", "0", "::1"], 'invalid argument "0" for "-c, --count" flag: must be at least 1', "vlane ping"],
	[
		["ping", "-W", "never", "::1"],
		'invalid argument "never" for "-W, --timeout" flag: expected seconds, more than 0',
		"vlane ping",
	],
	[
		["daemon", "--log-level", "loud"],
		'invalid argument "loud" for "--log-level" flag: expected debug|info|warn|error',
		"vlane daemon",
	],
	...["0", "-1", "65"].map((number): [string[], string, string] => [
		["daemon", "--workers", number],
		`invalid argument "${number}" for "--workers" flag: expected 1 to 64`,
		"vlane daemon",
	]),
	...["1.5", "two", ""].map((number): [string[], string, string] => [
		["daemon", "--workers", number],
		`invalid argument "${number}" for "--workers" flag: expected a whole number`,
		"vlane daemon",
	]),
	// run and exec: 125, so that the exit codes of COMMAND can be told apart
	[["run"], "vlane: 'vlane run' requires at least 1 argument", "vlane run", 125],
	[["run", "--bogus", "true"], "unknown flag: --bogus", "vlane run", 125],
	[["exec", "c1"], "vlane: 'vlane exec' requires at least 2 arguments", "vlane exec", 125],
];

for (const [args, message, path, status = 2] of TABLE) {
	Usage(`vlane ${args.join(" ")}`, async () => {
		const stderr = `${message}\nSee '${path} --help'.\n`;
		assert.equal(await vlane(args), { status, stdout: "", stderr });
	});
}

const UNREACHABLE = (host: string) =>
	`Cannot connect to the vlane daemon at ${host}. Is the vlane daemon running? Start it with: vlane daemon\n`;

Usage("a dead daemon", async () => {
	for (const args of [["ps"], ["network", "ls"], ["network", "create", "n"], ["network", "rm", "a", "b"], ["ports"]]) {
		assert.equal(await vlane(args), { status: 1, stdout: "", stderr: UNREACHABLE(NO_DAEMON) }, args.join(" "));
	}
});

Usage("-H wins over VLANE_HOST", async () => {
	const outcome = await vlane(["-H", "unix:///nonexistent/other.sock", "ps"]);
	assert.equal(outcome, { status: 1, stdout: "", stderr: UNREACHABLE("unix:///nonexistent/other.sock") });
	const equal = await vlane(["--host=unix:///nonexistent/other.sock", "ps"]);
	assert.equal(equal, outcome);
});

Usage("a socket file that nobody listens on", async () => {
	const daemon = await fakeDaemon({});
	const file = join(daemon.directory, "plain");
	writeFileSync(file, "");
	const outcome = await vlane(["ps"], { host: `unix://${file}` });
	await daemon.close();
	assert.equal(outcome, { status: 1, stdout: "", stderr: UNREACHABLE(`unix://${file}`) });
});

Usage("hosts that are no unix socket", async () => {
	assert.equal(await vlane(["-H", "tcp://127.0.0.1:2375", "ps"]), {
		status: 1,
		stdout: "",
		stderr: 'invalid host "tcp://127.0.0.1:2375"; expected unix:///path/to/socket\n',
	});
	assert.equal(await vlane(["-H", "/run/vlane/vlane.sock", "ps"]), {
		status: 1,
		stdout: "",
		stderr: 'invalid host "/run/vlane/vlane.sock"; did you mean "unix:///run/vlane/vlane.sock"?\n',
	});
});

testOrSkip(Usage, "a socket that this user may not use", { root: true }, async () => {
	await withDaemon({}, async ({ host, socket, directory }) => {
		chmodSync(directory, 0o755);
		chmodSync(socket, 0o600);
		const stderr = `permission denied while trying to connect to the vlane daemon socket at ${host}; run as root\n`;
		assert.equal(await vlane(["ps"], { host, uid: 65534 }), { status: 1, stdout: "", stderr });
	});
});

Usage("a daemon that answers nonsense", async () => {
	await withDaemon({ "GET /containers": [500], "GET /networks": [418, { reason: "teapot" }] }, async ({ host }) => {
		const stderr = "Error response from daemon: HTTP status 500\n";
		assert.equal(await vlane(["ps"], { host }), { status: 1, stdout: "", stderr });
		const teapot = "Error response from daemon: HTTP status 418\n";
		assert.equal(await vlane(["network", "ls"], { host }), { status: 1, stdout: "", stderr: teapot });
	});
});

Usage.run();
