/** Routes in rtnetlink: struct rtmsg and the RTA_* attributes (include/uapi/linux/rtnetlink.h). */

import { AF_INET, AF_INET6 } from "../sys/libc.js";
import { addressFamily, ipBytes, ipText, parseCidr } from "./address.js";
import { type Attribute, decodeAttributes, u32 } from "./codec.js";

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;

const RT_TABLE_MAIN = 254;
/** What ip(8) uses and does not print. */
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const RTNH_F_ONLINK = 4;

/** A unicast route of the main table. */
export interface Route {
	/** `10.0.0.0/24`, `default`. */
	destination: string;
	gateway?: string;
	/** Link that it leads to. */
	index: number;
	/** Address that the host uses as its own on this route. */
	source?: string;
	/** The lowest wins; 0 when the kernel has none. */
	metric?: number;
	/** The gateway is reachable on the link although no route says so. */
	onlink?: boolean;
	/** RT_SCOPE_*; by default universe (0) with a gateway, link (253) without. */
	scope?: number;
}

/**
 * Body of RTM_NEWROUTE and RTM_DELROUTE. `default` takes its family from the gateway or the source; IPv4 without.
 */
export function routeBody(route: Route): { header: Buffer; attributes: Attribute[] } {
	const gateway = route.gateway === undefined ? undefined : ipBytes(route.gateway);
	const source = route.source === undefined ? undefined : ipBytes(route.source);
	const isDefault = route.destination === "default";
	const destination = isDefault ? undefined : parseCidr(route.destination);
	const family = destination?.family ?? ((gateway ?? source)?.length === 16 ? 6 : 4);

	const header = Buffer.alloc(RTMSG_BYTES);
	header.writeUInt8(addressFamily(family), 0);
	header.writeUInt8(destination?.prefixLength ?? 0, 1);
	header.writeUInt8(RT_TABLE_MAIN, 4);
	header.writeUInt8(RTPROT_BOOT, 5);
	header.writeUInt8(route.scope ?? (gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK), 6);
	header.writeUInt8(RTN_UNICAST, 7);
	header.writeUInt32LE(route.onlink ? RTNH_F_ONLINK : 0, 8);

	const attributes: Attribute[] = [[RTA_OIF, u32(route.index)]];
	if (destination !== undefined) {
		attributes.push([RTA_DST, destination.bytes]);
	}
	if (gateway !== undefined) {
		attributes.push([RTA_GATEWAY, gateway]);
	}
	if (source !== undefined) {
		attributes.push([RTA_PREFSRC, source]);
	}
	if (route.metric !== undefined) {
		attributes.push([RTA_PRIORITY, u32(route.metric)]);
	}
	return { header, attributes };
}

/** Header of an RTM_GETROUTE dump. */
export function getRoutesHeader(family: 4 | 6): Buffer {
	const header = Buffer.alloc(RTMSG_BYTES);
	header.writeUInt8(addressFamily(family), 0);
	return header;
}

/** The route that an RTM_NEWROUTE is about; undefined unless it is a unicast route of the main table. */
export function decodeRoute(payload: Buffer): Route | undefined {
	const family = payload.readUInt8(0);
	const attributes = decodeAttributes(payload.subarray(RTMSG_BYTES));
	const table = attributes.get(RTA_TABLE)?.readUInt32LE(0) ?? payload.readUInt8(4);
	const isIp = family === AF_INET || family === AF_INET6;
	if (!isIp || table !== RT_TABLE_MAIN || payload.readUInt8(7) !== RTN_UNICAST) {
		return undefined;
	}
	const ip = (type: number): string | undefined => {
		const bytes = attributes.get(type);
		return bytes && ipText(bytes);
	};
	const destination = ip(RTA_DST);
	const gateway = ip(RTA_GATEWAY);
	const source = ip(RTA_PREFSRC);
	return {
		destination: destination === undefined ? "default" : `${destination}/${payload.readUInt8(1)}`,
		...(gateway && { gateway }),
		index: attributes.get(RTA_OIF)?.readUInt32LE(0) ?? 0,
		...(source && { source }),
		metric: attributes.get(RTA_PRIORITY)?.readUInt32LE(0) ?? 0,
		onlink: (payload.readUInt32LE(8) & RTNH_F_ONLINK) !== 0,
		scope: payload.readUInt8(6),
	};
}
