/**
 * AF_XDP sockets that receive into memory of the caller (include/uapi/linux/if_xdp.h): frames and rings lie where the
 * packet core wants them.
 */
import * as abi from "../../assembly/abi.js";
import { isErrno, SysError } from "../sys/errno.js";
import * as libc from "../sys/libc.js";

const SOL_XDP = 283;
const XDP_MMAP_OFFSETS = 1;
const XDP_RX_RING = 2;
const XDP_UMEM_REG = 4;
const XDP_UMEM_FILL_RING = 5;
const XDP_UMEM_COMPLETION_RING = 6;
const XDP_STATISTICS = 7;
const XDP_OPTIONS = 8;
const XDP_OPTIONS_ZEROCOPY = 1;
const XDP_COPY = 1 << 1;
const XDP_ZEROCOPY = 1 << 2;
const XDP_USE_NEED_WAKEUP = 1 << 3;

/** Where mmap finds the rings. */
const RX_PAGE = 0;
const FILL_PAGE = 0x1_0000_0000;
const RX_ENTRY_BYTES = 16;
const FILL_ENTRY_BYTES = 8;
/** Nothing is sent: the kernel wants this ring all the same. */
const COMPLETION_ENTRIES = 64;

/** Where the fields of a ring are, in bytes from the beginning of the socket's memory. */
export interface XskRing {
	producer: number;
	consumer: number;
	entries: number;
}

/** A socket without memory. @throws SysError EPERM, EAFNOSUPPORT (a kernel without AF_XDP) */
export function openXsk(): number {
	return libc.socket(libc.AF_XDP, libc.SOCK_RAW | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC, 0, "CAP_NET_RAW");
}

/**
 * Gives a socket XSK_BYTES of memory at an address, in which its rings are mapped: it is the kernel's, too, until
 * `unmapXsks` is called, and the socket lives as long, whoever closes it.
 * @throws SysError ENOBUFS, ENOMEM (RLIMIT_MEMLOCK)
 */
export function mapXsk(fd: number, address: number): { rx: XskRing; fill: XskRing } {
	const name = "AF_XDP socket";
	const registration = Buffer.alloc(32); // struct xdp_umem_reg
	registration.writeBigUInt64LE(BigInt(address + abi.XSK_UMEM), 0);
	registration.writeBigUInt64LE(BigInt(abi.XSK_CHUNKS * abi.XSK_CHUNK_BYTES), 8);
	registration.writeUInt32LE(abi.XSK_CHUNK_BYTES, 16);
	try {
		libc.setsockopt(fd, SOL_XDP, XDP_UMEM_REG, registration, "XDP_UMEM_REG", name);
	} catch (error) {
		if (!isErrno(error, "ENOBUFS")) throw error;
		throw new Error(`${(error as Error).message}; raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)`);
	}
	libc.setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, COMPLETION_ENTRIES, "XDP_UMEM_COMPLETION_RING", name);
	libc.setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, abi.XSK_CHUNKS, "XDP_UMEM_FILL_RING", name);
	libc.setsockopt(fd, SOL_XDP, XDP_RX_RING, abi.XSK_CHUNKS, "XDP_RX_RING", name);
	// struct xdp_mmap_offsets: producer, consumer, entries and flags of the RX, TX, fill and completion ring, u64 each
	const offsets = Buffer.alloc(128);
	libc.getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, offsets, "XDP_MMAP_OFFSETS", name);
	const map = (at: number, page: number, index: number, entryBytes: number): XskRing => {
		const field = (number: number) => Number(offsets.readBigUInt64LE(index * 32 + number * 8));
		const how = libc.MAP_SHARED | libc.MAP_FIXED | libc.MAP_POPULATE;
		const bytes = field(2) + abi.XSK_CHUNKS * entryBytes;
		libc.mmap(address + at, bytes, libc.PROT_READ | libc.PROT_WRITE, how, fd, page);
		return { producer: at + field(0), consumer: at + field(1), entries: at + field(2) };
	};
	return {
		rx: map(abi.XSK_RX_RING, RX_PAGE, 0, RX_ENTRY_BYTES),
		fill: map(abi.XSK_FILL_RING, FILL_PAGE, 2, FILL_ENTRY_BYTES),
	};
}

/** Puts fresh memory where rings and frames of sockets were. */
export function unmapXsks(address: number, bytes: number): void {
	const how = libc.MAP_PRIVATE | libc.MAP_ANONYMOUS | libc.MAP_FIXED;
	libc.mmap(address, bytes, libc.PROT_READ | libc.PROT_WRITE, how, -1, 0);
}

/**
 * Binds the socket to a receive queue of a link. Answers whether the network card itself writes the frames.
 * @throws SysError EBUSY (the queue has a socket), EOPNOTSUPP, ENODEV
 */
export function bindXsk(fd: number, ifindex: number, queue: number, name: string): boolean {
	const bind = (mode: number) => {
		const address = Buffer.alloc(16); // struct sockaddr_xdp
		address.writeUInt16LE(libc.AF_XDP, 0);
		address.writeUInt16LE(mode | XDP_USE_NEED_WAKEUP, 2);
		address.writeUInt32LE(ifindex, 4);
		address.writeUInt32LE(queue, 8);
		libc.bind(fd, address, name);
	};
	try {
		bind(XDP_ZEROCOPY);
	} catch (error) {
		if (isErrno(error, "EBUSY") || isErrno(error, "ENODEV")) throw error;
		bind(XDP_COPY);
	}
	const options = Buffer.alloc(4);
	libc.getsockopt(fd, SOL_XDP, XDP_OPTIONS, options, "XDP_OPTIONS", name);
	return (options.readUInt32LE(0) & XDP_OPTIONS_ZEROCOPY) !== 0;
}

/** Frames that the kernel could not give to a socket so far; 0 where there is no such socket (any more). */
export function xskLosses(fd: number): number {
	const counters = Buffer.alloc(48); // struct xdp_statistics: u64 rx_dropped, two of TX, rx_ring_full...
	try {
		libc.getsockopt(fd, SOL_XDP, XDP_STATISTICS, counters, "XDP_STATISTICS", "AF_XDP socket");
	} catch (error) {
		if (error instanceof SysError) return 0;
		throw error;
	}
	return Number(counters.readBigUInt64LE(0) + counters.readBigUInt64LE(24));
}
