/**
 * The two kinds of switches behind one interface: how frames of this program get in, and how those for it get out.
 * Everything else is the datapath's, live and offline alike.
 */
import * as abi from "../../assembly/abi.js";
import type { DatapathOptions } from "../host/datapath.js";
import { BATCH_FRAMES_MAX, OfflineDatapath } from "../host/offline.js";
import type { RingKind } from "../host/ring.js";
import { type Shards, startShards } from "../host/shards.js";
import type { Datapath, PortSpec, SegmentSpec, XskSpec } from "../host/types.js";
import type { CapturedFrame } from "../pcap/format.js";
import { close } from "../sys/libc.js";
import { FdPoller } from "../sys/poller.js";
import { Channel } from "./channel.js";
import { nowNs } from "./handles.js";
import { Learning } from "./learning.js";
import type { SwitchOptions } from "./options.js";

/** Bytes of the longest frame that a switch takes. */
export const FRAME_BYTES_MAX = abi.SLOT_CAPACITY;

/** Takes frames that leave through a port of this program. */
export type Sink = (frame: CapturedFrame) => void;

/** A frame on its way into the switch. */
export interface Arrival {
	port: number;
	frame: CapturedFrame;
}

/** An arrival with its copy for the core. */
interface Moving extends Arrival {
	bytes: Uint8Array;
	/** Sent as a group frame, see `Learning.learn`. */
	isMarked: boolean;
}

export interface Mover {
	readonly datapath: Datapath;
	/** What drives it; `none` offline. */
	readonly ring: RingKind | "none";
	/** Adds a port whose frames go to `sink`; with a descriptor in `spec` they go there instead. */
	addPort(spec: PortSpec, sink: Sink): Promise<number>;
	/** See `Switch.addXsk`. */
	addXsk(spec: XskSpec): Promise<() => Promise<void>>;
	removePort(port: number): Promise<void>;
	addSegment(spec: SegmentSpec, learning: boolean): Promise<number>;
	removeSegment(segment: number): Promise<void>;
	inject(arrivals: Arrival[]): Promise<void>;
	close(): Promise<void>;
}

/** Forwards in the caller's thread, and learns. */
export class OfflineMover implements Mover {
	readonly datapath = new OfflineDatapath();
	readonly ring = "none";
	readonly #learning = new Learning(this.datapath);
	readonly #sinks = new Map<number, Sink>();
	#learns = false;

	async addPort(spec: PortSpec, sink: Sink): Promise<number> {
		const port = await this.datapath.addPort(spec);
		this.#sinks.set(port, sink);
		if (spec.kind === "endpoint") this.#learning.addMember(port, spec.segment);
		return port;
	}

	async addXsk(): Promise<never> {
		throw new TypeError("an offline switch has no AF_XDP sockets");
	}

	async removePort(port: number): Promise<void> {
		this.#learning.removePort(port);
		this.#sinks.delete(port);
		await this.datapath.removePort(port);
	}

	async addSegment(spec: SegmentSpec, learning: boolean): Promise<number> {
		const segment = await this.datapath.addSegment(spec);
		if (learning) this.#learning.addSegment(segment, spec);
		this.#learns ||= learning;
		return segment;
	}

	async removeSegment(segment: number): Promise<void> {
		await this.datapath.removeSegment(segment);
		this.#learning.removeSegment(segment);
	}

	async inject(arrivals: Arrival[]): Promise<void> {
		let batch: Moving[] = [];
		try {
			for (const arrival of arrivals) {
				const { port } = arrival;
				const bytes = framed(arrival.frame.bytes);
				const frame = bytes.subarray(abi.VNET_BYTES);
				if (batch.length === BATCH_FRAMES_MAX || (this.#learns && this.#learning.isMove(port, frame))) {
					this.#forward(batch);
					batch = [];
				}
				batch.push({ ...arrival, bytes, isMarked: this.#learns && this.#learning.learn(port, frame) });
			}
		} finally {
			this.#forward(batch);
		}
	}

	#forward(batch: Moving[]): void {
		if (batch.length === 0) return;
		for (const { port, input, bytes } of this.datapath.forward(batch)) {
			const leaving = bytes.subarray(abi.VNET_BYTES);
			const { frame, isMarked } = batch[input]!;
			if (isMarked) Learning.unmark(leaving);
			const originalBytes = leaving.length + frame.originalBytes - frame.bytes.length;
			this.#sinks.get(port)?.({ bytes: leaving, timeNs: frame.timeNs, originalBytes });
		}
	}

	async close(): Promise<void> {
		await this.datapath.close();
	}
}

/** Forwards in threads of its own; this program's ports are pairs of sockets. */
export class LiveMover implements Mover {
	readonly #poller = new FdPoller();
	readonly #channels = new Map<number, Channel>();

	private constructor(readonly datapath: Shards) {}

	get ring(): RingKind {
		return this.datapath.ring;
	}

	/** @throws SysError when the ring that is asked for is not there; RangeError when `workers` is out of bounds */
	static async start(options: SwitchOptions & Pick<DatapathOptions, "held">): Promise<LiveMover> {
		const { ring, held, coalesce, workers, onFatal, onRevived } = options;
		return new LiveMover(await startShards({ mode: ring, held, coalesce, workers, onFatal, onRevived }));
	}

	async addPort(spec: PortSpec, sink: Sink): Promise<number> {
		const channel =
			spec.fd < 0
				? new Channel(spec.name, this.#poller, (bytes) => sink({ bytes, timeNs: nowNs(), originalBytes: bytes.length }))
				: undefined;
		if (!channel) return this.datapath.addPort(spec);
		try {
			const port = await this.datapath.addPort({ ...spec, fd: channel.fd, offloads: false });
			this.#channels.set(port, channel);
			return port;
		} catch (error) {
			channel.close();
			close(channel.fd);
			throw error;
		}
	}

	addXsk(spec: XskSpec): Promise<() => Promise<void>> {
		return this.datapath.addXsk(spec);
	}

	async removePort(port: number): Promise<void> {
		await this.datapath.removePort(port);
		this.#channels.get(port)?.close();
		this.#channels.delete(port);
	}

	addSegment(spec: SegmentSpec, learning: boolean): Promise<number> {
		if (learning) throw new TypeError("only an offline switch learns: a live one forwards by the rules of macvlan");
		return this.datapath.addSegment(spec);
	}

	removeSegment(segment: number): Promise<void> {
		return this.datapath.removeSegment(segment);
	}

	async inject(arrivals: Arrival[]): Promise<void> {
		for (const { port, frame } of arrivals) await this.#channels.get(port)?.send(framed(frame.bytes));
	}

	async close(): Promise<void> {
		await this.datapath.close();
		for (const channel of this.#channels.values()) channel.close();
		this.#poller.close();
	}
}

/** A copy behind an empty `struct virtio_net_hdr`. @throws RangeError */
function framed(bytes: Uint8Array): Buffer {
	if (bytes.length > FRAME_BYTES_MAX)
		throw new RangeError(`a frame of ${bytes.length} bytes; at most ${FRAME_BYTES_MAX} are forwarded`);
	const copy = Buffer.allocUnsafe(abi.VNET_BYTES + bytes.length);
	copy.fill(0, 0, abi.VNET_BYTES);
	copy.set(bytes, abi.VNET_BYTES);
	return copy;
}
