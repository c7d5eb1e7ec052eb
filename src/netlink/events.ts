/** News about links: what appears, changes and goes in one network namespace. */

import { errnoName, SysError } from "../sys/errno.js";
import * as libc from "../sys/libc.js";
import type { FdPoller } from "../sys/poller.js";
import { decodeMessages } from "./codec.js";
import { decodeLink, type Link, RTM_DELLINK, RTM_NEWLINK } from "./link.js";

const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;
const RTMGRP_IPV4_IFADDR = 0x10;
const RTMGRP_IPV6_IFADDR = 0x100;
const SOCKADDR_NL_BYTES = 12;
const DATAGRAM_BYTES_MAX = 65536;
/** How long changes are collected before they are reported, and how many are taken off the socket at once. */
const CHANGES_MS = 100;
const DATAGRAMS_MAX = 1000;

/**
 * `new`: a link appeared or changed in any way; `del`: it is gone from this namespace (deleted, or moved
 * elsewhere); `resync`: there was more news than the kernel could keep, look at everything again.
 */
export type LinkEvent = { type: "new" | "del"; link: Link } | { type: "resync" };

/**
 * Reports link events of the network namespace that the thread is in now.
 * @returns Ends the reports and closes the socket.
 * @throws SysError when the socket cannot be made.
 */
export function watchLinks(poller: FdPoller, listener: (event: LinkEvent) => void): () => void {
	const { fd, unwatch } = openWatch(poller, RTMGRP_LINK, onReady);
	const datagram = Buffer.alloc(DATAGRAM_BYTES_MAX);
	let isOpen = true;
	return stop;

	function stop(): void {
		if (isOpen) {
			isOpen = false;
			unwatch();
			libc.close(fd);
		}
	}

	function onReady(): void {
		while (isOpen) {
			const length = libc.recv(fd, datagram, 0);
			if (length < 0) {
				const name = errnoName(libc.errno());
				if (name === "EAGAIN") {
					poller.rearm(fd);
					return;
				}
				if (name !== "ENOBUFS" && name !== "EINTR") {
					throw new SysError("recv", "rtnetlink", libc.errno());
				}
				if (name === "ENOBUFS") {
					listener({ type: "resync" });
				}
				continue;
			}
			for (const event of decodeEvents(Buffer.from(datagram.subarray(0, length)))) {
				listener(event);
			}
		}
	}
}

/**
 * Reports that links or addresses of the network namespace that the thread is in now have changed: once for all changes
 * within a tenth of a second.
 * @returns Ends the reports and closes the socket.
 * @throws SysError when the socket cannot be made.
 */
export function watchChanges(poller: FdPoller, listener: () => void): () => void {
	const { fd, unwatch } = openWatch(poller, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, onReady);
	let timer: NodeJS.Timeout | undefined;
	return () => {
		clearTimeout(timer);
		unwatch();
		libc.close(fd);
	};

	function onReady(): void {
		timer = setTimeout(() => {
			// What is cut off, and what was lost (ENOBUFS), is not missed.
			for (let left = DATAGRAMS_MAX; left > 0 && libc.recv(fd, Buffer.alloc(1), 0) >= 0; left--);
			poller.rearm(fd);
			listener();
		}, CHANGES_MS).unref();
	}
}

function openWatch(poller: FdPoller, groups: number, onReady: () => void): { fd: number; unwatch: () => void } {
	const type = libc.SOCK_RAW | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
	const fd = libc.socket(libc.AF_NETLINK, type, NETLINK_ROUTE);
	try {
		const address = Buffer.alloc(SOCKADDR_NL_BYTES);
		address.writeUInt16LE(libc.AF_NETLINK, 0);
		address.writeUInt32LE(groups, 8);
		libc.bind(fd, address, "rtnetlink");
		return { fd, unwatch: poller.watch(fd, libc.POLLIN, onReady) };
	} catch (error) {
		libc.close(fd);
		throw error;
	}
}

function* decodeEvents(datagram: Buffer): Generator<LinkEvent> {
	for (const { type, payload } of decodeMessages(datagram)) {
		const link = type === RTM_NEWLINK || type === RTM_DELLINK ? decodeLink(payload) : undefined;
		if (link !== undefined) {
			yield { type: type === RTM_NEWLINK ? "new" : "del", link };
		}
	}
}
