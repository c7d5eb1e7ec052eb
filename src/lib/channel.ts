/**
 * A port of a live switch whose other side is this program: one end of a pair of sockets goes to the datapath, which
 * treats it like a TAP, and this thread reads and writes the other. Every message is one frame behind its 10-byte
 * `struct virtio_net_hdr`.
 */
import * as abi from "../../assembly/abi.js";
import { errnoName, SysError } from "../sys/errno.js";
import {
	close,
	errno,
	POLLIN,
	read,
	SOCK_CLOEXEC,
	SOCK_NONBLOCK,
	SOCK_SEQPACKET,
	SOL_SOCKET,
	setsockopt,
	socketpair,
	write,
} from "../sys/libc.js";
import type { FdPoller } from "../sys/poller.js";

const SO_SNDBUF = 7;
/** As much as net.core.wmem_max allows of it. */
const BUFFER_BYTES = 4 << 20;
/** What is read before others have their turn. */
const BURST_FRAMES = 256;

export class Channel {
	/** The datapath's end; it closes it. */
	readonly fd: number;
	readonly #own: number;
	readonly #unwatch: () => void;
	readonly #buffer = Buffer.alloc(abi.SLOT_CAPACITY + abi.VNET_BYTES);

	constructor(
		readonly name: string,
		poller: FdPoller,
		readonly onFrame: (bytes: Uint8Array) => void,
	) {
		[this.fd, this.#own] = socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC);
		for (const fd of [this.fd, this.#own]) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES, "SO_SNDBUF", name);
		this.#unwatch = poller.watch(this.#own, POLLIN, () => {
			this.#receive(BURST_FRAMES);
			poller.rearm(this.#own);
		});
		poller.rearm(this.#own);
	}

	/**
	 * Sends one frame, which has VNET_BYTES of room in front; resolves when there was room for it in the socket.
	 * @throws SysError when the port is gone
	 */
	async send(framed: Uint8Array): Promise<void> {
		while (write(this.#own, framed) < 0) {
			const code = errno();
			if (errnoName(code) !== "EAGAIN" && errnoName(code) !== "ENOBUFS") throw new SysError("send", this.name, code);
			await new Promise((resolve) => setImmediate(resolve));
		}
	}

	/** Once the datapath has closed its end: hands on what it had sent. */
	close(): void {
		this.#unwatch();
		this.#receive(Number.POSITIVE_INFINITY);
		close(this.#own);
	}

	#receive(framesMax: number): void {
		for (let count = 0; count < framesMax; count++) {
			const bytes = read(this.#own, this.#buffer);
			if (bytes < abi.VNET_BYTES) return;
			this.onFrame(Uint8Array.prototype.slice.call(this.#buffer, abi.VNET_BYTES, bytes));
		}
	}
}
