/** The API's operations by method and path: which body each takes, and what it answers. */
import type { Containers } from "../control/containers.js";
import type { Endpoints } from "../control/endpoints.js";
import { VlaneError } from "../control/errors.js";
import type { Networks } from "../control/networks.js";
import type { Queue } from "../control/queue.js";
import * as schema from "../control/schema.js";
import { isTargetText, resolveTarget, type Target } from "../control/target.js";
import type { NetworkRecord } from "../control/types.js";
import type { PortStats } from "../host/types.js";

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

export interface Route {
	method: "GET" | "POST" | "DELETE";
	/** Matches the whole path; its first group, if any, is `{ref}`. */
	path: RegExp;
	handle(call: Call): Answer | Promise<Answer>;
}

export interface Services {
	networks: Networks;
	endpoints: Endpoints;
	containers: Containers;
	queue: Queue;
	info(): object;
	ports(): PortStats[];
}

/** Docker's grace period between SIGTERM and SIGKILL. */
const STOP_TIMEOUT_SECONDS = 10;

/** The table of operations. Changes go through the queue; reads see the state between two changes' steps. */
export function routes({ networks, endpoints, containers, queue, info, ports }: Services): Route[] {
	const ok = (body: unknown): Answer => ({ status: 200, body });
	const done: Answer = { status: 204 };

	return [
		{ method: "GET", path: /^\/info$/, handle: () => ok(info()) },
		{ method: "GET", path: /^\/ports$/, handle: () => ok(ports()) },
		{ method: "GET", path: /^\/networks$/, handle: () => ok(networks.list()) },
		{
			method: "POST",
			path: /^\/networks\/create$/,
			handle: ({ body }) => {
				const request = schema.parseBody(schema.createNetworkBody, body);
				return queue.run(async () => {
					const { id } = await networks.create(request);
					return { status: 201, body: { Id: id, Warning: "" } };
				});
			},
		},
		{
			method: "POST",
			path: /^\/networks\/prune$/,
			handle: ({ body }) => {
				const { Filters } = schema.parseBody(schema.pruneBody, body ?? {});
				return queue.run(async () => ok({ NetworksDeleted: await networks.prune(Filters?.label ?? []) }));
			},
		},
		{
			method: "GET",
			path: /^\/networks\/([^/]+)$/,
			handle: ({ ref }) => ok(networks.describe(networks.find(ref))),
		},
		{
			method: "DELETE",
			path: /^\/networks\/([^/]+)$/,
			handle: ({ ref }) => queue.run(() => networks.remove(ref).then(() => done)),
		},
		{
			method: "POST",
			path: /^\/networks\/([^/]+)\/connect$/,
			handle: ({ ref, body }) => {
				const request = schema.parseBody(schema.connectBody, body);
				return queue.run(async () => {
					const network = networks.find(ref);
					const { target, name } = connectTarget(containers, request.Target);
					const endpoint = await endpoints.connect(network, target, {
						name: request.Name ?? name,
						ipv4: request.IPv4Address,
						ipv6: request.IPv6Address,
						mac: request.MacAddress,
						ifname: request.Interface,
					});
					return ok(endpoints.describe(endpoint));
				});
			},
		},
		{
			method: "POST",
			path: /^\/networks\/([^/]+)\/disconnect$/,
			handle: ({ ref, body }) => {
				const request = schema.parseBody(schema.disconnectBody, body);
				return queue.run(async () => {
					await disconnect(networks.find(ref), endpoints, containers, request.Target);
					return done;
				});
			},
		},
		{
			method: "GET",
			path: /^\/containers$/,
			handle: ({ query }) => ok(containers.list(isSet(query, "all")).map((container) => containers.describe(container))),
		},
		{
			method: "POST",
			path: /^\/containers$/,
			handle: ({ body }) => {
				const request = schema.parseBody(schema.createContainerBody, body);
				return queue.run(async () => ({ status: 201, body: containers.describe(await containers.create(request)) }));
			},
		},
		{
			method: "GET",
			path: /^\/containers\/([^/]+)$/,
			handle: ({ ref }) => ok(containers.describe(containers.find(ref))),
		},
		{
			method: "POST",
			path: /^\/containers\/([^/]+)\/stop$/,
			handle: async ({ ref, body }) => {
				const { TimeoutSeconds } = schema.parseBody(schema.stopContainerBody, body ?? {});
				await containers.stop(ref, TimeoutSeconds ?? STOP_TIMEOUT_SECONDS);
				return done;
			},
		},
		{
			method: "DELETE",
			path: /^\/containers\/([^/]+)$/,
			handle: async ({ ref, query }) => {
				await containers.remove(ref, isSet(query, "force"));
				return done;
			},
		},
	];
}

function connectTarget(containers: Containers, text: string): { target: Target; name: string } {
	if (isTargetText(text)) {
		const target = resolveTarget(text);
		return { target, name: target.defaultName };
	}
	const container = containers.find(text);
	if (container.status !== "running") {
		throw new VlaneError("conflict", `container ${container.name} is not running; start it again with vlane run`);
	}
	return { target: resolveTarget(`pid:${container.pid}`), name: container.name };
}

/** The endpoint may be meant by its own name or target, or by the container that it belongs to. */
async function disconnect(network: NetworkRecord, endpoints: Endpoints, containers: Containers, ref: string): Promise<void> {
	let endpoint = endpoints.find(network, ref);
	if (!endpoint && !isTargetText(ref)) {
		const { pid } = containers.find(ref);
		endpoint = endpoints.find(network, `pid:${pid}`);
	}
	if (!endpoint) throw new VlaneError("forbidden", `container ${ref} is not connected to network ${network.name}`);
	await endpoints.release(endpoint);
}

function isSet(query: URLSearchParams, key: string): boolean {
	return ["1", "true", ""].includes(query.get(key) ?? "0");
}
