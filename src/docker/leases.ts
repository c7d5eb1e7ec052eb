/**
 * The addresses that Docker has from us (`--ipam-driver vlane`): pools, and leases in them. A lease that is given back
 * stays remembered under the name or MAC address of who had it, who gets the same address again. Others get one that
 * nobody is remembered for, and the one that was given back first when there is none left.
 *
 * Engines forget: one that was killed never gives its leases back. So a lease whose holder has no interface in a
 * container is taken for given back, by the next engine at once, and else once it is too old for a start under way.
 *
 * Every method must be called from the queue (queue.ts).
 */
import { AddressSet } from "../control/address/addressset.js";
import { contains, formatIp, mustParseCidr, mustParseIp, overlaps, parseIp } from "../control/address/cidr.js";
import type { Context } from "../control/context.js";
import { VlaneError } from "../control/errors.js";
import { findSandboxInterface } from "../control/namespace/sandbox.js";
import { resolveIpam } from "../control/request/ipamconfig.js";
import { newId } from "../control/request/names.js";
import type { Claim } from "../control/shared.js";
import type { EndpointRecord, LeaseRecord, NetworkRecord, PoolRecord } from "../control/types.js";

/** Longer than an engine needs from its first question to a container's interface. */
const START_MS_MAX = 60_000;

/** How many that were given back a pool remembers. */
const REMEMBERED_MAX = 4096;

/** Who asks for an address. `key` is empty for what is no endpoint's: gateways and auxiliary addresses. */
export interface LeaseWish {
	key: string;
	/** Without prefix length. Absent: any, of the ip-range where there is one. */
	address?: string;
}

export class Leases {
	constructor(readonly context: Context) {}

	/**
	 * Makes a pool; without subnet one that nobody has.
	 * @param wire whose addresses it gives, in a group of hosts; see `Shared.wireOf`
	 * @throws VlaneError invalid, conflict (overlap; the text is Docker's), unavailable
	 */
	async requestPool(family: 4 | 6, subnet?: string, ipRange?: string, wire?: string): Promise<PoolRecord> {
		const { state, fabric, log } = this.context;
		const takenSubnets = () => [
			[
				...([4, 6] as const).flatMap((each) => fabric.netlink.routes(each)).map(({ destination }) => destination),
				...state.networks.all().flatMap(({ ipam }) => ipam.map((config) => config.subnet)),
				...state.pools.all().map((pool) => pool.subnet),
			].filter((destination) => destination !== "default"),
		];
		const { ipam } = resolveIpam(
			{
				config: subnet === undefined && ipRange === undefined ? [] : [{ Subnet: subnet, IPRange: ipRange }],
				enableIPv4: family === 4,
				enableIPv6: family === 6,
			},
			{ takenSubnets, hostId: state.hostId },
		);
		const [config = { subnet: "" }] = ipam;
		const cidr = mustParseCidr(config.subnet);
		for (const other of state.pools.all().filter((pool) => overlaps(mustParseCidr(pool.subnet), cidr))) {
			if (!this.#isForgotten(other)) {
				const problem = "invalid pool request: Pool overlaps with other one on this address space";
				throw new VlaneError(
					"conflict",
					`${problem}: ${config.subnet}, another network has ${other.subnet}; use another subnet`,
				);
			}
			log.info("forgotten address pool removed", { subnet: other.subnet });
			await this.releasePool(other.id);
		}
		const pool = { id: newId(), created: now(), subnet: config.subnet, ipRange: config.ipRange, wire };
		await state.pools.put(pool);
		return pool;
	}

	/** What is not there is fine. */
	async releasePool(id: string): Promise<void> {
		const { state } = this.context;
		const leases = state.leasesOfPool(id);
		await state.commit((changes) => {
			for (const lease of leases) changes.del(state.leases, lease.id);
			changes.del(state.pools, id);
		});
		for (const lease of leases) this.#released(lease);
	}

	/**
	 * Gives an address.
	 * @returns the address with its subnet's prefix length
	 * @throws VlaneError notFound (no such pool), invalid (not in it), conflict (in use), unavailable (none left)
	 */
	async requestAddress(poolId: string, wish: LeaseWish): Promise<string> {
		const { state } = this.context;
		const pool = state.pools.get(poolId);
		if (!pool) {
			const remedy = "remove the network with docker network rm and create it again";
			throw new VlaneError("notFound", `address pool ${poolId.slice(0, 12)} is not known to vlane; ${remedy}`);
		}
		const { prefixLength } = mustParseCidr(pool.subnet);
		const { address, claim } = await this.#take(pool, wish);
		const id = leaseId(poolId, address);
		const { key } = wish;
		try {
			await state.commit((changes) => {
				// Who is remembered with another address is from now on remembered with this one.
				const earlier = key === "" ? [] : state.leasesOfKey(keyIn(poolId, key)).filter((lease) => !lease.held);
				for (const lease of earlier) changes.del(state.leases, lease.id);
				changes.put(state.leases, { id, created: now(), poolId, address, key, held: true, claim });
			});
		} catch (error) {
			if (claim !== undefined) this.context.shared?.released(claim);
			throw error;
		}
		return `${address}/${prefixLength}`;
	}

	/** Chooses an address that is free here and, in a group of hosts, agrees with the others about it. */
	async #take(pool: PoolRecord, wish: LeaseWish): Promise<{ address: string; claim?: string }> {
		const { state, shared } = this.context;
		const { family } = mustParseCidr(pool.subnet);
		for (const refused = new Set<bigint>(); ; ) {
			const value = wish.address === undefined ? await this.#chooseOrReclaim(pool, wish.key, refused) : undefined;
			const address = formatIp(family, value ?? this.#checkWish(pool, wish));
			// Gateways and auxiliary addresses are the same on every host.
			if (!shared || wish.key === "") return { address };
			const before = state.leases.get(leaseId(pool.id, address));
			const isAgain = before?.held === true && before.key === wish.key;
			if (!isAgain) this.#released(before);
			const claim = (isAgain ? before.claim : undefined) ?? newId();
			const lease = { id: claim, name: nameOf(wish.key), wire: wireOf(pool), addresses: [address] };
			const [taken] = await shared.take({ ...LEASE, ...lease }).catch((error) => {
				shared.released(claim);
				throw error;
			});
			if (!taken) return { address, claim };
			if (value === undefined) {
				throw new VlaneError("conflict", `Address already in use: ${address}, by ${taken.holder}`);
			}
			refused.add(value);
		}
	}

	async #chooseOrReclaim(pool: PoolRecord, key: string, refused: ReadonlySet<bigint>): Promise<bigint> {
		try {
			return this.#choose(pool, key, refused);
		} catch (error) {
			const [network] = this.#networksOf(pool);
			const range = mustParseCidr(pool.ipRange ?? pool.subnet);
			const isWanted = (address: string) => contains(range, mustParseIp(address));
			if (!network || !(await this.context.shared?.reclaim(network, wireOf(pool), isWanted))) throw error;
			return this.#choose(pool, key, refused);
		}
	}

	/** What the hosts of a group know of the leases of this one. */
	claims(): Claim[] {
		const { state } = this.context;
		return state.leases.all().flatMap(({ claim, key, poolId, address }) => {
			const pool = state.pools.get(poolId);
			if (claim === undefined || !pool) return [];
			return [{ ...LEASE, id: claim, name: nameOf(key), wire: wireOf(pool), addresses: [address] }];
		});
	}

	/** A claim of ours is another host's by now. @returns endpoints that still use its address */
	async lost(claim: string): Promise<EndpointRecord[]> {
		const { state } = this.context;
		const lease = state.leases.all().find((candidate) => candidate.claim === claim);
		const pool = lease && state.pools.get(lease.poolId);
		if (!lease || !pool) return [];
		await state.leases.del(lease.id);
		return this.#endpointsWith(pool, lease.address);
	}

	#released(lease: LeaseRecord | undefined): void {
		if (lease?.claim !== undefined) this.context.shared?.released(lease.claim);
	}

	/** Takes an address back; what is not there is fine. */
	async releaseAddress(poolId: string, address: string): Promise<void> {
		const { state } = this.context;
		const ip = parseIp(address);
		const lease = ip && state.leases.get(leaseId(poolId, formatIp(ip.family, ip.value)));
		if (!lease) return;
		if (lease.key === "") await state.leases.del(lease.id);
		else await this.#giveBack(lease);
	}

	/** A new engine knows nothing of what an earlier one was about to do. */
	async greet(): Promise<void> {
		for (const lease of this.context.state.leases.all()) {
			const pool = this.context.state.pools.get(lease.poolId);
			if (pool && lease.held && this.#isOver(pool, lease)) await this.#giveBack(lease);
		}
	}

	async #giveBack(lease: LeaseRecord): Promise<void> {
		const { state } = this.context;
		// The last one to be put is the last one in the table: what was given back first is found first.
		await state.leases.del(lease.id);
		await state.leases.put({ ...lease, created: now(), held: false, claim: undefined });
		this.#released(lease);
		const remembered = state.leasesOfPool(lease.poolId).filter(({ held }) => !held);
		const [oldest] = remembered;
		if (oldest && remembered.length > REMEMBERED_MAX) await state.leases.del(oldest.id);
	}

	#checkWish(pool: PoolRecord, { address = "", key }: LeaseWish): bigint {
		const ip = parseIp(address);
		if (ip === undefined || !contains(mustParseCidr(pool.subnet), ip)) {
			throw new VlaneError("invalid", `requested address is out of range: ${address}`);
		}
		const lease = this.context.state.leases.get(leaseId(pool.id, formatIp(ip.family, ip.value)));
		const isTheirs = lease !== undefined && isName(key) && lease.key === key;
		if (!edgesOf(pool).has(ip.value) && (isTheirs || this.#isFree(pool, ip.value))) return ip.value;
		throw new VlaneError("conflict", `Address already in use: ${address}`);
	}

	/** The address that `key` had; else one that nobody had; else the one that was given back first. */
	#choose(pool: PoolRecord, key: string, refused: ReadonlySet<bigint>): bigint {
		const { state } = this.context;
		const { family } = mustParseCidr(pool.subnet);
		const { first, last } = mustParseCidr(pool.ipRange ?? pool.subnet);
		const leases = state.leasesOfPool(pool.id);
		const numberOf = ({ address }: LeaseRecord) => mustParseIp(address).value;
		const [theirs] = key === "" ? [] : state.leasesOfKey(keyIn(pool.id, key));
		const isHolder = theirs?.held === true && isName(key);
		const isOffered = theirs && !refused.has(numberOf(theirs));
		if (isOffered && (isHolder || this.#isFree(pool, numberOf(theirs)))) return numberOf(theirs);
		const used = edgesOf(pool);
		for (const lease of leases) used.add(numberOf(lease));
		const isUsable = (value: bigint) => !refused.has(value) && this.#isFree(pool, value);
		for (let free = used.lowestFree(first, last); free !== undefined; free = used.lowestFree(free + 1n, last)) {
			if (isUsable(free)) return free;
		}
		const again = leases.map(numberOf).find((value) => first <= value && value <= last && isUsable(value));
		if (again !== undefined) return again;
		throw new VlaneError(
			"unavailable",
			`no available IPv${family} addresses on this network's address pool ${pool.subnet}`,
		);
	}

	/** Nobody holds it, whatever the leases say. */
	#isFree(pool: PoolRecord, value: bigint): boolean {
		const { family } = mustParseCidr(pool.subnet);
		const address = formatIp(family, value);
		const lease = this.context.state.leases.get(leaseId(pool.id, address));
		if (this.context.shared?.holderOf("address", wireOf(pool), address) !== undefined) return false;
		if (lease?.held && (isYoung(lease) || !this.#isOver(pool, lease))) return false;
		return !this.#isAlive(pool, address);
	}

	/** An endpoint's lease that nobody has given back, although there is no such endpoint. */
	#isOver(pool: PoolRecord, { key, address }: LeaseRecord): boolean {
		// Endpoints of other drivers we do not know.
		return key !== "" && this.#networksOf(pool).length > 0 && !this.#isAlive(pool, address);
	}

	/** Whether a container has an interface with the address. */
	#isAlive(pool: PoolRecord, address: string): boolean {
		const { netlink } = this.context.fabric;
		const isInContainer = (endpoint: EndpointRecord) => findSandboxInterface(netlink, endpoint)?.netnsId !== undefined;
		return this.#endpointsWith(pool, address).some(isInContainer);
	}

	#endpointsWith(pool: PoolRecord, address: string): EndpointRecord[] {
		return this.#networksOf(pool)
			.flatMap(({ id }) => this.context.state.endpointsOfNetwork(id))
			.filter(({ ipv4, ipv6 }) => [ipv4, ipv6].some((cidr) => cidr?.startsWith(`${address}/`)));
	}

	#networksOf({ subnet }: PoolRecord): NetworkRecord[] {
		const networks = this.context.state.networks.all();
		return networks.filter(({ owner, ipam }) => owner === "docker" && ipam.some((config) => config.subnet === subnet));
	}

	/** No network has the pool, and none is being made with it. */
	#isForgotten(pool: PoolRecord): boolean {
		const leases = this.context.state.leasesOfPool(pool.id);
		const hasEndpoints = leases.some(({ held, key }) => held && key !== "");
		return !isYoung(pool) && !hasEndpoints && this.#networksOf(pool).length === 0;
	}
}

/** In the group's records, leases are on no network: Docker does not tell which one an address is for. */
const LEASE = { networkId: "docker", network: "docker" };

/** Pools that do not say whose addresses they give share those of all others that do not. */
function wireOf({ wire }: PoolRecord): string {
	return wire ?? "docker";
}

/** `name:web` -> `web`. */
function nameOf(key: string): string {
	return key.slice(key.indexOf(":") + 1);
}

/** What no host may have: IPv4's network and broadcast address, IPv6's subnet-router anycast address. */
function edgesOf({ subnet }: PoolRecord): AddressSet {
	const { family, first, last } = mustParseCidr(subnet);
	const edges = new AddressSet();
	if (last - first <= 1n) return edges;
	edges.add(first);
	if (family === 4) edges.add(last);
	return edges;
}

/** What it is for may be about to be made. */
function isYoung({ created }: { created: string }): boolean {
	return Date.now() - Date.parse(created) < START_MS_MAX;
}

function leaseId(poolId: string, address: string): string {
	return `${poolId}/${address}`;
}

/** Key of the leases of one holder in one pool. */
function keyIn(poolId: string, key: string): string {
	return `${poolId}/${key}`;
}

/** A container's name is the engine's own, and nobody else's; a MAC address may have been given twice. */
function isName(key: string): boolean {
	return key.startsWith("name:");
}

function now(): string {
	return new Date().toISOString();
}
