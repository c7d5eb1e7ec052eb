/** Ports and segments of a switch as its program holds them. */
import type { PortStats } from "../host/types.js";
import type { CapturedFrame } from "../pcap/format.js";

/** What the handles ask of their switch. */
export interface Owner {
	removePort(port: Port): Promise<void>;
	setMtu(port: Port, mtuBytes: number): Promise<void>;
	removeSegment(segment: Segment): Promise<void>;
	allowSource(segment: Segment, network: number, mac: string): Promise<void>;
	disallowSource(segment: Segment, mac: string): Promise<void>;
	statsOf(port: Port): PortStats;
	send(port: Port, frames: CapturedFrame[]): Promise<void>;
}

/** A broadcast domain of a switch. */
export class Segment {
	readonly #owner: Owner;

	/** Made by `Switch.addSegment`. */
	constructor(
		owner: Owner,
		/** Its number in the switch, the FID of 802.1Q. */
		readonly number: number,
		/** Whether it learns. */
		readonly learning: boolean,
	) {
		this.#owner = owner;
	}

	/**
	 * Lets ports in mode `source` receive what comes from a MAC address.
	 * @throws Error when another network of the segment has the address
	 */
	allowSource(mac: string, network = 1): Promise<void> {
		return this.#owner.allowSource(this, network, mac);
	}

	/** Takes back `allowSource`. */
	disallowSource(mac: string): Promise<void> {
		return this.#owner.disallowSource(this, mac);
	}

	/**
	 * Removes the segment.
	 * @throws Error while it has ports
	 */
	remove(): Promise<void> {
		return this.#owner.removeSegment(this);
	}
}

/** A port of a switch. */
export class Port {
	protected readonly owner: Owner;

	/** Made by `Switch.addPort`. */
	constructor(
		owner: Owner,
		/** Its number in the switch. */
		readonly number: number,
		/** For people. */
		readonly name: string,
		/** Its MAC address. */
		readonly mac: string,
		/** `uplink`: it carries segments. Else it is in one, as an `endpoint` or as the `host`'s own port. */
		readonly kind: PortStats["kind"],
	) {
		this.owner = owner;
	}

	/** Changes the largest layer-3 packet in bytes that the port takes, tags not counted. Its device is left as it is. */
	setMtu(mtuBytes: number): Promise<void> {
		return this.owner.setMtu(this, mtuBytes);
	}

	/** Frames and bytes since the port was added, and dropped frames by reason. */
	stats(): PortStats {
		return this.owner.statsOf(this);
	}

	/** Removes the port with its device; frames that are under way in it are lost. Files are closed. */
	remove(): Promise<void> {
		return this.owner.removePort(this);
	}
}

/** A port that this program sends through. */
export class MemoryPort extends Port {
	/**
	 * Sends Ethernet frames into the switch: from the destination address on, tags in the bytes, no checksum. Offline they
	 * have left through other ports when the promise resolves; live they are on their way.
	 * @param timeNs nanoseconds since 1970, written to capture files; default: now
	 * @throws RangeError when a frame is longer than FRAME_BYTES_MAX
	 */
	send(frames: Uint8Array | Uint8Array[], timeNs?: bigint): Promise<void> {
		const all = Array.isArray(frames) ? frames : [frames];
		const now = timeNs ?? nowNs();
		const captured = all.map((bytes) => ({ bytes, timeNs: now, originalBytes: bytes.length }));
		return this.owner.send(this, captured);
	}
}

/** Nanoseconds since 1970, to the microsecond. */
export function nowNs(): bigint {
	return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}
