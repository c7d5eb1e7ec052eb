/**
 * Links, addresses and routes of one network namespace, through an rtnetlink socket (man 7 rtnetlink).
 *
 * The socket belongs to the namespace in which it was opened, wherever the thread is afterwards. Requests are
 * synchronous: the kernel answers within the system call.
 */

import { isErrno, SysError } from "../sys/errno.js";
import * as libc from "../sys/libc.js";
import {
	addressBody,
	decodeAddress,
	getAddressesHeader,
	type LinkAddress,
	RTM_DELADDR,
	RTM_GETADDR,
	RTM_NEWADDR,
} from "./address.js";
import type { Attribute, Message } from "./codec.js";
import * as codec from "./codec.js";
import * as links from "./link.js";
import { type Link, type LinkChange, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK } from "./link.js";
import {
	decodeRoute,
	getRoutesHeader,
	type Route,
	RTM_DELROUTE,
	RTM_GETROUTE,
	RTM_NEWROUTE,
	routeBody,
} from "./route.js";

const NETLINK_ROUTE = 0;
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
const NLM_F_DUMP_INTR = 0x10;
const DUMP_ATTEMPTS_MAX = 8;
const EPERM = 1;
const EINTR = 4;
const CREATE = codec.NLM_F_CREATE | codec.NLM_F_EXCL;

interface Body {
	header: Buffer;
	attributes?: readonly Attribute[];
}

/** Client of the network namespace that the thread is in when it is constructed. */
export class Rtnetlink {
	readonly #fd: number;
	readonly #datagram = Buffer.alloc(DATAGRAM_BYTES_MAX);
	#sequence = 0;

	/** @throws SysError when the socket cannot be made. */
	constructor() {
		this.#fd = libc.socket(libc.AF_NETLINK, libc.SOCK_RAW | libc.SOCK_CLOEXEC, NETLINK_ROUTE);
		const timeout = Buffer.alloc(16);
		timeout.writeBigInt64LE(BigInt(ANSWER_SECONDS_MAX));
		libc.setsockopt(this.#fd, libc.SOL_SOCKET, SO_RCVTIMEO, timeout, "SO_RCVTIMEO", "rtnetlink");
		libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, 1, "NETLINK_CAP_ACK", "rtnetlink");
		libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, 1, "NETLINK_EXT_ACK", "rtnetlink");
	}

	/** Closes the socket. */
	close(): void {
		libc.close(this.#fd);
	}

	/** All links. */
	links(): Link[] {
		return this.#dump(RTM_GETLINK, links.getLinkBody(), links.decodeLink);
	}

	/** One link; undefined when there is none. */
	link(nameOrIndex: string | number): Link | undefined {
		try {
			const body = links.getLinkBody(nameOrIndex);
			const [answer] = this.#request(RTM_GETLINK, 0, body, "RTM_GETLINK", () => `${nameOrIndex}`);
			return answer && links.decodeLink(answer.payload);
		} catch (error) {
			// ERANGE: no link can have a name that long.
			if (isErrno(error, "ENODEV", "ERANGE")) {
				return undefined;
			}
			throw error;
		}
	}

	/** Changes what `change` has. */
	setLink(index: number, change: LinkChange): void {
		const what = Object.keys(change).join(", ");
		this.#request(RTM_NEWLINK, 0, links.setLinkBody(index, change), `RTM_NEWLINK (${what})`, () => this.#name(index));
	}

	/** Makes a pair of connected interfaces; with `netnsFd` the peer is born there. */
	addVeth(name: string, peerName: string, options: { netnsFd?: number } = {}): void {
		const body = links.newVethBody(name, peerName, options.netnsFd);
		this.#request(RTM_NEWLINK, CREATE, body, "RTM_NEWLINK veth", () => name);
	}

	/** Makes a kernel macvlan in bridge mode: the tests compare ours with it. */
	addMacvlan(name: string, parentIndex: number): void {
		this.#request(RTM_NEWLINK, CREATE, links.newMacvlanBody(name, parentIndex), "RTM_NEWLINK macvlan", () => name);
	}

	/** Deletes a link (a persistent TAP, a veth with its peer). */
	deleteLink(index: number): void {
		this.#request(RTM_DELLINK, 0, links.deleteLinkBody(index), "RTM_DELLINK", () => this.#name(index));
	}

	/** Gives a link an address. `noDad`: usable at once, without duplicate address detection (IPv6). */
	addAddress(index: number, cidr: string, options: { noDad?: boolean } = {}): void {
		const body = addressBody(index, cidr, options);
		this.#request(RTM_NEWADDR, CREATE, body, `RTM_NEWADDR ${cidr}`, () => this.#name(index));
	}

	/** Takes an address from a link. */
	deleteAddress(index: number, cidr: string): void {
		this.#request(RTM_DELADDR, 0, addressBody(index, cidr), `RTM_DELADDR ${cidr}`, () => this.#name(index));
	}

	/** IPv4 and IPv6 addresses, of one link or of all. */
	addresses(index?: number): LinkAddress[] {
		const all = this.#dump(RTM_GETADDR, { header: getAddressesHeader() }, decodeAddress);
		return index === undefined ? all : all.filter((address) => address.index === index);
	}

	/** Adds a route to the main table. `append`: behind those with the same destination and metric. */
	addRoute(route: Route, options: { append?: boolean } = {}): void {
		const flags = options.append ? codec.NLM_F_CREATE | codec.NLM_F_APPEND : CREATE;
		this.#request(RTM_NEWROUTE, flags, routeBody(route), `RTM_NEWROUTE ${routeText(route)}`, () =>
			this.#name(route.index),
		);
	}

	/** Deletes a route from the main table. */
	deleteRoute(route: Route): void {
		this.#request(RTM_DELROUTE, 0, routeBody(route), `RTM_DELROUTE ${routeText(route)}`, () => this.#name(route.index));
	}

	/** Unicast routes of the main table. */
	routes(family: 4 | 6): Route[] {
		return this.#dump(RTM_GETROUTE, { header: getRoutesHeader(family) }, decodeRoute);
	}

	#name(index: number): string {
		return this.link(index)?.name ?? `link ${index}`;
	}

	/**
	 * Sends one request and waits for its acknowledgement; returns the messages that came before it.
	 * @param object Name of what it is about; asked for only when the request fails.
	 */
	#request(type: number, flags: number, body: Body, call: string, object: () => string): Message[] {
		const answer = this.#exchange(type, flags | codec.NLM_F_ACK, body);
		if (answer.errno !== 0) {
			throw new SysError(call, object(), answer.errno, answer.text ?? permissionHint(answer.errno));
		}
		return answer.messages;
	}

	#dump<T>(type: number, body: Body, decode: (payload: Buffer) => T | undefined): T[] {
		for (let attempt = 1; ; attempt++) {
			const answer = this.#exchange(type, codec.NLM_F_DUMP, body);
			if (answer.errno !== 0) {
				throw new SysError(`dump of RTM type ${type}`, "", answer.errno, answer.text);
			}
			// Things changed while the kernel was enumerating them: some may be missing.
			const isComplete = answer.messages.every(({ flags }) => (flags & NLM_F_DUMP_INTR) === 0);
			if (isComplete || attempt === DUMP_ATTEMPTS_MAX) {
				return answer.messages.map(({ payload }) => decode(payload)).filter((item) => item !== undefined);
			}
		}
	}

	#exchange(type: number, flags: number, body: Body): { messages: Message[]; errno: number; text?: string } {
		const sequence = ++this.#sequence;
		const request = codec.encodeMessage(type, flags | codec.NLM_F_REQUEST, sequence, body.header, body.attributes);
		libc.check(libc.send(this.#fd, request, 0), "send", "rtnetlink");
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
			length = libc.recv(this.#fd, this.#datagram, 0);
		} while (length < 0 && libc.errno() === EINTR);
		libc.check(length, "recv", "rtnetlink");
		return codec.decodeMessages(Buffer.from(this.#datagram.subarray(0, length)));
	}
}

function permissionHint(errno: number): string | undefined {
	return errno === EPERM ? "needs CAP_NET_ADMIN: run as root" : undefined;
}

function routeText(route: Route): string {
	return route.gateway === undefined ? route.destination : `${route.destination} via ${route.gateway}`;
}
