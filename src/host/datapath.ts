/**
 * The main thread's handle of the datapath: starts the worker, sends it changes, reads counters out of the shared
 * memory.
 *
 * A thread that is blocked in the kernel can not be ended from JavaScript: `process.exit` would hang. So the control
 * eventfd is written before the process exits, whichever way it does.
 */
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { CaptureRing } from "../core/capturering.js";
import { Counters } from "../core/counters.js";
import { compileCore, createMemory, DAEMON_LIMITS } from "../core/engine.js";
import { errnoName } from "../sys/errno.js";
import { close, EFD_CLOEXEC, eventfd, write } from "../sys/libc.js";
import type { Operation, Reply, WorkerSetup } from "./protocol.js";
import type { RingKind } from "./ring.js";
import type { Datapath, PortSpec, PortStats, SegmentSpec } from "./types.js";

export interface DatapathOptions {
	/** "auto" takes io_uring and falls back to poll(2) with plain reads and writes. */
	mode?: "auto" | RingKind;
	/** Called once when the worker dies of an error: nothing is forwarded any more. */
	onFatal?: (error: Error) => void;
}

/** Which ring drives a datapath that `startDatapath` made. */
export interface RunningDatapath extends Datapath {
	readonly ring: RingKind;
	/** Counters of the whole switch, and its tables; any thread may read them. */
	readonly counters: Counters;
	/** What captures are made of. Whoever reads it is its only reader. */
	readonly capture: CaptureRing;
}

/**
 * Starts the datapath's thread.
 * @throws SysError when `mode` is "io_uring" and the kernel has none.
 */
export async function startDatapath(options: DatapathOptions = {}): Promise<RunningDatapath> {
	const datapath = new WorkerDatapath(options);
	await datapath.ready;
	return datapath;
}

interface Pending {
	resolve(value: number): void;
	reject(error: Error): void;
}

class WorkerDatapath implements RunningDatapath {
	ring: RingKind = "poll";
	readonly ready: Promise<void>;
	readonly #worker: Worker;
	readonly #port: MessagePort;
	readonly #eventFd = eventfd(0, EFD_CLOEXEC);
	readonly #stop = new Int32Array(new SharedArrayBuffer(4));
	readonly counters: Counters;
	readonly capture: CaptureRing;
	readonly #pending = new Map<number, Pending>();
	readonly #specs = new Map<number, PortSpec>();
	readonly #listeners: ((port: number, errnoName: string) => void)[] = [];
	readonly #onExit = () => this.#kick(1);
	readonly #gone: Promise<void>;
	#nextId = 1;
	#dead: Error | undefined;

	constructor(options: DatapathOptions) {
		const module = compileCore();
		const memory = createMemory(module, DAEMON_LIMITS);
		this.counters = new Counters(memory);
		this.capture = new CaptureRing(memory);
		const channel = new MessageChannel();
		this.#port = channel.port1;
		const setup: WorkerSetup = {
			module,
			memory,
			mode: options.mode ?? "auto",
			eventFd: this.#eventFd,
			stop: this.#stop,
			port: channel.port2,
		};
		this.#worker = new Worker(new URL("./worker.js", import.meta.url), {
			workerData: setup,
			transferList: [channel.port2],
			execArgv: [], // flags of the program around us, such as --input-type, are not for this thread
			// The heap holds a few objects for control messages; frames live in the shared memory.
			resourceLimits: { maxOldGenerationSizeMb: 64 },
		});
		this.ready = new Promise((resolve, reject) => {
			this.#port.on("message", (reply: Reply) => {
				if ("ready" in reply) {
					this.ring = reply.ready;
					resolve();
				} else this.#receive(reply);
			});
			this.#worker.on("error", (error: Error) => {
				this.#fail(error);
				reject(error);
				options.onFatal?.(error);
			});
		});
		this.#gone = new Promise((resolve) => this.#worker.on("exit", () => resolve()));
		process.on("exit", this.#onExit);
	}

	#kick(stop: 0 | 1): void {
		if (stop) Atomics.store(this.#stop, 0, 1);
		write(this.#eventFd, new Uint8Array(new BigUint64Array([1n]).buffer));
	}

	#fail(error: Error): void {
		this.#dead = error;
		for (const { reject } of this.#pending.values()) reject(error);
		this.#pending.clear();
	}

	#receive(reply: Reply): void {
		if ("failed" in reply) {
			for (const listener of this.#listeners) listener(reply.failed, errnoName(reply.errno));
			return;
		}
		if (!("id" in reply)) return;
		const pending = this.#pending.get(reply.id);
		this.#pending.delete(reply.id);
		if ("error" in reply) pending?.reject(new Error(reply.error));
		else pending?.resolve(reply.value);
	}

	#request(operation: Operation): Promise<number> {
		if (this.#dead) return Promise.reject(new Error(`the datapath is not running: ${this.#dead.message}`));
		const id = this.#nextId++;
		return new Promise((resolve, reject) => {
			this.#pending.set(id, { resolve, reject });
			this.#port.postMessage({ ...operation, id });
			this.#kick(0);
		});
	}

	async addPort(spec: PortSpec): Promise<number> {
		try {
			const port = await this.#request({ op: "addPort", spec });
			this.#specs.set(port, spec);
			return port;
		} catch (error) {
			throw new Error(`port "${spec.name}": ${(error as Error).message}`);
		}
	}

	async removePort(port: number): Promise<void> {
		await this.#request({ op: "removePort", port });
		this.#specs.delete(port);
	}

	async setMtu(port: number, mtuBytes: number): Promise<void> {
		await this.#request({ op: "setMtu", port, mtuBytes });
	}

	addSegment(spec: SegmentSpec): Promise<number> {
		return this.#request({ op: "addSegment", spec });
	}

	async removeSegment(segment: number): Promise<void> {
		await this.#request({ op: "removeSegment", segment });
	}

	async allowSource(segment: number, network: number, mac: string): Promise<void> {
		await this.#request({ op: "allowSource", segment, network, mac });
	}

	async disallowSource(segment: number, mac: string): Promise<void> {
		await this.#request({ op: "disallowSource", segment, mac });
	}

	stats(): PortStats[] {
		return [...this.#specs].map(([port, { name, kind }]) => ({ port, name, kind, ...this.counters.port(port) }));
	}

	onPortError(listener: (port: number, errnoName: string) => void): void {
		this.#listeners.push(listener);
	}

	async close(): Promise<void> {
		process.off("exit", this.#onExit);
		if (!this.#dead) this.#kick(1);
		await this.#gone;
		this.#fail(new Error("closed"));
		this.#port.close();
		close(this.#eventFd);
	}
}
