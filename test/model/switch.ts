/**
 * The switch as one would explain it: plain objects, one frame at a time, nothing fast. The packet core is compared
 * with this.
 *
 * The rules, top to bottom, are those of macvlan in bridge mode (drivers/net/macvlan.c) behind 802.1Q tagging, and
 * stricter where the comments say so. A frame is bytes; what the kernel says about it besides is its virtio_net_hdr
 * (linux/virtio_net.h) and, on an uplink, the outer VLAN tag that the kernel took off.
 */

export type DropReason = "port_down" | "runt" | "offload" | "source" | "vlan" | "hairpin" | "unknown" | "giant";

export interface ModelTag {
	tpid: number;
	vid: number;
}

export interface ModelPort {
	kind: "uplink" | "endpoint" | "host";
	/** Number of the segment; 0 for an uplink, which has many. */
	segment: number;
	/** Number of the network; 0 for all but endpoints. */
	network: number;
	/** `aa:bb:cc:dd:ee:ff`. */
	mac: string;
	mtuBytes: number;
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

const be16 = (bytes: number[], at: number): number => bytes[at]! * 256 + bytes[at + 1]!;
const macAt = (bytes: number[], at: number): string =>
	bytes
		.slice(at, at + 6)
		.map((octet) => octet.toString(16).padStart(2, "0"))
		.join(":");
const isGroup = (mac: string): boolean => Number.parseInt(mac.slice(0, 2), 16) % 2 === 1;
const vidOf = (tci: number): number => tci % 4096;

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

function isOffloadValid(
	{ flags, gsoType, headerBytes, gsoSize, csumStart, csumOffset }: Offload,
	length: number,
): boolean {
	const needsCsum = (flags & NEEDS_CSUM) !== 0;
	if (needsCsum && (csumStart < HEADER_BYTES || csumStart + csumOffset + 2 > length)) return false;
	if (gsoType === 0) return true;
	return GSO_TYPES.includes(gsoType & ~ECN) && needsCsum && gsoSize > 0 && headerBytes <= length;
}

/** Longer than the port takes. Offload frames are cut by the kernel; one customer tag does not count. */
function isGiant(frame: ModelFrame, port: ModelPort): boolean {
	const allowed = port.mtuBytes + HEADER_BYTES + (tagOf(frame) ? TAG_BYTES : 0);
	return frame.offload.gsoType === 0 && frame.bytes.length > allowed;
}

export class SwitchModel {
	readonly ports = new Map<number, ModelPort>();
	readonly segments = new Map<number, ModelSegment>();

	/** Forwards one frame that arrived on a port. */
	receive(ingress: number, frame: ModelFrame): Verdict {
		const verdict: Verdict = { copies: new Map(), drops: [] };
		const reason = this.#classify(ingress, frame, verdict);
		if (reason) verdict.drops.push({ port: ingress, reason });
		return verdict;
	}

	#classify(ingress: number, frame: ModelFrame, verdict: Verdict): DropReason | undefined {
		const { bytes, offload } = frame;
		const port = this.ports.get(ingress);
		if (!port) return "port_down";
		if (bytes.length < HEADER_BYTES) return "runt";
		if (TPIDS.includes(be16(bytes, 12)) && !tagOf(frame)) return "runt";
		if (!isOffloadValid(offload, bytes.length)) return "offload";
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
		if (port.kind === "host") return this.#toWire(segment, inner, priority, verdict) ? undefined : "unknown";
		return this.#fromEndpoint(ingress, port, inner, priority, verdict);
	}

	#fromEndpoint(
		ingress: number,
		port: ModelPort,
		frame: ModelFrame,
		priority: number,
		verdict: Verdict,
	): DropReason | undefined {
		const segment = this.segments.get(port.segment)!;
		const destination = macAt(frame.bytes, 0);
		const siblings = this.#members(port.segment).filter(([, member]) => member.network === port.network);
		if (!isGroup(destination)) {
			const [target] = siblings.find(([, { mac }]) => mac === destination) ?? [];
			if (target === ingress) return "hairpin";
			if (target !== undefined) return this.#send(target, frame, verdict);
			return this.#toWire(segment, frame, priority, verdict) ? undefined : "unknown";
		}
		const isPause = be16(frame.bytes, 12) === ETHERTYPE_PAUSE;
		const others = siblings.filter(([number]) => number !== ingress && !isPause);
		for (const [number] of others) this.#send(number, frame, verdict);
		const isOnWire = this.#toWire(segment, frame, priority, verdict);
		return isOnWire || others.length > 0 ? undefined : "unknown";
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

		const destination = macAt(inner.bytes, 0);
		const members = this.#members(fid);
		if (!isGroup(destination)) {
			const [target] = members.find(([, { mac }]) => mac === destination) ?? [];
			return target === undefined ? "unknown" : this.#send(target, inner, verdict);
		}
		if (be16(inner.bytes, 12) === ETHERTYPE_PAUSE) return "unknown";
		// What one of ours sent and the wire brought back: its siblings saw it on its way out.
		const sender = members.find(([, { mac }]) => mac === macAt(inner.bytes, 6))?.[1];
		const echoed = sender?.kind === "endpoint" ? sender.network : undefined;
		const receivers = members.filter(([, { kind, network }]) => kind === "host" || network !== echoed);
		for (const [number] of receivers) this.#send(number, inner, verdict);
		return receivers.length > 0 ? undefined : "unknown";
	}

	#members(segment: number): [number, ModelPort][] {
		return [...this.ports].filter(([, port]) => port.kind !== "uplink" && port.segment === segment);
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
