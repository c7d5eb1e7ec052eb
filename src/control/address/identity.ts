/** Who an endpoint is: its addresses, from the host's own records and, in a group of hosts, agreed with the others. */

import { type Context, managedPools } from "../context.js";
import { VlaneError } from "../errors.js";
import { isOnWire, type Taken } from "../shared.js";
import type { NetworkRecord } from "../types.js";
import type { Undo } from "../undo.js";
import { type Family, formatIp, mustParseCidr, parseIp } from "./cidr.js";
import type { Allocation } from "./ipam.js";

/** What the user asked for; what is absent is chosen. */
export interface IdentityWish {
	name: string;
	ipv4?: string;
	ipv6?: string;
	mac?: string;
}

export interface Identity {
	mac: string;
	ipv4?: Allocation;
	ipv6?: Allocation;
}

/**
 * Takes an endpoint's addresses; `undo` gives them back. When another host was faster, others are chosen, unless the
 * user asked for these.
 * @param chooseMac a MAC address that is free as far as is known here
 * @throws VlaneError invalid, conflict, unavailable
 */
export async function takeIdentity(
	context: Context,
	network: NetworkRecord,
	wish: IdentityWish & { id: string },
	chooseMac: () => string,
	undo: Undo,
): Promise<Identity> {
	const { shared } = context;
	for (;;) {
		const mac = chooseMac();
		const leases = await allocateAll(context, network, wish);
		const { ipv4, ipv6 } = leases;
		const giveBack = () => free(context, network, leases);
		if (!shared || !isOnWire(network)) {
			undo.add(giveBack);
			return { mac, ipv4, ipv6 };
		}
		const addresses = [ipv4, ipv6].flatMap((lease) => (lease ? [lease.address] : []));
		const { id, name } = wish;
		const place = { networkId: network.id, network: network.name, wire: shared.wireOf(network.parent) };
		const ownMac = network.driver === "ipvlan" ? undefined : mac;
		try {
			// Also when it fails: the answer may have been lost.
			undo.add(() => shared.released(id));
			const taken = await shared.take({ id, name, ...place, mac: ownMac, addresses });
			if (taken.length === 0) {
				undo.add(giveBack);
				return { mac, ipv4, ipv6 };
			}
			giveBack();
			for (const each of taken) refuseAsked(each, wish, leases);
		} catch (error) {
			giveBack();
			throw error;
		}
	}
}

type Leases = Pick<Identity, "ipv4" | "ipv6">;

function free({ spaces }: Context, network: NetworkRecord, { ipv4, ipv6 }: Leases): void {
	for (const lease of [ipv4, ipv6]) if (lease) spaces.of(network).release(network.id, lease.address);
}

async function allocateAll(context: Context, network: NetworkRecord, wish: IdentityWish): Promise<Leases> {
	const leases: Leases = {};
	try {
		if (has(network, 4)) leases.ipv4 = await allocate(context, network, 4, wish.ipv4);
		if (has(network, 6)) leases.ipv6 = await allocate(context, network, 6, wish.ipv6);
		return leases;
	} catch (error) {
		free(context, network, leases);
		throw error;
	}
}

/** An address that is free here; when there is none, one that a host has left behind. */
async function allocate(
	{ spaces, shared }: Context,
	network: NetworkRecord,
	family: Family,
	requested: string | undefined,
): Promise<Allocation> {
	const space = spaces.of(network);
	const ip = requested === undefined ? undefined : parseIp(requested);
	try {
		return space.allocate(network.id, { family, requested });
	} catch (error) {
		const isUsed = error instanceof VlaneError && (error.kind === "conflict" || error.kind === "unavailable");
		if (!isUsed || !shared || !isOnWire(network)) throw error;
		const isWanted = (address: string, its: Family) =>
			ip ? address === formatIp(ip.family, ip.value) : its === family && space.isInRange(network.id, address);
		if (!(await shared.reclaim(network, shared.wireOf(network.parent), isWanted))) throw error;
		return space.allocate(network.id, { family, requested });
	}
}

function refuseAsked({ kind, value, holder }: Taken, wish: IdentityWish, leases: Leases): void {
	const { ipv4, ipv6, mac } = wish;
	const isAsked = ({ address }: Partial<Allocation> = {}, asked?: string) => asked !== undefined && address === value;
	if (kind === "address" && (isAsked(leases.ipv4, ipv4) || isAsked(leases.ipv6, ipv6))) {
		throw new VlaneError("conflict", `Address already in use: ${value}, by ${holder}`);
	}
	if (kind === "mac" && mac !== undefined) {
		throw new VlaneError("conflict", `MAC address ${value} is already in use by ${holder}; choose another one`);
	}
}

/** Whether the network has addresses of the family to give; a family that is off has no subnet. */
function has(network: NetworkRecord, family: Family): boolean {
	return managedPools(network).some(({ subnet }) => mustParseCidr(subnet).family === family);
}
