/** Results in the form of each version of the specification, and reading those of an ADD before. */
import type { Addressing } from "./delegate.js";
import type { PreviousResult, Version } from "./invocation.js";

/** The interface that ADD has made. */
export interface MadeInterface {
	name: string;
	mac: string;
	mtu: number;
	/** Path of the namespace. */
	sandbox: string;
}

/** What an attachment consists of, as a result says. */
export interface Attached {
	mac?: string;
	/** `address`: CIDR. */
	ips: { address?: string; gateway?: string }[];
	routes: { dst?: string; gw?: string }[];
}

/** The result of ADD, behind that of the plugins before this one. */
export function resultOf(
	version: Version,
	made: MadeInterface,
	addressing: Addressing,
	previous: PreviousResult = {},
): object {
	const { interfaces, ips, routes } = listsOf(previous);
	const { mtu, ...known } = made;
	const isOld = version === "0.3.1" || version === "0.4.0";
	const own = (addressing.ips ?? []).map(({ address, gateway }) => ({
		...(isOld ? { version: address.includes(":") ? "6" : "4" } : {}),
		address,
		...(gateway ? { gateway } : {}),
		interface: interfaces.length,
	}));
	return {
		...previous,
		cniVersion: version,
		interfaces: [...interfaces, version === "1.1.0" ? made : known],
		ips: [...ips, ...own],
		routes: [...routes, ...(addressing.routes ?? [])],
		dns: addressing.dns ?? previous.dns ?? {},
	};
}

/** Go writes an empty list as null, too. */
function listsOf({ interfaces, ips, routes }: PreviousResult) {
	return { interfaces: interfaces ?? [], ips: ips ?? [], routes: routes ?? [] };
}

/** Finds in a result what belongs to the interface `ifname` of the namespace. Undefined when it is not there. */
export function attachedIn(result: PreviousResult, ifname: string): Attached | undefined {
	const { interfaces, ips, routes } = listsOf(result);
	const index = interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox);
	if (index < 0) return undefined;
	const own = ips.filter((ip) => ip.interface === undefined || ip.interface === index);
	return {
		mac: interfaces[index]?.mac,
		ips: own.map(({ address, gateway }) => ({ address, gateway })),
		routes: interfaces.filter(({ sandbox }) => sandbox).length === 1 ? routes : [],
	};
}
