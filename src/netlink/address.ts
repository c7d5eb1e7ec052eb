/** Addresses of links in rtnetlink: struct ifaddrmsg and the IFA_* attributes (include/uapi/linux/if_addr.h). */

import ipaddr from "ipaddr.js";
import { AF_INET, AF_INET6 } from "../sys/libc.js";
import { type Attribute, decodeAttributes, u32 } from "./codec.js";

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

const IFADDRMSG_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x2;

/** Longest IPv4 prefix with room for a broadcast address (RFC 3021: a /31 has none). */
const BROADCAST_PREFIX_MAX = 30;

/** An address of a link. */
export interface LinkAddress {
	index: number;
	family: 4 | 6;
	address: string;
	prefixLength: number;
	/** `address/prefixLength`. */
	cidr: string;
	broadcast?: string;
	/** IFA_F_* bits (0x40 tentative, 0x80 permanent). */
	flags: number;
	/** RT_SCOPE_*: 0 global, 253 link, 254 host. */
	scope: number;
}

/** AF_INET or AF_INET6 of 4 or 6. */
export function addressFamily(family: 4 | 6): number {
	return family === 4 ? AF_INET : AF_INET6;
}

/**
 * An IP address as bytes, most significant first.
 * @throws Error when it is not an IP address.
 */
export function ipBytes(address: string): Buffer {
	return Buffer.from(ipaddr.parse(address).toByteArray());
}

/** 4 or 16 bytes as an IP address; IPv6 in the form of RFC 5952. */
export function ipText(bytes: Uint8Array): string {
	return ipaddr.fromByteArray([...bytes]).toString();
}

/** An address and its prefix length, from `10.0.0.2/24`. */
export function parseCidr(cidr: string): { bytes: Buffer; family: 4 | 6; prefixLength: number } {
	const [address, prefixLength] = ipaddr.parseCIDR(cidr);
	const bytes = Buffer.from(address.toByteArray());
	return { bytes, family: bytes.length === 4 ? 4 : 6, prefixLength };
}

/** Body of RTM_NEWADDR and RTM_DELADDR. `noDad`: usable at once, without duplicate address detection (IPv6). */
export function addressBody(
	index: number,
	cidr: string,
	options: { noDad?: boolean } = {},
): { header: Buffer; attributes: Attribute[] } {
	const { bytes, family, prefixLength } = parseCidr(cidr);
	const header = Buffer.alloc(IFADDRMSG_BYTES);
	header.writeUInt8(addressFamily(family), 0);
	header.writeUInt8(prefixLength, 1);
	header.writeUInt32LE(index, 4);
	const attributes: Attribute[] = [
		[IFA_LOCAL, bytes],
		[IFA_ADDRESS, bytes],
	];
	if (family === 4 && prefixLength <= BROADCAST_PREFIX_MAX) {
		attributes.push([IFA_BROADCAST, broadcastOf(bytes, prefixLength)]);
	}
	if (options.noDad) {
		attributes.push([IFA_FLAGS, u32(IFA_F_NODAD)]);
	}
	return { header, attributes };
}

function broadcastOf(address: Buffer, prefixLength: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE((address.readUInt32BE(0) | (0xffffffff >>> prefixLength)) >>> 0);
	return bytes;
}

/** Header of an RTM_GETADDR dump of both families. */
export function getAddressesHeader(): Buffer {
	return Buffer.alloc(IFADDRMSG_BYTES);
}

/** The address that an RTM_NEWADDR is about; undefined for families other than IP. */
export function decodeAddress(payload: Buffer): LinkAddress | undefined {
	const family = payload.readUInt8(0);
	const attributes = decodeAttributes(payload.subarray(IFADDRMSG_BYTES));
	const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
	if ((family !== AF_INET && family !== AF_INET6) || bytes === undefined) {
		return undefined;
	}
	const address = ipText(bytes);
	const prefixLength = payload.readUInt8(1);
	const broadcast = attributes.get(IFA_BROADCAST);
	return {
		index: payload.readUInt32LE(4),
		family: family === AF_INET ? 4 : 6,
		address,
		prefixLength,
		cidr: `${address}/${prefixLength}`,
		...(broadcast && { broadcast: ipText(broadcast) }),
		flags: attributes.get(IFA_FLAGS)?.readUInt32LE(0) ?? payload.readUInt8(2),
		scope: payload.readUInt8(3),
	};
}
