/** `vlane daemon --store etcd://...`: puts the host into its group. */
import { readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { type Context, endpointsOf, managedPools } from "../control/context.js";
import type { Endpoints } from "../control/endpoints.js";
import { VlaneError } from "../control/errors.js";
import { type Log, messageOf } from "../control/log.js";
import type { Networks } from "../control/networks.js";
import { type Claim, isOnWire } from "../control/shared.js";
import type { EndpointRecord } from "../control/types.js";
import type { Leases } from "../docker/leases.js";
import { Group } from "../group/group.js";
import { parseDuration, parseLocation, parseParentMap } from "../group/location.js";

export interface GroupFlags {
	/** `etcd://...`, or `lmdb`: no group. */
	store?: string;
	hostName?: string;
	leaseTtl?: string;
	parentMap?: string[];
}

const LEASE_TTL_DEFAULT = "24h";
/** A host's name, as others see it in lists. */
const HOST_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/;

/** What a daemon is to its group, from its flags. */
export type GroupSettings = NonNullable<ReturnType<typeof parseGroupFlags>>;

/** Reads the flags; undefined: this host is by itself. @throws VlaneError invalid */
export function parseGroupFlags({ store = "lmdb", hostName, leaseTtl, parentMap = [] }: GroupFlags) {
	if (store === "lmdb") {
		const given = { "--lease-ttl": leaseTtl, "--host-name": hostName, "--parent-map": parentMap[0] };
		const [flag] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
		if (flag === undefined) return undefined;
		throw new VlaneError("invalid", `${flag} is for hosts that are in a group; add --store etcd://...`);
	}
	const name = hostName ?? hostname();
	if (!HOST_NAME.test(name)) throw new VlaneError("invalid", `invalid host name ${JSON.stringify(name)}`);
	return {
		location: parseLocation(store),
		name,
		leaseTtlSeconds: parseDuration(leaseTtl ?? LEASE_TTL_DEFAULT, "--lease-ttl"),
		parents: parseParentMap(parentMap),
	};
}

/** Where the daemon runs, and how it does things. */
interface Surroundings {
	hostId: string;
	stateDir: string;
	version: string;
	log: Log;
	run: (task: () => Promise<void>) => void;
}

export function makeGroup(settings: GroupSettings, { hostId, stateDir, version, log, run }: Surroundings): Group {
	const { location, name, leaseTtlSeconds, parents } = settings;
	const { dev, ino } = statSync(stateDir);
	const place = `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()}/${dev}:${ino}`;
	return new Group({ location, parents, log, run, hostId, place, record: { name, version, leaseTtlSeconds } });
}

/** Does here what the group says, from now on. */
export function attachGroup(
	group: Group,
	context: Context,
	{ networks, endpoints, leases }: { networks: Networks; endpoints: Endpoints; leases: Leases },
): void {
	const { state } = context;
	group.attach(context, {
		claims: () => [
			...state.endpoints.all().flatMap((endpoint) => claimOf(context, endpoint) ?? []),
			...leases.claims(),
		],
		async onLost({ id }) {
			const endpoint = state.endpoints.get(id);
			if (endpoint) await endpoints.expel(endpoint);
			else for (const each of await leases.lost(id)) await endpoints.expel(each);
		},
		onNetworks: () => followNetworks(group, context, networks),
	});
}

/** What an endpoint has of the group's; undefined when it has nothing that other hosts could meet. */
function claimOf({ state, shared }: Context, endpoint: EndpointRecord): Claim | undefined {
	const network = state.networks.get(endpoint.networkId);
	if (!network || !shared || !isOnWire(network)) return undefined;
	const { id, name, mac, ipv4, ipv6 } = endpoint;
	const cidrs = managedPools(network).length > 0 ? [ipv4, ipv6] : [];
	return {
		...{ id, name, networkId: network.id, network: network.name, wire: shared.wireOf(network.parent) },
		mac: network.driver === "ipvlan" ? undefined : mac,
		addresses: cidrs.flatMap((cidr) => (cidr ? [cidr.slice(0, cidr.indexOf("/"))] : [])),
	};
}

/**
 * Makes the networks of this host those of the group. One that has endpoints here is never removed because the group
 * does not know it, as after a backup of etcd was brought back: it is made known again.
 */
async function followNetworks({ view }: Group, context: Context, networks: Networks): Promise<void> {
	const { state, shared, log } = context;
	const attempt = async (what: string, name: string, step: () => Promise<void> | undefined) => {
		try {
			await step();
		} catch (error) {
			log.error(`network of the group was not ${what}`, { network: name, error: messageOf(error) });
		}
	};
	const defined = new Map(view.definitions().map((definition) => [definition.id, definition]));
	for (const network of state.networks.all()) {
		if (network.scope !== "global" || defined.has(network.id)) continue;
		const isUsed = endpointsOf(state, network.id).length > 0;
		if (!isUsed) await attempt("removed", network.name, () => networks.abandon(network));
		else if (isOnWire(network)) await attempt("made known", network.name, () => shared?.publish(network));
	}
	for (const definition of defined.values()) {
		if (state.networks.get(definition.id)) continue;
		await attempt("made", definition.name, () => networks.adopt(definition));
	}
}
