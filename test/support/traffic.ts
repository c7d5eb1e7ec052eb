/**
 * Scripts for comparing engines: a random switch and random frames from a seed, quick enough for millions. Few
 * addresses and VLANs on purpose: that is how frames meet ports.
 */
import * as abi from "../../assembly/abi.js";
import { ipNumbers, macNumbers } from "../../src/core/engine.js";
import { Bytes, CALL_ARGUMENTS, callNumber, type Replayer, type ScriptCall } from "./firmware.js";
import { macBytes } from "./frames.js";

const LIMITS = [16, 16, 8, 64, 80];
const STATIONS = [1, 2, 3, 4, 5, 6].map((n) => `02:00:00:00:00:0${n}`);
const PARENT_MAC = "02:00:00:00:00:99";
const GROUPS = ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:ff:00:00:01", "01:80:c2:00:00:01"];
const ODD_SOURCES = ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "03:00:00:00:00:01"];
const DESTINATIONS = [...STATIONS, ...STATIONS, ...GROUPS, PARENT_MAC, PARENT_MAC].map(macBytes);
const SOURCES = [...STATIONS, ...STATIONS.map(() => PARENT_MAC), "02:00:00:00:00:77"].map(macBytes);
const BAD_SOURCES = ODD_SOURCES.map(macBytes);
const VIDS = [50, 50, 50, 60, 60, 1, abi.VID_MAX];
const MODES = [
	...[0, 0, 0, 0].map(() => abi.MODE_BRIDGE),
	abi.MODE_PRIVATE,
	abi.MODE_VEPA,
	abi.MODE_SOURCE,
	abi.MODE_IPVLAN,
	abi.MODE_IPVLAN,
	abi.MODE_IPVLAN_PRIVATE,
	abi.MODE_IPVLAN_VEPA,
];
const MTUS = [68, 100, 576, 1500, 1500, 1500];
const ETHERTYPES = [0x0800, 0x0800, 0x0806, 0x86dd, 0x86dd, abi.ETHERTYPE_PAUSE, 0x88b5, 0x0026];
const LENGTHS = [46, 54, 58, 68, 72, 76, 100, 104, 108, 1500, 1504, 1508, 9000];
const GSO_TYPES = [1, 3, 4, 5, 0x81, 2, 6, 0x80];
const HEAD_BYTES_MAX = 14 + 3 * 4;

/** xorshift32: the same numbers everywhere. */
class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
	}

	/** 0..below-1. */
	below(below: number): number {
		let x = this.#state;
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
		this.#state = x >>> 0;
		return this.#state % below;
	}

	one<T>(of: readonly T[]): T {
		return of[this.below(of.length)]!;
	}
}

/**
 * Makes a script of one switch and `frames` frames while `reference` runs it: what calls answer there decides what can
 * come next.
 */
export function makeScript(seed: number, frames: number, reference: Replayer): Bytes {
	return new Traffic(seed, reference).make(frames);
}

class Traffic {
	readonly #script = new Bytes(4 << 20);
	readonly #random: Random;
	readonly #segments: number[] = [];
	readonly #members = new Set<number>();
	#done = 0;

	constructor(
		seed: number,
		readonly reference: Replayer,
	) {
		this.#random = new Random(seed);
	}

	make(frames: number): Bytes {
		const random = this.#random;
		this.#script.u8(0x4c);
		this.#script.u32(...LIMITS);
		this.#execute();
		const parent = macNumbers(PARENT_MAC);
		for (let i = 0; i < 2; i++)
			this.#call("portAdd", abi.KIND_UPLINK, 0, 0, 0, parent.low, parent.high, random.one(MTUS));
		for (let i = 0; i < 6; i++) {
			const tag = (): number => (random.below(4) ? abi.TPID_CTAG : abi.TPID_STAG) * 65536 + random.one(VIDS);
			const outer = random.below(4) ? tag() : 0;
			const inner = outer && random.below(3) === 0 ? tag() : 0;
			const segment = this.#call("segmentAdd", random.one([0, 1, 1, 1, 2]), outer, inner);
			if (segment) this.#segments.push(segment);
		}
		for (let i = 0; i < 10; i++) this.#addMember();
		for (let i = 0; i < 4; i++) this.#changeSource();
		for (let left = frames; left > 0; ) {
			const count = Math.min(left, 1 + random.below(32));
			this.#batch(count);
			left -= count;
			if (random.below(20) === 0) this.#change();
		}
		this.#script.u8(0x44);
		this.#execute();
		return this.#script;
	}

	#execute(): number {
		const result = this.reference.run(this.#script.view(this.#done));
		this.#done = this.#script.length;
		return result;
	}

	#call(call: ScriptCall, ...values: number[]): number {
		this.#script.u8(0x43);
		this.#script.u8(callNumber(call));
		this.#script.u32(...values, ...new Array<number>(CALL_ARGUMENTS - values.length).fill(0));
		return this.#execute();
	}

	#addMember(): void {
		const random = this.#random;
		const segment = random.one(this.#segments);
		const mode = random.one(MODES);
		const isHost = mode === abi.MODE_BRIDGE && random.below(4) === 0;
		const mac = macNumbers(mode >= abi.MODE_IPVLAN ? PARENT_MAC : random.one(STATIONS));
		const kind = isHost ? abi.KIND_HOST : abi.KIND_ENDPOINT;
		const port = this.#call("portAdd", kind, mode, segment, 1 + random.below(2), mac.low, mac.high, random.one(MTUS));
		if (port === 0) return;
		this.#members.add(port);
		if (mode < abi.MODE_IPVLAN) return;
		this.#call("ipAdd", segment, ...ipNumbers(`10.0.0.${1 + random.below(6)}`), port);
		this.#call("ipAdd", segment, ...ipNumbers(`fd00::${1 + random.below(6)}`), port);
	}

	#changeSource(): void {
		const random = this.#random;
		const { low, high } = macNumbers(random.one(STATIONS));
		const segment = random.one(this.#segments);
		if (random.below(3)) this.#call("sourceAdd", segment, 1 + random.below(2), low, high);
		else this.#call("sourceRemove", segment, low, high);
	}

	#change(): void {
		const random = this.#random;
		const members = [...this.#members];
		const what = random.below(4);
		if (what === 0) this.#changeSource();
		else if (what === 1 && members.length > 0) this.#call("portSetMtu", random.one(members), random.one(MTUS));
		else if (what === 2 && members.length > 4) {
			const port = random.one(members);
			this.#members.delete(port);
			this.#call("portClose", port);
			this.#batch(4); // a port that is closing takes nothing
			this.#call("portFree", port);
		} else this.#addMember();
	}

	#batch(count: number): void {
		this.#script.u8(0x42);
		this.#script.u32(count);
		for (let i = 0; i < count; i++) this.#frame();
		this.#execute();
	}

	#frame(): void {
		const random = this.#random;
		const tci = (): number => {
			const vid = random.below(4) ? random.one(VIDS) : random.one([0, 0, 0, 2, 4095]);
			return (random.below(16) << 12) | vid;
		};
		const tpid = (): number => (random.below(4) ? abi.TPID_CTAG : abi.TPID_STAG);
		const tags = random.below(2) ? 0 : 1 + random.below(3);
		const odd = random.below(400);
		let payload = random.one(LENGTHS);
		if (odd === 0) payload = random.below(abi.SLOT_CAPACITY - HEAD_BYTES_MAX);
		else if (odd < 330) payload = 46 + random.below(65);
		const whole = 14 + tags * 4 + payload;
		const bytes = random.below(13) ? whole : Math.min(whole, random.below(31));
		const stripped = random.below(3) === 0 ? tpid() * 65536 + tci() : 0;
		// One port more than there can be: 0 and free ones are "down".
		this.#script.u32(random.below(5) ? 1 + random.below(12) : random.below(LIMITS[0]!), bytes, stripped);
		const { buffer, at } = this.#script.room(abi.VNET_BYTES + whole);
		this.#offload(buffer, at);
		const frame = at + abi.VNET_BYTES;
		buffer.set(random.one(DESTINATIONS), frame);
		buffer.set(random.below(13) ? random.one(SOURCES) : random.one(BAD_SOURCES), frame + 6);
		let end = frame + 12;
		for (let i = 0; i < tags; i++, end += 4) {
			buffer.writeUInt16BE(tpid(), end);
			buffer.writeUInt16BE(tci(), end + 2);
		}
		const type = random.one(ETHERTYPES);
		buffer.writeUInt16BE(type, end);
		buffer.fill(random.below(256), end + 2, at + abi.VNET_BYTES + whole);
		this.#addresses(buffer, type, end + 2, payload);
		this.#script.length -= whole - bytes;
	}

	/** Layer 3, as far as the core looks at it. */
	#addresses(buffer: Buffer, type: number, at: number, payload: number): void {
		const random = this.#random;
		const low = (offset: number): void => {
			buffer.set([10, 0, 0, 1 + random.below(8)], at + offset);
		};
		if (type === 0x0800) {
			low(12);
			low(16);
		} else if (type === 0x0806) {
			low(14);
			low(24);
		} else if (type === 0x86dd && payload >= 64) {
			const isSolicitation = random.below(2) === 0;
			buffer[at + 6] = isSolicitation ? 58 : 17;
			if (isSolicitation) buffer[at + 40] = 135;
			for (const offset of isSolicitation ? [8, 24, 48] : [8, 24]) {
				buffer.fill(0, at + offset, at + offset + 16);
				buffer.writeUInt16BE(0xfd00, at + offset);
				buffer[at + offset + 15] = random.below(9);
			}
		}
	}

	/** virtio_net_hdr: mostly nothing, then sane, then anything. */
	#offload(buffer: Buffer, at: number): void {
		const random = this.#random;
		buffer.fill(0, at, at + abi.VNET_BYTES);
		const kind = random.below(20);
		if (kind < 13) return;
		buffer[at] = kind < 19 ? abi.VNET_F_NEEDS_CSUM : random.below(4);
		buffer.writeUInt16LE(kind < 19 ? 34 : random.below(121), at + abi.VNET_CSUM_START);
		buffer.writeUInt16LE(kind < 19 ? 16 : random.one([0, 6, 16, 0xffff]), at + abi.VNET_CSUM_OFFSET);
		if (kind < 16) return;
		buffer[at + abi.VNET_GSO_TYPE] = kind < 19 ? random.one([1, 4, 5, 0x81]) : random.one(GSO_TYPES);
		buffer.writeUInt16LE(kind < 19 ? 54 : random.below(201), at + abi.VNET_HDR_LEN);
		buffer.writeUInt16LE(random.one([1448, 1448, 1448, 1, 0]), at + abi.VNET_GSO_SIZE);
	}
}
