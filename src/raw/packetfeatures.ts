/** Which options of packet sockets this kernel has, found by setting them on a socket that nobody sends to. */
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { isErrno } from "../sys/errno.js";
import * as libc from "../sys/libc.js";
import { inNetns, newNetns } from "../sys/netns.js";

const SOL_PACKET = 263;
const ETH_P_ALL_BE = 0x0300;
const SOCKADDR_LL_BYTES = 20;
/** include/uapi/linux/if_packet.h; the value is what a switch would ask for. */
const OPTIONS = {
	PACKET_VNET_HDR: [15, 1],
	PACKET_AUXDATA: [8, 1],
	PACKET_IGNORE_OUTGOING: [23, 1],
	// Group 0, by the socket's CPU: PACKET_FANOUT_CPU << 16.
	PACKET_FANOUT: [18, 2 << 16],
} as const;

export type PacketOption = keyof typeof OPTIONS;

/**
 * Whether each option can be set, in a network namespace of its own if one can be made.
 * @throws SysError EPERM without CAP_NET_RAW; EAFNOSUPPORT without packet sockets
 */
export function packetFeatures(): Record<PacketOption, boolean> {
	let netnsFd: number;
	try {
		netnsFd = newNetns();
	} catch (error) {
		if (isErrno(error, "EPERM")) return features();
		throw error;
	}
	try {
		return inNetns(netnsFd, () => {
			raiseLoopback();
			return features();
		});
	} finally {
		libc.close(netnsFd);
	}
}

/** Fan-out wants a link that is up. */
function raiseLoopback(): void {
	const netlink = new Rtnetlink();
	try {
		netlink.setLink(libc.ifNameToIndex("lo"), { up: true });
	} finally {
		netlink.close();
	}
}

function features(): Record<PacketOption, boolean> {
	const fd = libc.socket(libc.AF_PACKET, libc.SOCK_RAW | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC, 0, "CAP_NET_RAW");
	try {
		// And a socket that is bound.
		const address = Buffer.alloc(SOCKADDR_LL_BYTES);
		address.writeUInt16LE(libc.AF_PACKET, 0);
		address.writeUInt16LE(ETH_P_ALL_BE, 2);
		address.writeInt32LE(libc.ifNameToIndex("lo"), 4);
		libc.bind(fd, address, "lo");
		const tried = Object.entries(OPTIONS).map(([name, [option, value]]) => [name, isTaken(fd, name, option, value)]);
		return Object.fromEntries(tried);
	} finally {
		libc.close(fd);
	}
}

function isTaken(fd: number, name: string, option: number, value: number): boolean {
	try {
		libc.setsockopt(fd, SOL_PACKET, option, value, name, "lo");
		return true;
	} catch (error) {
		if (isErrno(error, "ENOPROTOOPT", "EINVAL", "EOPNOTSUPP")) return false;
		throw error;
	}
}
