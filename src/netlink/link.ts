/**
 * Links (network interfaces) in rtnetlink: struct ifinfomsg and the IFLA_* attributes
 * (include/uapi/linux/if_link.h).
 */

import {
	type Attribute,
	decodeAttributes,
	encodeAttributes,
	macBytes,
	macText,
	readText,
	text,
	u8,
	u32,
} from "./codec.js";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;

const AF_UNSPEC = 0;
const AF_INET6 = 10;
const IFINFOMSG_BYTES = 16;
const ARPHRD_ETHER = 1;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_PROMISCUITY = 30;
const IFLA_CARRIER = 33;
const IFLA_MAX_MTU = 51;

const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const MACVLAN_MODE_BRIDGE = 4;
/** Counters are a third of a link's description, and nobody here reads them. */
const RTEXT_FILTER_SKIP_STATS = 8;

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;

/** RFC 2863 states, in the kernel's numbering (include/uapi/linux/if.h IF_OPER_*). */
const OPERSTATES = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"] as const;
export type Operstate = (typeof OPERSTATES)[number];

/** A network interface as the kernel describes it. */
export interface Link {
	index: number;
	name: string;
	/** `veth`, `tun`, `macvlan`...; empty for hardware and `lo`. */
	kind: string;
	/** `aa:bb:cc:dd:ee:ff`; empty when the link has none. */
	mac: string;
	mtuBytes: number;
	/** The largest that its driver takes; 0: it sets no limit. */
	mtuBytesMax: number;
	/** IFF_* bits. */
	flags: number;
	/** Frames are Ethernet's. */
	ethernet: boolean;
	loopback: boolean;
	/** Somebody wants it up (IFF_UP). */
	up: boolean;
	/** Something is connected to it. */
	carrier: boolean;
	operstate: Operstate;
	/** Bridge or bond that it belongs to; 0: none. */
	masterIndex: number;
	/** Link that it stands on, or a veth's peer, perhaps in another namespace; 0: none. */
	linkIndex: number;
	/** How many ask for promiscuous mode. */
	promiscuity: number;
	/** Frames that wait in it at most. */
	txQueueLength: number;
	/** Free text that goes with the link into other namespaces; empty when it has none. */
	alias: string;
}

/** What `setLink` can change; what is absent stays. */
export interface LinkChange {
	up?: boolean;
	mtuBytes?: number;
	mac?: string;
	name?: string;
	/** Namespace to move the link to. */
	netnsFd?: number;
	txQueueLength?: number;
	alias?: string;
	/** How it makes IPv6 addresses of its own, IN6_ADDR_GEN_MODE_*; a link that is up keeps those that it has. */
	addressMode?: number;
}

/** RFC 7217 addresses from a secret that is made on first use. */
export const IN6_ADDR_GEN_MODE_RANDOM = 3;

function ifinfomsg(index: number, flags = 0, change = 0): Buffer {
	const bytes = Buffer.alloc(IFINFOMSG_BYTES);
	bytes.writeInt32LE(index, 4);
	bytes.writeUInt32LE(flags, 8);
	bytes.writeUInt32LE(change, 12);
	return bytes;
}

/** Body of RTM_GETLINK for one link; without an argument, for a dump of all. */
export function getLinkBody(nameOrIndex: string | number = 0): { header: Buffer; attributes: Attribute[] } {
	const attributes: Attribute[] = [[IFLA_EXT_MASK, u32(RTEXT_FILTER_SKIP_STATS)]];
	if (typeof nameOrIndex === "string") {
		attributes.push([IFLA_IFNAME, text(nameOrIndex)]);
	}
	return { header: ifinfomsg(typeof nameOrIndex === "number" ? nameOrIndex : 0), attributes };
}

/** Body of RTM_DELLINK. */
export function deleteLinkBody(index: number): { header: Buffer } {
	return { header: ifinfomsg(index) };
}

/** Body of RTM_NEWLINK that changes an existing link. */
export function setLinkBody(index: number, change: LinkChange): { header: Buffer; attributes: Attribute[] } {
	const attributes: Attribute[] = [];
	if (change.mtuBytes !== undefined) {
		attributes.push([IFLA_MTU, u32(change.mtuBytes)]);
	}
	if (change.mac !== undefined) {
		attributes.push([IFLA_ADDRESS, macBytes(change.mac)]);
	}
	if (change.name !== undefined) {
		attributes.push([IFLA_IFNAME, text(change.name)]);
	}
	if (change.netnsFd !== undefined) {
		attributes.push([IFLA_NET_NS_FD, u32(change.netnsFd)]);
	}
	if (change.txQueueLength !== undefined) {
		attributes.push([IFLA_TXQLEN, u32(change.txQueueLength)]);
	}
	if (change.alias !== undefined) {
		attributes.push([IFLA_IFALIAS, text(change.alias)]);
	}
	if (change.addressMode !== undefined) {
		const mode: Attribute = [IFLA_INET6_ADDR_GEN_MODE, u8(change.addressMode)];
		attributes.push([IFLA_AF_SPEC, [[AF_INET6, [mode]]]]);
	}
	const header = ifinfomsg(index, change.up ? IFF_UP : 0, change.up === undefined ? 0 : IFF_UP);
	return { header, attributes };
}

/** Body of RTM_NEWLINK that makes a pair; the peer is in another namespace when `peerNetnsFd` is given. */
export function newVethBody(
	name: string,
	peerName: string,
	peerNetnsFd?: number,
): { header: Buffer; attributes: Attribute[] } {
	const peer: Attribute[] = [[IFLA_IFNAME, text(peerName)]];
	if (peerNetnsFd !== undefined) {
		peer.push([IFLA_NET_NS_FD, u32(peerNetnsFd)]);
	}
	const data: Attribute[] = [[VETH_INFO_PEER, Buffer.concat([ifinfomsg(0), encodeAttributes(peer)])]];
	return newLinkBody(name, "veth", data, []);
}

/** Body of RTM_NEWLINK that makes a kernel macvlan in bridge mode. */
export function newMacvlanBody(name: string, parentIndex: number): { header: Buffer; attributes: Attribute[] } {
	return newLinkBody(name, "macvlan", [[IFLA_MACVLAN_MODE, u32(MACVLAN_MODE_BRIDGE)]], [[IFLA_LINK, u32(parentIndex)]]);
}

function newLinkBody(name: string, kind: string, data: Attribute[], more: Attribute[]) {
	const info: Attribute[] = [
		[IFLA_INFO_KIND, text(kind)],
		[IFLA_INFO_DATA, data],
	];
	const attributes: Attribute[] = [[IFLA_IFNAME, text(name)], ...more, [IFLA_LINKINFO, info]];
	return { header: ifinfomsg(0), attributes };
}

/** The link that an RTM_NEWLINK or RTM_DELLINK is about; undefined when it speaks for a bridge (AF_BRIDGE). */
export function decodeLink(payload: Buffer): Link | undefined {
	if (payload.readUInt8(0) !== AF_UNSPEC) {
		return undefined;
	}
	const attributes = decodeAttributes(payload.subarray(IFINFOMSG_BYTES));
	const number = (type: number): number => attributes.get(type)?.readUInt32LE(0) ?? 0;
	const flags = payload.readUInt32LE(8);
	const info = attributes.get(IFLA_LINKINFO);
	const kind = info === undefined ? undefined : decodeAttributes(info).get(IFLA_INFO_KIND);
	return {
		index: payload.readInt32LE(4),
		name: readText(attributes.get(IFLA_IFNAME) ?? Buffer.alloc(0)),
		kind: kind === undefined ? "" : readText(kind),
		mac: macText(attributes.get(IFLA_ADDRESS) ?? Buffer.alloc(0)),
		mtuBytes: number(IFLA_MTU),
		mtuBytesMax: number(IFLA_MAX_MTU),
		flags,
		ethernet: payload.readUInt16LE(2) === ARPHRD_ETHER,
		loopback: (flags & IFF_LOOPBACK) !== 0,
		up: (flags & IFF_UP) !== 0,
		carrier: attributes.get(IFLA_CARRIER)?.[0] === 1,
		operstate: OPERSTATES[attributes.get(IFLA_OPERSTATE)?.[0] ?? 0] ?? "unknown",
		masterIndex: number(IFLA_MASTER),
		linkIndex: number(IFLA_LINK),
		promiscuity: number(IFLA_PROMISCUITY),
		txQueueLength: number(IFLA_TXQLEN),
		alias: readText(attributes.get(IFLA_IFALIAS) ?? Buffer.alloc(0)),
	};
}
