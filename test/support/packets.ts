/** Packets that tests look for in captures, or send themselves. */
import { BROADCAST, be16, type DecodedFrame, decodeFrame, macBytes, makeFrame, type Tag } from "./frames.js";

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
/** IEEE 802 local experimental ethertype 1 (802-2014 9.2.4): nobody answers, nobody else sends it. */
export const ETHERTYPE_EXPERIMENT = 0x88b5;

const ICMPV6 = 58;
const ROUTER_ADVERTISEMENT = 134;

/** All frames of a capture, taken apart; runts are left out. */
export function decoded(frames: Uint8Array[]): DecodedFrame[] {
	return frames.filter(({ length }) => length >= 14).map(decodeFrame);
}

/** `172.16.86.2` as it stands on the wire. */
function ipv4Bytes(address: string): number[] {
	return address.split(".").map(Number);
}

function ipv4Text(bytes: Uint8Array): string {
	return Array.from(bytes.subarray(0, 4)).join(".");
}

/** Whether the frame is an ARP request for the address. */
export function isArpFor({ ethertype, payload }: DecodedFrame, address: string): boolean {
	return ethertype === ETHERTYPE_ARP && be16(payload, 6) === 1 && ipv4Text(payload.subarray(24)) === address;
}

/** Whether it is said to all without being asked, at any time: a gratuitous ARP, or what IPv6 says to groups. */
export function isAnnouncement({ ethertype, dst, payload }: DecodedFrame): boolean {
	if (ethertype === ETHERTYPE_IPV6) return dst.startsWith("33:33:");
	return ethertype === ETHERTYPE_ARP && ipv4Text(payload.subarray(14)) === ipv4Text(payload.subarray(24));
}

/** Source and destination of an IPv4 packet; undefined for anything else. */
export function ipv4Of({
	ethertype,
	payload,
}: DecodedFrame): { src: string; dst: string; protocol: number } | undefined {
	if (ethertype !== ETHERTYPE_IPV4 || payload.length < 20) return undefined;
	return { src: ipv4Text(payload.subarray(12)), dst: ipv4Text(payload.subarray(16)), protocol: payload[9]! };
}

/** A frame that carries `text` and means nothing to any stack. */
export function marked(text: string, src: string, dst = BROADCAST, tags: Tag[] = []): Uint8Array {
	return makeFrame({ dst, src, tags, ethertype: ETHERTYPE_EXPERIMENT, payload: Buffer.from(text.padEnd(46, "\0")) });
}

/** The texts of a capture's marked frames, in their order. */
export function marksOf(frames: Uint8Array[]): string[] {
	const found = decoded(frames).filter(({ ethertype }) => ethertype === ETHERTYPE_EXPERIMENT);
	return found.map(({ payload }) => Buffer.from(payload).toString("latin1").replace(/\0+$/, ""));
}

/** An ARP request, RFC 826. */
export function arpRequest(src: string, sender: string, target: string, tags: Tag[] = []): Uint8Array {
	const head = [0, 1, 8, 0, 6, 4, 0, 1]; // Ethernet, IPv4, their lengths, request
	const payload = [...head, ...macBytes(src), ...ipv4Bytes(sender), 0, 0, 0, 0, 0, 0, ...ipv4Bytes(target)];
	return makeFrame({ dst: BROADCAST, src, tags, ethertype: ETHERTYPE_ARP, payload: Uint8Array.from(payload) });
}

function ipv6Bytes(address: string): number[] {
	const [head = "", tail] = address.split("::");
	const groups = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
	const [before, after] = [groups(head), groups(tail ?? "")];
	const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
	return all.flatMap((group) => [group >> 8, group & 0xff]);
}

/** RFC 1071 over bytes of an even number. */
function checksum(bytes: Uint8Array): number {
	let sum = 0;
	for (let at = 0; at < bytes.length; at += 2) sum += be16(bytes, at);
	while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/** An unsolicited router advertisement for one /64 (RFC 4861 4.2, 4.6.2) of a router that is no default router. */
export function routerAdvertisement(router: { mac: string; address: string }, prefix: string, tags: Tag[]): Uint8Array {
	const [source, group] = [ipv6Bytes(router.address), ipv6Bytes("ff02::1")];
	const hour = [0, 0, 0x0e, 0x10];
	// Prefix information: type 3, 4 * 8 bytes, /64, on-link and autonomous, valid and preferred lifetime.
	const option = [3, 4, 64, 0xc0, ...hour, ...hour, 0, 0, 0, 0, ...ipv6Bytes(prefix)];
	// Hop limit 64, no flags, router lifetime 0, reachable time and retransmission timer unspecified.
	const message = Uint8Array.from([ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...option]);
	const pseudo = [...source, ...group, 0, 0, 0, message.length, 0, 0, 0, ICMPV6];
	const sum = checksum(Uint8Array.from([...pseudo, ...message]));
	message.set([sum >> 8, sum & 0xff], 2);
	const header = [0x60, 0, 0, 0, 0, message.length, ICMPV6, 255, ...source, ...group];
	const payload = Uint8Array.from([...header, ...message]);
	return makeFrame({ dst: "33:33:00:00:00:01", src: router.mac, tags, ethertype: ETHERTYPE_IPV6, payload });
}
