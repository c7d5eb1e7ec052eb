/**
 * The datapath without a kernel: the same core, tables and counters, but frames are handed in and handed out by this
 * thread, a batch at a time. Nothing is lost for lack of room and nothing depends on time, so the same frames always
 * give the same answer.
 */
import * as abi from "../../assembly/abi.js";
import { Counters } from "../core/counters.js";
import {
	compileCore,
	createMemory,
	DEFAULT_LIMITS,
	Engine,
	type InputFrame,
	type OutputFrame,
} from "../core/engine.js";
import { Tables } from "./tables.js";
import type { Datapath, PortSpec, PortStats, SegmentSpec } from "./types.js";

/** Frames of one batch; a flood's copies need no more slots than it has frames. */
export const BATCH_FRAMES_MAX = 256;

export class OfflineDatapath implements Datapath {
	readonly #engine: Engine;
	readonly #tables: Tables;
	readonly #counters: Counters;
	readonly #specs = new Map<number, PortSpec>();
	/** Counted here: transmission is the ring's business, and there is none. */
	readonly #sent = new Map<number, { txFrames: number; txBytes: number }>();

	constructor() {
		const module = compileCore();
		const memory = createMemory(module, DEFAULT_LIMITS);
		this.#engine = new Engine(module, memory, DEFAULT_LIMITS);
		this.#tables = new Tables(this.#engine.core);
		this.#counters = new Counters(memory);
	}

	/** `fd` is not used. */
	async addPort(spec: PortSpec): Promise<number> {
		const port = named(spec.name, () => this.#tables.addPort(spec));
		this.#specs.set(port, spec);
		this.#sent.set(port, { txFrames: 0, txBytes: 0 });
		return port;
	}

	async removePort(port: number): Promise<void> {
		if (!this.#specs.delete(port)) throw new Error(`no port ${port}`);
		this.#sent.delete(port);
		this.#tables.dropPort(port);
	}

	async setMtu(port: number, mtuBytes: number): Promise<void> {
		this.#engine.core.portSetMtu(port, mtuBytes);
	}

	async addSegment(spec: SegmentSpec): Promise<number> {
		return this.#tables.addSegment(spec);
	}

	async removeSegment(segment: number): Promise<void> {
		this.#tables.removeSegment(segment);
	}

	async allowSource(segment: number, network: number, mac: string): Promise<void> {
		this.#tables.allowSource(segment, network, mac);
	}

	async disallowSource(segment: number, mac: string): Promise<void> {
		this.#tables.disallowSource(segment, mac);
	}

	/**
	 * Forwards frames, each behind its virtio_net_hdr of 10 bytes, at most BATCH_FRAMES_MAX of them. Answers what leaves,
	 * in its order.
	 */
	forward(frames: InputFrame[]): OutputFrame[] {
		const out = this.#engine.forward(frames);
		for (const { port, bytes } of out) {
			const sent = this.#sent.get(port)!;
			sent.txFrames++;
			sent.txBytes += bytes.length - abi.VNET_BYTES;
		}
		return out;
	}

	/** Makes a port the way to a station; false when the forwarding database is full or has the station already. */
	addStation(segment: number, mac: bigint, port: number): boolean {
		return this.#engine.core.fdbAdd(segment, mac, port) !== 0;
	}

	removeStation(segment: number, mac: bigint): void {
		this.#engine.core.fdbRemove(segment, mac);
	}

	/** Port of a station, 0 when it is not known. */
	stationPort(segment: number, mac: bigint): number {
		return this.#engine.core.fdbLookup(segment, mac);
	}

	stats(): PortStats[] {
		return [...this.#specs].map(([port, { name, kind }]) => {
			return { port, name, kind, ...this.#counters.port(port), ...this.#sent.get(port) };
		});
	}

	/** Never called: nothing can fail. */
	onPortError(): void {}

	async close(): Promise<void> {}
}

function named<T>(name: string, add: () => T): T {
	try {
		return add();
	} catch (error) {
		throw new Error(`port "${name}": ${(error as Error).message}`);
	}
}
