/**
 * Which addresses a new network gets to give: its request, its IPAM driver, and what the host and others use already.
 */
import type { Context } from "../context.js";
import { VlaneError } from "../errors.js";
import { segmentKey } from "../fabric/segment.js";
import { resolveIpam } from "../request/ipamconfig.js";
import { parseBool } from "../request/options.js";
import type { CreateNetworkBody } from "../request/schema.js";
import type { NetworkRecord } from "../types.js";
import type { PoolOptions } from "./ipam.js";

/** The part of a network's record that is about addresses. */
export type AddressPlan = Pick<NetworkRecord, "enableIPv4" | "enableIPv6" | "ipam" | "ipamDriver" | "ipamOptions">;

/** Docker's name of the option of its default IPAM driver. */
const SERIAL = "com.docker.network.ipam.serial";

/**
 * Decides a network's addressing.
 * @param place where the network is going to be: what shares its address space
 * @throws VlaneError invalid, unavailable
 */
export function planAddresses(
	{ IPAM, EnableIPv4, EnableIPv6, ConfigOnly }: CreateNetworkBody,
	place: Pick<NetworkRecord, "id" | "parent">,
	{ state, fabric }: Context,
): AddressPlan {
	const ipamOptions = IPAM?.Options ?? {};
	parseIpamOptions(ipamOptions);
	if (IPAM?.Driver === "null") return { ...planNone(IPAM.Config ?? [], EnableIPv4, EnableIPv6), ipamOptions };
	if (IPAM?.Driver !== undefined && IPAM.Driver !== "" && IPAM.Driver !== "default") {
		throw new VlaneError("invalid", `ipam driver ${IPAM.Driver} is not known; use --ipam-driver default or null`);
	}
	const takenSubnets = () => {
		const routes = ([4, 6] as const).flatMap((family) => fabric.netlink.routes(family));
		const routed = routes.map(({ destination }) => destination).filter((destination) => destination !== "default");
		const networks = state.networks.all().filter(({ configOnly }) => !configOnly);
		const here = networks.filter((network) => segmentKey(network) === segmentKey(place));
		// Another one's on another VLAN does no harm, but a container on both could not tell them apart.
		return [networks, here].map((others) => [
			...routed,
			...others.flatMap(({ ipam }) => ipam.map(({ subnet }) => subnet)),
		]);
	};
	const request = { config: IPAM?.Config, enableIPv4: EnableIPv4, enableIPv6: EnableIPv6, complete: !ConfigOnly };
	return { ...resolveIpam(request, { takenSubnets, hostId: state.hostId }), ipamOptions };
}

/**
 * Reads `--ipam-opt`.
 * @throws VlaneError invalid: unknown key or malformed value
 */
export function parseIpamOptions(options: Record<string, string> = {}): PoolOptions {
	const unknown = Object.keys(options).find((key) => key !== SERIAL);
	if (unknown !== undefined) {
		throw new VlaneError(
			"invalid",
			`unknown ipam option ${JSON.stringify(unknown)}; known options: ${SERIAL}, or leave it out`,
		);
	}
	return { serial: parseBool(SERIAL, options[SERIAL] ?? "false") };
}

/**
 * `--ipam-driver null`: endpoints without addresses. The texts are those of Docker's null driver and macvlan driver.
 */
function planNone(config: object[], enableIPv4 = true, enableIPv6 = false): AddressPlan {
	if (config.length > 0) {
		throw new VlaneError(
			"invalid",
			"invalid pool request: null ipam driver does not handle specific address pool requests; leave out --subnet",
		);
	}
	if (enableIPv4)
		throw new VlaneError("invalid", "ipv4 pool is empty; add --ipv4=false for endpoints without addresses");
	if (enableIPv6)
		throw new VlaneError("invalid", "ipv6 pool is empty; leave out --ipv6 for endpoints without addresses");
	return { enableIPv4, enableIPv6, ipam: [], ipamDriver: "null" };
}
