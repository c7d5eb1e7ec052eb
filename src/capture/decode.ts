/** What a frame carries, as far as filters and one line of text need it. Cut frames are read as far as they go. */

/** Where things stand in a frame; offsets are 0 where the frame does not have them. */
export interface Decoded {
	/** VLAN ids, outermost first. */
	vids: number[];
	/** Behind all tags; below 0x600 it is a length. */
	ethertype: number;
	/** First byte behind the ethertype. */
	l3: number;
	/** Protocol of IP, behind IPv6's extension headers; -1: not IP, or cut before it. */
	protocol: number;
	/** Source and destination address (of ARP: of the protocol), and their length in bytes: 4 or 16. */
	source: number;
	target: number;
	addressBytes: number;
	/** First byte behind IP's headers; 0 in fragments but the first one. */
	l4: number;
	/** Bytes from there on, by IP's own length. */
	l4Bytes: number;
	/** Ports of TCP, UDP and SCTP; -1 for others. */
	sourcePort: number;
	targetPort: number;
	isFragment: boolean;
}

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd };
export const PROTOCOL = { icmp: 1, igmp: 2, tcp: 6, udp: 17, icmp6: 58, sctp: 132 };
const TPIDS = [0x8100, 0x88a8];
/** Extension headers of IPv6: hop-by-hop, routing, fragment, destination options. */
const EXTENSIONS = [0, 43, 44, 60];
const FRAGMENT = 44;
const WITH_PORTS = [PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.sctp];

/** Never throws. */
export function decode(bytes: Uint8Array): Decoded {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const u16 = (at: number) => (at + 2 <= view.byteLength ? view.getUint16(at) : -1);
	const found: Decoded = {
		...{ vids: [], ethertype: u16(12), l3: 14, protocol: -1, source: 0, target: 0, addressBytes: 0 },
		...{ l4: 0, l4Bytes: 0, sourcePort: -1, targetPort: -1, isFragment: false },
	};
	while (TPIDS.includes(found.ethertype)) {
		found.vids.push(u16(found.l3) & 0xfff);
		found.ethertype = u16(found.l3 + 2);
		found.l3 += 4;
	}
	if (found.ethertype === ETHERTYPE.ipv4) decodeIpv4(found, view, u16);
	else if (found.ethertype === ETHERTYPE.ipv6) decodeIpv6(found, view, u16);
	else if (found.ethertype === ETHERTYPE.arp && view.byteLength >= found.l3 + 28) {
		Object.assign(found, { source: found.l3 + 14, target: found.l3 + 24, addressBytes: 4 });
	}
	if (found.l4 > 0 && WITH_PORTS.includes(found.protocol)) {
		found.sourcePort = u16(found.l4);
		found.targetPort = u16(found.l4 + 2);
	}
	return found;
}

function decodeIpv4(found: Decoded, view: DataView, u16: (at: number) => number): void {
	const { l3 } = found;
	if (view.byteLength < l3 + 20) return;
	const headerBytes = (view.getUint8(l3) & 15) * 4;
	const fragment = u16(l3 + 6);
	found.protocol = view.getUint8(l3 + 9);
	Object.assign(found, { source: l3 + 12, target: l3 + 16, addressBytes: 4, isFragment: (fragment & 0x3fff) !== 0 });
	if ((fragment & 0x1fff) === 0) found.l4 = l3 + headerBytes;
	found.l4Bytes = Math.max(0, lengthOf(u16(l3 + 2), view.byteLength - l3) - headerBytes);
}

function decodeIpv6(found: Decoded, view: DataView, u16: (at: number) => number): void {
	const { l3 } = found;
	if (view.byteLength < l3 + 40) return;
	Object.assign(found, { source: l3 + 8, target: l3 + 24, addressBytes: 16 });
	let next = view.getUint8(l3 + 6);
	let at = l3 + 40;
	let isFirst = true;
	while (EXTENSIONS.includes(next) && at + 8 <= view.byteLength) {
		if (next === FRAGMENT) {
			found.isFragment = true;
			isFirst = (u16(at + 2) & 0xfff8) === 0;
		}
		const extensionBytes = next === FRAGMENT ? 8 : (view.getUint8(at + 1) + 1) * 8;
		next = view.getUint8(at);
		at += extensionBytes;
	}
	found.protocol = next;
	if (isFirst && at <= view.byteLength) found.l4 = at;
	found.l4Bytes = Math.max(0, lengthOf(u16(l3 + 4), view.byteLength - l3 - 40) - (at - l3 - 40));
}

/** IP leaves its length 0 where it does not fit its 16 bits, which offloads make happen. */
function lengthOf(said: number, captured: number): number {
	return said === 0 ? captured : said;
}
