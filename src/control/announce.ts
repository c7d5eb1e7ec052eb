/**
 * What tells switches and neighbours where an address has moved to, in bytes: an ARP announcement (RFC 5227 2.3) and an
 * unsolicited neighbour advertisement (RFC 4861 7.2.6).
 *
 *      ARP    Ethernet to all | 1, 0x0800, 6, 4, request | MAC, address | zero, the same address
 *      NA     Ethernet to 33:33:00:00:00:01 | IPv6 from the address to ff02::1, hop limit 255
 *             | 136, 0, checksum, override | the address | option 2: MAC
 */
import { ipBytes } from "../netlink/address.js";
import { macBytes } from "../netlink/codec.js";

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const ALL_STATIONS = "ff:ff:ff:ff:ff:ff";
/** Group address of ff02::1 (RFC 2464 7). */
const ALL_NODES_MAC = "33:33:00:00:00:01";
const ALL_NODES = "ff02::1";
const ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
/** The O flag: whoever has another address for it shall forget that. */
const OVERRIDE = 0x20;
const TARGET_ADDRESS_OPTION = 2;

/** The frame that announces an address, without prefix length, of either family. */
export function announcement(mac: string, address: string): Buffer {
	return address.includes(":") ? neighbourAdvertisement(mac, address) : arpAnnouncement(mac, address);
}

function arpAnnouncement(mac: string, address: string): Buffer {
	const sender = [macBytes(mac), ipBytes(address)];
	const body = [Buffer.from([0, 1, 8, 0, 6, 4, 0, 1]), ...sender, Buffer.alloc(6), ipBytes(address)];
	return ethernet(ALL_STATIONS, mac, ETHERTYPE_ARP, body);
}

function neighbourAdvertisement(mac: string, address: string): Buffer {
	const option = [Buffer.from([TARGET_ADDRESS_OPTION, 1]), macBytes(mac)];
	const head = Buffer.from([NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0]);
	const message = Buffer.concat([head, ipBytes(address), ...option]);
	const ends = [ipBytes(address), ipBytes(ALL_NODES)];
	message.writeUInt16BE(checksum(Buffer.concat([...ends, u32(message.length), u32(ICMPV6), message])), 2);
	const header = Buffer.from([0x60, 0, 0, 0, 0, message.length, ICMPV6, 255]);
	return ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6, [header, ...ends, message]);
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
