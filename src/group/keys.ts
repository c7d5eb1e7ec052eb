/**
 * Where a group's records are in etcd, below its prefix:
 *
 *   host/HOST                       who belongs to the group
 *   alive/HOST                      there while the host is heard of (an etcd lease)
 *   away/HOST, grace/HOST           there since it is not; grace ends by itself with the host's leases (an etcd lease)
 *   network/NAME                    networks of the group
 *   catalog/WIRE                    written with every network there: who plans one sees whether others came meanwhile
 *   endpoint/NETWORK/HOST/ENDPOINT  endpoints, and Docker's leases (NETWORK is docker then)
 *   address/WIRE/ADDRESS            HOST/ENDPOINT, who has it
 *   mac/WIRE/MAC                    HOST/ENDPOINT, who has it
 */
import type { Claim, Taken } from "../control/shared.js";

/** `host/HOST`. */
export interface HostRecord {
	name: string;
	version: string;
	joined: string;
	/** How long its leases live once it is away. */
	leaseTtlSeconds: number;
}

/** `alive/HOST`. */
export interface AliveRecord {
	/** Tells two daemons with copies of one state apart. */
	place: string;
	since: string;
}

/** `away/HOST`. */
export interface AwayRecord {
	since: string;
}

/** `endpoint/...`: a claim but for what its key says. */
export type EndpointValue = Omit<Claim, "id" | "networkId">;

/** What is remembered of who has something. */
export interface Holder {
	hostId: string;
	id: string;
}

export class Keys {
	constructor(readonly prefix: string) {}

	of(kind: string, ...parts: string[]): string {
		return `${this.prefix}${[kind, ...parts].join("/")}`;
	}

	/** Kind and parts of a key. */
	parse(key: string): string[] {
		return key.slice(this.prefix.length).split("/");
	}

	/** The key of a claim itself. */
	endpoint({ networkId, id }: Pick<Claim, "networkId" | "id">, hostId: string): string {
		return this.of("endpoint", networkId, hostId, id);
	}

	/** What a claim takes. */
	taken({ wire, mac, addresses }: Claim): { key: string; kind: Taken["kind"]; value: string }[] {
		return [
			...addresses.map((value) => ({ key: this.of("address", wire, value), kind: "address" as const, value })),
			...(mac === undefined ? [] : [{ key: this.of("mac", wire, mac), kind: "mac" as const, value: mac }]),
		];
	}
}

/** Value of `address/` and `mac/`. */
export function holderText({ hostId, id }: Holder): string {
	return `${hostId}/${id}`;
}

export function parseHolder(text: string): Holder {
	const [hostId = "", id = ""] = text.split("/");
	return { hostId, id };
}

/** The value of `endpoint/`; the same for the same claim. */
export function endpointValue({ network, name, wire, mac, addresses }: Claim): string {
	return JSON.stringify({ network, name, wire, mac, addresses } satisfies EndpointValue);
}
