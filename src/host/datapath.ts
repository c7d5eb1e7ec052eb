/**
 * The main thread's handle of one datapath thread: starts the worker, sends it changes, reads counters out of the
 * shared memory (src/host/shards.ts puts several together). A worker that dies is replaced: the descriptors are the
 * process's, so they outlive it, and what was made of them is remembered here.
 *
 * A thread that is blocked in the kernel can not be ended from JavaScript: `process.exit` would hang. So the control
 * eventfd is written before the process exits, whichever way it does.
 */
import { close as closeInPool } from "node:fs";
import { MessageChannel, type MessagePort, type Worker } from "node:worker_threads";
import { type CaptureReader, CaptureRing } from "../core/capturering.js";
import { type CounterReader, Counters } from "../core/counters.js";
import { compileCore, createMemory, DAEMON_LIMITS, xsksOf } from "../core/engine.js";
import { takeLostFrames } from "../raw/packet.js";
import { unmapXsks, xskLosses } from "../raw/xsk.js";
import { errnoName } from "../sys/errno.js";
import { close, EFD_CLOEXEC, eventfd, write } from "../sys/libc.js";
import { type Fixture, type Operation, type Reply, STOP, SUSPEND, type WorkerSetup } from "./protocol.js";
import type { RingKind } from "./ring.js";
import { takeThread } from "./thread.js";
import type { Datapath, PortSpec, PortStats, SegmentSpec, XskSpec } from "./types.js";

export interface DatapathOptions {
	/** "auto" takes io_uring and falls back to poll(2) with plain reads and writes. */
	mode?: "auto" | RingKind;
	/** Nothing is read from the ports before `release`. Default false. */
	held?: boolean;
	/** Put neighbouring frames of a TCP or UDP flow together before they leave. Default true. */
	coalesce?: boolean;
	/** Called when the thread has died of an error, and another one has taken over its ports, segments and counters. */
	onRevived?: (error: Error) => void;
	/** Called once when the thread dies again and again: nothing is forwarded any more. */
	onFatal?: (error: Error) => void;
}

/** Which ring drives a datapath that `startDatapath` made. */
export interface RunningDatapath extends Datapath {
	readonly ring: RingKind;
	/** Counters of the whole switch, and its tables; any thread may read them. */
	readonly counters: CounterReader;
	/** What captures are made of. Whoever reads it is its only reader. */
	readonly capture: CaptureReader;
	/** Resolves when the thread has looked at what the main thread wants: it goes on. */
	answer(): Promise<void>;
	/** Starts to read from ports; for those that were made with `held`. */
	release(): Promise<void>;
	/**
	 * Stops to forward, once what is under way has left. Descriptors stay open, ports and counters are remembered:
	 * `resume` goes on, `close` ends it.
	 */
	suspend(): Promise<void>;
	/** Takes back `suspend`. */
	resume(): Promise<void>;
	/** What a port has counted, as bytes for `setCounters` of the same release. */
	countersOf(port: number): Uint8Array;
	/** Lets a port that has not been read from begin with what another one has counted. */
	setCounters(port: number, bytes: Uint8Array): void;
	/** See `Switch.addXsk`. */
	addXsk(spec: XskSpec): Promise<() => Promise<void>>;
	/** Another number whenever ports have come or gone, or a new thread has taken over. */
	readonly generation: number;
}

/**
 * Starts one thread of the datapath.
 * @param module of `compileCore`
 * @throws SysError when `mode` is "io_uring" and the kernel has none.
 */
export async function startDatapath(
	options: DatapathOptions = {},
	module: WebAssembly.Module = compileCore(),
): Promise<RunningDatapath> {
	const datapath = new WorkerDatapath(options, module);
	try {
		await datapath.ready;
		return datapath;
	} catch (error) {
		await datapath.close();
		throw error;
	}
}

/** Closes a descriptor in a thread that nobody waits for: the kernel takes its time to remove a device. */
function closeMeanwhile(fd: number): Promise<void> {
	return new Promise((resolve) => closeInPool(fd, () => resolve()));
}

/** Those whose threads have to be let out of the kernel before the process can end. */
const running = new Set<WorkerDatapath>();

function letGo(): void {
	for (const datapath of running) datapath.letGo();
}

interface Pending {
	operation: Operation;
	resolve(value: number): void;
	reject(error: Error): void;
}

/** A thread, and what only it uses. */
interface Running {
	worker: Worker;
	port: MessagePort;
	eventFd: number;
	memory: WebAssembly.Memory;
	/** Known once it is ready; -1 before, and where the ring has none. */
	ringFd: number;
	/** What it died of, when that is known. */
	error?: Error;
}

/** Deaths of threads, within DEATHS_MS, that are answered by a new one. */
const DEATHS_MAX = 5;
const DEATHS_MS = 60_000;
/** How long the kernel may take to forget a ring that was closed: until then, what it writes to must be there. */
const FORGOTTEN_MS = 10_000;

class WorkerDatapath implements RunningDatapath {
	ring: RingKind = "poll";
	ready: Promise<void>;
	readonly counters: Counters;
	readonly capture: CaptureRing;
	readonly #options: DatapathOptions;
	readonly #module: WebAssembly.Module;
	readonly #stop = new Int32Array(new SharedArrayBuffer(4));
	readonly #pending = new Map<number, Pending>();
	/** What there is, in the order in which it was made. */
	readonly #fixtures = new Map<string, Fixture>();
	/** AF_XDP sockets by number, with the frames that they have been known to lose. */
	readonly #xsks = new Map<number, XskSpec & { lost: number }>();
	/** Uplinks that have lost theirs, and do not know yet. */
	readonly #bereft = new Set<number>();
	readonly #listeners: ((port: number, errnoName: string) => void)[] = [];
	readonly #gone: Promise<void>;
	#running: Running;
	#settled: { resolve(): void; reject(error: Error): void } = { resolve() {}, reject() {} };
	#isReady = false;
	#held: boolean;
	/** Set from `suspend` on: called when nothing is under way any more, and when the thread has ended. */
	#suspended: { done(): void; ended(): void; hasEnded: Promise<void> } | undefined;
	#end: () => void = () => undefined;
	#deathsMs: number[] = [];
	generation = 0;
	#nextId = 1;
	#kicking = false;
	#dead: Error | undefined;

	constructor(options: DatapathOptions, module: WebAssembly.Module) {
		this.#options = options;
		this.#held = options.held ?? false;
		this.#module = module;
		const memory = createMemory(this.#module, DAEMON_LIMITS);
		this.counters = new Counters(memory);
		this.capture = new CaptureRing(memory);
		this.ready = new Promise((resolve, reject) => {
			this.#settled = { resolve, reject };
		});
		this.#gone = new Promise((resolve) => {
			this.#end = resolve;
		});
		this.#running = this.#start(memory);
		if (running.size === 0) process.on("exit", letGo);
		running.add(this);
	}

	#start(memory: WebAssembly.Memory, previous?: WebAssembly.Memory): Running {
		const channel = new MessageChannel();
		const eventFd = eventfd(0, EFD_CLOEXEC);
		const setup: WorkerSetup = {
			module: this.#module,
			memory,
			mode: this.#options.mode ?? "auto",
			coalesce: this.#options.coalesce ?? true,
			held: this.#held,
			eventFd,
			stop: this.#stop,
			port: channel.port2,
			revive: previous && { fixtures: [...this.#fixtures.values()], previous },
		};
		const worker = takeThread();
		worker.postMessage(setup, [channel.port2]);
		const running: Running = { worker, port: channel.port1, eventFd, memory, ringFd: -1 };
		channel.port1.on("message", (reply: Reply) => {
			if ("ready" in reply) this.#begin(running, reply);
			else if ("suspended" in reply) this.#suspended?.done();
			else this.#receive(reply);
		});
		worker.on("error", (error: Error) => {
			running.error = error;
		});
		worker.on("exit", (code) => this.#ended(running, code));
		return running;
	}

	#begin(running: Running, { ready, ringFd }: { ready: RingKind; ringFd: number }): void {
		running.ringFd = ringFd;
		this.ring = ready;
		this.#isReady = true;
		this.counters.follow(running.memory);
		this.capture.follow(running.memory);
		this.generation++;
		this.#settled.resolve();
	}

	/** A thread that was not told to end is followed by another one, with what there was. */
	#ended(running: Running, code: number): void {
		const stop = Atomics.load(this.#stop, 0);
		if (stop === STOP) return this.#end();
		if (stop === SUSPEND) return this.#suspended?.ended();
		const error = running.error ?? new Error(`the datapath's thread has ended with status ${code}`);
		const nowMs = performance.now();
		this.#deathsMs = [...this.#deathsMs.filter((ms) => ms > nowMs - DEATHS_MS), nowMs];
		if (!this.#isReady || this.#deathsMs.length > DEATHS_MAX) return this.#giveUp(error);
		this.#replace(running);
		this.#options.onRevived?.(error);
	}

	/** Starts a thread that goes on where another one has ended. */
	#replace(running: Running): void {
		running.port.close();
		close(running.eventFd);
		// Requests that it has left to the kernel end with the ring, but not at once.
		if (running.ringFd >= 0) close(running.ringFd);
		setTimeout(() => running.memory, FORGOTTEN_MS).unref();
		this.#running = this.#start(createMemory(this.#module, DAEMON_LIMITS), running.memory);
		for (const [id, { operation, resolve, reject }] of [...this.#pending]) {
			const isXsk = operation.op === "addXsk" || (operation.op === "removePort" && this.#xsks.has(operation.port));
			if (!isXsk) this.#running.port.postMessage({ ...operation, id });
			else {
				this.#pending.delete(id);
				if (operation.op === "addXsk") reject(new Error("the thread has ended"));
				else resolve(0);
				// Its descriptor may be closed, and another file's by now.
				if (operation.op === "removePort") this.#xsks.delete(operation.port);
			}
		}
		this.#kick(0);
		this.#loseXsks(running.memory);
		for (const uplink of this.#bereft) for (const listener of this.#listeners) listener(uplink, "EOWNERDEAD");
		this.#bereft.clear();
	}

	/** AF_XDP sockets end with their thread: their memory is its core's. */
	#loseXsks(memory: WebAssembly.Memory): void {
		if (this.#xsks.size === 0) return;
		const { address, bytes } = xsksOf(memory, DAEMON_LIMITS);
		unmapXsks(address, bytes);
		for (const { fd, uplink } of this.#xsks.values()) {
			close(fd);
			this.#bereft.add(uplink);
		}
		this.#xsks.clear();
	}

	#giveUp(error: Error): void {
		this.#fail(error);
		this.#end();
		this.#settled.reject(error);
		this.#options.onFatal?.(error);
	}

	/** Tells the thread to end, without waiting for it. */
	letGo(): void {
		this.#kick(STOP);
	}

	#kick(stop: 0 | typeof STOP | typeof SUSPEND): void {
		if (stop) Atomics.store(this.#stop, 0, stop);
		write(this.#running.eventFd, new Uint8Array(new BigUint64Array([1n]).buffer));
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
		if (!pending) return;
		if ("error" in reply) return pending.reject(new Error(reply.error));
		this.#remember(pending.operation, reply.value);
		pending.resolve(reply.value);
	}

	/** Keeps the fixtures up to date, at once: the thread may die any time. */
	#remember(operation: Operation, value: number): void {
		const fixtures = this.#fixtures;
		if (operation.op === "addPort" || operation.op === "removePort") this.generation++;
		switch (operation.op) {
			case "addPort":
				fixtures.set(`port ${value}`, { op: "addPort", number: value, spec: operation.spec });
				break;
			case "setMtu": {
				const fixture = fixtures.get(`port ${operation.port}`);
				if (fixture?.op === "addPort") fixture.spec = { ...fixture.spec, mtuBytes: operation.mtuBytes };
				break;
			}
			case "addXsk":
				this.#xsks.set(value, { ...operation.spec, lost: 0 });
				break;
			case "removePort":
				this.#xsks.delete(operation.port);
				fixtures.delete(`port ${operation.port}`);
				break;
			case "addSegment":
				fixtures.set(`segment ${value}`, { op: "addSegment", number: value, spec: operation.spec });
				break;
			case "removeSegment":
				fixtures.delete(`segment ${operation.segment}`);
				break;
			case "allowSource":
				fixtures.set(`source ${operation.segment} ${operation.mac}`, operation);
				break;
			case "disallowSource":
				fixtures.delete(`source ${operation.segment} ${operation.mac}`);
		}
	}

	#request(operation: Operation): Promise<number> {
		if (this.#dead) return Promise.reject(new Error(`the datapath is not running: ${this.#dead.message}`));
		const id = this.#nextId++;
		return new Promise((resolve, reject) => {
			this.#pending.set(id, { operation, resolve, reject });
			this.#running.port.postMessage({ ...operation, id });
			this.#kickSoon();
		});
	}

	/** Once for all requests of this turn: to wake the thread up costs more than what it is told. */
	#kickSoon(): void {
		if (this.#kicking) return;
		this.#kicking = true;
		process.nextTick(() => {
			this.#kicking = false;
			this.#kick(0);
		});
	}

	async addPort(spec: PortSpec): Promise<number> {
		try {
			return await this.#request({ op: "addPort", spec });
		} catch (error) {
			throw new Error(`port "${spec.name}": ${(error as Error).message}`);
		}
	}

	async addXsk(spec: XskSpec): Promise<() => Promise<void>> {
		const port = await this.#request({ op: "addXsk", spec });
		const added = this.#xsks.get(port);
		return async () => {
			if (!added || this.#xsks.get(port) !== added) return;
			await this.#request({ op: "removePort", port });
			await closeMeanwhile(spec.fd);
		};
	}

	async removePort(port: number): Promise<void> {
		const fixture = this.#fixtures.get(`port ${port}`);
		await this.#request({ op: "removePort", port });
		if (fixture?.op === "addPort") await closeMeanwhile(fixture.spec.fd);
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
		for (const xsk of this.#xsks.values()) {
			const all = xskLosses(xsk.fd);
			if (all > xsk.lost) this.counters.addLost(xsk.uplink, all - xsk.lost);
			xsk.lost = Math.max(xsk.lost, all);
		}
		return [...this.#fixtures.values()].flatMap((fixture) => {
			if (fixture.op !== "addPort") return [];
			const { number: port, spec } = fixture;
			const lost = spec.kind === "uplink" ? takeLostFrames(spec.fd) : 0;
			if (lost > 0) this.counters.addLost(port, lost);
			return { port, name: spec.name, kind: spec.kind, ...this.counters.port(port) };
		});
	}

	onPortError(listener: (port: number, errnoName: string) => void): void {
		this.#listeners.push(listener);
	}

	async answer(): Promise<void> {
		await this.#request({ op: "answer" });
	}

	async release(): Promise<void> {
		this.#held = false;
		await this.#request({ op: "release" });
	}

	async suspend(): Promise<void> {
		let ended: () => void = () => undefined;
		const hasEnded = new Promise<void>((resolve) => {
			ended = resolve;
		});
		// A thread of Node's takes longer to end than frames can wait.
		const isDone = new Promise<void>((done) => {
			this.#suspended = { done, ended, hasEnded };
		});
		this.#kick(SUSPEND);
		await Promise.race([isDone, hasEnded]);
		this.#loseXsks(this.#running.memory);
	}

	async resume(): Promise<void> {
		await this.#suspended?.hasEnded;
		this.#suspended = undefined;
		Atomics.store(this.#stop, 0, 0);
		this.ready = new Promise((resolve, reject) => {
			this.#settled = { resolve, reject };
		});
		this.#replace(this.#running);
		await this.ready;
	}

	countersOf(port: number): Uint8Array {
		return this.counters.bytesOf(port);
	}

	setCounters(port: number, bytes: Uint8Array): void {
		this.counters.setBytes(port, bytes);
	}

	async close(): Promise<void> {
		running.delete(this);
		if (running.size === 0) process.off("exit", letGo);
		if (this.#suspended) void this.#suspended.hasEnded.then(this.#end);
		else this.#kick(STOP);
		await this.#gone;
		this.#fail(new Error("closed"));
		this.#running.port.close();
		close(this.#running.eventFd);
	}
}
