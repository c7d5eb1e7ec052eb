/**
 * Port security as one would explain it: every address of its own that a frame claims, found by reading the headers one
 * after another, and whether each is the sender's.
 */
import ipaddr from "ipaddr.js";
import type { PortSecurity } from "../../src/host/types.js";
import { addressOf } from "./addresses.js";

interface Sender {
	mac: string;
	mode: string;
	security: PortSecurity;
}

/** What a frame says about its sender; `undefined` when it can not be read as far as it must be. */
interface Claims {
	macs: string[];
	/** As in addresses.ts. */
	addresses: string[];
}

const NOTHING: Claims = { macs: [], addresses: [] };
const TPIDS = [0x8100, 0x88a8];
/** Tags and extension headers that are followed. */
const TAGS_MAX = 4;
const EXTENSIONS_MAX = 7;
/** Hop-by-hop options, routing, fragment, destination options. */
const EXTENSIONS = [0, 43, 44, 60];
const FRAGMENT = 44;
const ICMPV6 = 58;
const UDP = 17;

const be16 = (bytes: number[], at: number): number => (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
const macAt = (bytes: number[], at: number): string =>
	bytes
		.slice(at, at + 6)
		.map((octet) => octet.toString(16).padStart(2, "0"))
		.join(":");
const addressAt = (bytes: number[], at: number, length: number): string =>
	addressOf(ipaddr.fromByteArray(bytes.slice(at, at + length)).toString());
const isZero = (bytes: number[], at: number, length: number): boolean =>
	bytes.slice(at, at + length).every((octet) => octet === 0);

/** Whether a frame claims to be from somebody else than the endpoint `number` that sends it. */
export function isSpoofed(
	number: number,
	{ mac, mode, security }: Sender,
	bytes: number[],
	ownerOf: (address: string) => number | undefined,
): boolean {
	if (security === "none") return false;
	if (macAt(bytes, 6) !== mac) return true;
	if (security === "mac") return false;
	const claims = claimsOf(bytes);
	if (claims === undefined) return true;
	const isOwn = (address: string): boolean => {
		const owner = ownerOf(address);
		if (owner !== undefined) return owner === number;
		if (mode.startsWith("ipvlan")) return address.startsWith("fe80000000000000");
		return address === linkLocalOf(mac);
	};
	return !claims.macs.every((claimed) => claimed === mac) || !claims.addresses.every(isOwn);
}

/** RFC 4291, appendix A. */
function linkLocalOf(mac: string): string {
	const [first = 0, ...rest] = mac.split(":").map((octet) => Number.parseInt(octet, 16));
	const id = [first ^ 2, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
	return `fe80000000000000${id.map((octet) => octet.toString(16).padStart(2, "0")).join("")}`;
}

function claimsOf(frame: number[]): Claims | undefined {
	let at = 12;
	for (let tags = 0; TPIDS.includes(be16(frame, at)); tags++) {
		if (tags === TAGS_MAX) return undefined;
		if (at + 6 > frame.length) return NOTHING; // half a tag: there is nothing behind it
		at += 4;
	}
	const type = be16(frame, at);
	const packet = frame.slice(at + 2);
	if (type === 0x0806) return ofArp(packet);
	if (type === 0x0800) return ofV4(packet);
	return type === 0x86dd ? ofV6(packet) : NOTHING;
}

function ofArp(packet: number[]): Claims | undefined {
	const isUsual = be16(packet, 0) === 1 && be16(packet, 2) === 0x0800 && packet[4] === 6 && packet[5] === 4;
	if (packet.length < 28 || !isUsual) return undefined;
	return { macs: [macAt(packet, 8)], addresses: isZero(packet, 14, 4) ? [] : [addressAt(packet, 14, 4)] };
}

function ofV4(packet: number[]): Claims | undefined {
	if (packet.length < 20) return undefined;
	if (!isZero(packet, 12, 4)) return { macs: [], addresses: [addressAt(packet, 12, 4)] };
	const headerBytes = (packet[0]! % 16) * 4;
	const length = be16(packet, 2);
	const isWhole = packet[0]! >> 4 === 4 && headerBytes >= 20 && headerBytes <= length && length <= packet.length;
	const isFragment = be16(packet, 6) % 0x4000 !== 0;
	const isClient = be16(packet, headerBytes) === 68 && be16(packet, headerBytes + 2) === 67;
	const isRequest = packet[9] === UDP && isClient && packet.length >= headerBytes + 8;
	return isWhole && !isFragment && isRequest ? NOTHING : undefined;
}

function ofV6(packet: number[]): Claims | undefined {
	const length = be16(packet, 4) + 40;
	if (packet.length < 40 || packet[0]! >> 4 !== 6 || length > packet.length) return undefined;
	const isUnspecified = isZero(packet, 8, 16);
	const claims: Claims = { macs: [], addresses: isUnspecified ? [] : [addressAt(packet, 8, 16)] };
	let [at, next, isFragment] = [40, packet[6]!, false];
	for (let count = 0; EXTENSIONS.includes(next); count++) {
		if (count === EXTENSIONS_MAX || at + 8 > packet.length) return undefined;
		if (next === FRAGMENT) isFragment = true;
		const bytes = next === FRAGMENT ? 8 : (packet[at + 1]! + 1) * 8;
		[next, at] = [packet[at]!, at + bytes];
		if (at > packet.length) return undefined;
	}
	if (next !== ICMPV6 || isFragment) return isUnspecified ? undefined : claims;
	if (at + 8 > packet.length) return undefined;
	return ofIcmp(packet.slice(at, Math.max(length, at + 8)), Math.max(0, length - at), isUnspecified, claims);
}

/** @param length of the message, by the header of the packet */
function ofIcmp(message: number[], length: number, isUnspecified: boolean, claims: Claims): Claims | undefined {
	const type = message[0]!;
	if ([131, 132, 143].includes(type)) return claims; // MLD
	const [isRouterQuestion, isRouterAnswer, isQuestion, isAnswer] = [133, 134, 135, 136].map((known) => type === known);
	if (isUnspecified && !isQuestion && !isRouterQuestion) return undefined;
	if (type < 133 || type > 136) return claims;
	const head = isRouterQuestion ? 8 : isRouterAnswer ? 16 : 24;
	if (length < head) return undefined;
	const addresses = isAnswer || (isQuestion && isUnspecified) ? [addressAt(message, 8, 16)] : [];
	const macs: string[] = [];
	for (let at = head; at + 8 <= length; at += message[at + 1]! * 8) {
		if (message[at + 1] === 0) return undefined;
		if ([1, 2].includes(message[at]!)) macs.push(macAt(message, at + 2));
	}
	return { macs, addresses: [...claims.addresses, ...addresses] };
}
