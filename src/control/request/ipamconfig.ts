/** What a create request says about addresses, checked before anything is made, and completed. Texts are Docker's. */

import { createHash } from "node:crypto";
import {
	type Cidr,
	contains,
	type Family,
	formatCidr,
	formatCidrAddress,
	formatIp,
	hasHostBits,
	mustParseCidr,
	mustParseIp,
	overlaps,
	parseCidr,
	parseIp,
} from "../address/cidr.js";
import { VlaneError } from "../errors.js";
import type { IpamConfig } from "../types.js";
import type { ApiIpamConfig } from "./schema.js";

/** The addressing part of a create request. */
export interface IpamRequest {
	config?: ApiIpamConfig[];
	/** Absent: on. */
	enableIPv4?: boolean;
	/** Absent: on when a subnet is IPv6. */
	enableIPv6?: boolean;
	/** False: a family that is on may be without subnet. Absent: it gets a predefined one. */
	complete?: boolean;
}

/** A network's addressing, decided: canonical texts, subnets in the order given, predefined ones last. */
export interface ResolvedIpam {
	enableIPv4: boolean;
	enableIPv6: boolean;
	ipam: IpamConfig[];
}

/**
 * Checks a network's addressing completely and decides what was left open. A family that is on and has no subnet gets a
 * predefined one.
 * @param context `takenSubnets`: lists of CIDRs that a predefined subnet should not overlap; the first list that
 * leaves one counts, the last one always; `hostId`: what the predefined IPv6 prefix is derived from
 * @throws VlaneError invalid (all problems in one line) or unavailable (no predefined subnet left)
 */
export function resolveIpam(
	request: IpamRequest,
	context: { takenSubnets: () => readonly (readonly string[])[]; hostId: string },
): ResolvedIpam {
	const given = request.config ?? [];
	const problems = given.flatMap(configProblems);
	if (problems.length > 0) throw invalid(`invalid network config: ${problems.join("; ")}`);

	const cidrs = given.map((config) => mustParseCidr(config.Subnet ?? ""));
	if (cidrs.some((cidr, index) => cidrs.slice(0, index).some((earlier) => overlaps(earlier, cidr)))) {
		throw invalid("multiple overlapping subnet configuration is not supported");
	}
	const has = (family: Family) => cidrs.some((cidr) => cidr.family === family);
	const enableIPv4 = request.enableIPv4 ?? true;
	const enableIPv6 = request.enableIPv6 ?? has(6);
	for (const [family, isEnabled] of [
		[4, enableIPv4],
		[6, enableIPv6],
	] as const) {
		const subnet = cidrs.find((cidr) => cidr.family === family);
		if (isEnabled || subnet === undefined) continue;
		const problem = `subnet ${formatCidr(subnet)} is an IPv${family} block, but IPv${family} is disabled`;
		throw invalid(`invalid network config: ${problem}; leave out the subnet or --ipv${family}=false`);
	}
	if (!enableIPv4 && !enableIPv6) throw invalid("IPv4 or IPv6 must be enabled");

	const ipam = given.map(toIpamConfig);
	const needs = (family: Family, isEnabled: boolean) => isEnabled && !has(family) && request.complete !== false;
	if (needs(4, enableIPv4)) ipam.push({ subnet: firstFree(predefinedIPv4, context.takenSubnets()) });
	if (needs(6, enableIPv6)) {
		ipam.push({ subnet: firstFree(() => predefinedIPv6(context.hostId), context.takenSubnets()) });
	}
	return { enableIPv4, enableIPv6, ipam };
}

/**
 * Checks the addresses that an endpoint asks for against its network.
 * @throws VlaneError invalid
 */
export function checkEndpointAddresses(ipam: readonly IpamConfig[], settings: { ipv4?: string; ipv6?: string }): void {
	const problems: string[] = [];
	for (const [family, text] of [
		[4, settings.ipv4],
		[6, settings.ipv6],
	] as const) {
		if (text === undefined) continue;
		const ip = parseIp(text);
		if (ip?.family !== family) {
			problems.push(`invalid IPv${family} address: ${text}`);
		} else if (!ipam.some(({ subnet }) => contains(mustParseCidr(subnet), ip))) {
			problems.push(`no configured subnet contains IP address ${text}`);
		}
	}
	if (problems.length > 0) throw invalid(`invalid endpoint settings: ${problems.join("; ")}`);
}

function configProblems(config: ApiIpamConfig): string[] {
	if (config.Subnet === undefined) return ["every ip-range or gateway must have a corresponding subnet"];
	const subnet = parseCidr(config.Subnet);
	if (subnet === undefined) return [`invalid subnet ${config.Subnet}: invalid CIDR block notation`];
	const problems = [...subnetProblems(subnet), ...rangeProblems(config.IPRange, subnet)];
	const gateway = config.Gateway === undefined ? undefined : addressProblem(config.Gateway, subnet);
	if (gateway !== undefined) problems.push(`invalid gateway ${config.Gateway}: ${gateway}`);
	for (const [name, address] of Object.entries(config.AuxiliaryAddresses ?? {})) {
		const problem = addressProblem(address, subnet);
		if (problem !== undefined) problems.push(`invalid auxiliary address ${name}: ${problem}`);
	}
	return problems;
}

/** Blocks whose addresses no interface can have. */
const UNUSABLE: readonly (readonly [kind: string, block: string])[] = [
	["an unspecified", "0.0.0.0/8"],
	["a loopback", "127.0.0.0/8"],
	["a loopback", "::1/128"],
	["a multicast", "224.0.0.0/4"],
	["a multicast", "ff00::/8"],
];

function subnetProblems(subnet: Cidr): string[] {
	const text = formatCidrAddress(subnet);
	if (hasHostBits(subnet)) return [`invalid subnet ${text}: it should be ${formatCidr(subnet)}`];
	const kind =
		subnet.first === 0n ? "an unspecified" : UNUSABLE.find(([, block]) => overlaps(mustParseCidr(block), subnet))?.[0];
	return kind === undefined
		? []
		: [`invalid subnet ${text}: it is ${kind} block, leave it out to get a predefined subnet`];
}

function rangeProblems(text: string | undefined, subnet: Cidr): string[] {
	if (text === undefined) return [];
	const range = parseCidr(text);
	if (range === undefined) return [`invalid ip-range ${text}: invalid CIDR block notation`];
	if (range.family !== subnet.family)
		return [`invalid ip-range ${text}: parent subnet is an IPv${subnet.family} block`];
	const problems = [];
	if (range.prefixLength < subnet.prefixLength) {
		problems.push(`invalid ip-range ${text}: CIDR block is bigger than its parent subnet ${formatCidr(subnet)}`);
	}
	if (hasHostBits(range))
		problems.push(`invalid ip-range ${formatCidrAddress(range)}: it should be ${formatCidr(range)}`);
	if (!overlaps(subnet, range)) {
		problems.push(`invalid ip-range ${text}: parent subnet ${formatCidr(subnet)} doesn't contain ip-range`);
	}
	return problems;
}

function addressProblem(text: string, subnet: Cidr): string | undefined {
	const ip = parseIp(text);
	if (ip === undefined) return "invalid address";
	if (ip.family !== subnet.family) return `parent subnet is an IPv${subnet.family} block`;
	return contains(subnet, ip) ? undefined : `parent subnet ${formatCidr(subnet)} doesn't contain this address`;
}

function toIpamConfig(config: ApiIpamConfig): IpamConfig {
	const canonical = (address: string) => {
		const ip = mustParseIp(address);
		return formatIp(ip.family, ip.value);
	};
	const aux = Object.entries(config.AuxiliaryAddresses ?? {}).map(([name, address]) => [name, canonical(address)]);
	return {
		subnet: formatCidr(mustParseCidr(config.Subnet ?? "")),
		...(config.IPRange === undefined ? {} : { ipRange: formatCidr(mustParseCidr(config.IPRange)) }),
		...(config.Gateway === undefined ? {} : { gateway: canonical(config.Gateway) }),
		...(aux.length === 0 ? {} : { auxAddresses: Object.fromEntries(aux) }),
	};
}

/** Docker's local pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in /20s. */
function* predefinedIPv4(): Generator<string> {
	for (let second = 17; second <= 31; second++) yield `172.${second}.0.0/16`;
	for (let third = 0; third < 256; third += 16) yield `192.168.${third}.0/20`;
}

/** The /64s of a unique local /48 (RFC 4193) whose global id comes from the host's id, so that two hosts' differ. */
function* predefinedIPv6(hostId: string): Generator<string> {
	const globalId = createHash("sha256").update(hostId).digest().readUIntBE(0, 5);
	const prefix = (0xfdn << 120n) | (BigInt(globalId) << 80n);
	for (let subnetId = 0n; subnetId < 0x10000n; subnetId++) yield `${formatIp(6, prefix | (subnetId << 64n))}/64`;
}

function firstFree(candidates: () => Iterable<string>, takenLists: readonly (readonly string[])[]): string {
	for (const list of takenLists) {
		const taken = [...new Set(list)].map(mustParseCidr);
		for (const candidate of candidates()) {
			const cidr = mustParseCidr(candidate);
			if (!taken.some((block) => overlaps(block, cidr))) return candidate;
		}
	}
	throw new VlaneError(
		"unavailable",
		"all predefined address pools have been fully subnetted; give the network a --subnet",
	);
}

function invalid(message: string): VlaneError {
	return new VlaneError("invalid", message);
}
