/**
 * `network create`: gateways, ranges and auxiliary addresses are given apart from the subnets; each belongs to the
 * subnet that contains it. Texts are docker's (cli/command/network/create.go, createIPAMConfig).
 */
import { type Cidr, contains, overlaps, parseCidr, parseIp } from "../control/address/cidr.js";
import type { ApiIpamConfig } from "../control/request/schema.js";
import { CliError } from "./errors.js";

/** The flags about addresses, as given. */
export interface SubnetFlags {
	subnets: string[];
	ranges: string[];
	gateways: string[];
	/** Name to address. */
	auxAddresses: Record<string, string>;
}

interface Entry {
	text: string;
	cidr: Cidr;
	config: ApiIpamConfig;
}

/** One configuration per subnet, in the order given. @throws CliError when something fits no subnet or fits twice. */
export function matchSubnets({ subnets, ranges, gateways, auxAddresses }: SubnetFlags): ApiIpamConfig[] {
	if (subnets.length < ranges.length || subnets.length < gateways.length) {
		throw new CliError("every ip-range or gateway must have a corresponding subnet");
	}
	const entries: Entry[] = [];
	for (const text of subnets) {
		const cidr = parseCidr(text);
		if (cidr === undefined) throw new CliError(`invalid subnet: invalid CIDR address: ${text}`);
		if (entries.some((entry) => overlaps(entry.cidr, cidr))) {
			throw new CliError("multiple overlapping subnet configuration is not supported");
		}
		entries.push({ text, cidr, config: { Subnet: text } });
	}
	for (const range of ranges) {
		const cidr = parseCidr(range);
		if (cidr === undefined) throw new CliError(`invalid ip-range: invalid CIDR address: ${range}`);
		const { text, config } = entryOf(entries, { family: cidr.family, value: cidr.first }, `range ${range}`);
		if (config.IPRange !== undefined) {
			throw new CliError(`cannot configure multiple ranges (${range}, ${config.IPRange}) on the same subnet (${text})`);
		}
		config.IPRange = range;
	}
	for (const gateway of gateways) {
		const { text, config } = entryOf(entries, parseIp(gateway), `gateway ${gateway}`);
		if (config.Gateway !== undefined) {
			throw new CliError(
				`cannot configure multiple gateways (${gateway}, ${config.Gateway}) for the same subnet (${text})`,
			);
		}
		config.Gateway = gateway;
	}
	for (const [name, address] of Object.entries(auxAddresses)) {
		const { config } = entryOf(entries, parseIp(address), `aux-address ${address}`);
		config.AuxiliaryAddresses = { ...config.AuxiliaryAddresses, [name]: address };
	}
	return entries.map(({ config }) => config);
}

function entryOf(entries: Entry[], address: ReturnType<typeof parseIp>, what: string): Entry {
	const entry = entries.find(({ cidr }) => address !== undefined && contains(cidr, address));
	if (entry === undefined) throw new CliError(`no matching subnet for ${what}`);
	return entry;
}
