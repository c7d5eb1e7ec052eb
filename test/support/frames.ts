/** Ethernet frames for tests: made from their parts, and taken apart again. */

/** An 802.1Q tag as it stands on the wire. */
export interface Tag {
	tpid: number;
	vid: number;
	/** Priority code point, 0 when absent. */
	pcp?: number;
	/** Drop eligible indicator, 0 when absent. */
	dei?: number;
}

export interface FrameParts {
	/** `aa:bb:cc:dd:ee:ff`. */
	dst: string;
	src: string;
	/** Outermost first. */
	tags?: Tag[];
	ethertype: number;
	payload?: Uint8Array;
}

export interface DecodedFrame {
	dst: string;
	src: string;
	tags: Required<Tag>[];
	ethertype: number;
	payload: Uint8Array;
}

export const TPID_CTAG = 0x8100;
export const TPID_STAG = 0x88a8;
export const BROADCAST = "ff:ff:ff:ff:ff:ff";

export function macBytes(mac: string): Uint8Array {
	return Uint8Array.from(mac.split(":"), (octet) => Number.parseInt(octet, 16));
}

export function macText(bytes: Uint8Array): string {
	return Array.from(bytes.subarray(0, 6), (octet) => octet.toString(16).padStart(2, "0")).join(":");
}

export function be16(bytes: Uint8Array, offset: number): number {
	return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

export function isTpid(ethertype: number): boolean {
	return ethertype === TPID_CTAG || ethertype === TPID_STAG;
}

/** A tag's four bytes. */
export function tagBytes({ tpid, vid, pcp = 0, dei = 0 }: Tag): number[] {
	const tci = (pcp << 13) | (dei << 12) | vid;
	return [tpid >> 8, tpid & 0xff, tci >> 8, tci & 0xff];
}

/** The frame without its checksum, as a socket takes it. Nothing is padded. */
export function makeFrame({ dst, src, tags = [], ethertype, payload = new Uint8Array() }: FrameParts): Uint8Array {
	const head = [...macBytes(dst), ...macBytes(src), ...tags.flatMap(tagBytes), ethertype >> 8, ethertype & 0xff];
	return Uint8Array.from([...head, ...payload]);
}

/**
 * Takes a frame apart; every tag in a row counts.
 * @throws RangeError when the frame ends before its ethertype.
 */
export function decodeFrame(bytes: Uint8Array): DecodedFrame {
	const tags: Required<Tag>[] = [];
	let at = 12;
	while (at + 2 <= bytes.length && isTpid(be16(bytes, at))) {
		if (at + 4 > bytes.length) break;
		const tci = be16(bytes, at + 2);
		tags.push({ tpid: be16(bytes, at), pcp: tci >> 13, dei: (tci >> 12) & 1, vid: tci & 0xfff });
		at += 4;
	}
	if (at + 2 > bytes.length) throw new RangeError(`frame of ${bytes.length} bytes ends before its ethertype`);
	return {
		dst: macText(bytes),
		src: macText(bytes.subarray(6)),
		tags,
		ethertype: be16(bytes, at),
		payload: bytes.subarray(at + 2),
	};
}
