/**
 * After a restart: the records are made true again. Containers kept running meanwhile and their interfaces kept their
 * addresses; what they lacked was the switch behind them.
 */
import { mustParseCidr } from "./cidr.js";
import type { Containers } from "./containers.js";
import { type Context, endpointsOf, managedPools } from "./context.js";
import type { Endpoints } from "./endpoints.js";
import { parseIpamOptions } from "./ipamplan.js";
import { messageOf } from "./log.js";
import { findSandboxInterface, isJoined, isSandbox, sweepSandboxInterfaces } from "./sandbox.js";
import { isTargetAlive, processStart } from "./target.js";
import type { EndpointRecord, NetworkRecord } from "./types.js";

/** Rebuilds everything; what can not be rebuilt is logged, never fatal. Network records are never lost. */
export async function restore(context: Context, endpoints: Endpoints, containers: Containers): Promise<void> {
	const { state } = context;
	for (const network of byAge(state.networks.all())) {
		await restoreNetwork(context, network);
		for (const endpoint of endpointsOf(state, network.id)) {
			const restoreIt = isSandbox(endpoint.target) ? restoreSandbox : restoreEndpoint;
			await restoreIt(context, endpoints, network, endpoint);
		}
	}
	const known = new Set(state.endpoints.all().map(({ ifname }) => ifname));
	for (const name of sweepSandboxInterfaces(context.fabric.netlink, known, state.hostId)) {
		context.log.info("leftover interface deleted", { name });
	}
	for (const endpoint of state.endpoints.all()) {
		if (!state.networks.get(endpoint.networkId)) await state.endpoints.del(endpoint.id);
	}
	for (const container of state.containers.all()) {
		if (container.status !== "running") continue;
		if (processStart(container.pid) === container.pidStart) containers.watch(container);
		else {
			await endpoints.releaseTarget(`pid:${container.pid}`);
			await containers.markExited(container);
		}
	}
	context.files.sweep();
	for (const endpoint of state.endpoints.all()) context.files.changed(endpoint);
	context.log.info("state restored", {
		networks: state.networks.all().length,
		endpoints: state.endpoints.all().length,
	});
}

/** Oldest first, as they were made: among networks that share a subnet the first one may be without ip-range. */
function byAge(networks: NetworkRecord[]): NetworkRecord[] {
	return networks.toSorted((a, b) => a.created.localeCompare(b.created));
}

async function restoreNetwork({ spaces, fabric, log }: Context, network: NetworkRecord): Promise<void> {
	if (network.configOnly) return;
	await fabric.attachNetwork(network, true);
	fabric.keepNetwork(network);
	try {
		const options = parseIpamOptions(network.ipamOptions);
		for (const config of managedPools(network)) spaces.of(network).addPool(network.id, config, network.name, options);
	} catch (error) {
		log.error("network has no addresses", { network: network.name, error: messageOf(error) });
	}
	const { State, Detail } = fabric.status(network);
	if (State === "degraded") log.warn("network is degraded", { network: network.name, detail: Detail });
}

/**
 * An endpoint of Docker's. One without container yet, and one whose interface is in the host's namespace, may be in the
 * middle of a start: they are kept for Docker to go on with.
 */
async function restoreSandbox(
	context: Context,
	endpoints: Endpoints,
	network: NetworkRecord,
	endpoint: EndpointRecord,
): Promise<void> {
	if (!isJoined(endpoint.target)) return;
	const { state, fabric, lifetimes, log } = context;
	const found = findSandboxInterface(fabric.netlink, endpoint);
	if (!found) {
		await endpoints.release(endpoint);
		return;
	}
	const here = { ...endpoint, netnsId: found.netnsId ?? "" };
	await state.endpoints.put(here);
	await fabric.attachEndpoint(network, here, true);
	if (found.netnsId !== undefined) lifetimes.watch(here.target, here.netnsId);
	log.info("endpoint restored", { network: network.name, endpoint: endpoint.name });
}

async function restoreEndpoint(
	context: Context,
	endpoints: Endpoints,
	network: NetworkRecord,
	endpoint: EndpointRecord,
): Promise<void> {
	const { spaces, fabric, lifetimes, log } = context;
	if (!isTargetAlive(endpoint.target, endpoint.netnsId)) {
		await endpoints.release(endpoint);
		return;
	}
	try {
		for (const cidr of managedPools(network).length > 0 ? [endpoint.ipv4, endpoint.ipv6] : []) {
			if (cidr === undefined) continue;
			const [requested] = cidr.split("/");
			spaces.of(network).allocate(network.id, { family: mustParseCidr(cidr).family, requested });
		}
	} catch (error) {
		log.error("endpoint's address is not reserved", { endpoint: endpoint.name, error: messageOf(error) });
	}
	await fabric.attachEndpoint(network, endpoint, true);
	lifetimes.watch(endpoint.target, endpoint.netnsId);
	log.info("endpoint restored", { network: network.name, endpoint: endpoint.name });
}
