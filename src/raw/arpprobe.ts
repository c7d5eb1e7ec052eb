/**
 * Does a LAN answer a station with this MAC address? ARP probes (RFC 5227 1.1: sender address 0.0.0.0, so that no
 * neighbour's cache changes) go out through a packet socket on the link, tagged or not; answers are waited for.
 */
import { ipBytes } from "../netlink/address.js";
import { macBytes } from "../netlink/codec.js";
import * as libc from "../sys/libc.js";
import { addUnicastMac, openPacketSocket, setPromiscuous } from "./packet.js";

export interface ArpProbe {
	link: string;
	/** Tags that the probes wear, outermost first. */
	vlans: readonly { tpid: number; vid: number }[];
	/** Hardware address to ask from. */
	mac: string;
	/** IPv4 address to ask for. */
	target: string;
}

const ETHERTYPE_ARP = 0x0806;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const ATTEMPTS = 3;
const ANSWER_MS_MAX = 500;
const POLL_MS = 10;
/** `struct virtio_net_hdr`: in front of each frame of the socket. */
const VNET_BYTES = 10;
const TAG_BYTES = 4;
const FRAME_BYTES_MAX = 65_560;

/** struct msghdr, struct iovec, room for the control message, the frame: one buffer that V8 does not move. */
const MSGHDR_BYTES = 56;
const IOVEC_BYTES = 16;
const CONTROL_BYTES = 64;
const CONTROL_AT = MSGHDR_BYTES + IOVEC_BYTES;
const FRAME_AT = CONTROL_AT + CONTROL_BYTES;
/** struct cmsghdr, then struct tpacket_auxdata: u32 status, u32 x3, u16 mac, u16 net, u16 tci, u16 tpid. */
const AUXDATA_AT = 16;
const AUXDATA_STATUS_VLAN = 1 << 4;

/** The hardware address that answered, undefined: none did. @throws SysError EPERM, ENETDOWN, ENODEV */
export async function arpProbe(probe: ArpProbe): Promise<string | undefined> {
	const { fd, ifindex } = openPacketSocket({ link: probe.link, promiscuous: false });
	try {
		// Tagged frames to other addresses pass a card's filter only when it has none (ADR 8).
		if (probe.vlans.length > 0) setPromiscuous(fd, ifindex, true);
		addUnicastMac(fd, ifindex, probe.mac);
		const inbox = new Inbox(fd);
		const request = Buffer.concat([Buffer.alloc(VNET_BYTES), requestOf(probe)]);
		for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
			libc.check(libc.write(fd, request), "write", probe.link);
			for (const end = performance.now() + ANSWER_MS_MAX; performance.now() < end; await pause()) {
				for (let frame = inbox.next(); frame !== undefined; frame = inbox.next()) {
					const answer = answerIn(frame, probe);
					if (answer !== undefined) return answer;
				}
			}
		}
		return undefined;
	} finally {
		libc.close(fd);
	}
}

function pause(): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

function requestOf({ vlans, mac, target }: ArpProbe): Buffer {
	const tags = vlans.map(({ tpid, vid }) => u16s(tpid, vid));
	const fixed = Buffer.concat([u16s(1, 0x0800), Buffer.of(6, 4), u16s(ARP_REQUEST)]);
	const addresses = [macBytes(mac), Buffer.alloc(4), Buffer.alloc(6), ipBytes(target)];
	return Buffer.concat([Buffer.alloc(6, 0xff), macBytes(mac), ...tags, u16s(ETHERTYPE_ARP), fixed, ...addresses]);
}

/** The sender of a reply to the probe, with the probe's tags. */
function answerIn(frame: Buffer, { vlans, mac, target }: ArpProbe): string | undefined {
	const head = Buffer.concat([...vlans.map(({ tpid, vid }) => u16s(tpid, vid)), u16s(ETHERTYPE_ARP)]);
	const arp = frame.subarray(12 + head.length);
	const tagsAsked = Buffer.from(frame.subarray(12, 12 + head.length));
	// Priority and drop eligibility are the network's to choose.
	for (let at = 2; at < vlans.length * TAG_BYTES; at += TAG_BYTES) tagsAsked[at] = (tagsAsked[at] ?? 0) & 0x0f;
	const isAnswer =
		frame.subarray(0, 6).equals(macBytes(mac)) &&
		tagsAsked.equals(head) &&
		arp.length >= 28 &&
		arp.readUInt16BE(6) === ARP_REPLY &&
		arp.subarray(14, 18).equals(ipBytes(target));
	return isAnswer ? [...arp.subarray(8, 14)].map((byte) => byte.toString(16).padStart(2, "0")).join(":") : undefined;
}

/** Frames of a packet socket with PACKET_VNET_HDR and PACKET_AUXDATA, the tag that the kernel took out put back. */
class Inbox {
	readonly #memory = Buffer.from(new ArrayBuffer(FRAME_AT + FRAME_BYTES_MAX));
	readonly #address = libc.addressOf(this.#memory);

	constructor(readonly fd: number) {}

	next(): Buffer | undefined {
		const memory = this.#memory;
		memory.fill(0, 0, FRAME_AT);
		memory.writeBigUInt64LE(BigInt(this.#address + MSGHDR_BYTES), 16); // msg_iov
		memory.writeBigUInt64LE(1n, 24);
		memory.writeBigUInt64LE(BigInt(this.#address + CONTROL_AT), 32); // msg_control
		memory.writeBigUInt64LE(BigInt(CONTROL_BYTES), 40);
		memory.writeBigUInt64LE(BigInt(this.#address + FRAME_AT), MSGHDR_BYTES); // iov_base
		memory.writeBigUInt64LE(BigInt(FRAME_BYTES_MAX), MSGHDR_BYTES + 8);
		const bytes = libc.recvmsgAt(this.fd, this.#address, libc.MSG_DONTWAIT);
		if (bytes < VNET_BYTES) return undefined;
		const frame = Buffer.from(memory.subarray(FRAME_AT + VNET_BYTES, FRAME_AT + bytes));
		const auxdata = CONTROL_AT + AUXDATA_AT;
		if ((memory.readUInt32LE(auxdata) & AUXDATA_STATUS_VLAN) === 0) return frame;
		const tag = u16s(memory.readUInt16LE(auxdata + 18), memory.readUInt16LE(auxdata + 16));
		return Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
	}
}

function u16s(...values: number[]): Buffer {
	const bytes = Buffer.alloc(values.length * 2);
	for (const [index, value] of values.entries()) bytes.writeUInt16BE(value, index * 2);
	return bytes;
}
