/**
 * Networks of `vlane run`: `--network NAME`, or docker's long form `--network name=NAME,ip=...,mac-address=...`.
 */
import type { CreateContainerBody } from "../control/schema.js";
import { checkAddresses } from "./endpointflags.js";
import { CliError } from "./errors.js";
import { cutPair, type Flags } from "./flags.js";

type NetworkRequest = CreateContainerBody["Networks"][number];

/** Keys of the long form, and the flags that mean the same for the first network. */
const KEYS = ["ip", "ip6", "mac-address"] as const;

/** Texts of docker's conflicts between the long form and the flags. */
const CONFLICTS = {
	ip: "--ip and per-network IPv4 address",
	ip6: "--ip6 and per-network IPv6 address",
	"mac-address": "--mac-address and per-network MAC address",
};

/** The networks to connect to, in the order given; none for `--network none`. @throws CliError */
export function networksOf(flags: Flags): NetworkRequest[] {
	const networks = flags.list("network").map(parseNetwork);
	const only = networks[0];
	if (networks.length === 1 && only?.get("name") === "none") networks.length = 0;
	for (const key of KEYS) {
		const value = flags.string(key);
		if (value === undefined) continue;
		const first = networks[0];
		if (first === undefined) throw new CliError(`--${key} needs a network: add --network NETWORK`);
		if (first.has(key)) throw new CliError(`conflicting options: cannot specify both ${CONFLICTS[key]}`);
		first.set(key, value);
	}
	const seen = new Set<string>();
	return networks.map((network) => {
		const name = network.get("name") ?? "";
		if (seen.has(name)) throw new CliError(`network ${JSON.stringify(name)} is specified multiple times`);
		seen.add(name);
		const addresses = checkAddresses(network.get("ip"), network.get("ip6"), network.get("mac-address"));
		return { Network: name, ...addresses };
	});
}

function parseNetwork(text: string): Map<string, string> {
	if (!text.includes("=")) {
		if (text === "") throw new CliError("network name is empty");
		return new Map([["name", text]]);
	}
	const fields = new Map<string, string>();
	for (const field of text.split(",")) {
		const [key, value] = cutPair(field);
		if (value === undefined) throw new CliError(`invalid field ${field} in --network ${text}: expected key=value`);
		if (key !== "name" && !(KEYS as readonly string[]).includes(key)) {
			throw new CliError(`invalid field key ${key} in --network ${text}; there are: name, ${KEYS.join(", ")}`);
		}
		fields.set(key, value);
	}
	if (!fields.get("name")) throw new CliError(`--network ${text} has no name=NETWORK`);
	return fields;
}
