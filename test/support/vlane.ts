/** The real daemon and the real command line, in a namespace of a test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onCleanup } from "./cleanup.js";
import type { Namespace, Ran, RunOptions, Started } from "./netns.js";
import type { Supervisor } from "./supervisor.js";

/** The command that users type; relative to dist/test/support, so that a build in another directory tests itself. */
export const MAIN = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
const READY = /vlane daemon ready on/;
/** Every daemon of the tests has so many workers; absent: the default. */
const { VLANE_TEST_WORKERS } = process.env;
/** System calls that need no trace to be known. */
const FREQUENT_CALLS = "close,epoll_pwait,epoll_wait,futex,io_uring_enter,mprotect,munmap,openat,read,write";
const WORKERS = VLANE_TEST_WORKERS ? ["--workers", VLANE_TEST_WORKERS] : [];

export interface Vlane {
	/** Directory of the state and the socket; gone after the test. */
	directory: string;
	socket: string;
	stateDirectory: string;
	/** The daemon's process. */
	readonly pid: number;
	/** Who keeps the descriptors of each daemon that is started from now on. */
	supervisor?: Supervisor;
	/** Resolves with what the daemon leaves, whoever ends it. */
	readonly ended: Promise<Ran>;
	/** Runs `vlane ARGUMENT...` to its end in the host's namespace. */
	vlane(...argv: string[]): Ran;
	/** As `vlane`, for commands that have to succeed; answers stdout without the line end. */
	must(...argv: string[]): string;
	/** As `vlane`, with standard input or environment. */
	run(argv: string[], options: RunOptions): Ran;
	/** Starts `vlane ARGUMENT...` in the background: containers in the foreground, commands to be interrupted. */
	start(...argv: string[]): Started;
	/** Starts the daemon; resolves when it answers. Extra arguments go to `vlane daemon`. */
	startDaemon(...argv: string[]): Promise<void>;
	/**
	 * Starts a daemon that takes over from the one that runs. Resolves with what that one has left when it has ended and
	 * the new one answers.
	 */
	replaceDaemon(...argv: string[]): Promise<Ran>;
	/** Ends the daemon and nothing else; its containers stay. Answers what it left. */
	stopDaemon(signal?: NodeJS.Signals): Promise<Ran>;
	/** Ends the daemon and the containers, and removes the state. */
	cleanup(): Promise<void>;
}

/** Starts a daemon with a state directory of its own in `host`. */
export function startVlane(host: Namespace, ...daemonArguments: string[]): Promise<Vlane> {
	return startVlaneBehind([], host, ...daemonArguments);
}

/** As `startVlane`, with a command in front of each daemon's that becomes it: `env`, or one that sets a filter. */
export async function startVlaneBehind(
	prefix: string[],
	host: Namespace,
	...daemonArguments: string[]
): Promise<Vlane> {
	const directory = mkdtempSync(join(tmpdir(), "vlane-test-"));
	const remove = onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	const socket = join(directory, "vlane.sock");
	const stateDirectory = join(directory, "state");
	// The machine may have a Docker Engine of its own, which must not find the daemon of a test.
	const where = ["--state-dir", stateDirectory, "--socket", socket, "--docker-plugin-dir", "none"];
	const env = { VLANE_HOST: `unix://${socket}` };
	// Maps are for reading a test's failures; measurements are of the program as users start it.
	const flags = process.env.VLANE_TEST_NODE_ARGV?.split(" ").filter(Boolean) ?? ["--enable-source-maps"];
	const command = (argv: string[]): string[] => [process.execPath, ...flags, MAIN, ...argv];
	// For lists of system calls (docs/reliability.md): detached, so that the daemon is this process's child as ever. What
	// every thread does all the time is let pass unseen, at full speed.
	const traces = process.env.VLANE_TEST_STRACE;
	const traceFlags = ["-D", "-ff", "--seccomp-bpf", "-qq", "-s0", "-esignal=none", `-etrace=!${FREQUENT_CALLS}`];
	const strace = traces ? ["strace", ...traceFlags, "-o", join(traces, "daemon")] : [];
	let daemon: Started | undefined;
	const vlane: Vlane = {
		directory,
		socket,
		stateDirectory,
		get pid() {
			if (daemon?.process.pid === undefined) throw new Error("the daemon does not run");
			return daemon.process.pid;
		},
		get ended() {
			if (!daemon) throw new Error("the daemon does not run");
			return daemon.ended;
		},
		vlane: (...argv) => host.run(command(argv), { env }),
		must: (...argv) => host.must(command(argv), { env }).trimEnd(),
		run: (argv, options) => host.run(command(argv), { ...options, env: { ...env, ...options.env } }),
		start: (...argv) => host.start(command(argv), { env }),
		async startDaemon(...argv) {
			const { prefix: before, ...passed } = vlane.supervisor?.passing ?? { prefix: [] };
			daemon = host.start(
				[...prefix, ...before, ...strace, ...command(["daemon", ...where, ...WORKERS, ...argv])],
				passed,
			);
			await daemon.waitFor(READY);
		},
		async replaceDaemon(...argv) {
			if (!daemon) throw new Error("the daemon does not run");
			const old = daemon;
			const argvs = [...prefix, ...strace, ...command(["daemon", ...where, ...WORKERS, "--replace", ...argv])];
			const successor = host.start(argvs, { env: vlane.supervisor?.env });
			await successor.waitFor(READY);
			daemon = successor;
			return old.ended;
		},
		async stopDaemon(signal = "SIGTERM") {
			if (!daemon) throw new Error("the daemon does not run");
			const ran = await daemon.stop(signal);
			daemon = undefined;
			return ran;
		},
		async cleanup() {
			if (daemon) {
				const names = vlane.vlane("ps", "-aq").stdout.split("\n").filter(Boolean);
				if (names.length > 0) vlane.vlane("rm", "-f", ...names);
				await vlane.stopDaemon();
			}
			remove();
		},
	};
	await vlane.startDaemon(...daemonArguments);
	return vlane;
}

/** `vlane network inspect`, without what moves by itself: the counters of its ports. */
export function inspectAtRest(vlane: Vlane, network: string): unknown {
	const [{ Status, ...rest }] = JSON.parse(vlane.must("network", "inspect", network));
	return { ...rest, Status: { ...Status, Ports: Status.Ports.map(({ name }: { name: string }) => name) } };
}
