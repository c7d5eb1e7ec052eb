/**
 * Several datapath threads behind the interface of one, each with its own core, memory and ring. A *shard* is what can
 * exchange frames: an uplink with all segments on it and all their ports, or one segment without uplink. It is on one
 * worker for as long as it is there, so no frame, no table and no order is ever shared between threads.
 *
 *   Shards --addPort, addSegment--> worker 1: uplink eth0, segments 1 4 7, ports 1 4 7 10
 *                                   worker 2: uplink eth1, segments 2 5, ports 2 5 8
 *                                   worker 3: segment 3 without uplink, ports 3 6
 *
 * Ports and segments have one sequence of numbers over all workers: of N workers, the one with index w has w + 1,
 * w + 1 + N, w + 1 + 2 N, ... A number says where it belongs, and with one worker it is the core's own.
 */
import type { CaptureReader, RingFrame } from "../core/capturering.js";
import type { CounterReader, FdbEntry, IpEntry, PortCounters } from "../core/counters.js";
import { compileCore } from "../core/engine.js";
import { type DatapathOptions, type RunningDatapath, startDatapath } from "./datapath.js";
import type { RingKind } from "./ring.js";
import { type PortSpec, type PortStats, type SegmentSpec, WORKERS_MAX, type XskSpec } from "./types.js";

export interface ShardsOptions extends Omit<DatapathOptions, "onRevived"> {
	/** Threads, 1 to WORKERS_MAX. Default 1. */
	workers?: number;
	/** As in DatapathOptions, with the number of the worker, from 1. */
	onRevived?: (error: Error, worker: number) => void;
}

/**
 * Starts the datapath's threads.
 * @throws RangeError for a number of workers that can not be; SysError when `mode` is "io_uring" and the kernel has
 * none. No thread is left then.
 */
export async function startShards({ workers = 1, onRevived, ...options }: ShardsOptions = {}): Promise<Shards> {
	if (!Number.isInteger(workers) || workers < 1 || workers > WORKERS_MAX)
		throw new RangeError(`${workers} workers: a whole number from 1 to ${WORKERS_MAX} is needed`);
	const module = compileCore();
	const started = await Promise.allSettled(
		Array.from({ length: workers }, (_, index) =>
			startDatapath({ ...options, onRevived: (error) => onRevived?.(error, index + 1) }, module),
		),
	);
	const running = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
	const failed = started.find((result) => result.status === "rejected");
	if (!failed) return new Shards(running);
	await Promise.all(running.map((datapath) => datapath.close()));
	throw failed.reason;
}

/** A thread, and how much of the switch is on it. */
interface Worker {
	index: number;
	datapath: RunningDatapath;
	shards: number;
	ports: number;
}

export class Shards implements RunningDatapath {
	readonly counters: CounterReader;
	readonly capture: CaptureReader;
	readonly #workers: Worker[];
	/** Numbers of the ports, in the order in which they were added. */
	readonly #ports = new Set<number>();
	/** Numbers of the segments without uplink. */
	readonly #isolated = new Set<number>();
	readonly #uplinks = new Set<number>();

	/** Made by `startShards`. */
	constructor(datapaths: RunningDatapath[]) {
		this.#workers = datapaths.map((datapath, index) => ({ index, datapath, shards: 0, ports: 0 }));
		this.counters = new ShardCounters(this, datapaths);
		this.capture = new ShardCaptures(this, datapaths);
	}

	/** `io_uring` when all workers have it. */
	get ring(): RingKind {
		return this.#workers.every(({ datapath }) => datapath.ring === "io_uring") ? "io_uring" : "poll";
	}

	get generation(): number {
		return this.#workers.reduce((sum, { datapath }) => sum + datapath.generation, 0);
	}

	/** How many threads there are. */
	get workers(): number {
		return this.#workers.length;
	}

	/** The worker, from 1, that moves the frames of a port or segment. */
	workerOf(number: number): number {
		return this.indexOf(number) + 1;
	}

	/** @param number of a port or segment */
	indexOf(number: number): number {
		return (number - 1) % this.#workers.length;
	}

	/** The number that a port or segment has in its core. */
	localOf(number: number): number {
		return Math.floor((number - 1) / this.#workers.length) + 1;
	}

	numberOf(local: number, index: number): number {
		return (local - 1) * this.#workers.length + index + 1;
	}

	async addPort(spec: PortSpec): Promise<number> {
		const isUplink = spec.kind === "uplink";
		const worker = isUplink ? this.#place() : this.#workerOf(spec.segment);
		worker.ports++;
		if (isUplink) worker.shards++;
		try {
			const local = await worker.datapath.addPort(isUplink ? spec : { ...spec, segment: this.localOf(spec.segment) });
			const number = this.numberOf(local, worker.index);
			this.#ports.add(number);
			if (isUplink) this.#uplinks.add(number);
			return number;
		} catch (error) {
			worker.ports--;
			if (isUplink) worker.shards--;
			throw error;
		}
	}

	addXsk(spec: XskSpec): Promise<() => Promise<void>> {
		return this.#workerOf(spec.uplink).datapath.addXsk({ ...spec, uplink: this.localOf(spec.uplink) });
	}

	async removePort(port: number): Promise<void> {
		const worker = this.#workerOf(port);
		await worker.datapath.removePort(this.localOf(port));
		this.#ports.delete(port);
		worker.ports--;
		if (this.#uplinks.delete(port)) worker.shards--;
	}

	async setMtu(port: number, mtuBytes: number): Promise<void> {
		await this.#workerOf(port).datapath.setMtu(this.localOf(port), mtuBytes);
	}

	async addSegment({ uplink, tags }: SegmentSpec): Promise<number> {
		const worker = uplink === null ? this.#place() : this.#workerOf(uplink);
		if (uplink === null) worker.shards++;
		try {
			const local = await worker.datapath.addSegment({ uplink: uplink === null ? null : this.localOf(uplink), tags });
			const number = this.numberOf(local, worker.index);
			if (uplink === null) this.#isolated.add(number);
			return number;
		} catch (error) {
			if (uplink === null) worker.shards--;
			throw error;
		}
	}

	async removeSegment(segment: number): Promise<void> {
		const worker = this.#workerOf(segment);
		await worker.datapath.removeSegment(this.localOf(segment));
		if (this.#isolated.delete(segment)) worker.shards--;
	}

	async allowSource(segment: number, network: number, mac: string): Promise<void> {
		await this.#workerOf(segment).datapath.allowSource(this.localOf(segment), network, mac);
	}

	async disallowSource(segment: number, mac: string): Promise<void> {
		await this.#workerOf(segment).datapath.disallowSource(this.localOf(segment), mac);
	}

	async answer(): Promise<void> {
		await Promise.all(this.#workers.map(({ datapath }) => datapath.answer()));
	}

	async release(): Promise<void> {
		await Promise.all(this.#workers.map(({ datapath }) => datapath.release()));
	}

	async suspend(): Promise<void> {
		await Promise.all(this.#workers.map(({ datapath }) => datapath.suspend()));
	}

	async resume(): Promise<void> {
		await Promise.all(this.#workers.map(({ datapath }) => datapath.resume()));
	}

	countersOf(port: number): Uint8Array {
		return this.#workerOf(port).datapath.countersOf(this.localOf(port));
	}

	setCounters(port: number, bytes: Uint8Array): void {
		this.#workerOf(port).datapath.setCounters(this.localOf(port), bytes);
	}

	stats(): PortStats[] {
		const found = new Map<number, PortStats>();
		for (const { index, datapath } of this.#workers) {
			for (const stats of datapath.stats()) {
				const port = this.numberOf(stats.port, index);
				found.set(port, { ...stats, port });
			}
		}
		return [...this.#ports].flatMap((port) => found.get(port) ?? []);
	}

	onPortError(listener: (port: number, errnoName: string) => void): void {
		for (const { index, datapath } of this.#workers)
			datapath.onPortError((local, errnoName) => listener(this.numberOf(local, index), errnoName));
	}

	async close(): Promise<void> {
		await Promise.all(this.#workers.map(({ datapath }) => datapath.close()));
	}

	#workerOf(number: number): Worker {
		return this.#workers[this.indexOf(number)]!;
	}

	/** The worker for the next shard: with the fewest shards, of these with the fewest ports. */
	#place(): Worker {
		return this.#workers.reduce((best, worker) =>
			worker.shards < best.shards || (worker.shards === best.shards && worker.ports < best.ports) ? worker : best,
		);
	}
}

/** What all cores have counted, and what is in the tables of all of them. */
class ShardCounters implements CounterReader {
	constructor(
		readonly shards: Shards,
		readonly datapaths: RunningDatapath[],
	) {}

	port(port: number): PortCounters {
		return this.datapaths[this.shards.indexOf(port)]!.counters.port(this.shards.localOf(port));
	}

	batches(): number {
		return this.datapaths.reduce((sum, { counters }) => sum + counters.batches(), 0);
	}

	batchSizes(): number[] {
		const [first = [], ...others] = this.datapaths.map(({ counters }) => counters.batchSizes());
		return first.map((batches, power) => others.reduce((sum, sizes) => sum + sizes[power]!, batches));
	}

	buffers(): { total: number; used: number } {
		const all = this.datapaths.map(({ counters }) => counters.buffers());
		return all.reduce((sum, { total, used }) => ({ total: sum.total + total, used: sum.used + used }));
	}

	fdb(): FdbEntry[] {
		return this.datapaths.flatMap(({ counters }, index) =>
			counters.fdb().map((entry) => ({
				...entry,
				segment: this.shards.numberOf(entry.segment, index),
				value: entry.isSource ? entry.value : this.shards.numberOf(entry.value, index),
			})),
		);
	}

	ips(): IpEntry[] {
		return this.datapaths.flatMap(({ counters }, index) =>
			counters.ips().map((entry) => ({
				...entry,
				segment: this.shards.numberOf(entry.segment, index),
				port: this.shards.numberOf(entry.port, index),
			})),
		);
	}
}

/** The capture rings of all cores as one. */
class ShardCaptures implements CaptureReader {
	constructor(
		readonly shards: Shards,
		readonly datapaths: RunningDatapath[],
	) {}

	setPort(port: number, snapBytes: number): void {
		this.#of(port).setPort(this.shards.localOf(port), snapBytes);
	}

	forget(): void {
		for (const { capture } of this.datapaths) capture.forget();
	}

	setOn(on: boolean): void {
		for (const { capture } of this.datapaths) capture.setOn(on);
	}

	lost(port: number): number {
		return this.#of(port).lost(this.shards.localOf(port));
	}

	/** In the order of their times: threads have frames for the same moment at slightly different ones. */
	*read(): Generator<RingFrame, void, void> {
		const heads: { index: number; frame: RingFrame; rest: Iterator<RingFrame> }[] = [];
		this.datapaths.forEach(({ capture }, index) => {
			const rest = capture.read()[Symbol.iterator]();
			const { value: frame } = rest.next();
			if (frame) heads.push({ index, frame, rest });
		});
		while (heads.length > 0) {
			const oldest = heads.reduce((best, head) => (head.frame.timeNs < best.frame.timeNs ? head : best));
			yield { ...oldest.frame, port: this.shards.numberOf(oldest.frame.port, oldest.index) };
			const { value: frame } = oldest.rest.next();
			if (frame) oldest.frame = frame;
			else heads.splice(heads.indexOf(oldest), 1);
		}
	}

	#of(port: number): CaptureReader {
		return this.datapaths[this.shards.indexOf(port)]!.capture;
	}
}
