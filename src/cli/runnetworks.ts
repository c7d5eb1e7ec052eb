/**
 * Networks of `vlane run`: `--network NAME`, or docker's long form `--network name=NAME,ip=...,driver-opt=KEY=VALUE`.
 */
import type { CreateContainerBody } from "../control/request/schema.js";
import { checkAddresses } from "./endpointflags.js";
import { CliError } from "./errors.js";
import { cutPair, type Flags } from "./flags.js";

type NetworkRequest = CreateContainerBody["Networks"][number];

/** Values by key, in the order given. */
type Fields = Map<string, string[]>;

/** Keys of the long form, and whether they repeat. */
const KEYS: Record<string, boolean> = {
	name: false,
	alias: true,
	"driver-opt": true,
	"gw-priority": false,
	ip: false,
	ip6: false,
	"mac-address": false,
};

/** Flags that mean the same for the first network: what they are called there, and docker's text for giving both. */
const FLAGS: [flag: string, key: string, conflict: string][] = [
	["ip", "ip", "--ip and per-network IPv4 address"],
	["ip6", "ip6", "--ip6 and per-network IPv6 address"],
	["mac-address", "mac-address", "--mac-address and per-network MAC address"],
	["network-alias", "alias", "--network-alias and per-network alias"],
	["driver-opt", "driver-opt", "--driver-opt and per-network driver options"],
];

/** The networks to connect to, in the order given; none for `--network none`. @throws CliError */
export function networksOf(flags: Flags): NetworkRequest[] {
	const networks = flags.list("network").map(parseNetwork);
	if (networks.length === 1 && networks[0]?.get("name")?.[0] === "none") networks.length = 0;
	for (const [flag, key, conflict] of FLAGS) {
		const values = valuesOf(flags, flag);
		if (values.length === 0) continue;
		const first = networks[0];
		if (first === undefined) throw new CliError(`--${flag} needs a network: add --network NETWORK`);
		if (first.has(key)) throw new CliError(`conflicting options: cannot specify both ${conflict}`);
		first.set(key, values);
	}
	const seen = new Set<string>();
	return networks.map((fields) => {
		const request = requestOf(fields);
		const name = request.Network;
		if (seen.has(name)) throw new CliError(`network ${JSON.stringify(name)} is specified multiple times`);
		seen.add(name);
		return request;
	});
}

function valuesOf(flags: Flags, flag: string): string[] {
	if (flag === "network-alias") return flags.list(flag);
	if (flag === "driver-opt") return Object.entries(flags.record(flag)).map(([key, value]) => `${key}=${value}`);
	return [flags.string(flag) ?? []].flat();
}

function requestOf(fields: Fields): NetworkRequest {
	const one = (key: string) => fields.get(key)?.[0];
	const [aliases, options, priority] = [fields.get("alias"), fields.get("driver-opt"), one("gw-priority")];
	return {
		Network: one("name") ?? "",
		...checkAddresses(one("ip"), one("ip6"), one("mac-address")),
		...(aliases && { Aliases: aliases }),
		...(options && { DriverOpts: Object.fromEntries(options.map(parseDriverOption)) }),
		...(priority !== undefined && { GwPriority: parsePriority(priority) }),
	};
}

function parseDriverOption(text: string): [key: string, value: string] {
	const [key, value] = cutPair(text);
	if (key === "" || value === undefined) throw new CliError("invalid key value pair format in driver options");
	return [key, value];
}

function parsePriority(text: string): number {
	if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
	throw new CliError(`invalid gw-priority (${text}): invalid syntax`);
}

function parseNetwork(text: string): Fields {
	if (!text.includes("=")) {
		if (text === "") throw new CliError("network name is empty");
		return new Map([["name", [text]]]);
	}
	const fields: Fields = new Map();
	for (const field of splitFields(text)) {
		const [key, value] = cutPair(field);
		if (value === undefined) throw new CliError(`invalid field ${field} in --network ${text}: expected key=value`);
		if (!Object.hasOwn(KEYS, key)) {
			const known = Object.keys(KEYS).join(", ");
			throw new CliError(`invalid field key ${key} in --network ${text}; there are: ${known}`);
		}
		fields.set(key, KEYS[key] ? [...(fields.get(key) ?? []), value] : [value]);
	}
	if (!fields.get("name")?.[0]) throw new CliError(`--network ${text} has no name=NETWORK`);
	return fields;
}

/** Splits as a line of CSV (RFC 4180): a field in double quotes may have commas, and double quotes written twice. */
function splitFields(text: string): string[] {
	return [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
		([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain,
	);
}
