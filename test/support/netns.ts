/**
 * Named network namespaces of a test, and processes inside them.
 *
 * Every process started here carries VLANE_TEST_ID in its environment and hands it on to its children, wherever these
 * go (own sessions, own namespaces): that is how cleaning up finds containers that a killed daemon left behind.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { onCleanup } from "./cleanup.js";

/** What a finished command left. */
export interface Ran {
	/** Exit status; 128 + n when signal n ended it. */
	status: number;
	stdout: string;
	stderr: string;
}

/** A command that runs in the background until `stop` or the end of the test. */
export interface Started {
	process: ChildProcess;
	/** Resolves once the process has ended. */
	ended: Promise<Ran>;
	/** Signals the process (SIGTERM unless told) and waits for its end. */
	stop(signal?: NodeJS.Signals): Promise<Ran>;
	/**
	 * Resolves with the first line of stdout or stderr that matches; rejects when the process ends first, or takes too
	 * long (30 s).
	 */
	waitFor(line: RegExp, waitMsMax?: number): Promise<string>;
}

export interface RunOptions {
	env?: Record<string, string>;
	/** Standard input; none when absent. */
	input?: string;
	/** For commands in the background: descriptors of this process that they get copies of, from 3 on. */
	fds?: readonly number[];
}

const TEST_ID = `vlane-t${process.pid}`;
const COMMAND_MS_MAX = 120_000;
const WAIT_MS_MAX = 30_000;
const LOOK_MS = 10;
const RUN_NETNS = "/run/netns";
const SIGNALS: Record<string, number> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGPIPE: 13, SIGTERM: 15 };

function statusOf(status: number | null, signal: NodeJS.Signals | null): number {
	return status ?? 128 + (SIGNALS[signal ?? ""] ?? 0);
}

function environment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
	return { ...process.env, NO_COLOR: "1", LC_ALL: "C", VLANE_TEST_ID: TEST_ID, ...extra };
}

/** Runs a command to its end. @throws Error when it can not be started or takes longer than two minutes. */
export function run(argv: readonly string[], options: RunOptions = {}): Ran {
	const [command = "", ...rest] = argv;
	const { status, signal, stdout, stderr, error } = spawnSync(command, rest, {
		encoding: "utf8",
		env: environment(options.env),
		input: options.input,
		stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
		timeout: COMMAND_MS_MAX,
		killSignal: "SIGKILL",
		maxBuffer: 64 << 20,
	});
	if (error) throw new Error(`${argv.join(" ")}: ${error.message}\n${stdout ?? ""}${stderr ?? ""}`);
	return { status: statusOf(status, signal), stdout, stderr };
}

/** Runs a command that has to succeed; answers its stdout. @throws Error with its output when it fails. */
export function must(argv: readonly string[], options: RunOptions = {}): string {
	const { status, stdout, stderr } = run(argv, options);
	if (status !== 0) throw new Error(`${argv.join(" ")}: status ${status}\n${stdout}${stderr}`);
	return stdout;
}

/**
 * Starts a command in the background. It does not keep the test's process alive, and does not outlive it. What it says
 * goes to files: while the test is busy with a command of its own a pipe is soon full, and its writer stands still.
 */
export function start(argv: readonly string[], options: RunOptions = {}): Started {
	const [command = "", ...rest] = argv;
	const said = [new Said(), new Said()] as const;
	const child = spawn(command, rest, {
		env: environment(options.env),
		stdio: ["pipe", said[0].fd, said[1].fd, ...(options.fds ?? [])],
	});
	const forget = onCleanup(() => child.kill("SIGKILL"));
	let problem = "";
	let status: number | undefined;
	const output = () => ({ stdout: said[0].read(), stderr: said[1].read() + problem });
	child.stdin?.on("error", () => {}); // EPIPE of a process that has ended
	child.stdin?.end(options.input);
	const ended = new Promise<Ran>((resolve) => {
		const end = (code: number) => {
			status = code;
			const ran = { status, ...output() };
			for (const file of said) file.close();
			resolve(ran);
		};
		child.on("error", (error) => {
			problem = `${error.message}\n`;
			end(127);
		});
		// Not "close": grandchildren may hold the files open for as long as they like.
		child.on("exit", (code, signal) => {
			forget();
			end(statusOf(code, signal));
		});
	});
	child.unref();
	const whileWaiting = async <T>(result: Promise<T>): Promise<T> => {
		child.ref();
		return result.finally(() => child.unref());
	};
	return {
		process: child,
		get ended() {
			return whileWaiting(ended);
		},
		stop(signal = "SIGTERM") {
			child.kill(signal);
			return whileWaiting(ended);
		},
		async waitFor(line, waitMsMax = WAIT_MS_MAX) {
			for (const end = Date.now() + waitMsMax; ; await delay(LOOK_MS)) {
				const { stdout, stderr } = output();
				const hit = `${stdout}\n${stderr}`.split("\n").find((text) => line.test(text));
				if (hit !== undefined) return hit;
				if (status === undefined && Date.now() < end) continue;
				const silent = `said nothing for ${waitMsMax} ms (${threadsOf(child.pid)})`;
				const why = status === undefined ? silent : `ended with status ${status}`;
				throw new Error(`${argv.join(" ")} ${why} without ${line}\n${stdout}${stderr}`);
			}
		},
	};
}

/** What each thread of a process waits for, for the reports of tests that fail: `node S do_epoll_wait, ...`. */
export function threadsOf(pid: number | undefined): string {
	const look = (path: string): string => {
		try {
			return readFileSync(`/proc/${pid}/${path}`, "latin1");
		} catch {
			return "";
		}
	};
	try {
		return readdirSync(`/proc/${pid}/task`)
			.map((tid) => {
				const [, name, state] = /\((.*)\) (\S)/s.exec(look(`task/${tid}/stat`)) ?? [];
				return `${name} ${state} ${look(`task/${tid}/wchan`)}`.trimEnd();
			})
			.join(", ");
	} catch {
		return "its process is gone";
	}
}

/** What a process says on one of its outputs: a file without a name. */
class Said {
	readonly fd: number;
	#text = "";
	#isOpen = true;

	constructor() {
		const directory = mkdtempSync(join(tmpdir(), "vlane-said-"));
		this.fd = openSync(join(directory, "output"), "a+");
		rmSync(directory, { recursive: true });
	}

	/** Everything so far. */
	read(): string {
		if (this.#isOpen) this.#text = readAll(this.fd);
		return this.#text;
	}

	/** What is said from now on is not read. */
	close(): void {
		if (this.#isOpen) closeSync(this.fd);
		this.#isOpen = false;
	}
}

function readAll(fd: number): string {
	const bytes = Buffer.alloc(fstatSync(fd).size);
	return bytes.toString("utf8", 0, readSync(fd, bytes, 0, bytes.length, 0));
}

/** Ends every process that carries the given test's id. */
function killMarked(id: string): void {
	for (const pid of readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.map(Number)) {
		try {
			const marked = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`VLANE_TEST_ID=${id}`);
			if (marked && pid !== process.pid) process.kill(pid, "SIGKILL");
		} catch {
			// It ended meanwhile, or is a kernel thread.
		}
	}
}

function deleteNamespaces(id: string): void {
	const names = readdirSync(RUN_NETNS).filter((name) => name.startsWith(`${id}-`));
	for (const name of names) run(["ip", "netns", "del", name]);
}

/** Takes away what tests left that were killed without a chance to clean up. */
function sweep(): void {
	const ids = new Set(readdirSync(RUN_NETNS).flatMap((name) => /^(vlane-t(\d+))-/.exec(name)?.[1] ?? []));
	for (const id of ids) {
		try {
			process.kill(Number(id.slice("vlane-t".length)), 0);
		} catch {
			killMarked(id);
			deleteNamespaces(id);
		}
	}
}

let prepared = false;

function prepare(): void {
	if (prepared) return;
	prepared = true;
	run(["mkdir", "-p", RUN_NETNS]);
	sweep();
	onCleanup(() => {
		killMarked(TEST_ID);
		deleteNamespaces(TEST_ID);
	});
}

let count = 0;

/** For `ping`: frames wait while nobody forwards, and are answered late where the machine has other work. */
export const LATE_SECONDS = 10;

/** A fresh network namespace with lo up; it and all that runs in it ends with the test. */
export class Namespace {
	/** Name for `ip netns`. */
	readonly name: string;
	/** `/run/netns/NAME`. */
	readonly path: string;
	/** What stands in front of a command that is to run in the namespace. */
	protected enter: readonly string[];
	readonly #delete: () => void;

	/** @param label A word for people, part of the name. */
	constructor(label: string) {
		prepare();
		count += 1;
		this.name = `${TEST_ID}-${count}-${label}`;
		this.path = `${RUN_NETNS}/${this.name}`;
		this.enter = ["ip", "netns", "exec", this.name];
		must(["ip", "netns", "add", this.name]);
		this.#delete = onCleanup(() => {
			const pids = run(["ip", "netns", "pids", this.name]).stdout.split("\n").filter(Boolean);
			if (pids.length > 0) run(["kill", "-9", ...pids]);
			must(["ip", "netns", "del", this.name]);
		});
		this.must(["ip", "link", "set", "lo", "up"]);
	}

	#argv(argv: readonly string[]): string[] {
		return [...this.enter, ...argv];
	}

	/** Runs a command in the namespace to its end. */
	run(argv: readonly string[], options?: RunOptions): Ran {
		return run(this.#argv(argv), options);
	}

	/** As `run`, for commands that have to succeed; answers stdout. */
	must(argv: readonly string[], options?: RunOptions): string {
		return must(this.#argv(argv), options);
	}

	/** Starts a command in the namespace in the background. */
	start(argv: readonly string[], options?: RunOptions): Started {
		return start(this.#argv(argv), options);
	}

	/** Parsed output of `ip -j -d ...`. */
	// biome-ignore lint/suspicious/noExplicitAny: iproute2 has no types
	ip(...argv: string[]): any[] {
		const output = this.must(["ip", "-j", "-d", ...argv]);
		return output.trim() === "" ? [] : JSON.parse(output);
	}

	/** Writes a kernel parameter, `net/ipv4/ip_forward`, of this namespace. */
	sysctl(key: string, value: number): void {
		this.must(["tee", `/proc/sys/${key}`], { input: `${value}` });
	}

	/**
	 * How many of `count` echo requests were answered, by somebody else, the last one within `waitSeconds`.
	 * @throws Error for an address of its own
	 */
	ping(address: string, count = 1, waitSeconds = 1): number {
		if (this.run(["ip", "route", "get", address]).stdout.startsWith("local ")) {
			throw new Error(`${address} is an address of ${this.name} itself`);
		}
		const { stdout } = this.run(["ping", "-n", "-c", `${count}`, "-i", "0.2", "-W", `${waitSeconds}`, address]);
		return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
	}

	/** Takes the namespace away before the test ends. */
	close(): void {
		this.#delete();
	}
}
