/**
 * What the hosts of a group agree on, as networks, endpoints and Docker's leases need it. src/group does it on etcd; a
 * host by itself has none of it, and asks nobody.
 */
import type { Family } from "./address/cidr.js";
import type { AddressSpace } from "./address/ipam.js";
import type { ApiHost, NetworkRecord, ParentRef } from "./types.js";

/** Addresses that one holder takes together, on one wire. */
export interface Claim {
	/** The holder's: of an endpoint, or of a lease. Unique for ever: what was not answered can be asked again. */
	id: string;
	/** Of a network; of Docker's leases `docker`. */
	networkId: string;
	/** For people. */
	network: string;
	/** The endpoint's name, or whom a lease is for. */
	name: string;
	/** See `Shared.wireOf`. */
	wire: string;
	/** Absent: the parent's, which is nobody's to take. */
	mac?: string;
	/** Without prefix length. */
	addresses: string[];
}

/** What a claim did not get. */
export interface Taken {
	kind: "address" | "mac";
	value: string;
	/** Who has it: `endpoint web of host b`. */
	holder: string;
}

/** An endpoint of another host. */
export interface DistantEndpoint extends Claim {
	hostId: string;
	host: string;
}

/** @param address canonical text */
export type AddressTest = (address: string, family: Family) => boolean;

export interface Shared {
	/** Name of the wire behind a parent, the same on every host. */
	wireOf(parent: ParentRef): string;
	/** What a parent that the group speaks of is called here; other texts stay as they are. */
	localParent(text: string): string;
	/** Keeps the addresses that other hosts have on the network's wire out of use in `space`, from now on. */
	follow(network: Pick<NetworkRecord, "parent">, space: AddressSpace): void;
	/** Who on another host has it, as far as is known here; it is `take` that decides. */
	holderOf(kind: Taken["kind"], wire: string, value: string): string | undefined;
	/**
	 * Takes everything that a claim asks for, or nothing.
	 * @returns what somebody else has; empty: it is ours
	 * @throws VlaneError unavailable: etcd does not answer; notFound: the group's network is gone
	 */
	take(claim: Claim): Promise<Taken[]>;
	/** A holder is gone, its record, too: what it had is given back now, or when etcd answers. */
	released(id: string): void;
	/**
	 * Looks for addresses whose host is away for longer than its leases live, and which nobody on the wire answers for.
	 * @param network where it is asked
	 * @param isWanted which of them would do
	 * @returns whether there is one now that can be taken
	 */
	reclaim(network: NetworkRecord, wire: string, isWanted: AddressTest): Promise<boolean>;
	/** Endpoints of other hosts on a network. */
	endpointsOf(networkId: string): DistantEndpoint[];
	/** What has happened to a network's endpoints that users should know of. */
	notesOf(networkId: string): string[];
	/** Makes a network known to all hosts. @throws VlaneError conflict, unavailable */
	publish(network: NetworkRecord & { parent: ParentRef }): Promise<void>;
	/** Takes a network from all hosts. @throws VlaneError conflict: it has endpoints; unavailable */
	unpublish(network: NetworkRecord): Promise<void>;
	hosts(): ApiHost[];
}

/** A network as the group knows it: its record without what each host decides for itself. */
export type Definition = Omit<NetworkRecord, "number" | "parent" | "createdLink" | "scope"> & {
	/** In the group's words, `eth0.50`. */
	parent: string;
};

/** Whether a network's endpoints are of concern to other hosts: where their frames can meet those of others. */
export function isOnWire(network: NetworkRecord): network is NetworkRecord & { parent: ParentRef } {
	return network.parent !== null && network.owner !== "docker" && !network.configOnly;
}
