/** What a link's driver says of itself (SIOCETHTOOL, include/uapi/linux/ethtool.h); no privilege is needed. */
import { isErrno } from "../sys/errno.js";
import * as libc from "../sys/libc.js";

const SIOCETHTOOL = 0x8946;
const ETHTOOL_GDRVINFO = 0x3;
const ETHTOOL_GTXCSUM = 0x16;
const ETHTOOL_GTSO = 0x1e;
const ETHTOOL_GFLAGS = 0x25;
const ETHTOOL_GCHANNELS = 0x3c;
const FLAG_TXVLAN = 1 << 7;
const FLAG_RXVLAN = 1 << 8;
const FLAG_LRO = 1 << 15;

const IFREQ_BYTES = 40;
const IFREQ_NAME_BYTES = 16;
/** The kernel reads and writes the request by its address: V8 does not move a buffer of a page. */
const REQUEST_BYTES = 4096;

export interface LinkDriver {
	/** `virtio_net`; empty when the driver does not say. */
	name: string;
	/** Computes checksums, cuts TCP, pushes VLAN tags when it sends. */
	txChecksum: boolean;
	tso: boolean;
	txVlan: boolean;
	/** Takes VLAN tags out of frames when it receives. */
	rxVlan: boolean;
	/** Receive queues in use; 1 when the driver does not say. */
	rxQueues: number;
	/** Puts received TCP segments together in a way that can not be undone. */
	lro: boolean;
}

/** @throws SysError ENODEV */
export function linkDriver(link: string): LinkDriver {
	const fd = libc.socket(libc.AF_INET, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
	try {
		const flags = ask(fd, link, ETHTOOL_GFLAGS)?.readUInt32LE(4) ?? 0;
		const channels = ask(fd, link, ETHTOOL_GCHANNELS);
		const information = ask(fd, link, ETHTOOL_GDRVINFO);
		return {
			// struct ethtool_drvinfo: u32 cmd, char driver[32]...
			name: information?.toString("latin1", 4, information.indexOf(0, 4)) ?? "",
			txChecksum: ask(fd, link, ETHTOOL_GTXCSUM)?.readUInt32LE(4) === 1,
			tso: ask(fd, link, ETHTOOL_GTSO)?.readUInt32LE(4) === 1,
			txVlan: (flags & FLAG_TXVLAN) !== 0,
			rxVlan: (flags & FLAG_RXVLAN) !== 0,
			// struct ethtool_channels: u32 rx_count at 20, combined_count at 32
			rxQueues: Math.max(1, (channels?.readUInt32LE(20) ?? 0) + (channels?.readUInt32LE(32) ?? 0)),
			lro: (flags & FLAG_LRO) !== 0,
		};
	} finally {
		libc.close(fd);
	}
}

/** The request as the kernel has filled it; undefined when the driver does not know it. */
function ask(fd: number, link: string, command: number): Buffer | undefined {
	const request = Buffer.alloc(REQUEST_BYTES);
	request.writeUInt32LE(command, 0);
	const ifreq = Buffer.alloc(IFREQ_BYTES);
	ifreq.write(link, 0);
	ifreq.writeBigUInt64LE(BigInt(libc.addressOf(request)), IFREQ_NAME_BYTES);
	try {
		libc.ioctl(fd, SIOCETHTOOL, ifreq, "SIOCETHTOOL", link);
		return request;
	} catch (error) {
		if (isErrno(error, "EOPNOTSUPP", "EPERM")) return undefined;
		throw error;
	}
}
