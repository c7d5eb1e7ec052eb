/** Devices as ports of a live switch: opened, and set up as far as frames need it. */
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { openPacketSocket } from "../raw/packet.js";
import { close } from "../sys/libc.js";
import { inNetns, openNetns } from "../sys/netns.js";
import { openTap } from "../tap/tap.js";
import type { RawPortOptions, TapPortOptions } from "./options.js";

/** What a device adds to its port. */
export interface Device {
	fd: number;
	mac: string;
	mtuBytes: number;
}

/**
 * Makes a TAP device with an address and an MTU, and sets it up.
 * @throws SysError; nothing is left behind then
 */
export function openTapDevice({ ifname, netns }: TapPortOptions, mac: string, mtuBytes: number): Device {
	return inPlace(netns, () => {
		const { fd, ifindex } = openTap({ name: ifname, persist: false });
		const netlink = new Rtnetlink();
		try {
			netlink.setLink(ifindex, { mac, mtuBytes });
			netlink.setLink(ifindex, { up: true });
			return { fd, mac, mtuBytes };
		} catch (error) {
			close(fd);
			throw error;
		} finally {
			netlink.close();
		}
	});
}

/** Opens a raw socket on a link, which is left as it is. @throws SysError */
export function openRawDevice({ ifname, netns, promiscuous = true, mtuBytes }: RawPortOptions): Device {
	return inPlace(netns, () => {
		const socket = openPacketSocket({ link: ifname, promiscuous });
		return { fd: socket.fd, mac: socket.mac, mtuBytes: mtuBytes ?? socket.mtuBytes };
	});
}

function inPlace<T>(netns: string | undefined, visit: () => T): T {
	if (netns === undefined) return visit();
	const netnsFd = openNetns(netns);
	try {
		return inNetns(netnsFd, visit);
	} finally {
		close(netnsFd);
	}
}
