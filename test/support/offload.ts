/**
 * TCP and UDP packets, and what a kernel does with offload frames: an implementation of its own, to hold the core's
 * against. Frames stand behind their 10-byte virtio_net_hdr, as on a TAP.
 */
import * as abi from "../../assembly/abi.js";
import { be16, isTpid } from "./frames.js";

export const TCP = 6;
export const UDP = 17;
export const ACK = 0x10;
export const PSH = 0x08;
export const FIN = 0x01;

/** How the sender has left the checksum. */
export type ChecksumState = "full" | "partial" | "verified" | "wrong" | "none";

export interface Layer4 {
	ipv6: boolean;
	protocol: number;
	sourcePort: number;
	destinationPort: number;
	payload: Uint8Array;
	checksum?: ChecksumState;
	/** IPv4. */
	id?: number;
	dontFragment?: boolean;
	/** Time to live, hop limit. */
	ttl?: number;
	tos?: number;
	/** TCP. */
	sequence?: number;
	acknowledgement?: number;
	window?: number;
	flags?: number;
	options?: Uint8Array;
	/** Bytes of padding behind the packet. */
	padding?: number;
}

const SOURCES = { 4: [10, 0, 0, 1], 6: [0xfd, ...Array(14).fill(0), 1] };
const TARGETS = { 4: [10, 0, 0, 2], 6: [0xfd, ...Array(14).fill(0), 2] };

function sum16(bytes: Uint8Array, from: number, to: number, start = 0): number {
	let total = start;
	for (let at = from; at < to; at += 2) total += (bytes[at]! << 8) | (at + 1 < to ? bytes[at + 1]! : 0);
	while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
	return total;
}

function put16(bytes: Uint8Array, at: number, value: number): void {
	bytes[at] = (value >> 8) & 255;
	bytes[at + 1] = value & 255;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
	put16(bytes, at, (value >>> 16) & 0xffff);
	put16(bytes, at + 2, value & 0xffff);
}

function be32(bytes: Uint8Array, at: number): number {
	return ((be16(bytes, at) << 16) | be16(bytes, at + 2)) >>> 0;
}

function pseudo(bytes: Uint8Array, l3: number, isIpv6: boolean, protocol: number, length: number): number {
	return isIpv6 ? sum16(bytes, l3 + 8, l3 + 40, protocol + length) : sum16(bytes, l3 + 12, l3 + 20, protocol + length);
}

function finishIpv4(bytes: Uint8Array, l3: number): void {
	put16(bytes, l3 + 10, 0);
	put16(bytes, l3 + 10, ~sum16(bytes, l3, l3 + (bytes[l3]! & 15) * 4) & 0xffff);
}

/** A packet behind `ethernet` (addresses, tags, without ethertype), behind its vnet header. */
export function packet(ethernet: Uint8Array, parts: Layer4): Uint8Array {
	const { ipv6, protocol, payload, options = new Uint8Array(), checksum = "full", padding = 0 } = parts;
	const headerBytes = protocol === TCP ? 20 + options.length : 8;
	const l3 = ethernet.length + 2;
	const l4 = l3 + (ipv6 ? 40 : 20);
	const end = l4 + headerBytes + payload.length;
	const length = end - l4;
	const framed = new Uint8Array(abi.VNET_BYTES + end + padding);
	const frame = framed.subarray(abi.VNET_BYTES);
	frame.set(ethernet);
	put16(frame, l3 - 2, ipv6 ? 0x86dd : 0x0800);
	if (ipv6) {
		frame.set([0x60, parts.tos ?? 0, 0, 0], l3);
		put16(frame, l3 + 4, length);
		frame.set([protocol, parts.ttl ?? 64, ...SOURCES[6], ...TARGETS[6]], l3 + 6);
	} else {
		frame.set([0x45, parts.tos ?? 0], l3);
		put16(frame, l3 + 2, end - l3);
		put16(frame, l3 + 4, parts.id ?? 0);
		put16(frame, l3 + 6, (parts.dontFragment ?? true) ? 0x4000 : 0);
		frame.set([parts.ttl ?? 64, protocol, 0, 0, ...SOURCES[4], ...TARGETS[4]], l3 + 8);
		finishIpv4(frame, l3);
	}
	put16(frame, l4, parts.sourcePort);
	put16(frame, l4 + 2, parts.destinationPort);
	if (protocol === TCP) {
		put32(frame, l4 + 4, parts.sequence ?? 0);
		put32(frame, l4 + 8, parts.acknowledgement ?? 0);
		frame.set([(headerBytes / 4) << 4, parts.flags ?? ACK], l4 + 12);
		put16(frame, l4 + 14, parts.window ?? 1000);
		frame.set(options, l4 + 20);
	} else {
		put16(frame, l4 + 4, length);
	}
	frame.set(payload, l4 + headerBytes);
	const field = l4 + (protocol === TCP ? 16 : 6);
	const start = pseudo(frame, l3, ipv6, protocol, length);
	if (checksum === "partial") {
		put16(frame, field, start);
		framed[abi.VNET_FLAGS] = abi.VNET_F_NEEDS_CSUM;
		new DataView(framed.buffer).setUint16(abi.VNET_CSUM_START, l4, true);
		new DataView(framed.buffer).setUint16(abi.VNET_CSUM_OFFSET, field - l4, true);
		return framed;
	}
	if (checksum === "none") return framed;
	put16(frame, field, ~sum16(frame, l4, end, start) & 0xffff || 0xffff);
	if (checksum === "wrong") frame[field]! ^= 0x55;
	if (checksum === "verified") framed[abi.VNET_FLAGS] = abi.VNET_F_DATA_VALID;
	return framed;
}

/** Fields of an offload header. */
export function vnetOf(framed: Uint8Array): { flags: number; type: number; size: number; headerBytes: number } {
	const view = new DataView(framed.buffer, framed.byteOffset);
	return {
		flags: framed[abi.VNET_FLAGS]!,
		type: framed[abi.VNET_GSO_TYPE]!,
		size: view.getUint16(abi.VNET_GSO_SIZE, true),
		headerBytes: view.getUint16(abi.VNET_HDR_LEN, true),
	};
}

/** Makes an offload frame of a packet: as a sender's kernel with TSO or USO does. */
export function superFrame(partial: Uint8Array, size: number): Uint8Array {
	const framed = Uint8Array.from(partial);
	const { l3, l4, isIpv6, protocol } = layersOf(framed.subarray(abi.VNET_BYTES));
	const frame = framed.subarray(abi.VNET_BYTES);
	const headerBytes = l4 + (protocol === TCP ? (frame[l4 + 12]! >> 4) * 4 : 8);
	const view = new DataView(framed.buffer);
	view.setUint8(
		abi.VNET_GSO_TYPE,
		protocol === UDP ? abi.VNET_GSO_UDP : isIpv6 ? abi.VNET_GSO_TCPV6 : abi.VNET_GSO_TCPV4,
	);
	view.setUint16(abi.VNET_HDR_LEN, headerBytes, true);
	view.setUint16(abi.VNET_GSO_SIZE, size, true);
	if (l3 === 0) throw new Error("no IP packet");
	return framed;
}

function layersOf(frame: Uint8Array): { l3: number; l4: number; end: number; isIpv6: boolean; protocol: number } {
	let l3 = 14;
	while (isTpid(be16(frame, l3 - 2))) l3 += 4;
	const isIpv6 = be16(frame, l3 - 2) === 0x86dd;
	const l4 = l3 + (isIpv6 ? 40 : (frame[l3]! & 15) * 4);
	const end = l3 + (isIpv6 ? 40 + be16(frame, l3 + 4) : be16(frame, l3 + 2));
	return { l3, l4, end, isIpv6, protocol: frame[l3 + (isIpv6 ? 6 : 9)]! };
}

/**
 * The frames that arrive at a receiver, whose kernel cuts and sums: without vnet header and padding. Identifications of
 * packets that can not be fragmented mean nothing (RFC 6864 4.1) and are 0 here.
 */
export function received(framed: Uint8Array): Uint8Array[] {
	const { flags, type, size } = vnetOf(framed);
	const whole = framed.subarray(abi.VNET_BYTES);
	const { l3, l4, end, isIpv6, protocol } = layersOf(whole);
	const field = l4 + (protocol === TCP ? 16 : 6);
	const close = (frame: Uint8Array): Uint8Array => {
		if (flags & abi.VNET_F_NEEDS_CSUM) {
			put16(frame, field, 0);
			const start = pseudo(frame, l3, isIpv6, protocol, frame.length - l4);
			put16(frame, field, ~sum16(frame, l4, frame.length, start) & 0xffff || (protocol === UDP ? 0xffff : 0));
		}
		if (!isIpv6) {
			if (frame[l3 + 6]! & 0x40) put16(frame, l3 + 4, 0);
			finishIpv4(frame, l3);
		}
		return frame;
	};
	if (type === 0) return [close(Uint8Array.from(whole.subarray(0, end)))];
	const headerBytes = l4 + (protocol === TCP ? (whole[l4 + 12]! >> 4) * 4 : 8);
	const segments: Uint8Array[] = [];
	for (let from = headerBytes; from < whole.length; from += size) {
		const payload = whole.subarray(from, from + size);
		const frame = Uint8Array.from([...whole.subarray(0, headerBytes), ...payload]);
		const isLast = from + size >= whole.length;
		if (isIpv6) put16(frame, l3 + 4, frame.length - l3 - 40);
		else {
			put16(frame, l3 + 2, frame.length - l3);
			put16(frame, l3 + 4, (be16(whole, l3 + 4) + segments.length) & 0xffff);
		}
		if (protocol === TCP) {
			put32(frame, l4 + 4, (be32(whole, l4 + 4) + from - headerBytes) >>> 0);
			if (!isLast) frame[l4 + 13]! &= ~(FIN | PSH);
		} else {
			put16(frame, l4 + 4, frame.length - l4);
		}
		segments.push(close(frame));
	}
	return segments;
}

/** What tells flows apart: addresses, tags, ports, protocol. */
export function flowOf(frame: Uint8Array): string {
	const { l3, l4, isIpv6, protocol } = layersOf(frame);
	const addresses = isIpv6 ? frame.subarray(l3 + 8, l3 + 40) : frame.subarray(l3 + 12, l3 + 20);
	return [frame.subarray(0, l3), addresses, frame.subarray(l4, l4 + 4), protocol].join("/");
}
