/** `vlane daemon`. */
import { DAEMON_CAPABILITIES } from "../../control/capabilities.js";
import { LOG_LEVELS } from "../../control/log.js";
import { joinGroup } from "../../daemon/socketgroup.js";
import { WORKERS_MAX } from "../../host/types.js";
import { allocateSparingly } from "../../sys/memory.js";
import { shed } from "../../sys/privileges.js";
import { UsageError } from "../errors.js";
import { DEFAULT_SOCKET, DEFAULT_STATE_DIR, type Invocation } from "../table/spec.js";

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
	const group = flags.string("socket-group");
	const socketGid = group === undefined ? undefined : joinGroup(group);
	// Before the rest is loaded: it may execute this process anew.
	shed(DAEMON_CAPABILITIES);
	allocateSparingly();
	const { runDaemon } = await import("../../daemon/main.js");
	await runDaemon({
		stateDir: flags.string("state-dir") ?? DEFAULT_STATE_DIR,
		socket: flags.string("socket") ?? DEFAULT_SOCKET,
		socketGid,
		logLevel,
		coalesce: coalesce === "on",
		workers,
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
