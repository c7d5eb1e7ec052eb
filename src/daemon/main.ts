/** The daemon process: pre-flight checks, wiring, signals. */
import { resolve } from "node:path";
import { RESTING_CAPABILITIES } from "../control/capabilities.js";
import { VlaneError } from "../control/errors.js";
import { LOG_LEVELS, type LogLevel, messageOf } from "../control/log.js";
import { LiveMover } from "../lib/movers.js";
import { releaseMemorySoon } from "../sys/memory.js";
import { beWatched, notify } from "../sys/notify.js";
import { rest } from "../sys/privileges.js";
import { keepToOneProcessor } from "../sys/scheduler.js";
import type { Closers, Forwarding } from "./forwarding.js";
import { HandoverPoint } from "./handover.js";
import { parseListenAddress, parseMetricsPlace } from "./listenaddress.js";
import { createLog } from "./log.js";
import type { DaemonOptions } from "./options.js";
import { checkCapabilities, checkTun, prepareSocket } from "./preflight.js";
import { Deposit, succeedRunning, succeedStored } from "./succession.js";

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
		replace = false,
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

	const closers: Closers = [];
	const stopped = waitForStop();
	try {
		const running = replace ? succeedRunning(stateDir) : undefined;
		// Until then the other one forwards: there is no hurry, and it has the other processors for itself.
		const spreadOut = running && keepToOneProcessor();
		if (!running) await prepareSocket(socket);
		const succession = running ?? succeedStored(stateDir);
		closers.push(() => succession?.close());
		// Threads take the longest to begin: everything else is loaded and read meanwhile.
		const starting = LiveMover.start({
			...{ coalesce, workers, held: succession !== undefined },
			onFatal: (error) => stopped.fail(error),
			onRevived: ({ message: error }, worker) =>
				log.error("the datapath has died and was started again", workers > 1 ? { worker, error } : { error }),
		});
		starting.catch(() => undefined); // Who waits for it comes later.
		closers.push(() => starting.then((mover) => mover.close()).catch(() => undefined));
		const { startForwarding } = await import("./forwarding.js");
		const inherited = (await succession?.inherit()) ?? {};
		const forwarding = await startForwarding(stateDir, starting, inherited, settings, closers, log);
		spreadOut?.();
		await succession?.begin(forwarding);
		await succession?.settle();
		const deposit = Deposit.open(forwarding, stateDir);
		const { startServices } = await import("./services.js");
		if (running) await prepareSocket(socket);
		await startServices(options, { dashboardAddress, metricsPlace }, forwarding, closers);
		const { ring } = forwarding.datapath;
		log.info("serving", { pid: process.pid, datapath: ring, workers, state: stateDir });
		// At every log level: whoever starts the daemon waits for this line.
		process.stderr.write(`vlane daemon ready on unix://${socket}\n`);
		releaseMemorySoon();
		notify(["READY=1", `MAINPID=${process.pid}`]);
		const look = () => forwarding.mover.datapath.answer();
		closers.push(beWatched(look), hearSuccessors(forwarding, stateDir, stopped.stop));
		const reason = await stopped.promise;
		log.info("stopping, containers keep running", { reason });
		if (reason === HANDED_OVER) return;
		notify(["STOPPING=1"]);
		await deposit?.leave();
	} finally {
		stopped.forget();
		for (const close of closers.reverse()) await close();
	}
}

/** Why this process ends when another one has taken over. */
const HANDED_OVER = "handed over";

/** Hands over to whoever asks. Answers how to stop that. */
function hearSuccessors(forwarding: Forwarding, stateDir: string, stop: (reason: string) => void): () => void {
	const { log } = forwarding.context;
	const onDone = (pid: number) => {
		notify([`MAINPID=${pid}`]);
		stop(HANDED_OVER);
	};
	const point = new HandoverPoint(forwarding, stateDir, onDone, () => stop("replaced"));
	try {
		point.open();
	} catch (error) {
		log.warn(`this daemon can not be replaced without an interruption: ${messageOf(error)}`);
	}
	return () => point.close();
}

function parseLogLevel(text: string): LogLevel {
	const level = LOG_LEVELS.find((known) => known === text);
	if (!level)
		throw new VlaneError("invalid", `invalid log level ${JSON.stringify(text)}; one of ${LOG_LEVELS.join(", ")}`);
	return level;
}

/** Resolves with the name of the first signal that asks to end, or with what `stop` says; `fail` rejects instead. */
function waitForStop() {
	let fail: (error: Error) => void = () => undefined;
	let onSignal: (reason: string) => void = () => undefined;
	const promise = new Promise<string>((resolveStop, reject) => {
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
		stop: (reason: string) => onSignal(reason),
		forget: () => {
			for (const signal of signals) process.off(signal, onSignal);
		},
	};
}
