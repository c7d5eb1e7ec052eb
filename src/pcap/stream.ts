/**
 * Writing pcapng a block at a time, for captures that are read while they are made: several interfaces with names,
 * directions and comments of packets, and counters at the end (draft-ietf-opsawg-pcapng, little endian, nanoseconds).
 */
import {
	BLOCK_ENHANCED_PACKET,
	BLOCK_INTERFACE,
	BLOCK_SECTION,
	BLOCK_STATISTICS,
	BYTE_ORDER_MAGIC,
	LINKTYPE_ETHERNET,
	OPTION_END,
	OPTION_TSRESOL,
} from "./format.js";

/** An interface of a capture. */
export interface NamedInterface {
	name: string;
	description: string;
	/** At most so many bytes of each frame are recorded. */
	snapBytes: number;
	/** What the capture was asked for; empty: everything. */
	filter: string;
}

/** A frame of one of the interfaces. */
export interface DirectedPacket {
	/** Number of its interface, in the order in which their blocks were written. */
	interfaceIndex: number;
	direction: "in" | "out";
	/** For people, UTF-8; undefined: nothing is said. */
	comment: Uint8Array | undefined;
	timeNs: bigint;
	bytes: Uint8Array;
	originalBytes: number;
}

/** What became of the frames of one interface. */
export interface InterfaceCounts {
	startNs: bigint;
	endNs: bigint;
	/** All that passed. */
	received: number;
	/** Lost before the filter saw them. */
	lost: number;
	/** What the filter let through. */
	accepted: number;
	/** Lost because the reader was too slow. */
	late: number;
	/** What the reader got. */
	delivered: number;
}

const COMMENT = 1;
const SECTION_APPLICATION = 4;
const INTERFACE_NAME = 2;
const INTERFACE_DESCRIPTION = 3;
const INTERFACE_FILTER = 11;
const PACKET_FLAGS = 2;
const STATISTICS = { start: 2, end: 3, received: 4, lost: 5, accepted: 6, late: 7, delivered: 8 };
const NANOSECONDS = 9;
/** Header of a block and the fixed part of a packet's. */
const PACKET_AT = 28;
/** Code and length of an option, or the end of them. */
const OPTION_BYTES = 4;
const FLAGS_BYTES = 4;
const VERSION_MAJOR = 1;
const LENGTH_UNKNOWN = 0xffffffffffffffffn;

type Option = [code: number, value: Uint8Array];

/** The block that begins a capture. */
export function sectionBlock(application: string, comment: string): Buffer {
	const body = Buffer.alloc(16);
	body.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
	body.writeUInt16LE(VERSION_MAJOR, 4);
	body.writeBigUInt64LE(LENGTH_UNKNOWN, 8);
	return block(BLOCK_SECTION, body, [text(COMMENT, comment), text(SECTION_APPLICATION, application)]);
}

export function interfaceBlock({ name, description, snapBytes, filter }: NamedInterface): Buffer {
	const body = Buffer.alloc(8);
	body.writeUInt16LE(LINKTYPE_ETHERNET, 0);
	body.writeUInt32LE(snapBytes, 4);
	const options = [text(INTERFACE_NAME, name), text(INTERFACE_DESCRIPTION, description)];
	options.push([OPTION_TSRESOL, Uint8Array.of(NANOSECONDS)]);
	// The first byte says that it is the text of a filter.
	if (filter !== "") options.push([INTERFACE_FILTER, Buffer.from(`\0${filter}`)]);
	return block(BLOCK_INTERFACE, body, options);
}

/** Bytes of a packet's block. */
export function packetBlockBytes({ bytes, comment }: DirectedPacket): number {
	const options = OPTION_BYTES + FLAGS_BYTES + (comment === undefined ? 0 : OPTION_BYTES + padded(comment.length));
	return PACKET_AT + padded(bytes.length) + options + OPTION_BYTES + 4;
}

/**
 * Writes a packet's block into a buffer that has room for it, and nothing else: there is one for every frame.
 * @returns where the next block begins
 */
export function writePacketBlock(target: Buffer, at: number, packet: DirectedPacket): number {
	const { interfaceIndex, direction, comment, timeNs, bytes, originalBytes } = packet;
	const { length } = bytes;
	const total = packetBlockBytes(packet);
	const data = at + PACKET_AT;
	target.writeUInt32LE(BLOCK_ENHANCED_PACKET, at);
	target.writeUInt32LE(total, at + 4);
	target.writeUInt32LE(interfaceIndex, at + 8);
	writeTime(target, timeNs, at + 12);
	target.writeUInt32LE(length, at + 20);
	target.writeUInt32LE(originalBytes, at + 24);
	target.set(bytes, data);
	let end = data + padded(length);
	target.fill(0, data + length, end);
	target.writeUInt32LE(PACKET_FLAGS | (FLAGS_BYTES << 16), end);
	target.writeUInt32LE(direction === "in" ? 1 : 2, end + OPTION_BYTES);
	end += OPTION_BYTES + FLAGS_BYTES;
	if (comment !== undefined) {
		const next = end + OPTION_BYTES + padded(comment.length);
		target.writeUInt32LE(COMMENT | (comment.length << 16), end);
		target.set(comment, end + OPTION_BYTES);
		target.fill(0, end + OPTION_BYTES + comment.length, next);
		end = next;
	}
	target.writeUInt32LE(OPTION_END, end);
	target.writeUInt32LE(total, end + OPTION_BYTES);
	return end + OPTION_BYTES + 4;
}

/** Stands behind the packets. */
export function statisticsBlock(interfaceIndex: number, counts: InterfaceCounts): Buffer {
	const body = Buffer.alloc(12);
	body.writeUInt32LE(interfaceIndex, 0);
	writeTime(body, counts.endNs, 4);
	const { startNs, endNs, received, lost, accepted, late, delivered } = counts;
	const numbers = { received, lost, accepted, late, delivered };
	const options: Option[] = [
		[STATISTICS.start, time(startNs)],
		[STATISTICS.end, time(endNs)],
	];
	for (const [name, count] of Object.entries(numbers)) {
		const value = Buffer.alloc(8);
		value.writeBigUInt64LE(BigInt(count));
		options.push([STATISTICS[name as keyof typeof numbers], value]);
	}
	return block(BLOCK_STATISTICS, body, options);
}

function block(type: number, body: Buffer, options: Option[]): Buffer {
	const optionBytes = options.reduce((sum, [, value]) => sum + 4 + padded(value.length), 4);
	const made = Buffer.alloc(12 + body.length + optionBytes);
	made.writeUInt32LE(type, 0);
	made.writeUInt32LE(made.length, 4);
	made.set(body, 8);
	let at = 8 + body.length;
	for (const [code, value] of [...options, [OPTION_END, new Uint8Array()] as Option]) {
		made.writeUInt16LE(code, at);
		made.writeUInt16LE(value.length, at + 2);
		made.set(value, at + 4);
		at += 4 + padded(value.length);
	}
	made.writeUInt32LE(made.length, at);
	return made;
}

function text(code: number, value: string): Option {
	return [code, Buffer.from(value)];
}

function time(timeNs: bigint): Buffer {
	const value = Buffer.alloc(8);
	writeTime(value, timeNs, 0);
	return value;
}

/** Two numbers of 32 bits, the higher one first. */
function writeTime(target: Buffer, timeNs: bigint, at: number): void {
	target.writeUInt32LE(Number((timeNs >> 32n) & 0xffffffffn), at);
	target.writeUInt32LE(Number(timeNs & 0xffffffffn), at + 4);
}

function padded(bytes: number): number {
	return (bytes + 3) & ~3;
}
