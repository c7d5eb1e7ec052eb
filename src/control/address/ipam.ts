/**
 * Address management. An address space is what one parent and VLAN stack reach: inside it no address is given twice,
 * in another one the same subnet is a different thing. Networks with the identical subnet share one pool of addresses;
 * subnets that overlap without being equal are refused, because their pools could not know of each other.
 */

import { VlaneError } from "../errors.js";
import type { IpamConfig } from "../types.js";
import { AddressSet } from "./addressset.js";
import {
	type Cidr,
	contains,
	type Family,
	formatCidr,
	formatIp,
	type Ip,
	mustParseCidr,
	mustParseIp,
	parseIp,
} from "./cidr.js";

/** An address handed out, with everything an endpoint derives from its subnet. */
export interface Allocation {
	/** Canonical text, without prefix length. */
	address: string;
	/** The subnet's. */
	prefixLength: number;
	/** The subnet's configuration; its gateway is the endpoint's. */
	pool: IpamConfig;
}

/** How full a subnet is. Networks with the same subnet share its addresses, and hence these numbers. */
export interface PoolUsage {
	subnet: string;
	/** Of the whole subnet. */
	size: bigint;
	/** Held by endpoints, or reserved: gateway, auxiliary, network and broadcast address. */
	inUse: bigint;
	/** What is left to hand out where dynamic addresses come from: the ip-range, else the subnet. */
	available: bigint;
}

/** `--ipam-opt` of a network, see `parseIpamOptions`. */
export interface PoolOptions {
	/** Dynamic addresses continue behind the last one instead of filling gaps. */
	serial: boolean;
}

/** The addresses of one subnet, shared by all networks of the space that have exactly this subnet. */
interface Pool {
	cidr: Cidr;
	/** Everything that must not be handed out. */
	used: AddressSet;
	/** Owner of each address that an endpoint holds. */
	allocations: Map<bigint, string>;
	/** Networks that keep an address out of use as gateway or auxiliary address; several may name the same router. */
	reservations: Map<bigint, Set<string>>;
	members: Map<string, Member>;
}

/** One network's view of a pool. */
interface Member {
	networkName: string;
	config: IpamConfig;
	pool: Pool;
	/** Where dynamic addresses come from: the ip-range, else the subnet. */
	range: Cidr;
	/** Serial allocation: where to look first. */
	next?: bigint;
}

/** All pools of one (parent, VLAN stack), or of one network without parent. Methods either do everything or throw. */
export class AddressSpace {
	readonly #pools = new Map<string, Pool>();
	/** Each network's pools in the order in which they were added. */
	readonly #networks = new Map<string, Member[]>();
	/** Addresses that other hosts have, by their canonical texts. */
	readonly #foreign = new Map<string, Ip>();

	/**
	 * Gives a network one more subnet, and reserves its gateway and auxiliary addresses. At a restart networks must be
	 * added in the order of their creation: a network without ip-range is refused where another one has its subnet
	 * already.
	 * @param config validated, as `resolveIpam` returns it
	 * @throws VlaneError conflict: overlap, or a reserved address that is in use; texts are Docker's
	 */
	addPool(networkId: string, config: IpamConfig, networkName: string, options?: PoolOptions): void {
		const cidr = mustParseCidr(config.subnet);
		const range = config.ipRange === undefined ? cidr : mustParseCidr(config.ipRange);
		this.#refuseOverlap(networkId, config, cidr, range);

		const existing = this.#pools.get(formatCidr(cidr));
		const pool = existing ?? this.#newPool(cidr);
		const reserved = reservedAddresses(config);
		checkReservations(pool, reserved);

		for (const { value } of reserved) {
			const holders = pool.reservations.get(value) ?? new Set();
			pool.reservations.set(value, holders.add(networkId));
			pool.used.add(value);
		}
		const next = options?.serial ? range.first : undefined;
		const member = { networkName, config, pool, range, next };
		pool.members.set(networkId, member);
		this.#pools.set(formatCidr(cidr), pool);
		this.#networks.set(networkId, [...(this.#networks.get(networkId) ?? []), member]);
	}

	/** Takes back everything of a network: its endpoints' addresses, its reservations, and pools nobody else has. */
	removeNetwork(networkId: string): void {
		for (const { pool } of this.#networks.get(networkId) ?? []) {
			pool.members.delete(networkId);
			for (const [value, owner] of pool.allocations) {
				if (owner === networkId) this.#free(pool, value);
			}
			for (const [value, holders] of pool.reservations) {
				if (!holders.delete(networkId) || holders.size > 0) continue;
				pool.reservations.delete(value);
				this.#free(pool, value);
			}
			if (pool.members.size === 0) this.#pools.delete(formatCidr(pool.cidr));
		}
		this.#networks.delete(networkId);
	}

	/**
	 * Hands out an address: `requested`, which may lie outside the ip-range, or else the lowest free one of the first
	 * subnet of the family that has one.
	 * @throws VlaneError invalid (out of range), conflict (in use) or unavailable (none left); texts are Docker's
	 */
	allocate(networkId: string, request: { family: Family; requested?: string }): Allocation {
		const members = (this.#networks.get(networkId) ?? []).filter(({ pool }) => pool.cidr.family === request.family);
		if (request.requested !== undefined) return this.#allocateRequested(networkId, members, request.requested);
		for (const member of members) {
			const value = nextFree(member);
			if (value === undefined) continue;
			if (member.next !== undefined) member.next = value + 1n;
			return this.#take(networkId, member, value);
		}
		const name = members[0]?.networkName ?? this.#networks.get(networkId)?.[0]?.networkName ?? networkId;
		throw new VlaneError(
			"unavailable",
			`no available IPv${request.family} addresses on this network's address pools: ${name} (${networkId})`,
		);
	}

	/** Returns an address, which may be handed out again at once; false when the network's endpoints do not hold it. */
	release(networkId: string, address: string): boolean {
		const ip = mustParseIp(address);
		const pool = (this.#networks.get(networkId) ?? []).find((member) => contains(member.pool.cidr, ip))?.pool;
		if (pool?.allocations.get(ip.value) !== networkId) return false;
		this.#free(pool, ip.value);
		return true;
	}

	/** Keeps an address out of use that another host has, until `vacate`. It may be ours, too, for a moment. */
	occupy(address: string): void {
		const ip = mustParseIp(address);
		this.#foreign.set(address, ip);
		for (const pool of this.#poolsWith(ip)) pool.used.add(ip.value);
	}

	/** Takes `occupy` back. */
	vacate(address: string): void {
		const ip = this.#foreign.get(address);
		if (!ip) return;
		this.#foreign.delete(address);
		for (const pool of this.#poolsWith(ip)) {
			if (!pool.allocations.has(ip.value) && !pool.reservations.has(ip.value)) pool.used.delete(ip.value);
		}
	}

	/** Whether the network could hand the address out by itself, were it free. */
	isInRange(networkId: string, address: string): boolean {
		const ip = mustParseIp(address);
		return (this.#networks.get(networkId) ?? []).some(({ range }) => contains(range, ip));
	}

	/** How full each of the network's subnets is, in order. */
	usage(networkId: string): PoolUsage[] {
		return (this.#networks.get(networkId) ?? []).map(({ config, pool: { cidr, used }, range }) => ({
			subnet: config.subnet,
			size: cidr.last - cidr.first + 1n,
			inUse: used.count(cidr.first, cidr.last),
			available: range.last - range.first + 1n - used.count(range.first, range.last),
		}));
	}

	#allocateRequested(networkId: string, members: Member[], requested: string): Allocation {
		const ip = parseIp(requested);
		const member = ip && members.find(({ pool }) => contains(pool.cidr, ip));
		if (ip === undefined || member === undefined) {
			throw new VlaneError("invalid", `requested address is out of range: ${requested}`);
		}
		if (member.pool.used.has(ip.value)) throw new VlaneError("conflict", `Address already in use: ${requested}`);
		return this.#take(networkId, member, ip.value);
	}

	#take(networkId: string, { pool, config }: Member, value: bigint): Allocation {
		pool.used.add(value);
		pool.allocations.set(value, networkId);
		return { address: formatIp(pool.cidr.family, value), prefixLength: pool.cidr.prefixLength, pool: config };
	}

	#free(pool: Pool, value: bigint): void {
		pool.allocations.delete(value);
		if (!this.#foreign.has(formatIp(pool.cidr.family, value))) pool.used.delete(value);
	}

	#poolsWith(ip: Ip): Pool[] {
		return [...this.#pools.values()].filter(({ cidr }) => contains(cidr, ip));
	}

	#newPool(cidr: Cidr): Pool {
		const pool = newPool(cidr);
		for (const ip of this.#foreign.values()) if (contains(cidr, ip)) pool.used.add(ip.value);
		return pool;
	}

	#refuseOverlap(networkId: string, config: IpamConfig, cidr: Cidr, range: Cidr): void {
		for (const pool of this.#pools.values()) {
			if (pool.cidr.family !== cidr.family || pool.cidr.first > cidr.last || cidr.first > pool.cidr.last) continue;
			const isEqual = pool.cidr.prefixLength === cidr.prefixLength;
			const rangeIsFree = [...pool.members.values()].every(
				(member) => member.range.first !== range.first || member.range.last !== range.last,
			);
			if (isEqual && config.ipRange !== undefined && rangeIsFree && !pool.members.has(networkId)) continue;
			const holder = [...pool.members.values()][0]?.networkName;
			const problem = "invalid pool request: Pool overlaps with other one on this address space";
			const remedy = isEqual
				? "give each of them its own --ip-range"
				: "use the same subnet with an --ip-range, or another subnet";
			throw new VlaneError(
				"conflict",
				`${problem}: ${config.subnet}, network ${holder} has ${formatCidr(pool.cidr)}; ${remedy}`,
			);
		}
	}
}

/** The address that a network's next endpoint gets from one of its subnets; undefined when there is none left. */
function nextFree({ pool: { used }, range, next }: Member): bigint | undefined {
	const ahead = next === undefined ? undefined : used.lowestFree(next, range.last);
	return ahead ?? used.lowestFree(range.first, range.last);
}

/**
 * A pool with what no host may have: IPv4's network and broadcast address (but RFC 3021: not in a /31, nor in a /32),
 * and IPv6's subnet-router anycast address (RFC 4291 2.6.1, but RFC 6164: not in a /127).
 */
function newPool(cidr: Cidr): Pool {
	const used = new AddressSet();
	if (cidr.last - cidr.first > 1n) {
		used.add(cidr.first);
		if (cidr.family === 4) used.add(cidr.last);
	}
	return { cidr, used, allocations: new Map(), reservations: new Map(), members: new Map() };
}

interface Reservation {
	value: bigint;
	failure: string;
}

function reservedAddresses(config: IpamConfig): Reservation[] {
	const aux = Object.entries(config.auxAddresses ?? {}).map(([name, address]) => ({
		value: mustParseIp(address).value,
		failure: `failed to allocate secondary ip address (${name}:${address})`,
	}));
	if (config.gateway === undefined) return aux;
	return [
		{ value: mustParseIp(config.gateway).value, failure: `failed to allocate gateway (${config.gateway})` },
		...aux,
	];
}

/** Another network's gateway or auxiliary address may be named again, anything else in use may not. */
function checkReservations(pool: Pool, reserved: Reservation[]): void {
	const seen = new Set<bigint>();
	for (const { value, failure } of reserved) {
		if (seen.has(value) || (pool.used.has(value) && !pool.reservations.has(value))) {
			throw new VlaneError("conflict", `${failure}: Address already in use`);
		}
		seen.add(value);
	}
}
