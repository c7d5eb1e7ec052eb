/** A netlink socket of one protocol: one request at a time, and its whole answer (man 7 netlink). */
import * as libc from "../sys/libc.js";
import type { Attribute, Message } from "./codec.js";
import * as codec from "./codec.js";

const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const SO_RCVTIMEO = 20;
/** Without an answer after this time recv fails with EAGAIN. */
const ANSWER_SECONDS_MAX = 5;
/**
 * The kernel fills at most 32 KiB per datagram of a dump (net/netlink/af_netlink.c); a link with many attributes
 * fits.
 */
const DATAGRAM_BYTES_MAX = 65536;
const EINTR = 4;

/** What a request says behind its netlink header. */
export interface Body {
	header: Buffer;
	attributes?: readonly Attribute[];
}

/** The messages of an answer and its outcome: 0, or an error number and what the kernel says about it. */
export interface Exchange {
	messages: Message[];
	errno: number;
	text?: string;
}

/** Answers are decoded before the next one comes: one for all sockets of this thread. */
const DATAGRAM = Buffer.alloc(DATAGRAM_BYTES_MAX);

/** Belongs to the network namespace that the thread is in when it is constructed. */
export class NetlinkSocket {
	readonly #fd: number;
	#sequence = 0;

	/** @throws SysError when the socket cannot be made. */
	constructor(protocol: number) {
		this.#fd = libc.socket(libc.AF_NETLINK, libc.SOCK_RAW | libc.SOCK_CLOEXEC, protocol);
		const timeout = Buffer.alloc(16);
		timeout.writeBigInt64LE(BigInt(ANSWER_SECONDS_MAX));
		libc.setsockopt(this.#fd, libc.SOL_SOCKET, SO_RCVTIMEO, timeout, "SO_RCVTIMEO", "netlink");
		libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, 1, "NETLINK_CAP_ACK", "netlink");
		libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, 1, "NETLINK_EXT_ACK", "netlink");
	}

	close(): void {
		libc.close(this.#fd);
	}

	/** Sends one request, with NLM_F_ACK or NLM_F_DUMP in `flags`, and waits for the end of its answer. */
	exchange(type: number, flags: number, body: Body): Exchange {
		const sequence = ++this.#sequence;
		const request = codec.encodeMessage(type, flags | codec.NLM_F_REQUEST, sequence, body.header, body.attributes);
		libc.check(libc.send(this.#fd, request, 0), "send", "netlink");
		const messages: Message[] = [];
		while (true) {
			for (const message of this.#receive()) {
				if (message.sequence !== sequence) {
					continue; // the late answer to a request that was given up
				}
				if (message.type === codec.NLMSG_ERROR || message.type === codec.NLMSG_DONE) {
					return { messages, ...codec.decodeOutcome(message) };
				}
				messages.push(message);
			}
		}
	}

	#receive(): Message[] {
		let length: number;
		do {
			length = libc.recv(this.#fd, DATAGRAM, 0);
		} while (length < 0 && libc.errno() === EINTR);
		libc.check(length, "recv", "netlink");
		return codec.decodeMessages(Buffer.from(DATAGRAM.subarray(0, length)));
	}
}
