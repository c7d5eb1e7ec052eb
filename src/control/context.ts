/** What networks, endpoints and containers share: the records, the kernel side, and the addresses in use. */

import { AddressSpace } from "./address/ipam.js";
import type { Fabric } from "./fabric/fabric.js";
import { segmentKey } from "./fabric/segment.js";
import type { Log } from "./log.js";
import type { ContainerFiles } from "./namespace/containerfiles.js";
import type { Lifetimes } from "./namespace/lifetimes.js";
import type { NetnsWatches } from "./namespace/netnswatches.js";
import type { State } from "./records/state.js";
import type { Shared } from "./shared.js";
import type { EndpointRecord, IpamConfig, NetworkRecord } from "./types.js";

export interface Context {
	state: State;
	fabric: Fabric;
	spaces: Spaces;
	lifetimes: Lifetimes;
	watches: NetnsWatches;
	files: ContainerFiles;
	/** Absent: this host is in no group. */
	shared?: Shared;
	log: Log;
}

/** Address spaces: one per parent and VLAN stack, one per network without parent. */
export class Spaces {
	readonly #byKey = new Map<string, AddressSpace>();

	/** @param onNew is told of each space when it is made */
	constructor(readonly onNew: (network: Pick<NetworkRecord, "parent">, space: AddressSpace) => void = () => {}) {}

	of(network: Pick<NetworkRecord, "id" | "parent">): AddressSpace {
		const key = segmentKey(network);
		const known = this.#byKey.get(key);
		if (known) return known;
		const space = new AddressSpace();
		this.#byKey.set(key, space);
		this.onNew(network, space);
		return space;
	}
}

/**
 * The subnets whose addresses we hand out ourselves: those of Docker's networks are Docker's to give, those of
 * configuration networks nobody's.
 */
export function managedPools(network: NetworkRecord): IpamConfig[] {
	return network.owner !== "docker" && !network.configOnly ? network.ipam : [];
}

/** Endpoints of one network. */
export function endpointsOf(state: State, networkId: string): EndpointRecord[] {
	return state.endpointsOfNetwork(networkId);
}
