/** The API's operations by method and path: which body each takes, and what it answers. */
import type { Hub } from "../capture/hub.js";
import type { CniCall } from "../cni/calls.js";
import type { Containers } from "../control/containers.js";
import { type Endpoints, wishOf } from "../control/endpoints.js";
import { VlaneError } from "../control/errors.js";
import type { View } from "../control/fabric/view.js";
import { isTargetText, resolveTarget, type Target } from "../control/namespace/target.js";
import type { Networks } from "../control/networks.js";
import type { Queue } from "../control/queue.js";
import type { Reconciler } from "../control/reconcile.js";
import * as schema from "../control/request/schema.js";
import type { EndpointRecord, NetworkRecord } from "../control/types.js";
import type { Group } from "../group/group.js";
import { startCapture } from "./captures.js";

/** What a request carries: `ref` is the decoded `{ref}` of the path, `body` the parsed JSON (undefined when empty). */
export interface Call {
	ref: string;
	query: URLSearchParams;
	body: unknown;
}

export interface Answer {
	status: 200 | 201 | 204;
	body?: unknown;
}

type Handler = (call: Call) => Answer | Promise<Answer>;

export interface Route {
	method: "GET" | "POST" | "DELETE";
	/** Matches the whole path; its first group, if any, is `{ref}`. */
	path: RegExp;
	handle: Handler;
}

export interface Services {
	/** Absent: this host is in no group. */
	group?: Group;
	networks: Networks;
	endpoints: Endpoints;
	containers: Containers;
	reconciler: Reconciler;
	queue: Queue;
	cni: ReadonlyMap<string, CniCall>;
	info(): object;
	view: View;
	hub: Hub;
	/** Name and version, for captures. */
	application: string;
}

/** Docker's grace period between SIGTERM and SIGKILL. */
const STOP_TIMEOUT_SECONDS = 10;

const DONE: Answer = { status: 204 };

/** The table of operations. */
export function routes(services: Services): Route[] {
	const { queue, info, view, networks } = services;
	// Reads as well: in the middle of a change records and kernel do not agree.
	const queued =
		(handle: Handler): Handler =>
		(call) =>
			queue.run(() => handle(call));
	return [
		route("GET", "/info", () => ok(info())),
		route("GET", "/ports", () => ok(view.ports())),
		route("GET", "/stats", () => ok(view.stats())),
		route("GET", "/fdb", ({ query }) => {
			const network = query.get("network");
			return ok(view.fdb(network === null ? undefined : networks.find(network).name));
		}),
		route("GET", "/capture", ({ query }) => ok(startCapture(services, query))),
		route("DELETE", "/captures/{ref}", ({ ref }) => {
			if (services.hub.end(Number(ref))) return DONE;
			throw new VlaneError("notFound", `No such capture: ${ref}`);
		}),
		...networkRoutes(services).map(({ handle, ...rest }) => ({ ...rest, handle: queued(handle) })),
		...hostRoutes(services),
		...containerRoutes(services).map(({ handle, ...rest }) => ({ ...rest, handle: queued(handle) })),
		route(
			"POST",
			"/reconcile",
			queued(async () => {
				const { done, left } = await services.reconciler.run();
				return ok({ Done: done, Left: left });
			}),
		),
		...endingRoutes(services),
		route("POST", "/cni/{ref}", async ({ ref, body }) => {
			const call = services.cni.get(ref);
			if (!call) throw new VlaneError("notFound", `page not found: POST /cni/${ref}`);
			return ok(await call(body));
		}),
	];
}

/** `path` with at most one `{ref}`. */
function route(method: Route["method"], path: string, handle: Handler): Route {
	return { method, path: new RegExp(`^${path.replace("{ref}", "([^/]+)")}$`), handle };
}

function ok(body: unknown): Answer {
	return { status: 200, body };
}

function networkRoutes({ networks, endpoints, containers, view }: Services): Route[] {
	return [
		route("GET", "/endpoints", () => ok(endpoints.list())),
		route("GET", "/networks", () => ok(networks.list())),
		route("POST", "/networks/create", async ({ body }) => {
			const { id } = await networks.create(schema.parseBody(schema.createNetworkBody, body));
			return { status: 201, body: { Id: id, Warning: networks.warning(id) } };
		}),
		route("POST", "/networks/prune", async ({ body }) => {
			const { Filters } = schema.parseBody(schema.pruneBody, body ?? {});
			return ok({ NetworksDeleted: await networks.prune(Filters?.label ?? []) });
		}),
		route("GET", "/networks/{ref}", ({ ref }) => {
			const network = networks.describe(networks.find(ref));
			return ok({ ...network, Status: { ...network.Status, Ports: view.portsOf(network.Name) } });
		}),
		route("DELETE", "/networks/{ref}", async ({ ref, query }) => {
			await networks.remove(ref, isSet(query, "force"));
			return DONE;
		}),
		route("POST", "/networks/{ref}/connect", async ({ ref, body }) => {
			const wish = schema.parseBody(schema.connectBody, body);
			const network = networks.find(ref);
			const { target, name } = connectTarget(containers, wish.Target);
			const endpoint = await endpoints.connect(network, target, {
				...wishOf(wish.Name ?? name, wish),
				ifname: wish.Interface,
				labels: wish.Labels,
			});
			return ok(endpoints.describe(endpoint));
		}),
		route("POST", "/networks/{ref}/disconnect", async ({ ref, body }) => {
			const { Target } = schema.parseBody(schema.disconnectBody, body);
			const network = networks.find(ref);
			await endpoints.release(findEndpoint(network, endpoints, containers, Target));
			return DONE;
		}),
	];
}

/** What concerns the whole group; nothing of this host is changed by it. */
function hostRoutes({ group }: Services): Route[] {
	const requireGroup = (): Group => {
		if (group) return group;
		throw new VlaneError("unavailable", "this host is in no group; start the daemon with --store etcd://...");
	};
	return [
		route("GET", "/hosts", () => ok(requireGroup().hosts())),
		route("GET", "/hosts/endpoints", () => ok(requireGroup().endpoints())),
		route("DELETE", "/hosts/{ref}", async ({ ref, query }) => {
			await requireGroup().removeHost(ref, isSet(query, "force"));
			return DONE;
		}),
	];
}

function containerRoutes({ containers }: Services): Route[] {
	return [
		route("GET", "/containers", ({ query }) =>
			ok(containers.list(isSet(query, "all")).map((container) => containers.describe(container))),
		),
		route("POST", "/containers", async ({ body }) => {
			const container = await containers.create(schema.parseBody(schema.createContainerBody, body));
			return { status: 201, body: containers.describe(container) };
		}),
		route("GET", "/containers/{ref}", ({ ref }) => ok(containers.describe(containers.find(ref)))),
	];
}

/** These wait for a process to end, which the queue must not: its end is a change of its own. */
function endingRoutes({ containers }: Services): Route[] {
	return [
		route("POST", "/containers/{ref}/stop", async ({ ref, body }) => {
			const { TimeoutSeconds } = schema.parseBody(schema.stopContainerBody, body ?? {});
			await containers.stop(ref, TimeoutSeconds ?? STOP_TIMEOUT_SECONDS);
			return DONE;
		}),
		route("DELETE", "/containers/{ref}", async ({ ref, query }) => {
			await containers.remove(ref, isSet(query, "force"));
			return DONE;
		}),
	];
}

/** The namespace that the user means, and the name of an endpoint in it: the container's, when it is one's. */
function connectTarget(containers: Containers, text: string): { target: Target; name: string } {
	if (isTargetText(text)) {
		const target = resolveTarget(text);
		return { target, name: containers.ofTarget(text)?.name ?? target.defaultName };
	}
	const container = containers.find(text);
	if (container.status !== "running") {
		throw new VlaneError("conflict", `container ${container.name} is not running; start it again with vlane run`);
	}
	return { target: resolveTarget(`pid:${container.pid}`), name: container.name };
}

/** The endpoint may be meant by its own name or target, or by the container that it belongs to. */
function findEndpoint(
	network: NetworkRecord,
	endpoints: Endpoints,
	containers: Containers,
	ref: string,
): EndpointRecord {
	let endpoint = endpoints.find(network, ref);
	if (!endpoint && !isTargetText(ref)) endpoint = endpoints.find(network, `pid:${containers.find(ref).pid}`);
	if (!endpoint) throw new VlaneError("forbidden", `container ${ref} is not connected to network ${network.name}`);
	return endpoint;
}

function isSet(query: URLSearchParams, key: string): boolean {
	return ["1", "true", ""].includes(query.get(key) ?? "0");
}
