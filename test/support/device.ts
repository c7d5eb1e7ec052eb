/**
 * A packet socket and a TAP in plain steps, for the tests' own tools. Nothing here is shared with the product but the C
 * library, so that a mistake of one is not hidden by the same mistake of the other.
 */
import {
	AF_PACKET,
	addressOf,
	bind,
	check,
	errno,
	ifNameToIndex,
	ioctl,
	MSG_DONTWAIT,
	O_RDWR,
	open,
	read,
	recvmsgAt,
	SOCK_RAW,
	SOL_SOCKET,
	setsockopt,
	socket,
	write,
} from "../../src/sys/libc.js";

export const VNET_BYTES = 10;
const FRAME_BYTES_MAX = 65536 + 64;
/** EAGAIN: no frame; ENETDOWN: said once when the link goes down. */
const WAIT = [11, 100];

const ETH_P_ALL = 3;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_MR_PROMISC = 1;
const SO_RCVBUFFORCE = 33;
const PACKET_OUTGOING = 4;
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_VLAN_TPID_VALID = 0x40;

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const IFF_TAP = 0x2;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM_TSO4_TSO6 = 0x7;

/** A frame as a packet socket gives it, with the outer tag that the kernel took off put back in its place. */
export interface Received {
	/** virtio_net_hdr of the frame as the kernel gave it: its offsets do not count the restored tag. */
	vnet: Uint8Array;
	bytes: Uint8Array;
	/** Bytes that were put back: 4 or 0. */
	restored: number;
	/** Sent by this side of the link. */
	outgoing: boolean;
}

/** An AF_PACKET socket with virtio_net_hdr on an interface of this process's namespace; promiscuous, blocking. */
export class PacketSocket {
	readonly fd: number;
	// One buffer for everything that recvmsg(2) writes; large, so that its address never changes.
	readonly #memory = new Uint8Array(4096 + FRAME_BYTES_MAX);
	readonly #view = new DataView(this.#memory.buffer);
	readonly #address = addressOf(this.#memory);

	constructor(ifname: string) {
		const fd = socket(AF_PACKET, SOCK_RAW, 0);
		const index = ifNameToIndex(ifname);
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20, "SO_RCVBUFFORCE", ifname);
		setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, 1, "PACKET_AUXDATA", ifname);
		setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR", ifname);
		const membership = new Uint8Array(16); // struct packet_mreq
		new DataView(membership.buffer).setInt32(0, index, true);
		membership[4] = PACKET_MR_PROMISC;
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership, "PACKET_MR_PROMISC", ifname);
		const address = new Uint8Array(20); // struct sockaddr_ll
		const view = new DataView(address.buffer);
		view.setUint16(0, AF_PACKET, true);
		view.setUint16(2, ETH_P_ALL, false);
		view.setInt32(4, index, true);
		bind(fd, address, ifname);
		this.fd = fd;
	}

	/** The next frame, or undefined when none waits. */
	receive(): Received | undefined {
		const [name, iovec, control, data] = [64, 128, 192, 4096];
		const view = this.#view;
		const pointer = (at: number, target: number): void => view.setBigUint64(at, BigInt(this.#address + target), true);
		// struct msghdr: name, namelen, iov, iovlen, control, controllen, flags
		pointer(0, name);
		view.setUint32(8, 20, true);
		pointer(16, iovec);
		view.setBigUint64(24, 1n, true);
		pointer(32, control);
		view.setBigUint64(40, 64n, true);
		view.setInt32(48, 0, true);
		pointer(iovec, data);
		view.setBigUint64(iovec + 8, BigInt(FRAME_BYTES_MAX), true);
		const length = recvmsgAt(this.fd, this.#address, MSG_DONTWAIT);
		if (length < 0 && WAIT.includes(errno())) return undefined;
		check(length, "recvmsg", "packet socket");
		const vnet = this.#memory.slice(data, data + VNET_BYTES);
		const bytes = this.#memory.slice(data + VNET_BYTES, data + length);
		const tag = this.#strippedTag(control);
		const outgoing = view.getUint8(name + 10) === PACKET_OUTGOING;
		if (!tag) return { vnet, bytes, restored: 0, outgoing };
		const tagged = new Uint8Array(bytes.length + tag.length);
		tagged.set(bytes.subarray(0, 12));
		tagged.set(tag, 12);
		tagged.set(bytes.subarray(12), 16);
		return { vnet, bytes: tagged, restored: tag.length, outgoing };
	}

	/** struct tpacket_auxdata behind a 16-byte cmsghdr (linux/if_packet.h). */
	#strippedTag(control: number): Uint8Array | undefined {
		const view = this.#view;
		const hasAuxdata = view.getBigUint64(40, true) >= 36n && view.getInt32(control + 12, true) === PACKET_AUXDATA;
		const status = hasAuxdata ? view.getUint32(control + 16, true) : 0;
		if (!(status & TP_STATUS_VLAN_VALID)) return undefined;
		const tci = view.getUint16(control + 32, true);
		const tpid = status & TP_STATUS_VLAN_TPID_VALID ? view.getUint16(control + 34, true) : 0x8100;
		return Uint8Array.of(tpid >> 8, tpid & 0xff, tci >> 8, tci & 0xff);
	}

	/** Sends a frame behind its virtio_net_hdr; false when the kernel did not take it. */
	send(vnet: Uint8Array, bytes: Uint8Array): boolean {
		return write(this.fd, Buffer.concat([vnet, bytes])) > 0;
	}
}

/** A TAP with virtio_net_hdr and TCP segmentation offload in this process's namespace; it ends with the process. */
export class TestTap {
	readonly fd: number;
	readonly #buffer = new Uint8Array(FRAME_BYTES_MAX);

	constructor(ifname: string) {
		this.fd = open("/dev/net/tun", O_RDWR | 0x800);
		const request = new Uint8Array(40); // struct ifreq
		request.set(Buffer.from(ifname));
		new DataView(request.buffer).setUint16(16, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
		ioctl(this.fd, TUNSETIFF, request, "TUNSETIFF", ifname);
		ioctl(this.fd, TUNSETOFFLOAD, TUN_F_CSUM_TSO4_TSO6, "TUNSETOFFLOAD", ifname);
	}

	/** The next frame that the interface sends, or undefined when none waits. */
	receive(): { vnet: Uint8Array; bytes: Uint8Array } | undefined {
		const length = read(this.fd, this.#buffer);
		if (length < VNET_BYTES) return undefined;
		return { vnet: this.#buffer.slice(0, VNET_BYTES), bytes: this.#buffer.slice(VNET_BYTES, length) };
	}

	/** Lets the interface receive a frame; false when the kernel did not take it. */
	send(vnet: Uint8Array, bytes: Uint8Array): boolean {
		return write(this.fd, Buffer.concat([vnet, bytes])) > 0;
	}
}
