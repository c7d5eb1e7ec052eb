/**
 * What the two capture file formats share: classic pcap (draft-ietf-opsawg-pcap) and pcapng
 * (draft-ietf-opsawg-pcapng), and the frame as it lies in either.
 */

/** A frame of a capture file. */
export interface CapturedFrame {
	/** The Ethernet frame from its destination address on, without checksum; shorter than on the wire if it was cut. */
	bytes: Uint8Array;
	/** Nanoseconds since 1970-01-01 00:00 UTC. */
	timeNs: bigint;
	/** Bytes that the frame had on the wire; at least as many as `bytes` has. */
	originalBytes: number;
}

/** A capture file that can not be read or written; the message is one line that names the file. */
export class CaptureError extends Error {
	override readonly name = "CaptureError";

	constructor(
		/** The file. */
		readonly path: string,
		problem: string,
	) {
		super(`capture "${path}": ${problem}`);
	}
}

/** LINKTYPE_ETHERNET, the one link type that is read and written (www.tcpdump.org/linktypes.html). */
export const LINKTYPE_ETHERNET = 1;

/** Longest frame that a capture may hold: MAXIMUM_SNAPLEN of libpcap. */
export const CAPTURED_BYTES_MAX = 262_144;

/** Magic numbers of classic pcap: times in microseconds and in nanoseconds. */
export const MAGIC_MICROSECONDS = 0xa1b2c3d4;
export const MAGIC_NANOSECONDS = 0xa1b23c4d;
export const PCAP_HEADER_BYTES = 24;
export const PCAP_RECORD_BYTES = 16;

/** Block types of pcapng, and the number that tells a section's byte order. */
export const BLOCK_SECTION = 0x0a0d0d0a;
export const BLOCK_INTERFACE = 1;
export const BLOCK_PACKET = 2; // obsolete, still found in old files
export const BLOCK_SIMPLE_PACKET = 3;
export const BLOCK_STATISTICS = 5;
export const BLOCK_ENHANCED_PACKET = 6;
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
export const OPTION_END = 0;
export const OPTION_TSRESOL = 9;
export const OPTION_FCSLEN = 13;
export const OPTION_TSOFFSET = 14;

/** A frame without its checksum of `fcsBytes` bytes, as far as that was captured. */
export function frameOf(bytes: Buffer, timeNs: bigint, originalBytes: number, fcsBytes: number): CapturedFrame {
	const frameBytes = Math.max(0, Math.max(originalBytes, bytes.length) - fcsBytes);
	return { bytes: bytes.subarray(0, frameBytes), timeNs, originalBytes: frameBytes };
}
