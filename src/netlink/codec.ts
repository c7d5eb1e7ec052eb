/**
 * Netlink messages: bytes to values and back, without any I/O.
 *
 *     struct nlmsghdr   u32 len | u16 type | u16 flags | u32 seq | u32 pid      (include/uapi/linux/netlink.h)
 *     payload           family header (ifinfomsg, ifaddrmsg, rtmsg...), then attributes
 *     struct nlattr     u16 len | u16 type | value, padded to 4 bytes
 *
 * All numbers are in host byte order, which is little-endian on every machine that Node's prebuilt koffi runs on.
 */

export const NLMSG_HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** The kernel sets these bits of an attribute's type for its own use (NLA_F_NESTED, NLA_F_NET_BYTEORDER). */
const ATTRIBUTE_TYPE_MASK = 0x3fff;
const NLA_F_NESTED = 0x8000;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const NLMSGERR_ATTR_MSG = 1;

/** One netlink message; `payload` is what follows the header. */
export interface Message {
	type: number;
	flags: number;
	sequence: number;
	payload: Buffer;
}

/** An attribute to send: its value is bytes, or attributes again. */
export type Attribute = readonly [type: number, value: Buffer | readonly Attribute[]];

/** Received attributes by type; of a type that occurs twice the last one counts. */
export type Attributes = Map<number, Buffer>;

const align4 = (bytes: number): number => (bytes + 3) & ~3;

/** A value of 1, 2 or 4 bytes. */
export function u8(value: number): Buffer {
	return Buffer.of(value);
}

export function u16(value: number): Buffer {
	const bytes = Buffer.alloc(2);
	bytes.writeUInt16LE(value);
	return bytes;
}

export function u32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value >>> 0);
	return bytes;
}

/** Text with the final NUL that the kernel's NLA_NUL_STRING wants. */
export function text(value: string): Buffer {
	return Buffer.from(`${value}\0`);
}

/** Text of an attribute, without its NUL. */
export function readText(value: Buffer): string {
	const end = value.indexOf(0);
	return value.toString("utf8", 0, end < 0 ? value.length : end);
}

/** `aa:bb:cc:dd:ee:ff` as bytes. */
export function macBytes(mac: string): Buffer {
	return Buffer.from(mac.replaceAll(":", ""), "hex");
}

/** Bytes as `aa:bb:cc:dd:ee:ff`. */
export function macText(bytes: Uint8Array): string {
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Bytes of attributes, each padded to 4 bytes; nested ones carry NLA_F_NESTED. */
export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
	return Buffer.concat(
		attributes.map(([type, value]) => {
			const nested = !Buffer.isBuffer(value);
			const body = nested ? encodeAttributes(value) : value;
			const bytes = Buffer.alloc(align4(ATTRIBUTE_HEADER_BYTES + body.length));
			bytes.writeUInt16LE(ATTRIBUTE_HEADER_BYTES + body.length, 0);
			bytes.writeUInt16LE(nested ? type | NLA_F_NESTED : type, 2);
			body.copy(bytes, ATTRIBUTE_HEADER_BYTES);
			return bytes;
		}),
	);
}

/**
 * Attributes that fill `bytes`.
 * @throws RangeError when a length does not fit.
 */
export function decodeAttributes(bytes: Buffer): Attributes {
	const attributes: Attributes = new Map();
	for (let offset = 0; offset + ATTRIBUTE_HEADER_BYTES <= bytes.length; ) {
		const length = bytes.readUInt16LE(offset);
		if (length < ATTRIBUTE_HEADER_BYTES || offset + length > bytes.length) {
			throw new RangeError(`netlink attribute of ${length} bytes at ${offset} of ${bytes.length}`);
		}
		const type = bytes.readUInt16LE(offset + 2) & ATTRIBUTE_TYPE_MASK;
		attributes.set(type, bytes.subarray(offset + ATTRIBUTE_HEADER_BYTES, offset + length));
		offset += align4(length);
	}
	return attributes;
}

/** One message: header, family header, attributes. `header` is padded to 4 bytes. */
export function encodeMessage(
	type: number,
	flags: number,
	sequence: number,
	header: Buffer,
	attributes: readonly Attribute[] = [],
): Buffer {
	const body = encodeAttributes(attributes);
	const bytes = Buffer.alloc(NLMSG_HEADER_BYTES + align4(header.length) + body.length);
	bytes.writeUInt32LE(bytes.length, 0);
	bytes.writeUInt16LE(type, 4);
	bytes.writeUInt16LE(flags, 6);
	bytes.writeUInt32LE(sequence, 8);
	header.copy(bytes, NLMSG_HEADER_BYTES);
	body.copy(bytes, NLMSG_HEADER_BYTES + align4(header.length));
	return bytes;
}

/**
 * Messages of one datagram; their payloads share its memory.
 * @throws RangeError when a length does not fit.
 */
export function decodeMessages(datagram: Buffer): Message[] {
	const messages: Message[] = [];
	for (let offset = 0; offset + NLMSG_HEADER_BYTES <= datagram.length; ) {
		const length = datagram.readUInt32LE(offset);
		if (length < NLMSG_HEADER_BYTES || offset + length > datagram.length) {
			throw new RangeError(`netlink message of ${length} bytes at ${offset} of ${datagram.length}`);
		}
		messages.push({
			type: datagram.readUInt16LE(offset + 4),
			flags: datagram.readUInt16LE(offset + 6),
			sequence: datagram.readUInt32LE(offset + 8),
			payload: datagram.subarray(offset + NLMSG_HEADER_BYTES, offset + length),
		});
		offset += align4(length);
	}
	return messages;
}

/**
 * Outcome in an NLMSG_ERROR or NLMSG_DONE message: 0, or a positive error number, and what the kernel says about it
 * (NETLINK_EXT_ACK; Documentation/userspace-api/netlink/intro.rst).
 */
export function decodeOutcome(message: Message): { errno: number; text?: string } {
	const { type, flags, payload } = message;
	const errno = payload.length < 4 ? 0 : -payload.readInt32LE(0);
	if ((flags & NLM_F_ACK_TLVS) === 0) {
		return { errno };
	}
	// NLMSG_ERROR repeats the request before its attributes: all of it, or when capped only its header.
	const echoed = type !== NLMSG_ERROR ? 0 : flags & NLM_F_CAPPED ? NLMSG_HEADER_BYTES : payload.readUInt32LE(4);
	const value = decodeAttributes(payload.subarray(4 + align4(echoed))).get(NLMSGERR_ATTR_MSG);
	return value === undefined ? { errno } : { errno, text: readText(value) };
}
