/**
 * The switch as one would explain it: plain objects, one frame at a time, nothing fast. The packet core is compared
 * with this.
 *
 * The rules, top to bottom, are those of macvlan (drivers/net/macvlan.c) and layer-2 ipvlan (drivers/net/ipvlan) behind
 * 802.1Q tagging, and stricter where the comments say so. The mode is the endpoint's, as in the kernel, so a network
 * may mix them. A frame is bytes; what the kernel says about it besides is its virtio_net_hdr (linux/virtio_net.h) and,
 * on an uplink, the outer VLAN tag that the kernel took off.
 */
import type { ForwardingMode, PortSecurity } from "../../src/host/types.js";
import { AddressBook, packetOf } from "./addresses.js";
import { isSpoofed } from "./security.js";

export type DropReason =
	| "port_down"
	| "runt"
	| "offload"
	| "source"
	| "spoofed"
	| "vlan"
	| "hairpin"
	| "unknown"
	| "giant";

export interface ModelTag {
	tpid: number;
	vid: number;
}

export interface ModelPort {
	kind: "uplink" | "endpoint" | "host";
	/** Of an endpoint; "bridge" and without meaning for all others. */
	mode: ForwardingMode;
	/** Number of the segment; 0 for an uplink, which has many. */
	segment: number;
	/** Number of the network; 0 for all but endpoints. */
	network: number;
	/** `aa:bb:cc:dd:ee:ff`: one of its own in the segment, but the ipvlan endpoints of a network share one. */
	mac: string;
	mtuBytes: number;
	security: PortSecurity;
}

export interface ModelSegment {
	/** Port number, 0 when the segment never leaves the host. */
	uplink: number;
	/** Outermost first. */
	tags: ModelTag[];
}

/** virtio_net_hdr. */
export interface Offload {
	flags: number;
	gsoType: number;
	headerBytes: number;
	gsoSize: number;
	csumStart: number;
	csumOffset: number;
}

export interface ModelFrame {
	offload: Offload;
	/** From the destination address on. */
	bytes: number[];
	/** The outer tag that the kernel took off. */
	stripped?: { tpid: number; tci: number };
}

export interface Verdict {
	/** What is sent, by port. */
	copies: Map<number, ModelFrame>;
	/** What is counted as dropped, on which port. */
	drops: { port: number; reason: DropReason }[];
}

const NEEDS_CSUM = 1;
const ECN = 0x80;
/** TCPv4, UDP fragments, TCPv6, UDP datagrams. */
const GSO_TYPES = [1, 3, 4, 5];
const TPIDS = [0x8100, 0x88a8];
const ETHERTYPE_PAUSE = 0x8808;
const HEADER_BYTES = 14;
const TAG_BYTES = 4;

/**
 * Who of a network gets a group frame that one of it sent and the wire brings back (macvlan_multicast_rx): the modes
 * that have not seen it on its way out, or the sender alone. ipvlan endpoints have seen it, or never may
 * (ipvlan_external_frame).
 */
const ECHOED_TO: Record<ForwardingMode, ForwardingMode[] | "sender"> = {
	bridge: ["vepa"],
	vepa: ["vepa", "bridge"],
	private: "sender",
	passthru: "sender",
	source: "sender",
	"ipvlan-bridge": [],
	"ipvlan-private": [],
	"ipvlan-vepa": [],
};

const be16 = (bytes: number[], at: number): number => bytes[at]! * 256 + bytes[at + 1]!;
const macAt = (bytes: number[], at: number): string =>
	bytes
		.slice(at, at + 6)
		.map((octet) => octet.toString(16).padStart(2, "0"))
		.join(":");
const isGroup = (mac: string): boolean => Number.parseInt(mac.slice(0, 2), 16) % 2 === 1;
const vidOf = (tci: number): number => tci % 4096;
const isPause = ({ bytes }: ModelFrame): boolean => be16(bytes, 12) === ETHERTYPE_PAUSE;
const isIpvlan = ({ mode }: ModelPort): boolean => mode.startsWith("ipvlan");

/** The tag at byte 12, if a frame has one there with a type behind it. */
function tagOf({ bytes }: ModelFrame): { tpid: number; tci: number } | undefined {
	const isTagged = bytes.length >= HEADER_BYTES + TAG_BYTES && TPIDS.includes(be16(bytes, 12));
	return isTagged ? { tpid: be16(bytes, 12), tci: be16(bytes, 14) } : undefined;
}

/** Offsets that count from the start of the frame follow when it grows or shrinks, where they mean something. */
function moved(offload: Offload, delta: number): Offload {
	const csumStart = offload.flags & NEEDS_CSUM ? offload.csumStart + delta : offload.csumStart;
	const headerBytes = offload.gsoType !== 0 ? offload.headerBytes + delta : offload.headerBytes;
	return { ...offload, csumStart: csumStart & 0xffff, headerBytes: headerBytes & 0xffff };
}

function popTag({ offload, bytes }: ModelFrame): ModelFrame {
	return { offload: moved(offload, -TAG_BYTES), bytes: [...bytes.slice(0, 12), ...bytes.slice(16)] };
}

function pushTag({ offload, bytes }: ModelFrame, tpid: number, tci: number): ModelFrame {
	const tag = [tpid >> 8, tpid & 0xff, tci >> 8, tci & 0xff];
	return { offload: moved(offload, TAG_BYTES), bytes: [...bytes.slice(0, 12), ...tag, ...bytes.slice(12)] };
}

/** What it points to is behind the addresses, the tags (two are looked at) and the type. */
function isOffloadValid(frame: ModelFrame): boolean {
	const { flags, gsoType, headerBytes, gsoSize, csumStart, csumOffset } = frame.offload;
	const { length } = frame.bytes;
	const outer = tagOf(frame) ? TAG_BYTES : 0;
	const inner = outer && TPIDS.includes(be16(frame.bytes, 16)) ? TAG_BYTES : 0;
	const head = HEADER_BYTES + outer + inner;
	const needsCsum = (flags & NEEDS_CSUM) !== 0;
	if (needsCsum && (csumStart < head || csumStart + csumOffset + 2 > length)) return false;
	if (gsoType === 0) return true;
	return GSO_TYPES.includes(gsoType & ~ECN) && needsCsum && gsoSize > 0 && headerBytes >= head && headerBytes <= length;
}

/** Longer than the port takes. Offload frames are cut by the kernel; one customer tag does not count. */
function isGiant(frame: ModelFrame, port: ModelPort): boolean {
	const allowed = port.mtuBytes + HEADER_BYTES + (tagOf(frame) ? TAG_BYTES : 0);
	return frame.offload.gsoType === 0 && frame.bytes.length > allowed;
}

/** A port and its number. */
type Member = [number, ModelPort];

/** Who gets what an endpoint or a host port sends. */
interface Receivers {
	ports: number[];
	wire: boolean;
}

const WIRE_ONLY: Receivers = { ports: [], wire: true };
const NOBODY: Receivers = { ports: [], wire: false };

/** All others and the wire; pause frames stop at the next station (802.3 annex 31B), which is the wire's. */
function groupReceivers(ingress: number, siblings: Member[], frame: ModelFrame): Receivers {
	const others = isPause(frame) ? [] : siblings.filter(([number]) => number !== ingress);
	return { ports: others.map(([number]) => number), wire: true };
}

export class SwitchModel {
	readonly ports = new Map<number, ModelPort>();
	readonly segments = new Map<number, ModelSegment>();
	/** The network in source mode that hears a station, by segment and MAC. */
	readonly #heard = new Map<string, number>();
	readonly #addresses = new AddressBook();

	/** Lets a network in source mode hear a station; answers false when one of the segment does already. */
	allow(segment: number, network: number, mac: string): boolean {
		if (this.#heard.has(`${segment} ${mac}`)) return false;
		this.#heard.set(`${segment} ${mac}`, network);
		return true;
	}

	/** Answers false when no network hears the station. */
	disallow(segment: number, mac: string): boolean {
		return this.#heard.delete(`${segment} ${mac}`);
	}

	/** Gives an address (as in addresses.ts) to an ipvlan endpoint; answers false when it was given before. */
	assign(port: number, address: string): boolean {
		return this.#addresses.assign(this.ports.get(port)!.segment, address, port);
	}

	close(port: number): void {
		this.ports.delete(port);
		this.#addresses.forget(port);
	}

	/** Forwards one frame that arrived on a port. */
	receive(ingress: number, frame: ModelFrame): Verdict {
		const verdict: Verdict = { copies: new Map(), drops: [] };
		const reason = this.#classify(ingress, frame, verdict);
		if (reason) verdict.drops.push({ port: ingress, reason });
		return verdict;
	}

	#classify(ingress: number, frame: ModelFrame, verdict: Verdict): DropReason | undefined {
		const { bytes } = frame;
		const port = this.ports.get(ingress);
		if (!port) return "port_down";
		if (bytes.length < HEADER_BYTES) return "runt";
		if (TPIDS.includes(be16(bytes, 12)) && !tagOf(frame)) return "runt";
		if (!isOffloadValid(frame)) return "offload";
		const source = macAt(bytes, 6);
		// 802.3-2022 3.2.3: a source address is an individual one.
		if (isGroup(source) || source === "00:00:00:00:00:00") return "source";
		if (port.kind === "uplink") return this.#fromUplink(ingress, frame, verdict);

		const segment = this.segments.get(port.segment)!;
		const tag = tagOf(frame);
		// A priority tag says how, not where: it goes, and its PCP and DEI stay for the outermost tag that is pushed.
		const isPriority = tag !== undefined && vidOf(tag.tci) === 0;
		const inner = isPriority ? popTag(frame) : frame;
		// Stricter than the kernel: what is tagged would leave an untagged parent as a frame of any VLAN. So would half a tag
		// behind a priority tag, once the wire has padded it.
		if (TPIDS.includes(be16(inner.bytes, 12)) && segment.uplink && segment.tags.length === 0) return "vlan";
		const priority = isPriority ? tag.tci & 0xf000 : 0;
		const owner = (address: string) => this.#addresses.owner(port.segment, address);
		if (isSpoofed(ingress, port, inner.bytes, owner)) return "spoofed";
		if (isIpvlan(port)) {
			// Stricter than the kernel: the shared address is the only one, answers to another would be lost.
			if (source !== port.mac) return "source";
			const packet = packetOf(inner.bytes);
			if (packet) this.#addresses.learn(port.segment, packet.source, ingress);
		}
		const receivers = this.#receiversOf(ingress, port, inner);
		if (receivers === "hairpin") return "hairpin";
		for (const number of receivers.ports) this.#send(number, inner, verdict);
		const isOnWire = receivers.wire && this.#toWire(segment, inner, priority, verdict);
		return isOnWire || receivers.ports.length > 0 ? undefined : "unknown";
	}

	/** The host and every mode but bridge leave all to the wire (macvlan_queue_xmit). */
	#receiversOf(ingress: number, port: ModelPort, frame: ModelFrame): Receivers | "hairpin" {
		if (isIpvlan(port)) return this.#receiversOfIpvlan(ingress, port, frame);
		if (port.kind === "host" || port.mode !== "bridge") return WIRE_ONLY;
		const destination = macAt(frame.bytes, 0);
		const siblings = this.#endpoints(port.segment, port.network).filter(([, { mode }]) => mode === "bridge");
		if (isGroup(destination)) return groupReceivers(ingress, siblings, frame);
		const [target] = siblings.find(([, { mac }]) => mac === destination) ?? [];
		if (target === undefined) return WIRE_ONLY;
		return target === ingress ? "hairpin" : { ports: [target], wire: false };
	}

	/** ipvlan_xmit_mode_l2, but what is for the shared MAC never goes to the host. */
	#receiversOfIpvlan(ingress: number, port: ModelPort, frame: ModelFrame): Receivers | "hairpin" {
		const destination = macAt(frame.bytes, 0);
		const siblings = this.#endpoints(port.segment, port.network);
		if (isGroup(destination)) {
			return port.mode === "ipvlan-private" ? WIRE_ONLY : groupReceivers(ingress, siblings, frame);
		}
		if (destination !== port.mac || port.mode === "ipvlan-vepa") return WIRE_ONLY;
		const target = this.#addressee(port.segment, frame);
		const isSibling = siblings.some(([number]) => number === target);
		if (port.mode === "ipvlan-private" || target === undefined || !isSibling) return NOBODY;
		return target === ingress ? "hairpin" : { ports: [target], wire: false };
	}

	#fromUplink(ingress: number, frame: ModelFrame, verdict: Verdict): DropReason | undefined {
		const outer = frame.stripped ?? tagOf(frame);
		let inner: ModelFrame = frame.stripped || !outer ? frame : popTag(frame);
		const below = tagOf(inner);
		if (outer && vidOf(outer.tci) === 4095) return "vlan";
		const isTagged = outer !== undefined && vidOf(outer.tci) !== 0;
		let fid = this.#segmentOf(ingress, isTagged ? [outer] : []);
		const stacked = isTagged && below ? this.#segmentOf(ingress, [outer, below]) : undefined;
		if (stacked !== undefined) {
			fid = stacked;
			inner = popTag(inner);
		}
		if (fid === undefined) return "vlan";

		const heard = this.#hearing(fid, inner);
		const isForGroup = isGroup(macAt(inner.bytes, 0));
		const others = isForGroup ? this.#groupFromWire(fid, inner) : this.#stationFromWire(fid, inner);
		// A set: nobody gets a frame twice.
		const receivers = isForGroup && isPause(inner) ? new Set<number>() : new Set([...heard, ...others]);
		for (const number of receivers) this.#send(number, inner, verdict);
		return receivers.size > 0 ? undefined : "unknown";
	}

	/** Endpoints in source mode hear the stations that their network allows (macvlan_forward_source). */
	#hearing(fid: number, frame: ModelFrame): number[] {
		const network = this.#heard.get(`${fid} ${macAt(frame.bytes, 6)}`);
		if (network === undefined) return [];
		const members = this.#endpoints(fid, network).filter(([, { mode }]) => mode === "source");
		return members.map(([number]) => number);
	}

	/** A passthru endpoint takes everything; else the IP address decides between ipvlan endpoints, and then the MAC. */
	#stationFromWire(fid: number, frame: ModelFrame): number[] {
		const destination = macAt(frame.bytes, 0);
		const [passthru] = this.#members(fid).find(([, { mode }]) => mode === "passthru") ?? [];
		if (passthru !== undefined) return [passthru];
		const addressee = this.#addressee(fid, frame);
		const found = addressee === undefined ? undefined : this.ports.get(addressee);
		if (addressee !== undefined && found && isIpvlan(found) && found.mac === destination) return [addressee];
		const [target, port] = this.#station(fid, destination) ?? [];
		return target === undefined || port?.mode === "source" ? [] : [target];
	}

	/** macvlan_multicast_rx: everybody, but of the sender's own network only those who have not seen the frame. */
	#groupFromWire(fid: number, frame: ModelFrame): number[] {
		const [sender, port] = this.#senderOf(fid, frame) ?? [];
		const takers = this.#members(fid).filter(([number, { network, mode }]) => {
			if (!port || network !== port.network) return mode !== "source";
			const echoedTo = ECHOED_TO[port.mode];
			return echoedTo === "sender" ? number === sender : echoedTo.includes(mode) && number !== sender;
		});
		return takers.map(([number]) => number);
	}

	/** The endpoint of ours that sent what the wire brings back. */
	#senderOf(fid: number, frame: ModelFrame): Member | undefined {
		const source = macAt(frame.bytes, 6);
		const packet = packetOf(frame.bytes);
		const owner = packet && this.#addresses.owner(fid, packet.solicited ?? packet.source);
		const port = owner === undefined ? undefined : this.ports.get(owner);
		if (owner !== undefined && port?.mac === source) return [owner, port];
		const station = this.#station(fid, source);
		return station?.[1].kind === "endpoint" ? station : undefined;
	}

	/** The ipvlan endpoint whose address a packet is for. A solicitation is for the one that it asks for. */
	#addressee(fid: number, frame: ModelFrame): number | undefined {
		const packet = packetOf(frame.bytes);
		return packet && this.#addresses.owner(fid, packet.solicited ?? packet.destination);
	}

	/** Endpoints and host port of a segment. */
	#members(segment: number): Member[] {
		return [...this.ports].filter(([, port]) => port.kind !== "uplink" && port.segment === segment);
	}

	#endpoints(segment: number, network: number): Member[] {
		return this.#members(segment).filter(([, port]) => port.kind === "endpoint" && port.network === network);
	}

	/** Who is known by a MAC of its own. */
	#station(segment: number, mac: string): Member | undefined {
		return this.#members(segment).find(([, port]) => !isIpvlan(port) && port.mac === mac);
	}

	/** Number of the segment that wears exactly these tags on an uplink. */
	#segmentOf(uplink: number, tags: { tpid: number; tci: number }[]): number | undefined {
		const isWorn = (segment: ModelSegment): boolean =>
			segment.uplink === uplink &&
			segment.tags.length === tags.length &&
			segment.tags.every(({ tpid, vid }, i) => tpid === tags[i]!.tpid && vid === vidOf(tags[i]!.tci));
		return [...this.segments].find(([, segment]) => isWorn(segment))?.[0];
	}

	/** To the segment's uplink with its tags; false when it has none. */
	#toWire({ uplink, tags }: ModelSegment, frame: ModelFrame, priority: number, verdict: Verdict): boolean {
		const port = this.ports.get(uplink);
		if (!port) return false;
		if (isGiant(frame, port)) {
			verdict.drops.push({ port: uplink, reason: "giant" });
			return true;
		}
		const worn = tags.map(({ tpid, vid }, i) => ({ tpid, tci: vid | (i === 0 ? priority : 0) }));
		verdict.copies.set(
			uplink,
			worn.reduceRight((inner, { tpid, tci }) => pushTag(inner, tpid, tci), frame),
		);
		return true;
	}

	/** To an endpoint or host port. */
	#send(target: number, frame: ModelFrame, verdict: Verdict): undefined {
		if (isGiant(frame, this.ports.get(target)!)) verdict.drops.push({ port: target, reason: "giant" });
		else verdict.copies.set(target, { offload: frame.offload, bytes: frame.bytes });
	}
}
