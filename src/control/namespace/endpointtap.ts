/** Opening an endpoint's TAP: in its own namespace, or in the host's for Docker to move; a new one or an old one. */
import { IN6_ADDR_GEN_MODE_RANDOM } from "../../netlink/link.js";
import type { Rtnetlink } from "../../netlink/rtnetlink.js";
import { endpointKey, type Heritage } from "../fabric/heritage.js";
import type { EndpointRecord } from "../types.js";
import {
	addressesOf,
	adjustDevice,
	closeOnError,
	type Inside,
	inheritEndpointInterface,
	type OpenedInterface,
	openEndpointInterface,
} from "./interface.js";
import { createSandboxInterface, isSandbox, openSandboxInterface } from "./sandbox.js";
import { targetPath } from "./target.js";

export interface EndpointTap extends OpenedInterface {
	/** Docker has to move it before it may have a carrier. */
	waits: boolean;
}

export interface EndpointTapOptions {
	/** It has never been there. */
	isNew: boolean;
	/** Whether the device outlives its descriptor. */
	persistent: boolean;
	/** Others have the same MAC address: IPv6 addresses that are made of it would collide. */
	sharesMac: boolean;
	/** See sandbox.ts. */
	owner: string;
	/** Where to look before it is opened. */
	heritage: Heritage;
	/** See `openEndpointInterface`; not called where that is not what opens it. */
	inside: (visit: Inside) => void;
}

/** Opens the TAP of an endpoint. @throws SysError, VlaneError; nothing is left behind then */
export function openEndpointTap(
	netlink: Rtnetlink,
	endpoint: EndpointRecord,
	{ isNew, persistent, sharesMac, owner, heritage, inside }: EndpointTapOptions,
): EndpointTap {
	const inherited = heritage.take(endpointKey(endpoint.id));
	// A device that was there already has missed what happened meanwhile.
	const adjusted = (fd: number): number => {
		closeOnError(fd, () => adjustDevice(fd, endpoint));
		return fd;
	};
	if (inherited && isSandbox(endpoint.target))
		return { fd: adjusted(inherited.fd), repaired: [], waits: inherited.waits ?? false };
	const hasIpv6 = addressesOf(endpoint).some((cidr) => cidr.includes(":"));
	const addressMode = sharesMac && hasIpv6 ? IN6_ADDR_GEN_MODE_RANDOM : undefined;
	if (!isSandbox(endpoint.target)) {
		const spec = { ...endpoint, addressMode, persist: persistent };
		const found = inherited && inheritEndpointInterface(inherited.fd, spec, inside);
		if (found) return { ...found, waits: false };
		return { ...openEndpointInterface(targetPath(endpoint.target), spec, inside), waits: false };
	}
	const { fd, isMoved } = isNew
		? createSandboxInterface(netlink, endpoint, owner)
		: openSandboxInterface(netlink, endpoint, addressMode);
	return { fd: adjusted(fd), repaired: [], waits: addressMode !== undefined && !isMoved };
}
