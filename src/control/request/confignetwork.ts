/**
 * Configuration networks: `network create --config-only` keeps what is said once, `--config-from` makes networks of it.
 * Rules and texts are Docker's (validateConfiguration and applyConfigurationTo in libnetwork's network.go).
 */
import { VlaneError } from "../errors.js";
import type { State } from "../records/state.js";
import type { ApiNetwork, NetworkRecord } from "../types.js";
import type { CreateNetworkBody } from "./schema.js";

/** What `inspect` says about the wire of a network that has none. */
export const CONFIG_STATUS: ApiNetwork["Status"] = {
	Parent: "",
	Link: "",
	Vlans: [],
	HostInterface: "",
	State: "up",
	Detail: "",
};

/**
 * The request with what its configuration network says filled in.
 * @throws VlaneError forbidden (Docker's rules), notFound (no such configuration network)
 */
export function applyConfiguration(state: State, body: CreateNetworkBody): CreateNetworkBody {
	const from = body.ConfigFrom?.Network ?? "";
	if (body.ConfigOnly) {
		if (body.Internal || body.Attachable || body.Scope) {
			throw new VlaneError(
				"forbidden",
				"configuration network can only contain network specific fields. Network operator fields like " +
					"[ ingress | internal | attachable | scope ] are not supported.",
			);
		}
		if (from !== "") {
			throw new VlaneError("forbidden", "a configuration network cannot depend on another configuration network");
		}
	}
	if (from === "") return body;
	refuseOwnConfiguration(body);
	const source = state.networksNamed(from).find(({ configOnly }) => configOnly);
	if (!source) throw new VlaneError("notFound", `configuration network ${JSON.stringify(from)} does not exist`);
	return {
		...body,
		IPAM: {
			Driver: source.ipamDriver ?? "default",
			Options: source.ipamOptions,
			Config: source.ipam.map(({ subnet, ipRange, gateway, auxAddresses }) => ({
				Subnet: subnet,
				IPRange: ipRange,
				Gateway: gateway,
				AuxiliaryAddresses: auxAddresses,
			})),
		},
		EnableIPv4: source.enableIPv4,
		EnableIPv6: source.enableIPv6,
		Options: source.options,
		Labels: source.labels,
	};
}

/** @throws VlaneError forbidden when networks were made from this one */
export function checkUnused(state: State, { name, configOnly }: NetworkRecord): void {
	if (configOnly && state.networksConfiguredBy(name).length > 0) {
		throw new VlaneError("forbidden", `configuration network ${JSON.stringify(name)} is in use`);
	}
}

function refuseOwnConfiguration({ IPAM, EnableIPv4, EnableIPv6, Labels, Options }: CreateNetworkBody): void {
	const given = [IPAM?.Config ?? [], Object.keys(IPAM?.Options ?? {}), Object.keys(Labels ?? {})];
	const hasDriver = !["", "default"].includes(IPAM?.Driver ?? "");
	const hasFamilies = EnableIPv4 !== undefined || EnableIPv6 !== undefined;
	if (given.some(({ length }) => length > 0) || hasDriver || hasFamilies) {
		throw new VlaneError(
			"forbidden",
			"user-specified configurations are not supported if the network depends on a configuration network",
		);
	}
	if (Object.keys(Options ?? {}).length > 0) {
		throw new VlaneError(
			"forbidden",
			"network driver options are not supported if the network depends on a configuration network",
		);
	}
}
