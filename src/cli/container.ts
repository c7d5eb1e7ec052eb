/**
 * Becoming a container: this process moves into namespaces and then replaces itself with COMMAND, so that there is no
 * process between the user's shell and COMMAND, and signals, exit code and terminal are COMMAND's own.
 */
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { constants as system } from "node:os";
import { join } from "node:path";
import { isatty } from "node:tty";
import type { ApiContainer } from "../control/types.js";
import { isErrno } from "../sys/errno.js";
import {
	CLONE_FS,
	CLONE_NEWNET,
	CLONE_NEWNS,
	CLONE_NEWUTS,
	execvp,
	F_SETFD,
	fcntl,
	lowerOpenFiles,
	MS_BIND,
	MS_NODEV,
	MS_NOEXEC,
	MS_NOSUID,
	MS_PRIVATE,
	MS_REC,
	mount,
	SIG_DFL,
	setns,
	signal,
	unshare,
} from "../sys/libc.js";
import { CliError, EXIT_FAILED, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND } from "./errors.js";
import type { Flags } from "./flags.js";

/** Tells a detached copy what `openFilesOfCaller` would find; taken out before COMMAND sees it. */
export const OPEN_FILES_VARIABLE = "VLANE_OPEN_FILES";

/** What execvp(3) searches when there is no PATH. */
const PATH_DEFAULT = "/bin:/usr/bin";

/**
 * Checks that `name` can be executed, by execvp's rules, before anything is made for it.
 * @throws CliError with exit code 127 (does not exist) or 126 (can not be executed)
 */
export function requireExecutable(name: string): void {
	if (name.includes("/")) {
		const problem = executableProblem(name);
		if (problem !== undefined) throw commandError(name, problem);
		return;
	}
	let best: CommandProblem = "not found";
	for (const directory of (process.env.PATH || PATH_DEFAULT).split(":")) {
		const problem = executableProblem(join(directory, name));
		if (problem === undefined) return;
		if (problem === "denied") best = problem;
	}
	throw commandError(name, name === "" ? "not found" : best);
}

/** `unreachable`: in a directory that this user may not enter; in a search of PATH that says nothing. */
type CommandProblem = "not found" | "denied" | "unreachable";

function executableProblem(path: string): CommandProblem | undefined {
	try {
		if (!statSync(path).isFile()) return "denied";
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EACCES" ? "unreachable" : "not found";
	}
	try {
		accessSync(path, constants.X_OK);
		return undefined;
	} catch {
		return "denied";
	}
}

function commandError(name: string, problem: CommandProblem): CliError {
	if (problem !== "not found") {
		return new CliError(`exec: ${JSON.stringify(name)}: permission denied`, EXIT_NOT_EXECUTABLE);
	}
	const reason = name.includes("/")
		? "no such file or directory"
		: "executable file not found in $PATH; there are no images, COMMAND is a program of this host";
	return new CliError(`exec: ${JSON.stringify(name)}: ${reason}`, EXIT_NOT_FOUND);
}

/** With -t, standard input must be a terminal. @throws CliError */
export function requireTerminal(flags: Flags): void {
	if (flags.bool("tty") && !isatty(0)) throw new CliError("the input device is not a TTY", EXIT_FAILED);
}

/** Without -i and -t, COMMAND reads an empty standard input, as with docker. */
export function settleStdin(flags: Flags): void {
	if (flags.bool("interactive") || flags.bool("tty")) return;
	closeSync(0);
	openSync("/dev/null", "r"); // takes the lowest free number, 0
}

/**
 * Moves this process into new network, mount and UTS namespaces. Mounts made in there stay in there; /sys shows the new
 * network namespace where mounting it is allowed.
 * @throws SysError
 */
export function enterNewNamespaces(): void {
	unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS);
	mount("none", "/", null, MS_REC | MS_PRIVATE, null);
	try {
		mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, null);
	} catch (error) {
		// A user namespace may not mount sysfs (EPERM); the host's /sys stays, which only shows other interfaces.
		if (!isErrno(error, "EPERM", "EBUSY", "ENOENT")) throw error;
	}
}

/** Mounts a container's own files over the host's, where the host has them. @throws SysError */
export function mountFiles({ HostsPath, ResolvConfPath, HostnamePath }: ApiContainer): void {
	for (const [source, target] of [
		[HostsPath, "/etc/hosts"],
		[ResolvConfPath, "/etc/resolv.conf"],
		[HostnamePath, "/etc/hostname"],
	]) {
		if (source === undefined || target === undefined || !existsSync(target)) continue;
		mount(source, target, null, MS_BIND, null);
	}
}

/** Moves this process into the namespaces of a container's process. @throws SysError, Error when the process is gone */
export function enterContainer(pid: number): void {
	const directory = process.cwd();
	const namespaces = ["uts", "net", "mnt"].map((name) => openSync(`/proc/${pid}/ns/${name}`, "r"));
	unshare(CLONE_FS); // setns to a mount namespace is refused while threads share the working directory
	for (const fd of namespaces) {
		setns(fd, 0, `namespace of pid ${pid}`);
		closeSync(fd);
	}
	try {
		process.chdir(directory);
	} catch {
		process.chdir("/");
	}
}

/** Moves this process into the network namespace of a container's process only. @throws as `enterContainer` */
export function enterNetwork(pid: number): void {
	const fd = openSync(`/proc/${pid}/ns/net`, "r");
	setns(fd, CLONE_NEWNET, `network namespace of pid ${pid}`);
	closeSync(fd);
}

/**
 * How many files the program that called us may open: Node has raised our own limit before any of our code runs. A
 * detached copy is told, because its caller is Node, too. Undefined: no limit, or nobody to ask.
 */
export function openFilesOfCaller(): number | undefined {
	const told = process.env[OPEN_FILES_VARIABLE];
	try {
		const limits = told ?? /^Max open files +(\d+)/m.exec(readFileSync(`/proc/${process.ppid}/limits`, "latin1"))?.[1];
		return limits === undefined || limits === "" ? undefined : Number(limits);
	} catch {
		return undefined;
	}
}

/**
 * Replaces this process with `command`; returns only by throwing.
 * @throws CliError with exit code 126 or 127
 */
export function become(command: string[]): never {
	// Node marks the standard descriptors close-on-exec and ignores these two signals, which COMMAND would inherit.
	for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 0);
	signal(system.signals.SIGPIPE, SIG_DFL);
	signal(system.signals.SIGXFSZ, SIG_DFL);
	// And it raises its limit of open files as far as it can, which some programs take badly.
	const limit = openFilesOfCaller();
	delete process.env[OPEN_FILES_VARIABLE];
	if (limit !== undefined) lowerOpenFiles(limit);
	const [name = ""] = command;
	try {
		return execvp(name, command);
	} catch (error) {
		if (isErrno(error, "ENOENT", "ENOTDIR")) throw commandError(name, "not found");
		if (isErrno(error, "EACCES")) throw commandError(name, "denied");
		throw new CliError((error as Error).message, EXIT_NOT_EXECUTABLE);
	}
}
