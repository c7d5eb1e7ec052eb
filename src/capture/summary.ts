/** One line for a frame, in the words of tcpdump. */
import ipaddr from "ipaddr.js";
import { type Decoded, decode, ETHERTYPE, PROTOCOL } from "./decode.js";

const TCP_FLAGS = [
	[0x02, "S"],
	[0x01, "F"],
	[0x04, "R"],
	[0x08, "P"],
	[0x20, "U"],
	[0x40, "E"],
	[0x80, "W"],
	[0x10, "."],
] as const;

const ICMP_ECHO: Record<number, string> = { 8: "echo request", 0: "echo reply" };
const ICMP_NAMES: Record<number, string> = {
	...{ 3: "destination unreachable", 4: "source quench", 5: "redirect", 11: "time exceeded", 12: "parameter problem" },
};
const ICMP6_ECHO: Record<number, string> = { 128: "echo request", 129: "echo reply" };
const ICMP6_NAMES: Record<number, string> = {
	...{ 1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem" },
	...{ 130: "multicast listener query", 133: "router solicitation", 134: "router advertisement", 137: "redirect" },
	...{ 143: "multicast listener report v2" },
};
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;

/** What the frame carries: `vlan 50, IP 10.0.0.1.80 > 10.0.0.2.4711: Flags [S.], length 0`. */
export function summarise(bytes: Uint8Array, originalBytes: number): string {
	if (bytes.length < 14) return `runt, length ${originalBytes}`;
	const decoded = decode(bytes);
	const tags = decoded.vids.map((vid) => `vlan ${vid}, `).join("");
	return tags + contentOf(new Reader(bytes), decoded, originalBytes);
}

/** Local time of day, to the microsecond. */
export function timeOfDay(timeNs: bigint): string {
	const at = new Date(Number(timeNs / 1_000_000n));
	const [hours, minutes, seconds] = [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) =>
		String(n).padStart(2, "0"),
	);
	const micros = String((timeNs / 1000n) % 1_000_000n).padStart(6, "0");
	return `${hours}:${minutes}:${seconds}.${micros}`;
}

/** Bytes of a frame that may have been cut: what is not there reads as 0. */
class Reader {
	constructor(readonly bytes: Uint8Array) {}

	u8(at: number): number {
		return this.bytes[at] ?? 0;
	}

	u16(at: number): number {
		return (this.u8(at) << 8) | this.u8(at + 1);
	}

	mac(at: number): string {
		return Array.from({ length: 6 }, (_, i) =>
			this.u8(at + i)
				.toString(16)
				.padStart(2, "0"),
		).join(":");
	}

	ip(at: number, length: number): string {
		return ipaddr.fromByteArray(Array.from({ length }, (_, i) => this.u8(at + i))).toString();
	}
}

function contentOf(frame: Reader, decoded: Decoded, originalBytes: number): string {
	const { ethertype, l3, addressBytes } = decoded;
	if (ethertype === ETHERTYPE.arp && addressBytes > 0) return arpText(frame, decoded);
	if ((ethertype === ETHERTYPE.ipv4 || ethertype === ETHERTYPE.ipv6) && addressBytes > 0) return ipText(frame, decoded);
	const type = ethertype < 0x600 ? "802.3" : `ethertype 0x${ethertype.toString(16).padStart(4, "0")}`;
	return `${frame.mac(6)} > ${frame.mac(0)}, ${type}, length ${Math.max(0, originalBytes - l3)}`;
}

function arpText(frame: Reader, { l3, source, target }: Decoded): string {
	const [from, to] = [frame.ip(source, 4), frame.ip(target, 4)];
	const operation = frame.u16(l3 + 6);
	if (operation === 1) return from === to ? `ARP, Announcement ${from}` : `ARP, Request who-has ${to} tell ${from}`;
	if (operation === 2) return `ARP, Reply ${from} is-at ${frame.mac(l3 + 8)}`;
	return `ARP, operation ${operation}`;
}

function ipText(frame: Reader, decoded: Decoded): string {
	const { ethertype, source, target, addressBytes, sourcePort, targetPort } = decoded;
	const end = (at: number, port: number) => frame.ip(at, addressBytes) + (port >= 0 ? `.${port}` : "");
	const family = ethertype === ETHERTYPE.ipv4 ? "IP" : "IP6";
	const content = decoded.l4 === 0 ? `protocol ${decoded.protocol}, later fragment` : layer4Text(frame, decoded);
	const fragment = decoded.isFragment && decoded.l4 > 0 ? ", first fragment" : "";
	return `${family} ${end(source, sourcePort)} > ${end(target, targetPort)}: ${content}${fragment}`;
}

function layer4Text(frame: Reader, { protocol, l4, l4Bytes }: Decoded): string {
	switch (protocol) {
		case PROTOCOL.tcp: {
			const flags = TCP_FLAGS.map(([bit, letter]) => (frame.u8(l4 + 13) & bit ? letter : "")).join("");
			return `Flags [${flags || "none"}], length ${Math.max(0, l4Bytes - (frame.u8(l4 + 12) >> 4) * 4)}`;
		}
		case PROTOCOL.udp:
			return `UDP, length ${Math.max(0, l4Bytes - 8)}`;
		case PROTOCOL.icmp:
			return `ICMP ${icmpText(frame, l4, ICMP_ECHO, ICMP_NAMES)}, length ${l4Bytes}`;
		case PROTOCOL.icmp6:
			return `ICMP6, ${icmp6Text(frame, l4)}, length ${l4Bytes}`;
		default:
			return `protocol ${protocol}, length ${l4Bytes}`;
	}
}

function icmpText(frame: Reader, l4: number, echoes: Record<number, string>, names: Record<number, string>): string {
	const type = frame.u8(l4);
	const echo = echoes[type];
	if (echo) return `${echo}, id ${frame.u16(l4 + 4)}, seq ${frame.u16(l4 + 6)}`;
	return names[type] ?? `type ${type}`;
}

function icmp6Text(frame: Reader, l4: number): string {
	const type = frame.u8(l4);
	if (type === NEIGHBOUR_SOLICITATION) return `neighbor solicitation, who has ${frame.ip(l4 + 8, 16)}`;
	if (type === NEIGHBOUR_ADVERTISEMENT) return `neighbor advertisement, tgt is ${frame.ip(l4 + 8, 16)}`;
	return icmpText(frame, l4, ICMP6_ECHO, ICMP6_NAMES);
}
