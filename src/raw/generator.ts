/**
 * A generator of Ethernet frames for measurements: prepared messages, up to 64 with each sendmmsg(2), so that the time
 * is the kernel's.
 */

import { macBytes } from "../netlink/codec.js";
import * as libc from "../sys/libc.js";
import { SOL_PACKET } from "./packet.js";

/** What is to be sent. */
export interface Burst {
	/** Length on the wire with the checksum that hardware adds; 64 to 1518. */
	bytes: number;
	/** Frames per second; as many as there can be when absent. */
	rate?: number;
	seconds: number;
}

/** What was sent. */
export interface Blasted {
	/** What the kernel refused because a queue was full is a frame that was lost: it counts, too. */
	offered: number;
	seconds: number;
}

const FCS_BYTES = 4;
const FRAME_BYTES_MAX = 1518;
const MESSAGES = 64;
const MMSGHDR_BYTES = 64;
const ETHERTYPE_EXPERIMENT = 0x88b5; // IEEE 802, local experimental
const PACKET_QDISC_BYPASS = 20;
const SOCKADDR_BYTES = 20;
const FRAME = 0;
const IOVEC = 2048;
const MESSAGE_LIST = 4096;

/** Sends frames of one kind out of an interface of the thread's network namespace. */
export class FrameGenerator {
	readonly #fd: number;
	/** All that the kernel reads through addresses: one piece, so large that V8 never moves it. */
	readonly #memory = Buffer.alloc(MESSAGE_LIST + MESSAGES * MMSGHDR_BYTES);
	readonly #address = libc.addressOf(this.#memory);

	/** @throws SysError ENODEV, EPERM */
	constructor(ifname: string, sourceMac: string, targetMac: string) {
		this.#fd = libc.socket(libc.AF_PACKET, libc.SOCK_RAW | libc.SOCK_CLOEXEC, 0, "CAP_NET_RAW");
		libc.setsockopt(this.#fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS", ifname);
		const address = Buffer.alloc(SOCKADDR_BYTES); // struct sockaddr_ll
		address.writeUInt16LE(libc.AF_PACKET, 0);
		address.writeInt32LE(libc.ifNameToIndex(ifname), 4);
		libc.bind(this.#fd, address, ifname);
		this.#memory.set(macBytes(targetMac), FRAME);
		this.#memory.set(macBytes(sourceMac), FRAME + 6);
		this.#memory.writeUInt16BE(ETHERTYPE_EXPERIMENT, FRAME + 12);
		this.#memory.writeBigUInt64LE(BigInt(this.#address + FRAME), IOVEC);
		for (let i = 0; i < MESSAGES; i++) {
			const message = MESSAGE_LIST + i * MMSGHDR_BYTES; // struct mmsghdr: iov at 16, iovlen at 24
			this.#memory.writeBigUInt64LE(BigInt(this.#address + IOVEC), message + 16);
			this.#memory.writeBigUInt64LE(1n, message + 24);
		}
	}

	/** Sends for some seconds, blocking; as fast as one core can without a rate. */
	blast({ bytes, rate, seconds }: Burst): Blasted {
		this.#memory.writeBigUInt64LE(BigInt(Math.min(bytes, FRAME_BYTES_MAX) - FCS_BYTES), IOVEC + 8);
		const startMs = performance.now();
		const endMs = startMs + seconds * 1000;
		let offered = 0;
		for (let nowMs = startMs; nowMs < endMs; nowMs = performance.now()) {
			const due = rate === undefined ? MESSAGES : Math.floor(((nowMs - startMs) / 1000) * rate) - offered;
			if (due > 0) offered += this.#offer(Math.min(due, MESSAGES));
		}
		return { offered, seconds: (performance.now() - startMs) / 1000 };
	}

	/** Sends about that many frames at once; answers how many were offered. */
	offer(bytes: number, frames: number): number {
		this.#memory.writeBigUInt64LE(BigInt(Math.min(bytes, FRAME_BYTES_MAX) - FCS_BYTES), IOVEC + 8);
		let offered = 0;
		while (offered < frames) offered += this.#offer(Math.min(MESSAGES, Math.ceil(frames - offered)));
		return offered;
	}

	close(): void {
		libc.close(this.#fd);
	}

	/** Offers up to `count` frames; answers how many were. A refused one ends the call. */
	#offer(count: number): number {
		const sent = libc.sendmmsgAt(this.#fd, this.#address + MESSAGE_LIST, count, 0);
		return sent < 0 ? 1 : Math.min(count, sent < count ? sent + 1 : sent);
	}
}
