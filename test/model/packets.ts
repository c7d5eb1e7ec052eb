/** The packets that ipvlan looks into: their headers, with nothing in them but what it looks for. */
import ipaddr from "ipaddr.js";

/** What stands behind the addresses of an Ethernet frame. */
export interface PacketBytes {
	ethertype: number;
	bytes: number[];
}

const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;

const addressBytes = (text: string): number[] => ipaddr.parse(text).toByteArray();
const fill = (length: number, octet: number): number[] => Array.from({ length }, () => octet);

export function ipv4(source: string, destination: string): PacketBytes {
	return {
		ethertype: 0x0800,
		bytes: [0x45, ...fill(11, 0), ...addressBytes(source), ...addressBytes(destination)],
	};
}

export function arp(sender: string, target: string): PacketBytes {
	const [type, senderMac, targetMac] = [[0, 1, 8, 0, 6, 4, 0, 1], fill(6, 2), fill(6, 0)];
	return {
		ethertype: 0x0806,
		bytes: [...type, ...senderMac, ...addressBytes(sender), ...targetMac, ...addressBytes(target)],
	};
}

/** An IPv6 header and the first 24 bytes of an ICMPv6 message with a target address. */
export function ipv6(
	source: string,
	destination: string,
	{ nextHeader = 17, icmpType = 0, target = "::" } = {},
): PacketBytes {
	const header = [0x60, 0, 0, 0, 0, 24, nextHeader, 255, ...addressBytes(source), ...addressBytes(destination)];
	return { ethertype: 0x86dd, bytes: [...header, icmpType, ...fill(7, 0), ...addressBytes(target)] };
}

export function solicitation(source: string, target: string): PacketBytes {
	return ipv6(source, "ff02::1:ff00:1", { nextHeader: ICMPV6, icmpType: NEIGHBOUR_SOLICITATION, target });
}
