/**
 * What tells switches and neighbours where an address has moved to, in bytes: an ARP announcement (RFC 5227 2.3) and an
 * unsolicited neighbour advertisement (RFC 4861 7.2.6). And what asks whether anybody has an address, without a change
 * in anybody's table: an ARP probe (RFC 5227 2.1.1) and a neighbour solicitation (RFC 4862 5.4.2).
 *
 *      ARP    Ethernet to all | 1, 0x0800, 6, 4, request | MAC, address | zero, the same address
 *      NA     Ethernet to 33:33:00:00:00:01 | IPv6 from the address to ff02::1, hop limit 255
 *             | 136, 0, checksum, override | the address | option 2: MAC
 *      probe  Ethernet to all | 1, 0x0800, 6, 4, request | MAC, 0.0.0.0 | zero, the address
 *      NS     Ethernet to 33:33:ff:xx:xx:xx | IPv6 from :: to ff02::1:ffxx:xxxx, hop limit 255
 *             | 135, 0, checksum, zero | the address
 */
import { ipBytes, ipText } from "../../netlink/address.js";
import { macBytes } from "../../netlink/codec.js";

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const ALL_STATIONS = "ff:ff:ff:ff:ff:ff";
/** Group address of ff02::1 (RFC 2464 7). */
const ALL_NODES_MAC = "33:33:00:00:00:01";
const ALL_NODES = "ff02::1";
const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
/** The O flag: whoever has another address for it shall forget that. */
const OVERRIDE = 0x20;
const TARGET_ADDRESS_OPTION = 2;

/** The frame that announces an address, without prefix length, of either family. */
export function announcement(mac: string, address: string): Buffer {
	return address.includes(":") ? neighbourAdvertisement(mac, address) : arpAnnouncement(mac, address);
}

/** The frame that asks whether anybody has an address. @param mac of who asks, where answers by ARP go to */
export function probe(mac: string, address: string): Buffer {
	return address.includes(":") ? neighbourSolicitation(mac, address) : arpRequest(mac, "0.0.0.0", address);
}

/** The address that a frame's sender says it has, be it asked or not; undefined when the frame says none. */
export function addressClaimedBy(frame: Uint8Array): string | undefined {
	const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
	if (bytes.length < 42) return undefined;
	const ethertype = bytes.readUInt16BE(12);
	if (ethertype === ETHERTYPE_ARP) return ipText(bytes.subarray(28, 32));
	const isAdvertisement = ethertype === ETHERTYPE_IPV6 && bytes[20] === ICMPV6 && bytes[54] === NEIGHBOUR_ADVERTISEMENT;
	return isAdvertisement && bytes.length >= 78 ? ipText(bytes.subarray(62, 78)) : undefined;
}

function arpAnnouncement(mac: string, address: string): Buffer {
	return arpRequest(mac, address, address);
}

function arpRequest(mac: string, sender: string, target: string): Buffer {
	const senders = [macBytes(mac), ipBytes(sender)];
	const body = [Buffer.from([0, 1, 8, 0, 6, 4, 0, 1]), ...senders, Buffer.alloc(6), ipBytes(target)];
	return ethernet(ALL_STATIONS, mac, ETHERTYPE_ARP, body);
}

function neighbourAdvertisement(mac: string, address: string): Buffer {
	const option = [Buffer.from([TARGET_ADDRESS_OPTION, 1]), macBytes(mac)];
	const head = Buffer.from([NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0]);
	const message = Buffer.concat([head, ipBytes(address), ...option]);
	return ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6, icmpv6(ipBytes(address), ipBytes(ALL_NODES), message));
}

function neighbourSolicitation(mac: string, address: string): Buffer {
	const low = ipBytes(address).subarray(13);
	// RFC 4291 2.7.1, RFC 2464 7.
	const group = Buffer.concat([ipBytes("ff02::1:ff00:0").subarray(0, 13), low]);
	const groupMac = ["33", "33", "ff", ...Array.from(low, (octet) => octet.toString(16).padStart(2, "0"))].join(":");
	const message = Buffer.concat([Buffer.from([NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]), ipBytes(address)]);
	return ethernet(groupMac, mac, ETHERTYPE_IPV6, icmpv6(ipBytes("::"), group, message));
}

/** An IPv6 header, and the message with its checksum in it (RFC 4443 2.3). */
function icmpv6(source: Buffer, target: Buffer, message: Buffer): Buffer[] {
	message.writeUInt16BE(checksum(Buffer.concat([source, target, u32(message.length), u32(ICMPV6), message])), 2);
	return [Buffer.from([0x60, 0, 0, 0, 0, message.length, ICMPV6, 255]), source, target, message];
}

function ethernet(target: string, source: string, ethertype: number, payload: Buffer[]): Buffer {
	return Buffer.concat([macBytes(target), macBytes(source), u32(ethertype).subarray(2), ...payload]);
}

function u32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(value);
	return bytes;
}

/** Internet checksum (RFC 1071) of an even number of bytes. */
function checksum(bytes: Buffer): number {
	let sum = 0;
	for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
	while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
	return ~sum & 0xffff;
}
