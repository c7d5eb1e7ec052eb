/**
 * The raw socket on a parent: AF_PACKET, the one way to send and receive whole Ethernet frames of an interface that
 * belongs to somebody else (man 7 packet).
 *
 * Frames carry a 10-byte `struct virtio_net_hdr` in front, as on a TAP. The kernel takes the outermost VLAN tag out
 * of every received frame, whatever the hardware can do; it is found in the control message PACKET_AUXDATA
 * (tp_vlan_tci, tp_vlan_tpid). Sent frames carry their tags in the bytes.
 */

import { close as closeFile } from "node:fs";
import { macBytes } from "../netlink/codec.js";
import type { Link } from "../netlink/link.js";
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { isErrno, SysError } from "../sys/errno.js";
import * as libc from "../sys/libc.js";
import { inNetns } from "../sys/netns.js";

// include/uapi/linux/if_packet.h
export const SOL_PACKET = 263;
export const PACKET_AUXDATA = 8;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_DROP_MEMBERSHIP = 2;
const PACKET_STATISTICS = 6;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const PACKET_MR_ALLMULTI = 2;
const PACKET_MR_UNICAST = 3;
const SOCKADDR_LL_BYTES = 20;
const PACKET_MREQ_BYTES = 16;
const ETH_P_ALL = 0x3;

const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
/** A burst of some hundred 64 KiB super-frames; the kernel's default holds three. */
const BUFFER_BYTES = 16 << 20;

const ENODEV = 19;
const EINVAL = 22;

/** An open raw socket, bound to its parent. */
export interface PacketSocket {
	/** Non-blocking, close-on-exec. */
	fd: number;
	ifindex: number;
	/** The parent's own address. */
	mac: string;
	mtuBytes: number;
}

/** What to open. */
export interface PacketSocketOptions {
	/** Name of the parent. */
	link: string;
	/** Namespace that the parent is in; by default the thread's own. */
	netnsFd?: number;
	/** Receive frames to every address; otherwise to the parent's and those given to `addUnicastMac`. */
	promiscuous: boolean;
}

/**
 * Opens a raw socket on a parent. The parent may be down: frames come as soon as it is up. When it goes down the
 * socket reports ENETDOWN once and works again afterwards; when it is deleted nothing comes any more.
 * @throws SysError ENODEV (no such link), EINVAL (loopback, or not Ethernet), EPERM.
 */
export function openPacketSocket(options: PacketSocketOptions): PacketSocket {
	return options.netnsFd === undefined ? openHere(options) : inNetns(options.netnsFd, () => openHere(options));
}

/**
 * Switches the reception of frames to every address on or off; the parent's own users of that mode are not affected.
 */
export function setPromiscuous(fd: number, ifindex: number, on: boolean): void {
	setMembership(fd, on ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, ifindex, PACKET_MR_PROMISC);
}

/** Lets frames to this address through the parent's receive filter. Ends with the socket. */
export function addUnicastMac(fd: number, ifindex: number, mac: string): void {
	setMembership(fd, PACKET_ADD_MEMBERSHIP, ifindex, PACKET_MR_UNICAST, mac);
}

/** Takes an address out of the parent's receive filter again. */
export function dropUnicastMac(fd: number, ifindex: number, mac: string): void {
	setMembership(fd, PACKET_DROP_MEMBERSHIP, ifindex, PACKET_MR_UNICAST, mac);
}

/**
 * Frames that have found the socket's queue full since the last call: the kernel forgets the number when it is read.
 * 0 where there is no such socket (any more).
 */
export function takeLostFrames(fd: number): number {
	// struct tpacket_stats: u32 tp_packets, tp_drops
	const statistics = Buffer.alloc(8);
	try {
		libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, statistics, "PACKET_STATISTICS", "raw socket");
	} catch (error) {
		if (error instanceof SysError) return 0;
		throw error;
	}
	return statistics.readUInt32LE(4);
}

/**
 * Sends one Ethernet frame from an interface of the thread's namespace, which need not have any address.
 * @throws SysError ENODEV, ENETDOWN, EPERM
 */
export function sendFrame(ifname: string, frame: Buffer): void {
	const address = Buffer.alloc(SOCKADDR_LL_BYTES);
	address.writeUInt16LE(libc.AF_PACKET, 0);
	address.writeInt32LE(libc.ifNameToIndex(ifname), 4);
	const fd = libc.socket(libc.AF_PACKET, libc.SOCK_RAW | libc.SOCK_CLOEXEC, 0, "CAP_NET_RAW");
	try {
		libc.check(libc.sendto(fd, frame, libc.MSG_DONTWAIT, address), "sendto", ifname);
	} finally {
		// Not in this thread: the kernel waits for all CPUs before it lets go of a packet socket (packet_release()).
		closeFile(fd, () => undefined);
	}
}

function openHere({ link: name, promiscuous }: PacketSocketOptions): PacketSocket {
	const { index, mac, mtuBytes } = findParent(name);
	const type = libc.SOCK_RAW | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
	// Protocol 0 receives nothing: no frame arrives before the socket is set up and bound.
	const fd = libc.socket(libc.AF_PACKET, type, 0, "CAP_NET_RAW");
	try {
		libc.setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING", name);
		libc.setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR", name);
		libc.setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, 1, "PACKET_AUXDATA", name);
		setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, name);
		setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, name);
		bindTo(fd, index, name);
		// Which groups the containers join is their secret, so every group is let in.
		setMembership(fd, PACKET_ADD_MEMBERSHIP, index, PACKET_MR_ALLMULTI);
		if (promiscuous) {
			setPromiscuous(fd, index, true);
		}
		return { fd, ifindex: index, mac, mtuBytes };
	} catch (error) {
		libc.close(fd);
		throw error;
	}
}

function findParent(name: string): Link {
	const netlink = new Rtnetlink();
	try {
		const link = netlink.link(name);
		if (link === undefined) {
			throw new SysError("raw socket", name, ENODEV, "see 'ip link'");
		}
		if (link.loopback || !link.ethernet) {
			throw new SysError("raw socket", name, EINVAL, "a parent must be an Ethernet interface");
		}
		return link;
	} finally {
		netlink.close();
	}
}

function setBuffer(fd: number, force: number, ordinary: number, name: string): void {
	try {
		libc.setsockopt(fd, libc.SOL_SOCKET, force, BUFFER_BYTES, "SO_*BUFFORCE", name);
	} catch (error) {
		if (!isErrno(error, "EPERM")) {
			throw error;
		}
		// Without CAP_NET_ADMIN over the whole machine: as much as net.core.{r,w}mem_max allows.
		libc.setsockopt(fd, libc.SOL_SOCKET, ordinary, BUFFER_BYTES, "SO_*BUF", name);
	}
}

function bindTo(fd: number, ifindex: number, name: string): void {
	const address = Buffer.alloc(SOCKADDR_LL_BYTES);
	address.writeUInt16LE(libc.AF_PACKET, 0);
	address.writeUInt16BE(ETH_P_ALL, 2);
	address.writeInt32LE(ifindex, 4);
	libc.bind(fd, address, name);
	// On a parent that is down, bind leaves ENETDOWN for the next call on the socket: take it away.
	libc.getsockopt(fd, libc.SOL_SOCKET, SO_ERROR, Buffer.alloc(4), "SO_ERROR", name);
}

function setMembership(fd: number, option: number, ifindex: number, type: number, mac?: string): void {
	const request = Buffer.alloc(PACKET_MREQ_BYTES);
	request.writeInt32LE(ifindex, 0);
	request.writeUInt16LE(type, 4);
	if (mac !== undefined) {
		const bytes = macBytes(mac);
		request.writeUInt16LE(bytes.length, 6);
		bytes.copy(request, 8);
	}
	const call = option === PACKET_ADD_MEMBERSHIP ? "PACKET_ADD_MEMBERSHIP" : "PACKET_DROP_MEMBERSHIP";
	libc.setsockopt(fd, SOL_PACKET, option, request, call, mac ?? `link ${ifindex}`);
}
