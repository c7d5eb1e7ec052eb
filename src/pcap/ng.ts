/**
 * Reading pcapng: a row of blocks, each with its type and its length at both ends.
 *
 *   | type (4) | length (4) | body, padded to 4 | length (4) |
 *
 * A section header begins anew: byte order, interfaces. A packet names its interface, which says the link type and the
 * unit of time. Blocks and options that are not known are skipped.
 */
import {
	BLOCK_ENHANCED_PACKET,
	BLOCK_INTERFACE,
	BLOCK_PACKET,
	BLOCK_SECTION,
	BLOCK_SIMPLE_PACKET,
	BYTE_ORDER_MAGIC,
	CAPTURED_BYTES_MAX,
	type CapturedFrame,
	frameOf,
	OPTION_END,
	OPTION_FCSLEN,
	OPTION_TSOFFSET,
	OPTION_TSRESOL,
} from "./format.js";
import type { ByteSource } from "./source.js";

const BLOCK_BYTES_MIN = 12;
/** As in libpcap: no real block comes near it, and nobody's memory is at stake. */
const BLOCK_BYTES_MAX = 16 << 20;
const NS_PER_SECOND = 1_000_000_000n;

interface Interface {
	linkType: number;
	/** 0: no limit. */
	snapBytes: number;
	/** Units of time in a second. */
	unitsPerSecond: bigint;
	offsetSeconds: bigint;
	fcsBytes: number;
}

/** The frames of a file whose first block type has been taken already. */
export function* readBlocks(source: ByteSource): Generator<CapturedFrame, void, void> {
	let type = BLOCK_SECTION;
	let interfaces: Interface[] = [];
	for (;;) {
		const at = source.offset - 4;
		const body = takeBody(source, type, at);
		if (type === BLOCK_SECTION) interfaces = [];
		else if (type === BLOCK_INTERFACE) interfaces.push(interfaceOf(source, body, at));
		else if (type === BLOCK_ENHANCED_PACKET || type === BLOCK_PACKET || type === BLOCK_SIMPLE_PACKET)
			yield packetOf(source, type, body, interfaces, at);
		if (source.isAtEnd()) return;
		type = source.u32(source.take(4, "a block's type"), 0);
	}
}

/** The rest of a block; answers its body. A section's byte order is found in its body and holds for its length. */
function takeBody(source: ByteSource, type: number, at: number): Buffer {
	const length = source.take(4, "a block's length");
	let magic: Buffer = Buffer.alloc(0);
	if (type === BLOCK_SECTION) {
		magic = source.take(4, "a section header");
		source.bigEndian = magic.readUInt32BE(0) === BYTE_ORDER_MAGIC;
		if (source.u32(magic, 0) !== BYTE_ORDER_MAGIC)
			source.fail(`byte-order magic ${magic.toString("hex")} is wrong`, at);
	}
	const bytes = source.u32(length, 0);
	if (bytes < BLOCK_BYTES_MIN + magic.length || bytes % 4 !== 0 || bytes > BLOCK_BYTES_MAX)
		source.fail(`a block of ${bytes} bytes`, at);
	const body = source.take(bytes - BLOCK_BYTES_MIN - magic.length, "a block");
	const again = source.u32(source.take(4, "a block"), 0);
	if (again !== bytes) source.fail(`a block of ${bytes} bytes that says ${again} at its end`, at);
	return body;
}

function interfaceOf(source: ByteSource, body: Buffer, at: number): Interface {
	if (body.length < 8) source.fail("an interface that is too short", at);
	const found = { linkType: source.u16(body, 0), snapBytes: source.u32(body, 4), fcsBytes: 0 };
	let unitsPerSecond = 1_000_000n;
	let offsetSeconds = 0n;
	for (let option = 8; option + 4 <= body.length; ) {
		const code = source.u16(body, option);
		const bytes = source.u16(body, option + 2);
		const value = body.subarray(option + 4, option + 4 + bytes);
		if (code === OPTION_END) break;
		if (value.length < bytes) source.fail("an option that is longer than its block", at);
		if (code === OPTION_TSRESOL && bytes >= 1) {
			const exponent = BigInt(value[0]! & 0x7f);
			unitsPerSecond = value[0]! & 0x80 ? 2n ** exponent : 10n ** exponent;
		} else if (code === OPTION_TSOFFSET && bytes >= 8) {
			offsetSeconds = source.bigEndian ? value.readBigInt64BE(0) : value.readBigInt64LE(0);
		} else if (code === OPTION_FCSLEN && bytes >= 1) {
			found.fcsBytes = value[0]!;
		}
		option += 4 + ((bytes + 3) & ~3);
	}
	return { ...found, unitsPerSecond, offsetSeconds };
}

function packetOf(source: ByteSource, type: number, body: Buffer, interfaces: Interface[], at: number): CapturedFrame {
	const isSimple = type === BLOCK_SIMPLE_PACKET;
	const headBytes = isSimple ? 4 : 20;
	if (body.length < headBytes) source.fail("a packet that is too short", at);
	const index = isSimple ? 0 : type === BLOCK_PACKET ? source.u16(body, 0) : source.u32(body, 0);
	const found = interfaces[index];
	if (!found) return source.fail(`a packet of interface ${index}, which its section does not have`, at);
	source.requireEthernet(found.linkType, at);
	const originalBytes = source.u32(body, isSimple ? 0 : 16);
	const snapped = Math.min(originalBytes, found.snapBytes || CAPTURED_BYTES_MAX);
	const bytes = isSimple ? snapped : source.u32(body, 12);
	if (bytes > body.length - headBytes) source.fail(`a packet of ${bytes} bytes that is longer than its block`, at);
	if (bytes > CAPTURED_BYTES_MAX) source.fail(`a frame of ${bytes} bytes; ${CAPTURED_BYTES_MAX} are allowed`, at);
	const units = isSimple ? 0n : (BigInt(source.u32(body, 4)) << 32n) | BigInt(source.u32(body, 8));
	const timeNs = isSimple ? 0n : found.offsetSeconds * NS_PER_SECOND + (units * NS_PER_SECOND) / found.unitsPerSecond;
	return frameOf(body.subarray(headBytes, headBytes + bytes), timeNs, originalBytes, found.fcsBytes);
}
