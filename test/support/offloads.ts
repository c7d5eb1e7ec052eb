/** Offloads of an interface, switched as `ethtool -K` does (linux/ethtool.h). */
import { AF_INET, addressOf, close, ioctl, SOCK_DGRAM, socket } from "../../src/sys/libc.js";
import { inNetns, openNetns } from "../../src/sys/netns.js";
import type { Namespace } from "./netns.js";

const SIOCETHTOOL = 0x8946;
/** Checksums first: segmentation needs them. */
const SETTINGS = { ETHTOOL_STXCSUM: 0x17, ETHTOOL_STSO: 0x1f, ETHTOOL_SGSO: 0x24, ETHTOOL_SGRO: 0x2c };
const IFREQ_BYTES = 40;
const IFREQ_DATA = 16;

/**
 * Switches checksums, segmentation and coalescing of an interface on or off: without them a sender makes packets of
 * MTU size with complete checksums itself.
 * @throws SysError when the kernel refuses
 */
export function setOffloads(ns: Namespace, ifname: string, isOn: boolean): void {
	const netns = openNetns(ns.path);
	try {
		inNetns(netns, () => {
			const fd = socket(AF_INET, SOCK_DGRAM, 0);
			// One large piece of memory: what the kernel reads through a pointer must not move.
			const memory = Buffer.alloc(8192);
			memory.write(ifname, 0, "latin1");
			const value = 4096; // struct ethtool_value
			memory.writeBigUInt64LE(BigInt(addressOf(memory) + value), IFREQ_DATA);
			try {
				for (const [name, command] of Object.entries(SETTINGS)) {
					memory.writeUInt32LE(command, value);
					memory.writeUInt32LE(isOn ? 1 : 0, value + 4);
					ioctl(fd, SIOCETHTOOL, memory.subarray(0, IFREQ_BYTES), name, ifname);
				}
			} finally {
				close(fd);
			}
		});
	} finally {
		close(netns);
	}
}

const TUNSETOFFLOAD = 0x400454d0;

/** Has a TAP's kernel finish all frames that it sends, and give up those that are not finished (linux/if_tun.h). */
export function takeNoOffloads(fd: number, ifname: string): void {
	ioctl(fd, TUNSETOFFLOAD, 0, "TUNSETOFFLOAD", ifname);
}
