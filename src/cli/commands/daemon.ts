/** `vlane daemon`. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DAEMON_CAPABILITIES } from "../../control/capabilities.js";
import { LOG_LEVELS } from "../../control/log.js";
import { joinGroup } from "../../daemon/socketgroup.js";
import { WORKERS_MAX } from "../../host/types.js";
import { allocateSparingly, SPARING_ARGV } from "../../sys/memory.js";
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
	const child = spawn(process.execPath, [...process.execArgv, ...argv], {
		detached: true,
		stdio: ["ignore", "inherit", "inherit"],
	});
	child.unref();
	const client = new Client(`unix://${resolve(socket)}`);
	for (;;) {
		const info = await client.get<{ Pid: number }>("/info").catch(() => undefined);
		if (info?.Pid === child.pid) return 0;
		// What it has to say stands there already.
		if (child.exitCode !== null || child.signalCode !== null) throw new CliError("the daemon has not started");
		await delay(LOOK_MS);
	}
}
