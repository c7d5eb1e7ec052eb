/**
 * A learning bridge on top of a core that does not learn: who sent a frame is noted before it is forwarded, and a
 * frame for a station that nobody has seen wears the group bit through the core, which then floods it by its own rules.
 *
 * Stations behind an uplink are noted here but not in the core: there, what nobody of the segment has goes to the
 * uplink anyway.
 */
import type { OfflineDatapath } from "../host/offline.js";
import type { SegmentSpec } from "../host/types.js";

/** Half of the forwarding database; ports have entries in it too, so it may be full earlier. */
const STATIONS_MAX = 8192;
const ETHERNET_BYTES = 14;
const TPIDS = [0x8100, 0x88a8];
/** Of the first byte of an address: group or locally made (IEEE 802-2014 8.2). */
const GROUP_BIT = 0x01;

type Stations = Map<bigint, number>;

export class Learning {
	/** Stations of the segments that learn: MAC -> port. */
	readonly #stations = new Map<number, Stations>();
	/** Segments that learn, by port: one for a member, by tags for an uplink. */
	readonly #members = new Map<number, number>();
	readonly #uplinks = new Map<number, Map<number, number>>();

	constructor(readonly datapath: OfflineDatapath) {}

	addSegment(segment: number, { uplink, tags }: SegmentSpec): void {
		this.#stations.set(segment, new Map());
		if (uplink === null) return;
		const byTags = this.#uplinks.get(uplink) ?? new Map<number, number>();
		const [outer, inner] = tags.map(({ tpid, vid }) => tagKey(tpid, vid));
		this.#uplinks.set(uplink, byTags.set(pairKey(outer, inner), segment));
	}

	removeSegment(segment: number): void {
		for (const [mac, port] of this.#stations.get(segment) ?? []) this.#forget(segment, mac, port);
		this.#stations.delete(segment);
		for (const byTags of this.#uplinks.values()) {
			for (const [key, found] of byTags) if (found === segment) byTags.delete(key);
		}
	}

	addMember(port: number, segment: number): void {
		if (this.#stations.has(segment)) this.#members.set(port, segment);
	}

	removePort(port: number): void {
		for (const [segment, stations] of this.#stations) {
			for (const [mac, found] of stations) if (found === port) this.#forget(segment, mac, port);
		}
		this.#members.delete(port);
		this.#uplinks.delete(port);
	}

	/** Whether a frame's sender was behind another port until now: frames before it are to be forwarded first. */
	isMove(port: number, frame: Buffer): boolean {
		const stations = this.#stations.get(this.#segmentOf(port, frame));
		const known = stations && frame.length >= ETHERNET_BYTES && stations.get(macAt(frame, 6));
		return known !== undefined && known !== port;
	}

	/** Notes where the sender is. Answers whether the frame has to be flooded, and marks it then. */
	learn(port: number, frame: Buffer): boolean {
		const segment = this.#segmentOf(port, frame);
		const stations = this.#stations.get(segment);
		if (!stations || frame.length < ETHERNET_BYTES) return false;
		if (!(frame[6]! & GROUP_BIT)) this.#note(segment, stations, macAt(frame, 6), port);
		if (frame[0]! & GROUP_BIT) return false;
		const target = macAt(frame, 0);
		if (stations.has(target) || this.datapath.stationPort(segment, target) !== 0) return false;
		frame[0]! |= GROUP_BIT;
		return true;
	}

	/** Takes the mark of `learn` away again. */
	static unmark(frame: Uint8Array): void {
		frame[0]! &= ~GROUP_BIT;
	}

	#note(segment: number, stations: Stations, mac: bigint, port: number): void {
		const known = stations.get(mac);
		if (known === port || mac === 0n) return;
		if (known !== undefined) this.#forget(segment, mac, known);
		const isMember = this.#members.has(port);
		if (stations.size >= STATIONS_MAX || this.datapath.stationPort(segment, mac) !== 0) return;
		if (!isMember || this.datapath.addStation(segment, mac, port)) stations.set(mac, port);
	}

	#forget(segment: number, mac: bigint, port: number): void {
		this.#stations.get(segment)!.delete(mac);
		if (this.#members.has(port)) this.datapath.removeStation(segment, mac);
	}

	/** The segment that a frame is in, 0 when it is in none that learns. */
	#segmentOf(port: number, frame: Buffer): number {
		const member = this.#members.get(port);
		if (member !== undefined) return member;
		const byTags = this.#uplinks.get(port);
		if (!byTags) return 0;
		const outer = keyAt(frame, 12);
		const inner = outer === undefined ? undefined : keyAt(frame, 16);
		return byTags.get(pairKey(outer, inner)) ?? byTags.get(pairKey(outer, undefined)) ?? 0;
	}
}

/** An address as the core has it: its six bytes, read as a little-endian number. */
function macAt(frame: Buffer, at: number): bigint {
	return BigInt(frame.readUIntLE(at, 6));
}

/** The tag at an offset as one small number; undefined for none, and for a priority tag (VID 0). */
function keyAt(frame: Buffer, at: number): number | undefined {
	if (frame.length < at + 6) return undefined;
	const tpid = frame.readUInt16BE(at);
	const vid = frame.readUInt16BE(at + 2) & 0xfff;
	return TPIDS.includes(tpid) && vid !== 0 ? tagKey(tpid, vid) : undefined;
}

function tagKey(tpid: number, vid: number): number {
	return TPIDS.indexOf(tpid) * 4096 + vid;
}

function pairKey(outer = 0, inner = 0): number {
	return outer * 8192 + inner;
}
