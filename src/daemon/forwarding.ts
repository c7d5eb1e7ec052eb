/**
 * The first half of a start: what forwards frames, and the control plane that has made it so. Everything that can wait
 * until frames pass is in services.ts, and loaded later.
 */

import { Containers } from "../control/containers.js";
import { type Context, Spaces } from "../control/context.js";
import { Endpoints } from "../control/endpoints.js";
import { Fabric } from "../control/fabric/fabric.js";
import type { Heritage } from "../control/fabric/heritage.js";
import type { Log } from "../control/log.js";
import { ContainerFiles } from "../control/namespace/containerfiles.js";
import { Lifetimes } from "../control/namespace/lifetimes.js";
import { NetnsWatches } from "../control/namespace/netnswatches.js";
import { isSandboxIfname } from "../control/namespace/sandbox.js";
import { Networks } from "../control/networks.js";
import { Queue } from "../control/queue.js";
import { Reconciler } from "../control/reconcile.js";
import { openLmdbStore } from "../control/records/lmdbstore.js";
import { requireShapes } from "../control/records/recordschema.js";
import { loadState } from "../control/records/state.js";
import { Leases } from "../docker/leases.js";
import type { Group } from "../group/group.js";
import type { LiveMover } from "../lib/movers.js";
import { Switch } from "../lib/switch.js";
import { watchLinks } from "../netlink/events.js";
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { releaseMemorySoon } from "../sys/memory.js";
import { FdPoller } from "../sys/poller.js";
import { Background } from "./background.js";
import type { GroupSettings } from "./group.js";
import { readVersion } from "./version.js";

/** Closed in reverse order, when starting fails as well as at the end. */
export type Closers = (() => unknown)[];

/** How long a start waits for etcd before it goes on without. */
const GROUP_MS_MAX = 3000;

/** What forwards, and who decides about it. */
export interface Forwarding {
	poller: FdPoller;
	/** Descriptor of the lock of the state directory; -1 where there is none. */
	lock: number;
	context: Context;
	mover: LiveMover;
	datapath: Switch;
	queue: Queue;
	background: Background;
	networks: Networks;
	endpoints: Endpoints;
	containers: Containers;
	reconciler: Reconciler;
	leases: Leases;
	/** Absent: this host is by itself. */
	group?: Group;
}

/**
 * Opens the store, and makes the records true again as soon as the datapath is there.
 * @param starting the datapath, which the caller closes
 * @param inherited descriptors of another daemon, and its lock of the state directory
 * @param settings of the group of hosts that this one is in
 * @param closers gets what has to be closed, also when this throws
 * @throws VlaneError, SysError
 */
export async function startForwarding(
	stateDir: string,
	starting: Promise<LiveMover>,
	{ heritage, lock }: { heritage?: Heritage; lock?: number },
	settings: GroupSettings | undefined,
	closers: Closers,
	log: Log,
): Promise<Forwarding> {
	const store = await openLmdbStore(stateDir, lock);
	// After everything else, the datapath of the caller too: it frees the state directory for another daemon.
	closers.unshift(() => store.close());
	const poller = new FdPoller();
	closers.push(() => poller.close());
	const netlink = new Rtnetlink();
	closers.push(() => netlink.close());
	requireShapes(store.list(""), `state directory ${stateDir}`);
	const state = await loadState(store);
	const mover = await starting;
	const datapath = new Switch(mover, {
		onPortError: (port, errnoName) => void background.run(() => reconciler.port(port, errnoName)),
	});

	const queue = new Queue();
	queue.onDone.push(releaseMemorySoon);
	const lifetimes = new Lifetimes(poller, (target) => void background.run(() => containers.ended(target)));
	closers.push(() => lifetimes.close());
	const watches = new NetnsWatches(poller, (netnsId) => void background.run(() => reconciler.namespace(netnsId)));
	closers.push(() => watches.close());
	const { hostId } = state;
	const fabric = new Fabric(datapath, netlink, hostId, log, heritage);
	const files = new ContainerFiles(state, stateDir, log);
	const grouping = settings && (await import("./group.js"));
	const run = (task: () => Promise<void>) => void background.run(task);
	const group =
		settings && grouping?.makeGroup(settings, { ...{ hostId, stateDir, log, run }, version: readVersion() });
	closers.push(() => group?.close());
	const spaces = new Spaces((network, space) => group?.follow(network, space));
	const context: Context = { state, fabric, spaces, lifetimes, watches, files, shared: group, log };
	const networks = new Networks(context);
	const endpoints = new Endpoints(context);
	const containers = new Containers(context, networks, endpoints, queue);
	const leases = new Leases(context);
	const reconciler = new Reconciler(context, endpoints, containers);
	const background = new Background(queue, log, async () => {
		await group?.settle();
		return reconciler.run();
	});
	closers.push(() => background.close());

	if (group && grouping) {
		await group.start(GROUP_MS_MAX);
		grouping.attachGroup(group, context, { networks, endpoints, leases });
		// Before anything of this host is on the wire: what others have been given meanwhile is no longer ours.
		await background.run(() => group.settleClaims());
	}
	await background.run(() => reconciler.run());
	if (group) await background.run(() => group.settle());
	log.info("state restored", { networks: state.networks.all().length, endpoints: state.endpoints.all().length });
	closers.push(watchKernel(fabric, endpoints, background, poller));
	return {
		...{ context, mover, datapath, queue, background, networks, endpoints, containers, reconciler, poller },
		...{ leases, group, lock: store.lock ?? -1 },
	};
}

/** Follows links; returns how to stop. */
function watchKernel(fabric: Fabric, endpoints: Endpoints, background: Background, poller: FdPoller): () => void {
	fabric.hooks.onRetry = (link) => void background.run(() => fabric.ensureUplink(link));
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
