/** The packets that ipvlan and port security look into: their headers, with nothing in them but what they look for. */
import ipaddr from "ipaddr.js";

/** What stands behind the addresses of an Ethernet frame. */
export interface PacketBytes {
	ethertype: number;
	bytes: number[];
	/** Where it names its sender's MAC address, if it does. */
	linkAddressAt?: number;
}

const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;

const addressBytes = (text: string): number[] => ipaddr.parse(text).toByteArray();
const fill = (length: number, octet: number): number[] => Array.from({ length }, () => octet);

const UDP_BYTES = 8;

/** An IPv4 header, and a UDP header where there are ports. */
export function ipv4(source: string, destination: string, ports?: [number, number]): PacketBytes {
	const udp = ports ? [...ports.flatMap((port) => [port >> 8, port & 0xff]), 0, UDP_BYTES, 0, 0] : [];
	const start = [0x45, 0, 0, 20 + udp.length, 0, 0, 0, 0, 64, ports ? 17 : 0, 0, 0];
	return { ethertype: 0x0800, bytes: [...start, ...addressBytes(source), ...addressBytes(destination), ...udp] };
}

export function arp(sender: string, target: string): PacketBytes {
	const [type, senderMac, targetMac] = [[0, 1, 8, 0, 6, 4, 0, 1], fill(6, 2), fill(6, 0)];
	return {
		ethertype: 0x0806,
		bytes: [...type, ...senderMac, ...addressBytes(sender), ...targetMac, ...addressBytes(target)],
		linkAddressAt: type.length,
	};
}

export interface Ipv6Details {
	/** Of the header behind the extension headers. */
	nextHeader?: number;
	icmpType?: number;
	target?: string;
	/** Next-header values of extension headers, 8 bytes each, in front. */
	extensions?: number[];
	/** Of neighbour discovery options with a link-layer address, behind the target. */
	option?: number;
}

/** An IPv6 header and the first 24 bytes of an ICMPv6 message with a target address, and maybe an option. */
export function ipv6(
	source: string,
	destination: string,
	{ nextHeader = 17, icmpType = 0, target = "::", extensions = [], option }: Ipv6Details = {},
): PacketBytes {
	const kinds = [...extensions, nextHeader];
	const chain = extensions.flatMap((_, at) => [kinds[at + 1]!, ...fill(7, 0)]);
	const message = [icmpType, ...fill(7, 0), ...addressBytes(target), ...(option ? [option, 1, ...fill(6, 2)] : [])];
	const length = chain.length + message.length;
	const header = [0x60, 0, 0, 0, 0, length, kinds[0]!, 255, ...addressBytes(source), ...addressBytes(destination)];
	const bytes = [...header, ...chain, ...message];
	return { ethertype: 0x86dd, bytes, ...(option ? { linkAddressAt: bytes.length - 6 } : {}) };
}

export function solicitation(source: string, target: string): PacketBytes {
	return ipv6(source, "ff02::1:ff00:1", { nextHeader: ICMPV6, icmpType: NEIGHBOUR_SOLICITATION, target });
}
