/**
 * Routes of a namespace with several endpoints: which of them has the default route, and which addresses it can not
 * have beside the others.
 */

import type { Rtnetlink } from "../../netlink/rtnetlink.js";
import { contains, mustParseCidr, parseCidr } from "../address/cidr.js";
import { VlaneError } from "../errors.js";
import type { EndpointRecord } from "../types.js";
import { withNetns } from "./interface.js";

/** An endpoint as a way out. */
export interface Exit extends Pick<EndpointRecord, "ifname" | "gateway4" | "gateway6" | "gwPriority"> {
	/** Ties are decided by its name. */
	networkName: string;
}

const FAMILIES = [
	[4, "gateway4"],
	[6, "gateway6"],
] as const;

/**
 * Gives the namespace one default route per family: that of the endpoint with the highest priority; among equals, of
 * the network whose name comes first (Docker 28). Default routes that lead elsewhere are the user's own: beside them,
 * there is none of ours.
 * @param exits all endpoints in the namespace
 * @throws SysError
 */
export function settleGateways(netnsPath: string, exits: Exit[]): void {
	withNetns(netnsPath, (netlink) => settleGatewaysHere(netlink, exits));
}

/** As `settleGateways`, with a socket of the namespace. */
export function settleGatewaysHere(netlink: Rtnetlink, exits: Exit[]): void {
	const ranked = exits.toSorted(
		(a, b) => (b.gwPriority ?? 0) - (a.gwPriority ?? 0) || (a.networkName < b.networkName ? -1 : 1),
	);
	const indexOf = new Map(exits.map(({ ifname }) => [ifname, netlink.link(ifname)?.index]));
	const indexes = [...indexOf.values()];
	for (const [family, key] of FAMILIES) {
		const best = ranked.find((exit) => exit[key] !== undefined && indexOf.get(exit.ifname) !== undefined);
		const present = netlink.routes(family).filter(({ destination }) => destination === "default");
		const isForeign = present.some(({ index }) => !indexes.includes(index));
		const ours = present.filter(({ index, gateway }) =>
			exits.some((exit) => exit[key] === gateway && indexOf.get(exit.ifname) === index),
		);
		const isWanted = ({ index, gateway }: { index: number; gateway?: string }) =>
			!isForeign && best?.[key] === gateway && indexOf.get(best?.ifname ?? "") === index;
		for (const route of ours) if (!isWanted(route)) netlink.deleteRoute(route);
		if (best === undefined || isForeign || ours.some(isWanted)) continue;
		const index = indexOf.get(best.ifname) as number;
		netlink.addRoute({ destination: "default", gateway: best[key], index });
	}
}

/**
 * Refuses addresses whose subnet is routed another way already: packets for it would leave by the wrong interface.
 * @param addresses CIDR texts
 * @throws VlaneError conflict; Docker's text
 */
export function checkRouteConflicts(netnsPath: string, addresses: string[]): void {
	withNetns(netnsPath, (netlink) => {
		for (const address of addresses) {
			const cidr = mustParseCidr(address);
			for (const { destination, index } of netlink.routes(cidr.family)) {
				const route = parseCidr(destination);
				if (route === undefined) continue; // default
				const isOurs = contains(route, { family: cidr.family, value: cidr.address });
				if (!isOurs && !contains(cidr, { family: route.family, value: route.first })) continue;
				const shown = `${destination} dev ${netlink.link(index)?.name ?? index}`;
				throw new VlaneError(
					"conflict",
					`cannot program address ${address} in sandbox interface because it conflicts with existing route ${shown}`,
				);
			}
		}
	});
}
