/**
 * What the packet core is measured with: a switch, and the frames that come to it. The same for the core and for its
 * twin in C, which have their tables at the same places.
 */
import * as abi from "../../assembly/abi.js";
import type { CoreExports, CoreLimits } from "../../src/core/engine.js";

/** Frames in a batch. */
export const BATCH = 64;
/** 64 on the wire, with the checksum that the hardware adds. */
const FRAME_BYTES = 60;
const MTU_BYTES = 1500;
/** Frames before they repeat: more than the largest table has stations, so that it is really read. */
const FRAMES = 1 << 20;
const CTAG = (abi.TPID_CTAG << 16) >>> 0;
/** The 32 bytes in front of and in a frame that pushes and pops of tags change. */
export const HEAD_AT = abi.SLOT_FRAME - 16;

/** Where frames come from and go to. */
export type Route =
	| "sibling"
	| "to the wire, tag pushed"
	| "from the wire, tag popped"
	| "to the wire, two tags pushed"
	| "from the wire, two tags popped"
	| "broadcast, 15 siblings and the wire";

/** A switch and its traffic. */
export interface Scene {
	route: Route;
	/** Addresses in the forwarding database. */
	stations: number;
	/** Endpoints in all. */
	ports: number;
	/** Segments, each a VLAN of the one uplink, that the endpoints are shared out to. */
	vlans: number;
	/** Endpoints, or VLANs, that frames come from and go to; absent: all. */
	busy?: number;
}

/** The calls that build a switch, of either. */
export type Builder = Pick<CoreExports, "portAdd" | "segmentAdd" | "fdbAdd">;

/** The frames to come, in the order in which they come. */
export interface Traffic {
	/** First eight bytes of each: the destination, and two bytes of the source. */
	heads: Float64Array<ArrayBuffer>;
	/** Port, and tag that the kernel took off, of each. */
	arrivals: Uint32Array<ArrayBuffer>;
	/** Transmissions for each batch. */
	sends: number;
}

/** Large enough for a scene. */
export function limitsOf({ stations, ports, vlans }: Scene): CoreLimits {
	const power = (least: number): number => 2 ** Math.ceil(Math.log2(least));
	return {
		portsMax: power(ports + 2),
		segmentsMax: vlans + 2,
		tablesMax: 8,
		fdbCapacity: power(Math.max(stations, ports) * 2 + 64),
		slotsMax: 512,
	};
}

/** Station `index` as the number that the core compares: locally administered, 02:00:xx:xx:xx:xx. */
const station = (index: number): bigint => (BigInt(index) << 16n) | 0x0002n;
/** Endpoint `index`, 02:ee:00:00:xx:xx. */
const endpoint = (index: number): bigint => (BigInt(index & 0xff) << 40n) | (BigInt(index >> 8) << 32n) | 0x0000_ee02n;
/** 00:00:5e:00:53:01, which nobody has (RFC 7042). */
const OUTSIDE = 0x0153_005e_0000n;
const BROADCAST = 0xffff_ffff_ffffn;

/** Builds the switch of a scene in `memory`, and answers its traffic. */
export function build(scene: Scene, core: Builder, memory: ArrayBufferLike): Traffic {
	const { route, stations, ports: count, vlans, busy = count } = scene;
	const view = new DataView(memory);
	const header = (field: number): number => view.getUint32(abi.HEADER + field, true);
	const add = (kind: number, segment: number, mac: bigint): number => {
		const port = core.portAdd(
			kind,
			abi.MODE_BRIDGE,
			segment,
			1,
			Number(mac & 0xffff_ffffn),
			Number(mac >> 32n),
			MTU_BYTES,
		);
		if (port === 0) throw new Error("no room for a port");
		return port;
	};
	const uplink = add(abi.KIND_UPLINK, 0, 0x0000_ff02n);
	const isStacked = route.includes("two tags");
	const tags = Array.from({ length: vlans }, (_, i) => (CTAG | (vlans === 1 ? 50 : i + 1)) >>> 0);
	const segments = tags.map((tag) =>
		isStacked ? core.segmentAdd(uplink, (CTAG | 20) >>> 0, tag) : core.segmentAdd(uplink, tag, 0),
	);
	const ports = Array.from({ length: count }, (_, i) => add(abi.KIND_ENDPOINT, segments[i % vlans]!, endpoint(i)));
	for (let i = 1; i <= stations - count; i++) core.fdbAdd(segments[0]!, station(i), ports[1]!);

	const slots = header(abi.HEADER_SLOTS);
	for (let slot = 0; slot < header(abi.HEADER_SLOTS_MAX); slot++) {
		const frame = slots + slot * abi.SLOT_BYTES + abi.SLOT_FRAME;
		view.setUint32(frame + 8, 0); // the source's other bytes
		view.setUint16(frame + 12, isStacked && route.startsWith("from") ? abi.TPID_CTAG : 0x0800);
		view.setUint16(frame + 14, isStacked && route.startsWith("from") ? tags[0]! & 0xfff : 0);
		view.setUint16(frame + 16, 0x0800);
	}
	for (let i = 0; i < BATCH; i++)
		view.setUint32(header(abi.HEADER_RX) + i * abi.RX_BYTES + abi.RX_LENGTH, FRAME_BYTES, true);

	const heads = new BigUint64Array(FRAMES);
	const arrivals = new Uint32Array(2 * FRAMES);
	let seed = 1;
	const random = (below: number): number => {
		seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator: the same frames in each run
		return Math.floor((seed / 2 ** 32) * below);
	};
	for (let i = 0; i < FRAMES; i++) {
		const vlan = random(Math.min(vlans, busy));
		const from = vlans > 1 ? vlan : random(busy);
		let target =
			stations > count ? station(1 + random(stations - count)) : endpoint((from + 1 + random(busy - 1)) % busy);
		if (stations > count) arrivals[2 * i] = ports[0]!;
		else arrivals[2 * i] = ports[from]!;
		if (route.startsWith("broadcast")) target = BROADCAST;
		else if (route.startsWith("to the wire")) target = OUTSIDE;
		else if (route.startsWith("from the wire")) {
			arrivals[2 * i] = uplink;
			arrivals[2 * i + 1] = isStacked ? (CTAG | 20) >>> 0 : tags[vlan]!;
			if (stations <= count) target = endpoint(from);
		}
		heads[i] = target | (0xee02n << 48n); // from 02:ee:00:00:00:00, whoever sends
	}
	return {
		heads: new Float64Array(heads.buffer),
		arrivals,
		sends: route.startsWith("broadcast") ? BATCH * count : BATCH,
	};
}

/** Writes heads and descriptors of frames as they come, as a kernel does: for the core, in this process. */
export class Reception {
	readonly #f64: Float64Array;
	readonly #u16: Uint16Array;
	readonly #u32: Uint32Array;
	readonly #slots: number;
	readonly #rx: number;
	/** The last eight bytes of a head: two of them are the type. */
	readonly #last: number;
	#next = 0;

	constructor(
		memory: ArrayBufferLike,
		readonly traffic: Traffic,
	) {
		const view = new DataView(memory);
		this.#f64 = new Float64Array(memory);
		this.#u16 = new Uint16Array(memory);
		this.#u32 = new Uint32Array(memory);
		this.#slots = (view.getUint32(abi.HEADER + abi.HEADER_SLOTS, true) + HEAD_AT) >>> 3;
		this.#rx = view.getUint32(abi.HEADER + abi.HEADER_RX, true);
		this.#last = this.#f64[this.#slots + 3]!;
	}

	/** The first `count` RX descriptors have slots already. */
	receive(count: number): void {
		const f64 = this.#f64;
		const u16 = this.#u16;
		const u32 = this.#u32;
		const { heads, arrivals } = this.traffic;
		const last = this.#last;
		let rx = this.#rx;
		for (let i = 0; i < count; i++, rx += abi.RX_BYTES) {
			const frame = this.#next++ & (FRAMES - 1);
			const at = this.#slots + u16[(rx + abi.RX_SLOT) >>> 1]! * (abi.SLOT_BYTES >>> 3);
			f64[at] = 0;
			f64[at + 1] = 0;
			f64[at + 2] = heads[frame]!;
			f64[at + 3] = last;
			u16[(rx + abi.RX_PORT) >>> 1] = arrivals[2 * frame]!;
			u32[(rx + abi.RX_TAG) >>> 2] = arrivals[2 * frame + 1]!;
		}
	}
}
