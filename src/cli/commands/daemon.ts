/** `vlane daemon`. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { DAEMON_CAPABILITIES } from "../../control/capabilities.js";
import { LOG_LEVELS } from "../../control/log.js";
import { joinGroup } from "../../daemon/socketgroup.js";
import { WORKERS_MAX } from "../../host/types.js";
import { isErrno } from "../../sys/errno.js";
import { isReadable } from "../../sys/fdsocket.js";
import { pidfdOpen } from "../../sys/libc.js";
import { allocateSparingly, SPARING_ARGV } from "../../sys/memory.js";
import { FdPoller } from "../../sys/poller.js";
import { shed } from "../../sys/privileges.js";
import { Client } from "../client.js";
import { CliError, UsageError } from "../errors.js";
import { DEFAULT_SOCKET, DEFAULT_STATE_DIR, type Invocation } from "../table/spec.js";

/** How often is looked whether the daemon answers. */
const LOOK_MS = 20;

/** Runs the daemon in the foreground until it is told to stop. */
export async function run({ flags }: Invocation): Promise<number> {
	const logLevel = flags.string("log-level") ?? "info";
	if (!(LOG_LEVELS as readonly string[]).includes(logLevel)) {
		throw new UsageError(`invalid argument "${logLevel}" for "--log-level" flag: expected ${LOG_LEVELS.join("|")}`);
	}
	const coalesce = flags.string("coalesce") ?? "on";
	if (coalesce !== "on" && coalesce !== "off") {
		throw new UsageError(`invalid argument "${coalesce}" for "--coalesce" flag: expected on|off`);
	}
	const workers = flags.int("workers") ?? 1;
	if (workers < 1 || workers > WORKERS_MAX) {
		throw new UsageError(`invalid argument "${workers}" for "--workers" flag: expected 1 to ${WORKERS_MAX}`);
	}
	const socket = flags.string("socket") ?? DEFAULT_SOCKET;
	if (flags.bool("detach")) return startDetached(socket);
	const group = flags.string("socket-group");
	const socketGid = group === undefined ? undefined : joinGroup(group);
	// Before the rest is loaded: it may execute this process anew.
	shed(DAEMON_CAPABILITIES, [...SPARING_ARGV, ...process.execArgv]);
	allocateSparingly();
	const { runDaemon } = await import("../../daemon/main.js");
	await runDaemon({
		stateDir: flags.string("state-dir") ?? DEFAULT_STATE_DIR,
		socket,
		socketGid,
		logLevel,
		coalesce: coalesce === "on",
		workers,
		replace: flags.bool("replace"),
		dockerPluginDir: flags.string("docker-plugin-dir"),
		dashboard: flags.string("dashboard"),
		dashboardRemote: flags.bool("dashboard-remote"),
		metrics: flags.string("metrics"),
		metricsRemote: flags.bool("metrics-remote"),
		store: flags.string("store"),
		hostName: flags.string("host-name"),
		leaseTtl: flags.string("lease-ttl"),
		parentMap: flags.list("parent-map"),
	});
	return 0;
}

/** Starts this command line anew in a session of its own, and waits until it answers. @throws CliError when it ends */
async function startDetached(socket: string): Promise<number> {
	const argv = process.argv.slice(1).filter((word) => word !== "--detach" && word !== "-d");
	const poller = new FdPoller();
	try {
		const pid = await spawnOrphan([process.execPath, ...process.execArgv, ...argv]);
		const pidfd = pidfdOpen(pid);
		const client = new Client(`unix://${resolve(socket)}`);
		for (;;) {
			const info = await client.get<{ Pid: number }>("/info").catch(() => undefined);
			if (info?.Pid === pid) return 0;
			// What it has to say stands there already.
			if (await isReadable(poller, pidfd, LOOK_MS)) throw new CliError("the daemon has not started");
		}
	} catch (error) {
		if (isErrno(error, "ESRCH")) throw new CliError("the daemon has not started");
		throw error;
	} finally {
		poller.close();
	}
}

/** Starts a command, says its process id, and ends. Descriptor 3 is for the command's output. */
const FORK = `
const child = require("node:child_process").spawn(process.argv[1], process.argv.slice(2), {
	detached: true,
	stdio: ["ignore", 3, "inherit"],
});
child.on("spawn", () => process.stdout.write(String(child.pid)));
child.unref();
`;

/**
 * Starts a command whose parent has ended by the time that this resolves with its process id. systemd is told how its
 * own children end, and does not wait for others: a daemon that were still a child of ours when it becomes the main
 * process of the service would be killed at its first restart, without a chance to leave its descriptors.
 */
async function spawnOrphan(command: readonly string[]): Promise<number> {
	const fork = spawn(process.execPath, ["-e", FORK, ...command], { stdio: ["ignore", "pipe", "inherit", 1] });
	let text = "";
	fork.stdout?.setEncoding("latin1").on("data", (part) => {
		text += part;
	});
	await once(fork, "close");
	if (text === "") throw new CliError("the daemon has not started");
	return Number(text);
}
