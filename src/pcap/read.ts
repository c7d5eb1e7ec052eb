/** Reading capture files: the formats are told apart by their first four bytes. */
import {
	BLOCK_SECTION,
	CAPTURED_BYTES_MAX,
	type CapturedFrame,
	frameOf,
	MAGIC_MICROSECONDS,
	MAGIC_NANOSECONDS,
	PCAP_HEADER_BYTES,
	PCAP_RECORD_BYTES,
} from "./format.js";
import { readBlocks } from "./ng.js";
import { ByteSource } from "./source.js";

/** Flags in the field of the link type: the frames end with a checksum of `value >>> 28` times 2 bytes. */
const FCS_PRESENT = 0x0400_0000;

/**
 * The frames of a capture file in their order: classic pcap or pcapng, in either byte order, with times in any unit,
 * link type Ethernet. The file is read as the frames are asked for and closed after the last one, or when the iteration
 * is left. Frames before a damaged place are still delivered.
 * @throws SysError when the file can not be opened
 * @throws CaptureError at the first call for what is not a capture or not of Ethernet; later for what is damaged
 */
export function* readCapture(path: string): Generator<CapturedFrame, void, void> {
	const source = new ByteSource(path);
	try {
		if (source.isAtEnd()) source.fail("the file is empty");
		const magic = source.take(4, "the magic number");
		if (magic.readUInt32LE(0) === BLOCK_SECTION) yield* readBlocks(source);
		else yield* readRecords(source, nanosecondsPerUnit(source, magic));
	} finally {
		source.close();
	}
}

function nanosecondsPerUnit(source: ByteSource, magic: Buffer): bigint {
	source.bigEndian = magic[0] === 0xa1;
	const number = source.u32(magic, 0);
	if (number === MAGIC_MICROSECONDS) return 1000n;
	if (number === MAGIC_NANOSECONDS) return 1n;
	const hint = magic.readUInt16BE(0) === 0x1f8b ? "; it is compressed: gunzip it first" : "";
	return source.fail(`magic number ${magic.toString("hex")} is neither pcap's nor pcapng's${hint}`, 0);
}

function* readRecords(source: ByteSource, unitNs: bigint): Generator<CapturedFrame, void, void> {
	const header = source.take(PCAP_HEADER_BYTES - 4, "the file header");
	const major = source.u16(header, 0);
	if (major !== 2) source.fail(`version ${major}.${source.u16(header, 2)} of the format is not known`, 4);
	const link = source.u32(header, 16);
	source.requireEthernet(link & 0xffff, 20);
	const fcsBytes = link & FCS_PRESENT ? (link >>> 28) * 2 : 0;
	while (!source.isAtEnd()) {
		const at = source.offset;
		const record = source.take(PCAP_RECORD_BYTES, "a record header");
		const timeNs = BigInt(source.u32(record, 0)) * 1_000_000_000n + BigInt(source.u32(record, 4)) * unitNs;
		const bytes = source.u32(record, 8);
		if (bytes > CAPTURED_BYTES_MAX) source.fail(`a frame of ${bytes} bytes; ${CAPTURED_BYTES_MAX} are allowed`, at);
		yield frameOf(source.take(bytes, "a frame"), timeNs, source.u32(record, 12), fcsBytes);
	}
}
