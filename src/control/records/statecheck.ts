/**
 * What must hold of the records whatever has happened: every reference leads somewhere, nothing is given twice. Looks
 * at records only, so it can be run on the files of a daemon that is not there, and on an export.
 */
import { contains, mustParseCidr, mustParseIp } from "../address/cidr.js";
import { segmentKey } from "../fabric/segment.js";
import type { ContainerRecord, EndpointRecord, LeaseRecord, NetworkRecord, PoolRecord } from "../types.js";
import type { Records } from "./migrations.js";
import { shapeProblem } from "./recordschema.js";

/** One line for each thing that is wrong; none: all is well. The records are of this release's schema. */
export function problemsOf(records: Records): string[] {
	const shapes = [...records].flatMap(([key, value]) => {
		const problem = shapeProblem(key, value);
		return problem === undefined ? [] : [`${key}: ${problem}`];
	});
	// What follows could not be read.
	if (shapes.length > 0) return shapes;
	const networks = rowsOf<NetworkRecord>(records, "network/");
	const endpoints = rowsOf<EndpointRecord>(records, "endpoint/");
	const containers = rowsOf<ContainerRecord>(records, "container/");
	return [
		...networkProblems(networks),
		...endpointProblems(endpoints, networks),
		...containerProblems(containers),
		...leaseProblems(rowsOf<LeaseRecord>(records, "lease/"), rowsOf<PoolRecord>(records, "pool/")),
	];
}

function rowsOf<T>(records: Records, prefix: string): T[] {
	return [...records].flatMap(([key, value]) => (key.startsWith(prefix) ? [value as T] : []));
}

function networkProblems(networks: NetworkRecord[]): string[] {
	const configurations = new Set(networks.filter(({ configOnly }) => configOnly).map(({ name }) => name));
	return [
		...twice(networks, "networks", ({ name }) => [`the name ${name}`]),
		...twice(networks, "networks", ({ number }) => [`the number ${number}`]),
		...networks
			.filter(({ configFrom }) => configFrom !== undefined && !configurations.has(configFrom))
			.map(({ name, configFrom }) => `network ${name}: its configuration network ${configFrom} does not exist`),
	];
}

function endpointProblems(endpoints: EndpointRecord[], networks: NetworkRecord[]): string[] {
	const networkOf = new Map(networks.map((network) => [network.id, network]));
	const homed = endpoints.flatMap((endpoint) => {
		const network = networkOf.get(endpoint.networkId);
		return network ? [{ ...endpoint, network }] : [];
	});
	type Homed = (typeof homed)[number];
	// Docker's addresses are Docker's to give: it only promises that one network has each of them once.
	const spaceOf = ({ network }: Homed) =>
		network.owner === "docker" ? `network ${network.name}` : segmentKey(network);
	// A network without subnets that has endpoints with addresses: another plugin gives them.
	const addressesOf = ({ ipv4, ipv6, network }: Homed) =>
		network.owner === "cni" && network.ipam.length === 0 ? [] : [ipv4, ipv6].flatMap((cidr) => (cidr ? [cidr] : []));
	return [
		...endpoints
			.filter(({ networkId }) => !networkOf.has(networkId))
			.map(({ name, networkId }) => `endpoint ${name}: its network ${networkId.slice(0, 12)} does not exist`),
		...homed
			.filter(({ network }) => network.configOnly)
			.map(({ name, network }) => `endpoint ${name}: ${network.name} is a configuration network`),
		...homed.flatMap((endpoint) =>
			addressesOf(endpoint)
				.filter((cidr) => !isWithin(endpoint.network, cidr))
				.map((cidr) => `endpoint ${endpoint.name}: ${cidr} is in no subnet of network ${endpoint.network.name}`),
		),
		...twice(homed, "endpoints", (endpoint) =>
			addressesOf(endpoint).map((cidr) => `the address ${cidr.split("/")[0]} on ${spaceOf(endpoint)}`),
		),
		...twice(homed, "endpoints", (endpoint) =>
			endpoint.network.driver === "ipvlan"
				? []
				: [`the MAC address ${endpoint.mac} on ${segmentKey(endpoint.network)}`],
		),
		...twice(homed, "endpoints", ({ name, network }) => [`the name ${name} in network ${network.name}`]),
		...twice(homed, "endpoints", ({ target, network }) =>
			target === "sandbox:" || network.owner === "cni" ? [] : [`the target ${target} in network ${network.name}`],
		),
	];
}

function isWithin(network: NetworkRecord, text: string): boolean {
	const { family, address } = mustParseCidr(text);
	return network.ipam.some(({ subnet }) => {
		const outer = mustParseCidr(subnet);
		return outer.family === family && contains(outer, { family, value: address });
	});
}

function containerProblems(containers: ContainerRecord[]): string[] {
	const running = containers.filter(({ status }) => status === "running");
	return [
		...twice(containers, "containers", ({ name }) => [`the name ${name}`]),
		...twice(running, "containers", ({ pid }) => [`the process ${pid}`]),
	];
}

/** No address is leased twice: it is part of the record's key. */
function leaseProblems(leases: LeaseRecord[], pools: PoolRecord[]): string[] {
	const subnets = new Map(pools.map(({ id, subnet }) => [id, subnet]));
	return leases.flatMap(({ poolId, address }) => {
		const subnet = subnets.get(poolId);
		if (subnet === undefined) return [`lease of ${address}: its pool ${poolId.slice(0, 12)} does not exist`];
		return contains(mustParseCidr(subnet), mustParseIp(address)) ? [] : [`lease of ${address}: it is not in ${subnet}`];
	});
}

/** What several of the rows have, although only one may. */
function twice<T extends { name: string }>(rows: T[], kind: string, keysOf: (row: T) => string[]): string[] {
	const holders = new Map<string, string[]>();
	for (const row of rows) {
		for (const key of keysOf(row)) holders.set(key, [...(holders.get(key) ?? []), row.name]);
	}
	return [...holders]
		.filter(([, names]) => names.length > 1)
		.map(([key, names]) => `${kind} ${names.join(" and ")} both have ${key}`);
}
