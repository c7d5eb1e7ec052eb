/**
 * Addresses and address blocks as numbers: a thin, strict BigInt layer over ipaddr.js. Text goes in and comes out
 * canonical.
 */

import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { VlaneError } from "../errors.js";

/** 4 or 6, as in "IPv4" and "IPv6". */
export type Family = 4 | 6;

/** One address; `value` is the address as an unsigned big-endian number. */
export interface Ip {
	family: Family;
	value: bigint;
}

/**
 * A block of addresses; `address` keeps what was written (host bits included), `first` and `last` are the block's
 * two ends.
 */
export interface Cidr {
	family: Family;
	address: bigint;
	prefixLength: number;
	first: bigint;
	last: bigint;
}

/** 32 or 128. */
function addressBits(family: Family): number {
	return family === 4 ? 32 : 128;
}

/**
 * Reads one address. Strict: four decimal parts without leading zeros, or RFC 4291 text without a zone. IPv4-mapped
 * IPv6 (`::ffff:a.b.c.d`) is refused, because it names an IPv4 address in a family where nothing would find it.
 * @returns undefined when `text` is not an address
 */
export function parseIp(text: string): Ip | undefined {
	if (isIP(text) === 0 || text.includes("%")) return undefined;
	const parsed = ipaddr.parse(text);
	if (parsed.kind() === "ipv6" && (parsed as ipaddr.IPv6).isIPv4MappedAddress()) return undefined;
	const bytes = parsed.toByteArray();
	return {
		family: bytes.length === 4 ? 4 : 6,
		value: bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n),
	};
}

/**
 * Reads `address/length`; host bits may be set (see `hasHostBits`).
 * @returns undefined when `text` is not a block: no prefix length, a length with sign or leading zero, or a bad address
 */
export function parseCidr(text: string): Cidr | undefined {
	const [, addressText, lengthText] = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
	if (addressText === undefined || lengthText === undefined) return undefined;
	const ip = parseIp(addressText);
	const prefixLength = Number(lengthText);
	if (ip === undefined || prefixLength > addressBits(ip.family)) return undefined;
	const hostMask = (1n << BigInt(addressBits(ip.family) - prefixLength)) - 1n;
	const first = ip.value & ~hostMask;
	return { family: ip.family, address: ip.value, prefixLength, first, last: first | hostMask };
}

/** `parseCidr` for text that was validated before (the store's records). @throws VlaneError internal */
export function mustParseCidr(text: string): Cidr {
	const cidr = parseCidr(text);
	if (cidr === undefined) throw new VlaneError("internal", `invalid CIDR address: ${text}`);
	return cidr;
}

/** `parseIp` for text that was validated before. @throws VlaneError internal */
export function mustParseIp(text: string): Ip {
	const ip = parseIp(text);
	if (ip === undefined) throw new VlaneError("internal", `invalid IP address: ${text}`);
	return ip;
}

/** Canonical text of an address: dotted decimal, or RFC 5952. */
export function formatIp(family: Family, value: bigint): string {
	const bytes = [];
	for (let shift = BigInt(addressBits(family) - 8); shift >= 0n; shift -= 8n)
		bytes.push(Number((value >> shift) & 0xffn));
	const address = ipaddr.fromByteArray(bytes);
	return address.kind() === "ipv6" ? (address as ipaddr.IPv6).toRFC5952String() : address.toString();
}

/** Canonical text of a block, host bits cleared: `10.0.0.7/24` reads `10.0.0.0/24`. */
export function formatCidr(cidr: Cidr): string {
	return `${formatIp(cidr.family, cidr.first)}/${cidr.prefixLength}`;
}

/** Canonical text of the address of a block as it was written, host bits kept. */
export function formatCidrAddress(cidr: Cidr): string {
	return `${formatIp(cidr.family, cidr.address)}/${cidr.prefixLength}`;
}

/** True when the block was written with host bits, such as `10.0.0.7/24`. */
export function hasHostBits(cidr: Cidr): boolean {
	return cidr.address !== cidr.first;
}

/** True when `inner` (an address or a whole block) lies in `outer`. */
export function contains(outer: Cidr, inner: Ip | Cidr): boolean {
	if (outer.family !== inner.family) return false;
	const [first, last] = "value" in inner ? [inner.value, inner.value] : [inner.first, inner.last];
	return outer.first <= first && last <= outer.last;
}

/** True when the two blocks have an address in common. */
export function overlaps(a: Cidr, b: Cidr): boolean {
	return a.family === b.family && a.first <= b.last && b.first <= a.last;
}
