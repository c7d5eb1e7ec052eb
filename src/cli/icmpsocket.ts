/**
 * An ICMP socket of the C library, in the shape of the optional `raw-socket` package, for machines where that could
 * not be built.
 */
import { EventEmitter } from "node:events";
import { ipBytes, ipText } from "../netlink/address.js";
import { errnoText } from "../sys/errno.js";
import * as libc from "../sys/libc.js";
import { FdPoller } from "../sys/poller.js";
import type { RawSocket } from "./rawsocket.js";

// include/uapi/linux/in.h
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
/** struct sockaddr_in, struct sockaddr_in6, and where their address is. */
const SOCKADDR = { 4: { bytes: 16, address: 4, length: 4 }, 6: { bytes: 28, address: 8, length: 16 } } as const;
const PACKET_BYTES_MAX = 65536;
const EAGAIN = 11;

/** Opens a socket in the thread's network namespace. @throws SysError EPERM without CAP_NET_RAW */
export function openIcmpSocket(family: 4 | 6): RawSocket {
	const [domain, protocol] = family === 4 ? [libc.AF_INET, IPPROTO_ICMP] : [libc.AF_INET6, IPPROTO_ICMPV6];
	const type = libc.SOCK_RAW | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
	return new IcmpSocket(family, libc.socket(domain, type, protocol, "CAP_NET_RAW"));
}

class IcmpSocket extends EventEmitter implements RawSocket {
	readonly #poller = new FdPoller();
	readonly #packet = Buffer.alloc(PACKET_BYTES_MAX);

	constructor(
		readonly family: 4 | 6,
		readonly fd: number,
	) {
		super();
		this.#poller.watch(fd, libc.POLLIN, () => this.#receive());
	}

	send(...[message, offset, length, address, sending, done]: Parameters<RawSocket["send"]>): void {
		sending();
		const sent = libc.sendto(this.fd, message.subarray(offset, offset + length), 0, this.#sockaddr(address));
		const error = sent < 0 ? new Error(sentence(errnoText(libc.errno()))) : null;
		setImmediate(() => done(error, Math.max(sent, 0)));
	}

	close(): void {
		this.#poller.close();
		libc.close(this.fd);
		// What was read before stays unheard, as with any closed socket.
		this.removeAllListeners();
	}

	#sockaddr(text: string): Buffer {
		const { bytes, address } = SOCKADDR[this.family];
		const sockaddr = Buffer.alloc(bytes);
		sockaddr.writeUInt16LE(this.family === 4 ? libc.AF_INET : libc.AF_INET6, 0);
		ipBytes(text).copy(sockaddr, address);
		return sockaddr;
	}

	#receive(): void {
		const { bytes, address, length } = SOCKADDR[this.family];
		const sender = Buffer.alloc(bytes);
		while (this.listenerCount("message") > 0) {
			const received = libc.recvfrom(this.fd, this.#packet, 0, sender);
			if (received >= 0) {
				const packet = Buffer.from(this.#packet.subarray(0, received));
				this.emit("message", packet, ipText(sender.subarray(address, address + length)));
				continue;
			}
			const errno = libc.errno();
			if (errno !== EAGAIN) this.emit("error", new Error(sentence(errnoText(errno))));
			return this.#poller.rearm(this.fd);
		}
	}
}

/** As strerror(3) begins its texts. */
function sentence(text: string): string {
	return text.charAt(0).toUpperCase() + text.slice(1);
}
