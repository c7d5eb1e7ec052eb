/**
 * The second half of a start: what asks and changes the control plane: the API, Docker's socket, the dashboard,
 * metrics. Frames pass already.
 */
import type { Server } from "node:http";
import { resolve } from "node:path";
import { Hub } from "../capture/hub.js";
import { Attachments } from "../cni/attachments.js";
import { cniCalls } from "../cni/calls.js";
import { View } from "../control/fabric/view.js";
import { type Log, messageOf } from "../control/log.js";
import { Driver } from "../docker/driver.js";
import { IpamDriver } from "../docker/ipamdriver.js";
import { pluginCalls } from "../docker/plugin.js";
import type { Switch } from "../lib/switch.js";
import { routes } from "./api.js";
import type { Closers, Forwarding } from "./forwarding.js";
import type { ListenAddress, MetricsPlace } from "./listenaddress.js";
import type { DaemonOptions } from "./options.js";
import { servePlugin } from "./pluginserver.js";
import { serve } from "./server.js";
import { readVersion } from "./version.js";

/** Where Docker Engine looks for plugins first. */
const DOCKER_PLUGIN_DIR = "/run/docker/plugins";

/** Version of the API (GET /info). */
const API_VERSION = 1;

/** Options that have been checked. */
export interface Places {
	dashboardAddress?: ListenAddress;
	metricsPlace?: MetricsPlace;
}

/**
 * Starts to answer.
 * @param closers gets what has to be closed, also when this throws
 * @throws VlaneError
 */
export async function startServices(
	options: DaemonOptions,
	{ dashboardAddress, metricsPlace }: Places,
	forwarding: Forwarding,
	closers: Closers,
): Promise<void> {
	const { socket, stateDir } = options;
	const { context, mover, datapath, queue, networks, endpoints, containers, reconciler, leases, group } = forwarding;
	const { state, fabric, log } = context;
	const driver = new Driver(context, networks, endpoints);
	const addresses = new IpamDriver(leases);
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
	const services = { group, networks, endpoints, containers, reconciler, queue, cni, info, view, hub, application };
	const table = routes(services);
	const server = await serve(socket, table, log, options.socketGid);
	closers.push(async () => {
		await closeServer(server);
		// A change that is under way is finished: what is half done can not be handed to the next daemon.
		await queue.run(() => undefined).catch(() => undefined);
	});
	const plugin = await startPlugin(options.dockerPluginDir, pluginCalls(driver, addresses, queue), log);
	closers.push(() => plugin && closeServer(plugin));
	if (dashboardAddress) {
		const { dashboardToken, serveDashboard } = await import("./dashboard.js");
		const dashboard = await serveDashboard(dashboardAddress, dashboardToken(stateDir), table, log);
		closers.push(() => closeServer(dashboard.server));
		served.dashboard = dashboard.url;
		log.info("serving the dashboard; vlane dashboard prints its address", { url: dashboard.url });
	}
	if (metricsPlace) {
		const [{ dashboardToken }, { serveMetrics }, { Metrics }] = await Promise.all([
			import("./dashboard.js"),
			import("./metrics.js"),
			import("../metrics/metrics.js"),
		]);
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

/** What is served besides the API, once it is. */
interface Served {
	/** URL, without the token. */
	dashboard?: string;
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
