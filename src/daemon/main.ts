/** The daemon process: pre-flight checks, wiring, signals. */
import { resolve } from "node:path";
import { RESTING_CAPABILITIES } from "../control/capabilities.js";
import { VlaneError } from "../control/errors.js";
import { LOG_LEVELS, type LogLevel } from "../control/log.js";
import { LiveMover } from "../lib/movers.js";
import { releaseMemory } from "../sys/memory.js";
import { rest } from "../sys/privileges.js";
import type { Closers } from "./forwarding.js";
import { parseListenAddress, parseMetricsPlace } from "./listenaddress.js";
import { createLog } from "./log.js";
import type { DaemonOptions } from "./options.js";
import { checkCapabilities, checkTun, prepareSocket } from "./preflight.js";

/** After the start: by then, what it needed for a while is free. */
const RELEASE_MS = 1000;

/**
 * Runs the daemon in this process until SIGTERM or SIGINT. Containers and their interfaces are left as they are then.
 * @throws VlaneError, SysError when it can not start, or when the datapath fails; the message is one line
 */
export async function runDaemon(given: DaemonOptions): Promise<void> {
	const log = createLog(parseLogLevel(given.logLevel));
	const options = { ...given, socket: resolve(given.socket), stateDir: resolve(given.stateDir) };
	const {
		socket,
		stateDir,
		coalesce,
		workers,
		dashboard,
		dashboardRemote = false,
		metrics,
		metricsRemote = false,
	} = options;
	const dashboardAddress =
		dashboard === undefined
			? undefined
			: parseListenAddress(dashboard, "--dashboard", ["--dashboard-remote", dashboardRemote]);
	const metricsPlace = metrics === undefined ? undefined : parseMetricsPlace(metrics, metricsRemote);
	// Most hosts are by themselves: they do not load what groups need.
	const isGrouped = [given.store, given.hostName, given.leaseTtl, given.parentMap?.[0]].some(
		(flag) => flag !== undefined,
	);
	const settings = isGrouped ? (await import("./group.js")).parseGroupFlags(given) : undefined;
	checkCapabilities();
	rest(RESTING_CAPABILITIES);
	checkTun();
	await prepareSocket(socket);

	const closers: Closers = [];
	const stopped = waitForStop();
	try {
		// Threads take the longest to begin: everything else is loaded and read meanwhile.
		const starting = LiveMover.start({
			...{ coalesce, workers },
			onFatal: (error) => stopped.fail(error),
			onRevived: ({ message: error }, worker) =>
				log.error("the datapath has died and was started again", workers > 1 ? { worker, error } : { error }),
		});
		starting.catch(() => undefined); // Who waits for it comes later.
		closers.push(() => starting.then((mover) => mover.close()).catch(() => undefined));
		const { startForwarding } = await import("./forwarding.js");
		const forwarding = await startForwarding(stateDir, starting, settings, closers, log);
		const { startServices } = await import("./services.js");
		await startServices(options, { dashboardAddress, metricsPlace }, forwarding, closers);
		const { ring } = forwarding.datapath;
		log.info("serving", { pid: process.pid, datapath: ring, workers, state: stateDir });
		// At every log level: whoever starts the daemon waits for this line.
		process.stderr.write(`vlane daemon ready on unix://${socket}\n`);
		setTimeout(releaseMemory, RELEASE_MS).unref();
		const signal = await stopped.promise;
		log.info("stopping, containers keep running", { signal });
	} finally {
		stopped.forget();
		for (const close of closers.reverse()) await close();
	}
}

function parseLogLevel(text: string): LogLevel {
	const level = LOG_LEVELS.find((known) => known === text);
	if (!level)
		throw new VlaneError("invalid", `invalid log level ${JSON.stringify(text)}; one of ${LOG_LEVELS.join(", ")}`);
	return level;
}

/** Resolves with the name of the first signal that asks to end; `fail` rejects instead. */
function waitForStop() {
	let fail: (error: Error) => void = () => undefined;
	let onSignal: (signal: NodeJS.Signals) => void = () => undefined;
	const promise = new Promise<NodeJS.Signals>((resolveStop, reject) => {
		fail = reject;
		onSignal = resolveStop;
	});
	// Starting may fail before anybody waits.
	promise.catch(() => undefined);
	const signals = ["SIGTERM", "SIGINT"] as const;
	for (const signal of signals) process.on(signal, onSignal);
	return {
		promise,
		fail,
		forget: () => {
			for (const signal of signals) process.off(signal, onSignal);
		},
	};
}
