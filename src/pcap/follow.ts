/** Reading a capture that stream.ts wrote, as it arrives in pieces. */
import { BLOCK_ENHANCED_PACKET, BLOCK_INTERFACE, BLOCK_STATISTICS, OPTION_END } from "./format.js";

/** A packet as far as people are told of it. */
export interface FollowedPacket {
	/** Name of its interface. */
	name: string;
	direction: "in" | "out";
	comment: string | undefined;
	timeNs: bigint;
	bytes: Uint8Array;
	originalBytes: number;
}

/** Sums over all interfaces. */
export interface FollowedCounts {
	received: number;
	lost: number;
	late: number;
	delivered: number;
}

const COMMENT = 1;
const INTERFACE_NAME = 2;
const PACKET_FLAGS = 2;
const COUNTS: Record<number, keyof FollowedCounts> = { 4: "received", 5: "lost", 7: "late", 8: "delivered" };

export class Follower {
	#rest: Buffer = Buffer.alloc(0);
	readonly #names: string[] = [];
	/** Complete once the stream has ended. */
	readonly counts: FollowedCounts = { received: 0, lost: 0, late: 0, delivered: 0 };

	/** Bytes of a packet that nobody wants to hear of, still to come. */
	#skipBytes = 0;

	/** @param onPacket called for each packet of the stream, in order; without it they are passed over */
	constructor(readonly onPacket?: (packet: FollowedPacket) => void) {}

	/** Takes the next piece of the stream; its memory is the caller's again afterwards. */
	push(chunk: Buffer): void {
		const piece = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
		let at = this.#skipBytes;
		while (piece.length - at >= 12) {
			const type = piece.readUInt32LE(at);
			const bytes = piece.readUInt32LE(at + 4);
			const isWanted = type !== BLOCK_ENHANCED_PACKET || this.onPacket !== undefined;
			if (isWanted && piece.length - at < bytes) break;
			if (isWanted) this.#take(type, piece.subarray(at + 8, at + bytes - 4));
			at += bytes;
		}
		this.#skipBytes = Math.max(0, at - piece.length);
		this.#rest = Buffer.from(piece.subarray(Math.min(at, piece.length)));
	}

	#take(type: number, body: Buffer): void {
		if (type === BLOCK_INTERFACE) {
			this.#names.push(optionsOf(body, 8).get(INTERFACE_NAME)?.toString() ?? "");
		} else if (type === BLOCK_ENHANCED_PACKET) {
			const length = body.readUInt32LE(12);
			const options = optionsOf(body, 20 + ((length + 3) & ~3));
			this.onPacket?.({
				name: this.#names[body.readUInt32LE(0)] ?? "",
				direction: (options.get(PACKET_FLAGS)?.[0] ?? 0) === 2 ? "out" : "in",
				comment: options.get(COMMENT)?.toString(),
				timeNs: (BigInt(body.readUInt32LE(4)) << 32n) | BigInt(body.readUInt32LE(8)),
				bytes: body.subarray(20, 20 + length),
				originalBytes: body.readUInt32LE(16),
			});
		} else if (type === BLOCK_STATISTICS) {
			for (const [code, value] of optionsOf(body, 12)) {
				const name = COUNTS[code];
				if (name) this.counts[name] += Number(value.readBigUInt64LE());
			}
		}
	}
}

function optionsOf(body: Buffer, start: number): Map<number, Buffer> {
	const found = new Map<number, Buffer>();
	for (let at = start; at + 4 <= body.length; ) {
		const code = body.readUInt16LE(at);
		const bytes = body.readUInt16LE(at + 2);
		if (code === OPTION_END) break;
		found.set(code, body.subarray(at + 4, at + 4 + bytes));
		at += 4 + ((bytes + 3) & ~3);
	}
	return found;
}
