/** The daemon process: pre-flight checks, wiring, signals. */
import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { resolve } from "node:path";
import { Hub } from "../capture/hub.js";
import { Attachments } from "../cni/attachments.js";
import { cniCalls } from "../cni/calls.js";
import { ContainerFiles } from "../control/containerfiles.js";
import { Containers } from "../control/containers.js";
import { type Context, Spaces } from "../control/context.js";
import { Endpoints } from "../control/endpoints.js";
import { VlaneError } from "../control/errors.js";
import { Fabric } from "../control/fabric.js";
import { Lifetimes } from "../control/lifetimes.js";
import { openLmdbStore } from "../control/lmdbstore.js";
import { LOG_LEVELS, type Log, type LogLevel, messageOf } from "../control/log.js";
import { NetnsWatches } from "../control/netnswatches.js";
import { Networks } from "../control/networks.js";
import { Queue } from "../control/queue.js";
import { Reconciler } from "../control/reconcile.js";
import { isSandboxIfname } from "../control/sandbox.js";
import { loadState } from "../control/state.js";
import { View } from "../control/view.js";
import { Driver } from "../docker/driver.js";
import { IpamDriver } from "../docker/ipamdriver.js";
import { Leases } from "../docker/leases.js";
import { pluginCalls } from "../docker/plugin.js";
import { LiveMover } from "../lib/movers.js";
import { Switch } from "../lib/switch.js";
import { Metrics } from "../metrics/metrics.js";
import { watchLinks } from "../netlink/events.js";
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { FdPoller } from "../sys/poller.js";
import { rest } from "../sys/privileges.js";
import { routes } from "./api.js";
import { Background } from "./background.js";
import { dashboardToken, serveDashboard } from "./dashboard.js";
import { parseListenAddress } from "./listenaddress.js";
import { createLog } from "./log.js";
import { parseMetricsPlace, serveMetrics } from "./metrics.js";
import { servePlugin } from "./pluginserver.js";
import { checkCapabilities, checkTun, RESTING_CAPABILITIES } from "./preflight.js";
import { prepareSocket, serve } from "./server.js";

export interface DaemonOptions {
	stateDir: string;
	/** Path of the API's unix socket. */
	socket: string;
	/** Who may write to it besides its owner: a group that this process is in. Absent: nobody. */
	socketGid?: number;
	logLevel: string;
	/** Put neighbouring frames of a flow together before they leave. */
	coalesce: boolean;
	/** Threads that move frames. */
	workers: number;
	/** Where Docker looks for drivers, or `none`. Absent: its usual place, unless that can not be used. */
	dockerPluginDir?: string;
	/** `ADDRESS:PORT`. Absent: there is none. */
	dashboard?: string;
	/** It may be reached from other hosts. */
	dashboardRemote?: boolean;
	/** `unix:PATH` or `ADDRESS:PORT`. Absent: there are none. */
	metrics?: string;
	/** They may be reached from other hosts, by who has the token. */
	metricsRemote?: boolean;
}

/** Where Docker Engine looks for plugins first. */
const DOCKER_PLUGIN_DIR = "/run/docker/plugins";

/** Version of the API (GET /info). */
const API_VERSION = 1;

/**
 * Runs the daemon in this process until SIGTERM or SIGINT. Containers and their interfaces are left as they are then.
 * @throws VlaneError, SysError when it can not start, or when the datapath fails; the message is one line
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
	const log = createLog(parseLogLevel(options.logLevel));
	const socket = resolve(options.socket);
	const stateDir = resolve(options.stateDir);
	const dashboardAddress =
		options.dashboard === undefined
			? undefined
			: parseListenAddress(options.dashboard, "--dashboard", ["--dashboard-remote", options.dashboardRemote ?? false]);
	const metricsPlace =
		options.metrics === undefined ? undefined : parseMetricsPlace(options.metrics, options.metricsRemote ?? false);
	checkCapabilities();
	rest(RESTING_CAPABILITIES);
	checkTun();
	await prepareSocket(socket);

	// Closed in reverse order, when starting fails as well as at the end.
	const closers: (() => unknown)[] = [];
	const stopped = waitForStop();
	try {
		const store = await openLmdbStore(stateDir);
		closers.push(() => store.close());
		const poller = new FdPoller();
		closers.push(() => poller.close());
		const mover = await LiveMover.start({
			coalesce: options.coalesce,
			workers: options.workers,
			onFatal: (error) => stopped.fail(error),
			onRevived: ({ message: error }, worker) =>
				log.error("the datapath has died and was started again", options.workers > 1 ? { worker, error } : { error }),
		});
		const datapath = new Switch(mover, {
			onPortError: (port, errnoName) => void background.run(() => reconciler.port(port, errnoName)),
		});
		closers.push(() => datapath.close());
		const netlink = new Rtnetlink();
		closers.push(() => netlink.close());

		const queue = new Queue();
		const lifetimes = new Lifetimes(poller, (target) => void background.run(() => containers.ended(target)));
		closers.push(() => lifetimes.close());
		const watches = new NetnsWatches(poller, (netnsId) => void background.run(() => reconciler.namespace(netnsId)));
		closers.push(() => watches.close());
		const state = await loadState(store);
		const fabric = new Fabric(datapath, netlink, state.hostId, log);
		const files = new ContainerFiles(state, stateDir, log);
		const context: Context = { state, fabric, spaces: new Spaces(), lifetimes, watches, files, log };
		const networks = new Networks(context);
		const endpoints = new Endpoints(context);
		const containers = new Containers(context, networks, endpoints, queue);

		const reconciler = new Reconciler(context, endpoints, containers);
		const background = new Background(queue, log, () => reconciler.run());
		closers.push(() => background.close());

		await background.run(() => reconciler.run());
		log.info("state restored", { networks: state.networks.all().length, endpoints: state.endpoints.all().length });
		closers.push(watchKernel(fabric, endpoints, background, poller));
		const driver = new Driver(context, networks, endpoints);
		const addresses = new IpamDriver(new Leases(context));
		const served: Served = {};
		const { counters, workers } = mover.datapath;
		const info = describe(datapath, workers, stateDir, served);
		const view = new View({
			...{ fabric, counters, workers, ring: datapath.ring, stats: () => datapath.stats() },
			workerOf: (port) => mover.datapath.workerOf(port),
		});
		const cni = cniCalls(new Attachments(context, networks, endpoints), queue);
		const hub = new Hub(mover.datapath);
		const application = `vlane ${readVersion()}`;
		const services = { networks, endpoints, containers, reconciler, queue, cni, info, view, hub, application };
		const table = routes(services);
		const server = await serve(socket, table, log, options.socketGid);
		closers.push(async () => {
			await closeServer(server);
			// A change that is under way is finished: what is half done can not be handed to the next daemon.
			await queue.run(() => undefined);
		});
		const plugin = await startPlugin(options.dockerPluginDir, pluginCalls(driver, addresses, queue), log);
		closers.push(() => plugin && closeServer(plugin));
		if (dashboardAddress) {
			const dashboard = await serveDashboard(dashboardAddress, dashboardToken(stateDir), table, log);
			closers.push(() => closeServer(dashboard.server));
			served.dashboard = dashboard.url;
			log.info("serving the dashboard; vlane dashboard prints its address", { url: dashboard.url });
		}
		if (metricsPlace) {
			const token = options.metricsRemote ? dashboardToken(stateDir) : undefined;
			const running = () => containers.list(false).length;
			const sources = {
				view,
				version: readVersion(),
				networks: () => state.networks.all().length,
				containers: running,
			};
			const metrics = await serveMetrics(metricsPlace, token, new Metrics(sources), log);
			closers.push(() => closeServer(metrics.server));
			log.info("serving metrics", { where: metrics.where });
		}
		closers.push(() => hub.close());
		log.info("serving", { pid: process.pid, datapath: datapath.ring, workers, state: stateDir });
		// At every log level: whoever starts the daemon waits for this line.
		process.stderr.write(`vlane daemon ready on unix://${socket}\n`);
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

/** Serves Docker. Only a directory that the user has named is worth not starting for. */
async function startPlugin(
	directory: string | undefined,
	calls: ReturnType<typeof pluginCalls>,
	log: Log,
): Promise<Server | undefined> {
	if (directory === "none") return undefined;
	try {
		return await servePlugin(resolve(directory ?? DOCKER_PLUGIN_DIR), calls, log);
	} catch (error) {
		if (directory !== undefined) throw error;
		log.warn(`Docker can not use vlane: ${messageOf(error)}`);
		return undefined;
	}
}

/** Ends with the connections that are open; whoever waits for an answer gets none. */
async function closeServer(server: Server): Promise<void> {
	const closed = new Promise((done) => server.close(done));
	server.closeAllConnections();
	await closed;
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

/** Follows links; returns how to stop. */
function watchKernel(fabric: Fabric, endpoints: Endpoints, background: Background, poller: FdPoller): () => void {
	/** There was more news than the kernel could keep, or nobody listened. */
	const lookAround = () =>
		void background.run(async () => {
			await fabric.ensureUplinks();
			for (const id of fabric.waiting()) await fabric.followMove(id);
		});
	const stop = watchLinks(poller, (event) => {
		if (event.type === "resync") return lookAround();
		const { name } = event.link;
		if (event.type === "del" && isSandboxIfname(name)) void background.run(() => endpoints.linkLeft(name));
		for (const parent of fabric.parentsOf(event.link)) void background.run(() => fabric.ensureUplink(parent));
	});
	// What happened between the restore and the watch.
	lookAround();
	return stop;
}

/** What is served besides the API, once it is. */
interface Served {
	/** URL, without the token. */
	dashboard?: string;
}

/** The package's. */
function readVersion(): string {
	// package.json is three directories above dist/src/daemon.
	const file = new URL("../../../package.json", import.meta.url);
	return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

function describe(datapath: Switch, workers: number, stateDir: string, served: Served): () => object {
	const version = readVersion();
	return () => ({
		Version: version,
		ApiVersion: API_VERSION,
		Pid: process.pid,
		Uptime: Math.floor(process.uptime()),
		Datapath: datapath.ring,
		Workers: workers,
		StateDir: stateDir,
		Dashboard: served.dashboard,
	});
}
