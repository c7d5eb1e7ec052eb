/** Reading counters out of the core's memory, from any thread, without disturbing the datapath. */
import ipaddr from "ipaddr.js";
import * as abi from "../../assembly/abi.js";

/** Names of the DROP_* reasons, in the order of their numbers. */
export const DROP_NAMES = [
	"port_down",
	"runt",
	"offload",
	"source",
	"vlan",
	"hairpin",
	"unknown",
	"rx_truncated",
	"rx_error",
	"giant",
	"tx_full",
	"tx_down",
	"tx_too_big",
	"tx_error",
	"spoofed",
	"rx_full",
] as const;

export interface PortCounters {
	rxFrames: number;
	rxBytes: number;
	txFrames: number;
	txBytes: number;
	/** Frames received that offloads have left whole: up to 64 KiB, to be cut into segments by who sends them. */
	rxOffloads: number;
	/** Frames that left as a part of another one, put together from neighbours of a flow; not in `txFrames`. */
	txMerged: number;
	/** Frames among `txFrames` that were cut or got their checksum here. */
	txFinished: number;
	/** Non-zero reasons only. */
	drops: Record<string, number>;
}

/** A station, or an address that a network in source mode allows. */
export interface FdbEntry {
	segment: number;
	mac: string;
	/** Port of the station, or number of the network that allows it. */
	value: number;
	isSource: boolean;
}

/** Where an ipvlan endpoint's address is. */
export interface IpEntry {
	segment: number;
	address: string;
	port: number;
	isLearned: boolean;
}

/** What there is to read, of one core or of several. */
export type CounterReader = Omit<Counters, "follow" | "bytesOf" | "setBytes" | "addLost">;

export class Counters {
	#view: DataView;

	constructor(memory: WebAssembly.Memory) {
		this.#view = new DataView(memory.buffer);
	}

	/** Reads another core's memory from now on, which has taken over. */
	follow(memory: WebAssembly.Memory): void {
		this.#view = new DataView(memory.buffer);
	}

	/** Counters are exact up to 2^53. */
	port(port: number): PortCounters {
		const at = this.#view.getUint32(abi.HEADER + abi.HEADER_PORTS, true) + port * abi.PORT_BYTES;
		const u64 = (field: number) => Number(this.#view.getBigUint64(at + field, true));
		const drops: Record<string, number> = {};
		DROP_NAMES.forEach((name, reason) => {
			const count = u64(abi.PORT_DROPS + reason * 8);
			if (count > 0) drops[name] = count;
		});
		return {
			rxFrames: u64(abi.PORT_RX_FRAMES),
			rxBytes: u64(abi.PORT_RX_BYTES),
			txFrames: u64(abi.PORT_TX_FRAMES),
			txBytes: u64(abi.PORT_TX_BYTES),
			rxOffloads: u64(abi.PORT_RX_OFFLOADS),
			txMerged: u64(abi.PORT_MERGED),
			txFinished: u64(abi.PORT_FINISHED),
			drops,
		};
	}

	/** What a port has counted, as bytes for `setBytes`. */
	bytesOf(port: number): Uint8Array {
		const all = this.#regions(port).map((region) => region.slice());
		const bytes = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
		let at = 0;
		for (const region of all) {
			bytes.set(region, at);
			at += region.length;
		}
		return bytes;
	}

	/** Lets a port that has no traffic begin with what `bytesOf` has said of another; other lengths are left alone. */
	setBytes(port: number, bytes: Uint8Array): void {
		const regions = this.#regions(port);
		if (bytes.length !== regions.reduce((sum, { length }) => sum + length, 0)) return;
		let at = 0;
		for (const region of regions) {
			region.set(bytes.subarray(at, at + region.length));
			at += region.length;
		}
	}

	/** Adds frames that the kernel has lost before the core could see them: a counter that only the host writes. */
	addLost(port: number, frames: number): void {
		const at = this.#view.getUint32(abi.HEADER + abi.HEADER_PORTS, true) + port * abi.PORT_BYTES;
		const field = at + abi.PORT_DROPS + 8 * abi.DROP_RX_FULL;
		this.#view.setBigUint64(field, this.#view.getBigUint64(field, true) + BigInt(frames), true);
	}

	/** Where the counters of a port are. */
	#regions(port: number): Uint8Array[] {
		const at = this.#view.getUint32(abi.HEADER + abi.HEADER_PORTS, true) + port * abi.PORT_BYTES;
		const region = (start: number, bytes: number) => new Uint8Array(this.#view.buffer, at + start, bytes);
		const many = region(abi.PORT_RX_FRAMES, abi.PORT_DROPS + 8 * abi.DROP_REASONS - abi.PORT_RX_FRAMES);
		return [many, ...[abi.PORT_RX_OFFLOADS, abi.PORT_MERGED, abi.PORT_FINISHED].map((field) => region(field, 8))];
	}

	/** Batches forwarded since the start. */
	batches(): number {
		return Number(this.#view.getBigUint64(abi.HEADER + abi.HEADER_BATCHES, true));
	}

	/** How many batches had 1, 2 to 3, 4 to 7, ... frames. */
	batchSizes(): number[] {
		const at = abi.HEADER + abi.HEADER_BATCH_SIZES;
		return Array.from({ length: abi.BATCH_SIZES }, (_, index) => Number(this.#view.getBigUint64(at + index * 8, true)));
	}

	/** Frame buffers, and how many of them hold a frame or wait for one: none of an idle switch. */
	buffers(): { total: number; used: number } {
		const total = this.#view.getUint32(abi.HEADER + abi.HEADER_SLOTS_MAX, true);
		return { total, used: total - this.#view.getUint32(abi.HEADER + abi.HEADER_SLOTS_FREE, true) };
	}

	/** The forwarding database in no order. It may change meanwhile: an entry that moves is seen twice or not at all. */
	fdb(): FdbEntry[] {
		const { at, capacity } = this.#region(abi.HEADER_FDB, abi.HEADER_FDB_CAPACITY);
		const found: FdbEntry[] = [];
		for (let entry = at; entry < at + capacity * abi.FDB_ENTRY_BYTES; entry += abi.FDB_ENTRY_BYTES) {
			const fid = this.#view.getUint16(entry + 6, true);
			if (fid === 0) continue;
			const mac = Array.from({ length: 6 }, (_, index) => hex(this.#view.getUint8(entry + index))).join(":");
			const isSource = (fid & abi.FDB_SOURCE) !== 0;
			found.push({ segment: fid & ~abi.FDB_SOURCE, mac, value: this.#view.getUint32(entry + 8, true), isSource });
		}
		return found;
	}

	/** The IP database in no order, as `fdb`. */
	ips(): IpEntry[] {
		const { at, capacity } = this.#region(abi.HEADER_IPS, abi.HEADER_IPS_CAPACITY);
		const found: IpEntry[] = [];
		if (this.#view.getUint32(abi.HEADER + abi.HEADER_IPS_COUNT, true) === 0) return found;
		for (let entry = at; entry < at + capacity * abi.IP_ENTRY_BYTES; entry += abi.IP_ENTRY_BYTES) {
			const segment = this.#view.getUint32(entry + 16, true);
			if (segment === 0) continue;
			const bytes = Array.from({ length: 16 }, (_, index) => this.#view.getUint8(entry + index));
			const value = this.#view.getUint32(entry + 20, true);
			const isLearned = (value & abi.IP_LEARNED) !== 0;
			found.push({ segment, address: addressText(bytes), port: value & 0xffff, isLearned });
		}
		return found;
	}

	#region(field: number, capacityField: number): { at: number; capacity: number } {
		const u32 = (offset: number) => this.#view.getUint32(abi.HEADER + offset, true);
		return { at: u32(field), capacity: u32(capacityField) };
	}
}

function hex(byte: number): string {
	return byte.toString(16).padStart(2, "0");
}

/** IPv4 stands as ::ffff:a.b.c.d. */
function addressText(bytes: number[]): string {
	const address = new ipaddr.IPv6(bytes);
	return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toString();
}
