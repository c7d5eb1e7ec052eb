/**
 * ICMP (RFC 792) and ICMPv6 (RFC 4443) echo messages in bytes.
 *
 *      0       1       2       3       4       5       6       7       8
 *      +-------+-------+-------+-------+-------+-------+-------+-------+----------
 *      | type  | code  |   checksum    |  identifier   |   sequence    | data ...
 *      +-------+-------+-------+-------+-------+-------+-------+-------+----------
 *
 * An error message carries the header of the packet it is about, from byte 8 on.
 */

/** Bytes after the header, as ping has always sent. */
export const DATA_BYTES = 56;
/** Bytes of an echo message's header. */
export const HEADER_BYTES = 8;

const IPV6_HEADER_BYTES = 40;

/** Message types of one address family. */
interface Types {
	request: number;
	reply: number;
	unreachable: number;
	timeExceeded: number;
	/** By code of an unreachable message. */
	reasons: Record<number, string>;
}

const V4: Types = {
	request: 8,
	reply: 0,
	unreachable: 3,
	timeExceeded: 11,
	reasons: { 0: "Net", 1: "Host", 2: "Protocol", 3: "Port" },
};
const V6: Types = {
	request: 128,
	reply: 129,
	unreachable: 1,
	timeExceeded: 3,
	reasons: { 0: "Net", 3: "Host", 4: "Port" },
};

/** What a received packet says about one of our requests. */
export type Message =
	| { kind: "reply"; sequence: number; bytes: number; ttl: number | undefined }
	| { kind: "error"; sequence: number; text: string };

/** One echo request; the checksum of an ICMPv6 message is the kernel's to fill in (RFC 3542, 3.1). */
export function echoRequest(family: 4 | 6, identifier: number, sequence: number): Buffer {
	const message = Buffer.alloc(HEADER_BYTES + DATA_BYTES);
	message[0] = (family === 4 ? V4 : V6).request;
	message.writeUInt16BE(identifier, 4);
	message.writeUInt16BE(sequence & 0xffff, 6);
	for (let at = HEADER_BYTES; at < message.length; at++) message[at] = at;
	if (family === 4) message.writeUInt16BE(checksum(message), 2);
	return message;
}

/**
 * Reads what a raw socket received: IPv4 with its IP header, IPv6 without.
 * @returns undefined for everything that is not about a request with `identifier`
 */
export function readMessage(family: 4 | 6, packet: Buffer, identifier: number): Message | undefined {
	const types = family === 4 ? V4 : V6;
	const start = family === 4 ? headerBytes(packet, 0) : 0;
	if (packet.length < start + HEADER_BYTES) return undefined;
	const type = packet[start];
	if (type === types.reply) {
		if (packet.readUInt16BE(start + 4) !== identifier) return undefined;
		const sequence = packet.readUInt16BE(start + 6);
		return { kind: "reply", sequence, bytes: packet.length - start, ttl: family === 4 ? packet[8] : undefined };
	}
	if (type !== types.unreachable && type !== types.timeExceeded) return undefined;
	const original = start + HEADER_BYTES;
	const request = original + (family === 4 ? headerBytes(packet, original) : IPV6_HEADER_BYTES);
	if (packet.length < request + HEADER_BYTES || packet[request] !== types.request) return undefined;
	if (packet.readUInt16BE(request + 4) !== identifier) return undefined;
	const reason = types.reasons[packet[start + 1] ?? 0];
	const unreachable = reason === undefined ? "Destination unreachable" : `Destination ${reason} Unreachable`;
	const text = type === types.timeExceeded ? "Time to live exceeded" : unreachable;
	return { kind: "error", sequence: packet.readUInt16BE(request + 6), text };
}

/** Internet checksum (RFC 1071) of an even number of bytes. */
function checksum(message: Buffer): number {
	let sum = 0;
	for (let at = 0; at < message.length; at += 2) sum += message.readUInt16BE(at);
	while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
	return ~sum & 0xffff;
}

/** Length of the IPv4 header at `at`: its IHL field counts words of 4 bytes. */
function headerBytes(packet: Buffer, at: number): number {
	return ((packet[at] ?? 0) & 0x0f) * 4;
}
