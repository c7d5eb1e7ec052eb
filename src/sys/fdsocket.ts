/**
 * Unix sockets that carry descriptors beside texts (SCM_RIGHTS, unix(7)). A message has a text, and up to FDS_MAX
 * descriptors, which the receiver gets copies of: the open files are shared from then on.
 *
 *   msghdr  0 name  8 namelen  16 iov  24 iovlen  32 control  40 controllen  48 flags
 *   cmsghdr 0 len (of all)  8 SOL_SOCKET  12 SCM_RIGHTS  16 descriptors, 4 bytes each
 */
import { errnoName, SysError } from "./errno.js";
import * as libc from "./libc.js";
import type { FdPoller } from "./poller.js";

/** Descriptors in a message; the kernel's limit is 253 (SCM_MAX_FD). */
export const FDS_MAX = 128;

const SCM_RIGHTS = 1;
const SO_PEERCRED = 17;
const TEXT_BYTES_MAX = 1 << 16;
const MSGHDR = 0;
const IOVEC = 64;
const CONTROL = 128;
const CMSGHDR_BYTES = 16;
const TEXT = 4096;
/** How long the other end may leave a full queue as it is. */
const SEND_MS = 5000;
const SUN_PATH_BYTES_MAX = 107;
const SOCKET_TYPE = libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;

/** A text with descriptors, which are the receiver's to close. */
export interface FdMessage {
	text: string;
	fds: number[];
}

/** All that the kernel reads and writes through addresses: one piece, so large that V8 never moves it. */
const memory = Buffer.alloc(TEXT + TEXT_BYTES_MAX);
const base = libc.addressOf(memory);

/** `struct sockaddr_un` of a path; `@NAME` is the abstract name NAME. @throws SysError ENAMETOOLONG */
function sockaddr(path: string): Buffer {
	const bytes = Buffer.from(path.startsWith("@") ? `\0${path.slice(1)}` : `${path}\0`);
	if (bytes.length > SUN_PATH_BYTES_MAX + 1) throw new SysError("connect", path, 36);
	const address = Buffer.alloc(2 + bytes.length);
	address.writeUInt16LE(libc.AF_UNIX, 0);
	bytes.copy(address, 2);
	return address;
}

function prepare(textBytes: number, controlBytes: number): void {
	memory.fill(0, 0, CONTROL);
	memory.writeBigUInt64LE(BigInt(base + IOVEC), MSGHDR + 16);
	memory.writeBigUInt64LE(1n, MSGHDR + 24);
	memory.writeBigUInt64LE(BigInt(base + TEXT), IOVEC);
	memory.writeBigUInt64LE(BigInt(textBytes), IOVEC + 8);
	if (controlBytes === 0) return;
	memory.writeBigUInt64LE(BigInt(base + CONTROL), MSGHDR + 32);
	memory.writeBigUInt64LE(BigInt(controlBytes), MSGHDR + 40);
}

/** Sends one message on a connected socket; -1 and `errno()` when the kernel does not take it. */
export function sendFds(fd: number, text: string, fds: readonly number[]): number {
	const bytes = Buffer.from(text);
	if (bytes.length > TEXT_BYTES_MAX || fds.length > FDS_MAX) throw new RangeError("message too long for a socket");
	const controlBytes = fds.length === 0 ? 0 : CMSGHDR_BYTES + 8 * Math.ceil(fds.length / 2);
	prepare(bytes.length, controlBytes);
	bytes.copy(memory, TEXT);
	memory.writeBigUInt64LE(BigInt(CMSGHDR_BYTES + 4 * fds.length), CONTROL);
	memory.writeInt32LE(libc.SOL_SOCKET, CONTROL + 8);
	memory.writeInt32LE(SCM_RIGHTS, CONTROL + 12);
	for (const [index, value] of fds.entries()) memory.writeInt32LE(value, CONTROL + CMSGHDR_BYTES + 4 * index);
	return libc.sendmsgAt(fd, base, libc.MSG_NOSIGNAL);
}

/** Takes one message off a socket; undefined when there is none yet, "end" when there will be none. */
export function receiveFds(fd: number): FdMessage | "end" | undefined {
	prepare(TEXT_BYTES_MAX, CMSGHDR_BYTES + 4 * FDS_MAX);
	const bytes = libc.recvmsgAt(fd, base, libc.MSG_CMSG_CLOEXEC);
	if (bytes < 0) {
		const name = errnoName(libc.errno());
		if (name === "EAGAIN" || name === "EINTR") return undefined;
		return "end";
	}
	const controlBytes = Number(memory.readBigUInt64LE(MSGHDR + 40));
	const fds: number[] = [];
	if (controlBytes >= CMSGHDR_BYTES && memory.readInt32LE(CONTROL + 12) === SCM_RIGHTS) {
		const end = CONTROL + Number(memory.readBigUInt64LE(CONTROL));
		for (let at = CONTROL + CMSGHDR_BYTES; at < end; at += 4) fds.push(memory.readInt32LE(at));
	}
	const isCut = memory.readInt32LE(MSGHDR + 48) & (libc.MSG_TRUNC | libc.MSG_CTRUNC);
	if (isCut || (bytes === 0 && fds.length === 0)) {
		for (const received of fds) libc.close(received);
		return "end";
	}
	return { text: memory.toString("utf8", TEXT, TEXT + bytes), fds };
}

/** One end of a connection that keeps messages apart (SOCK_SEQPACKET). */
export class FdConnection {
	constructor(
		readonly fd: number,
		readonly poller: FdPoller,
	) {}

	/** Who is at the other end: as it was when it connected, or began to listen. */
	peer(): { pid: number; uid: number } {
		const ucred = Buffer.alloc(12);
		libc.getsockopt(this.fd, libc.SOL_SOCKET, SO_PEERCRED, ucred, "SO_PEERCRED", "unix socket");
		return { pid: ucred.readInt32LE(0), uid: ucred.readUInt32LE(4) };
	}

	/** @throws SysError EPIPE, ECONNRESET: nobody is there any more; EAGAIN: nobody reads */
	async send(text: string, fds: readonly number[] = [], waitMs = SEND_MS): Promise<void> {
		const endMs = performance.now() + waitMs;
		while (sendFds(this.fd, text, fds) < 0) {
			const code = libc.errno();
			const isFull = errnoName(code) === "EAGAIN" && performance.now() < endMs;
			if (!isFull) throw new SysError("sendmsg", "unix socket", code);
			await new Promise((resolve) => setTimeout(resolve, 1));
		}
	}

	/** The next message; undefined when the other end is gone. @throws Error when it takes longer than `waitMs` */
	async receive(waitMs: number): Promise<FdMessage | undefined> {
		for (const endMs = performance.now() + waitMs; ; ) {
			const message = receiveFds(this.fd);
			if (message) return message === "end" ? undefined : message;
			if (performance.now() > endMs) throw new Error(`no answer within ${waitMs / 1000} s`);
			await isReadable(this.poller, this.fd, endMs - performance.now());
		}
	}

	close(): void {
		libc.close(this.fd);
	}
}

/** Resolves once a descriptor is readable, or after `waitMs`. */
export function isReadable(poller: FdPoller, fd: number, waitMs: number): Promise<boolean> {
	return new Promise((resolve) => {
		const done = (isSo: boolean) => {
			clearTimeout(timer);
			stop();
			resolve(isSo);
		};
		// It keeps the process alive, which the watch does not.
		const timer = setTimeout(() => done(false), Math.max(1, waitMs));
		const stop = poller.watch(fd, libc.POLLIN, () => done(true));
		poller.rearm(fd);
	});
}

/** Connects to a listening socket. @throws SysError ENOENT, ECONNREFUSED, ENAMETOOLONG */
export function connectFds(path: string, poller: FdPoller): FdConnection {
	const fd = libc.socket(libc.AF_UNIX, libc.SOCK_SEQPACKET | SOCKET_TYPE, 0);
	try {
		libc.connect(fd, sockaddr(path), path);
		return new FdConnection(fd, poller);
	} catch (error) {
		libc.close(fd);
		throw error;
	}
}

/**
 * Listens at a path, at which there must be nothing.
 * @param onConnection gets each connection, and has to close it
 * @returns how to stop; the file stays
 * @throws SysError EADDRINUSE, ENAMETOOLONG
 */
export function listenFds(
	path: string,
	poller: FdPoller,
	onConnection: (connection: FdConnection) => void,
): () => void {
	const fd = libc.socket(libc.AF_UNIX, libc.SOCK_SEQPACKET | SOCKET_TYPE, 0);
	try {
		libc.bind(fd, sockaddr(path), path);
		libc.listen(fd, 4, path);
	} catch (error) {
		libc.close(fd);
		throw error;
	}
	const stop = poller.watch(fd, libc.POLLIN, () => {
		const accepted = libc.accept(fd, SOCKET_TYPE);
		poller.rearm(fd);
		if (accepted >= 0) onConnection(new FdConnection(accepted, poller));
	});
	poller.rearm(fd);
	return () => {
		stop();
		libc.close(fd);
	};
}

/** Sends a datagram with descriptors to a path or an abstract name, without waiting. @throws SysError */
export function sendDatagram(path: string, text: string, fds: readonly number[] = []): void {
	const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
	try {
		libc.connect(fd, sockaddr(path), path);
		libc.check(sendFds(fd, text, fds), "sendmsg", path);
	} finally {
		libc.close(fd);
	}
}
