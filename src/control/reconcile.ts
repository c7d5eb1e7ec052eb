/**
 * Makes kernel and namespaces agree with the records: at the start, when everything has to be opened again; on demand;
 * and for what somebody has taken away from under a running daemon. Each step looks first, and does what is missing
 * only, so it can be repeated at any time.
 *
 * Every function must be called from the queue.
 */
import type { Port } from "../lib/index.js";
import { mustParseCidr } from "./address/cidr.js";
import { parseIpamOptions } from "./address/ipamplan.js";
import type { Containers } from "./containers.js";
import { type Context, endpointsOf, managedPools } from "./context.js";
import type { Endpoints } from "./endpoints.js";
import { messageOf } from "./log.js";
import { findSandboxInterface, isJoined, isSandbox, sweepSandboxInterfaces } from "./namespace/sandbox.js";
import { isTargetAlive, processStart } from "./namespace/target.js";
import type { EndpointRecord, NetworkRecord } from "./types.js";

/** What a reconciliation has done, and what it could not do; one line each. */
export interface Reconciliation {
	done: string[];
	left: string[];
	/** Something threw: it may be worth trying again by itself. */
	failed?: boolean;
}

/** The datapath moves frames of some while others are opened. */
const ENDPOINTS_AT_ONCE = 32;

export class Reconciler {
	constructor(
		readonly context: Context,
		readonly endpoints: Endpoints,
		readonly containers: Containers,
	) {}

	/** Everything. What can not be made right is logged and said, never fatal; network records are never lost. */
	async run(): Promise<Reconciliation> {
		const { state, files, fabric } = this.context;
		const result: Reconciliation = { done: [], left: [] };
		for (const network of byAge(state.networks.all())) {
			await this.#attempt(result, `network ${network.name}`, () => this.#network(network, result));
		}
		for (const container of state.containers.all()) {
			await this.#attempt(result, `container ${container.name}`, () => this.#container(container.id, result));
		}
		await this.#endpoints(state.endpoints.all(), result);
		const known = new Set(state.endpoints.all().map(({ ifname }) => ifname));
		for (const name of sweepSandboxInterfaces(fabric.netlink, known, state.hostId)) {
			result.done.push(`interface ${name}: deleted, no record knows it`);
		}
		files.sweep();
		for (const endpoint of state.endpoints.all()) files.changed(endpoint);
		this.#log(result);
		return result;
	}

	/** What is in one namespace. */
	async namespace(netnsId: string): Promise<Reconciliation> {
		const result: Reconciliation = { done: [], left: [] };
		await this.#endpoints(this.context.state.endpointsInNetns(netnsId), result);
		this.#log(result);
		return result;
	}

	/** Some at a time: each waits for the datapath, which takes what it is told together. */
	async #endpoints(endpoints: EndpointRecord[], result: Reconciliation): Promise<void> {
		const rest = [...endpoints];
		while (rest.length > 0) {
			const some = rest.splice(0, ENDPOINTS_AT_ONCE);
			await Promise.all(
				some.map((endpoint) => this.#attempt(result, this.#nameOf(endpoint), () => this.endpoint(endpoint.id, result))),
			);
		}
	}

	/** One endpoint; one that is there no more is fine. @throws VlaneError, SysError */
	async endpoint(id: string, result: Reconciliation): Promise<void> {
		const { state, fabric } = this.context;
		const endpoint = state.endpoints.get(id);
		if (!endpoint) return;
		const name = this.#nameOf(endpoint);
		const network = state.networks.get(endpoint.networkId);
		if (!network) {
			await this.endpoints.release(endpoint);
			result.done.push(`${name}: removed, its network is gone`);
		} else if (isSandbox(endpoint.target)) await this.#sandbox(network, endpoint, result);
		else if (!isTargetAlive(endpoint.target, endpoint.netnsId)) {
			await this.endpoints.release(endpoint);
			result.done.push(`${name}: removed, its namespace has ended`);
		} else {
			if (fabric.has(id)) {
				for (const what of await fabric.repairEndpoint(id)) result.done.push(`${name}: ${what}`);
			} else {
				for (const what of await fabric.attachEndpoint(network, endpoint, true)) result.done.push(`${name}: ${what}`);
				this.endpoints.watch(endpoint);
			}
		}
	}

	/** A port failed for good: what it belonged to is made again, or goes with its namespace. */
	async port(port: Port, errnoName: string): Promise<Reconciliation> {
		const { endpoint, network } = await this.context.fabric.portFailed(port, errnoName);
		const result: Reconciliation = { done: [], left: [] };
		if (endpoint && isSandbox(endpoint.target) && !isTargetAlive(endpoint.target, endpoint.netnsId)) {
			// What Docker has put into an interface is lost with it: only Docker can make it again.
			await this.endpoints.release(endpoint);
		} else if (endpoint) await this.#attempt(result, this.#nameOf(endpoint), () => this.endpoint(endpoint.id, result));
		if (network) await this.#attempt(result, `network ${network.name}`, () => this.#network(network, result));
		this.#log(result);
		return result;
	}

	async #network(network: NetworkRecord, result: Reconciliation): Promise<void> {
		const { fabric } = this.context;
		if (network.configOnly) return;
		if (fabric.has(network.id)) {
			for (const what of await fabric.repairNetwork(network)) result.done.push(`network ${network.name}: ${what}`);
		} else {
			await fabric.attachNetwork(network, true);
			fabric.keepNetwork(network);
			this.#reserve(network);
		}
		const { State, Detail } = fabric.status(network);
		if (State === "degraded") result.left.push(`network ${network.name}: degraded: ${Detail}`);
	}

	/** Reserves the addresses of a network and of its endpoints, also of those that are about to go. */
	#reserve(network: NetworkRecord): void {
		const { state, spaces, log } = this.context;
		const space = spaces.of(network);
		try {
			const options = parseIpamOptions(network.ipamOptions);
			for (const config of managedPools(network)) space.addPool(network.id, config, network.name, options);
		} catch (error) {
			log.error("network has no addresses", { network: network.name, error: messageOf(error) });
		}
		for (const endpoint of managedPools(network).length > 0 ? endpointsOf(state, network.id) : []) {
			try {
				for (const cidr of [endpoint.ipv4, endpoint.ipv6]) {
					if (cidr === undefined) continue;
					const [requested] = cidr.split("/");
					space.allocate(network.id, { family: mustParseCidr(cidr).family, requested });
				}
			} catch (error) {
				log.error("endpoint's address is not reserved", { endpoint: endpoint.name, error: messageOf(error) });
			}
		}
	}

	async #container(id: string, result: Reconciliation): Promise<void> {
		const container = this.context.state.containers.get(id);
		if (container?.status !== "running") return;
		if (processStart(container.pid) === container.pidStart) this.containers.watch(container);
		else {
			await this.containers.ended(`pid:${container.pid}`);
			result.done.push(`container ${container.name}: its process has ended`);
		}
	}

	/**
	 * An endpoint of Docker's. One without container yet, and one whose interface is in the host's namespace, may be in
	 * the middle of a start: they are kept for Docker to go on with.
	 */
	async #sandbox(network: NetworkRecord, endpoint: EndpointRecord, result: Reconciliation): Promise<void> {
		const { state, fabric, lifetimes } = this.context;
		if (!isJoined(endpoint.target) || fabric.has(endpoint.id)) return;
		const found = findSandboxInterface(fabric.netlink, endpoint);
		if (!found) {
			await this.endpoints.release(endpoint);
			result.done.push(`${this.#nameOf(endpoint)}: removed, its interface is gone`);
			return;
		}
		const here = { ...endpoint, netnsId: found.netnsId ?? "" };
		if (here.netnsId !== endpoint.netnsId) await state.endpoints.put(here);
		await fabric.attachEndpoint(network, here, true);
		if (found.netnsId !== undefined) lifetimes.watch(here.target, here.netnsId);
	}

	#nameOf({ name, networkId }: EndpointRecord): string {
		return `endpoint ${name} of ${this.context.state.networks.get(networkId)?.name ?? networkId.slice(0, 12)}`;
	}

	async #attempt(result: Reconciliation, what: string, step: () => Promise<void>): Promise<void> {
		try {
			await step();
		} catch (error) {
			result.left.push(`${what}: ${messageOf(error)}`);
			result.failed = true;
		}
	}

	#log({ done, left }: Reconciliation): void {
		for (const line of done) this.context.log.info(line);
		for (const line of left) this.context.log.warn(line);
	}
}

/** Oldest first, as they were made: among networks that share a subnet the first one may be without ip-range. */
function byAge(networks: NetworkRecord[]): NetworkRecord[] {
	return networks.toSorted((a, b) => a.created.localeCompare(b.created));
}
