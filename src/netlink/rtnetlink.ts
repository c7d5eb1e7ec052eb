/**
 * Links, addresses and routes of one network namespace, through an rtnetlink socket (man 7 rtnetlink).
 *
 * The socket belongs to the namespace in which it was opened, wherever the thread is afterwards. Requests are
 * synchronous: the kernel answers within the system call.
 */

import { isErrno, SysError } from "../sys/errno.js";
import {
	addressBody,
	decodeAddress,
	getAddressesHeader,
	type LinkAddress,
	RTM_DELADDR,
	RTM_GETADDR,
	RTM_NEWADDR,
} from "./address.js";
import type { Message } from "./codec.js";
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
import { type Body, NetlinkSocket } from "./socket.js";

const NETLINK_ROUTE = 0;
const NLM_F_DUMP_INTR = 0x10;
const DUMP_ATTEMPTS_MAX = 8;
const EPERM = 1;
const CREATE = codec.NLM_F_CREATE | codec.NLM_F_EXCL;

/** Client of the network namespace that the thread is in when it is constructed. */
export class Rtnetlink {
	/** @throws SysError when the socket cannot be made. */
	readonly #socket = new NetlinkSocket(NETLINK_ROUTE);

	/** Closes the socket. */
	close(): void {
		this.#socket.close();
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
		const answer = this.#socket.exchange(type, flags | codec.NLM_F_ACK, body);
		if (answer.errno !== 0) {
			throw new SysError(call, object(), answer.errno, answer.text ?? permissionHint(answer.errno));
		}
		return answer.messages;
	}

	#dump<T>(type: number, body: Body, decode: (payload: Buffer) => T | undefined): T[] {
		for (let attempt = 1; ; attempt++) {
			const answer = this.#socket.exchange(type, codec.NLM_F_DUMP, body);
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
}

function permissionHint(errno: number): string | undefined {
	return errno === EPERM ? "needs CAP_NET_ADMIN: run as root" : undefined;
}

function routeText(route: Route): string {
	return route.gateway === undefined ? route.destination : `${route.destination} via ${route.gateway}`;
}
