/**
 * The datapath's thread: one loop of `pump` (everything per frame, in the core) and `enter` (the kernel, once per
 * batch). It blocks in the kernel when there is nothing to do; a write to the control eventfd wakes it up for a
 * message.
 *
 *   main thread --message + eventfd--> [ pump -> enter -> pump -> enter ... ] --reply-->
 *
 * Changes (ports, segments) are applied here, between two batches, so the packet path needs no locks.
 */
import { parentPort, receiveMessageOnPort } from "node:worker_threads";
import * as abi from "../../assembly/abi.js";
import { DAEMON_LIMITS, Engine } from "../core/engine.js";
import { mapXsk, unmapXsks } from "../raw/xsk.js";
import { close, write } from "../sys/libc.js";
import { renounce, rest } from "../sys/privileges.js";
import { takeShortTurns } from "../sys/scheduler.js";
import { coalescible } from "./offloads.js";
import { type Reply, type Request, SUSPEND, type WorkerSetup } from "./protocol.js";
import { revive } from "./revive.js";
import { openRing, type Ring } from "./ring.js";
import { Tables } from "./tables.js";
import type { PortSpec, XskSpec } from "./types.js";

const CONTROL_FILE = 0;
/**
 * So often the loop goes round before it sleeps for the first time. V8 interprets what is new and compiles what is
 * called often: that is done before frames have to wait for it.
 */
const WARM_TURNS = 10_000;
/**
 * Compiled is only what has happened; the rest is interpreted again, and everything with it, as soon as it happens. So
 * each of so many turns there is something to do beside.
 */
const WARM_TURNS_BETWEEN = 1000;
/** Of the processor; what other lengths do is in ADR 32. */
const TURN_NS = 300_000;
/** What an eventfd is given. */
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** The thread's work. Tests give it a kernel of their own (test/model/kernel.ts). */
export class Loop {
	readonly #engine: Engine;
	readonly #tables: Tables;
	readonly #ring: Ring;
	readonly #setup: Omit<WorkerSetup, "module" | "memory" | "mode">;
	/** Descriptors of the ports, by port number. */
	readonly #fds = new Map<number, number>();
	/** Ports on their way out, with the request that waits for it. */
	readonly #closing = new Map<number, number>();
	readonly #failed = new Set<number>();
	/** Which memory AF_XDP sockets have, by port number. */
	readonly #xsks = new Map<number, number>();
	#held: boolean;

	constructor(setup: Omit<WorkerSetup, "module" | "memory" | "mode">, engine: Engine, ring: Ring) {
		this.#setup = setup;
		this.#held = setup.held;
		this.#engine = engine;
		this.#ring = ring;
		this.#tables = new Tables(engine.core, setup.coalesce ? coalescible() : 0);
		this.#ring.setFile(CONTROL_FILE, setup.eventFd);
		this.#engine.core.controlArm();
		if (setup.revive) this.#revive(setup.revive);
		setup.port.postMessage({ ready: this.#ring.kind, ringFd: this.#ring.fd } satisfies Reply);
	}

	#revive({ fixtures, previous }: NonNullable<WorkerSetup["revive"]>): void {
		revive(this.#engine, this.#tables, fixtures, previous);
		for (const fixture of fixtures) if (fixture.op === "addPort") this.#open(fixture.number, fixture.spec.fd);
	}

	/** Until the main thread says stop. */
	run(): void {
		let cold = WARM_TURNS;
		while (this.turn(cold === 0)) {
			if (cold > 0 && --cold % WARM_TURNS_BETWEEN === 0) write(this.#setup.eventFd, ONE);
		}
	}

	/**
	 * One batch; false: the main thread has said stop, and the ring is closed.
	 * @param maySleep until there is something to do
	 */
	turn(maySleep = true): boolean {
		this.#engine.stampCapture();
		const todo = this.#engine.core.pump();
		if ((todo & (abi.PUMP_CONTROL | abi.PUMP_ATTENTION)) !== 0 || this.#closing.size > 0) {
			if (!this.#serve(todo)) return false;
		}
		// Whatever was done just now may have left requests behind: they are submitted by the next batch, without waiting
		// before it.
		const isIdle = (todo & (abi.PUMP_WAIT | abi.PUMP_CONTROL | abi.PUMP_ATTENTION)) === abi.PUMP_WAIT;
		this.#submit(todo, isIdle && maySleep);
		return true;
	}

	/** What is not forwarding; false: the main thread has said stop, and the ring is closed. */
	#serve(todo: number): boolean {
		if (todo & abi.PUMP_CONTROL) {
			const stop = Atomics.load(this.#setup.stop, 0);
			if (stop) {
				this.#shutDown(stop === SUSPEND);
				return false;
			}
			this.#readMessages();
		}
		if (todo & abi.PUMP_ATTENTION || this.#closing.size > 0) this.#attend();
		return true;
	}

	/**
	 * Nobody waits while requests of a port on its way out may stand in the submission queue: only what the kernel has
	 * taken can be cancelled.
	 */
	#submit(todo: number, mayWait: boolean): void {
		const count = todo & 0xffff;
		const isSafe = count === 0 || this.#closing.size === 0;
		this.#ring.enter(count, isSafe && mayWait ? 1 : 0);
	}

	#readMessages(): void {
		for (let item = receiveMessageOnPort(this.#setup.port); item; item = receiveMessageOnPort(this.#setup.port)) {
			this.#handle(item.message as Request);
		}
		this.#engine.core.controlArm();
	}

	/** Failed ports, and ports that the kernel has let go. */
	#attend(): void {
		for (const port of this.#fds.keys()) {
			const error = this.#engine.portError(port);
			if (error && !this.#failed.has(port) && !this.#closing.has(port)) {
				this.#failed.add(port);
				this.#setup.port.postMessage({ failed: port, errno: error } satisfies Reply);
			}
		}
		for (const [port, id] of this.#closing) {
			if (this.#finishRemoval(port, true)) this.#setup.port.postMessage({ id, value: 0 } satisfies Reply);
		}
	}

	/** Cancels before it closes: the kernel must not hold a buffer of ours when the memory goes. */
	#shutDown(keepFds: boolean): void {
		const { core } = this.#engine;
		for (const port of this.#fds.keys()) if (!this.#closing.has(port)) this.#removePort(port, 0);
		while (this.#closing.size > 0) {
			const todo = core.pump();
			for (const port of this.#closing.keys()) this.#finishRemoval(port, keepFds, keepFds);
			if (this.#closing.size > 0) this.#submit(todo, (todo & abi.PUMP_WAIT) !== 0);
		}
		this.#ring.close();
		if (keepFds) this.#setup.port.postMessage({ suspended: true } satisfies Reply);
	}

	#handle(request: Request): void {
		try {
			const value = this.#apply(request);
			if (value !== undefined) this.#setup.port.postMessage({ id: request.id, value } satisfies Reply);
		} catch (error) {
			this.#setup.port.postMessage({ id: request.id, error: (error as Error).message } satisfies Reply);
		}
	}

	/** Answers undefined when the reply comes later. */
	#apply(request: Request): number | undefined {
		switch (request.op) {
			case "addPort":
				return this.#addPort(request.spec);
			case "addXsk":
				return this.#addXsk(request.spec);
			case "removePort":
				return this.#removePort(request.port, request.id);
			case "release":
				this.#release();
				return 0;
			case "answer":
				return 0;
			case "setMtu":
				this.#engine.core.portSetMtu(request.port, request.mtuBytes);
				return 0;
			case "addSegment":
				return this.#tables.addSegment(request.spec);
			case "removeSegment":
				this.#tables.removeSegment(request.segment);
				return 0;
			case "allowSource":
				this.#tables.allowSource(request.segment, request.network, request.mac);
				return 0;
			case "disallowSource":
				this.#tables.disallowSource(request.segment, request.mac);
				return 0;
		}
	}

	#addPort(spec: PortSpec): number {
		const port = this.#tables.addPort(spec);
		try {
			this.#open(port, spec.fd);
		} catch (error) {
			this.#tables.dropPort(port);
			throw error;
		}
		return port;
	}

	#open(port: number, fd: number): void {
		this.#ring.setFile(port, fd);
		this.#fds.set(port, fd);
		if (!this.#held) this.#engine.core.portStart(port);
	}

	#addXsk({ uplink, fd, isVirtual }: XskSpec): number {
		const used = new Set(this.#xsks.values());
		let index = 0;
		while (used.has(index)) index++;
		const at = this.#engine.xsk(index);
		if (at === undefined) throw new Error(`no room for more than ${index} AF_XDP sockets`);
		try {
			const { rx, fill } = mapXsk(fd, this.#engine.address + at);
			const rings = [rx.producer, rx.consumer, rx.entries, fill.producer, fill.entries].map((field) => field + at);
			const [rxProducer, rxConsumer, rxEntries, fillProducer, fillEntries] = rings as [
				number,
				number,
				number,
				number,
				number,
			];
			const port = this.#engine.core.xskAdd(
				at,
				uplink,
				isVirtual ? 1 : 0,
				rxProducer,
				rxConsumer,
				rxEntries,
				fillProducer,
				fillEntries,
			);
			if (port === 0) throw new Error("no room for another port");
			this.#xsks.set(port, index);
			this.#open(port, fd);
			return port;
		} catch (error) {
			unmapXsks(this.#engine.address + at, abi.XSK_BYTES);
			throw error;
		}
	}

	/** What has come meanwhile waits in the kernel's queues. */
	#release(): void {
		if (!this.#held) return;
		this.#held = false;
		for (const port of this.#fds.keys()) if (!this.#closing.has(port)) this.#engine.core.portStart(port);
	}

	/** `#finishRemoval` does the rest, after this batch or a later one. */
	#removePort(port: number, id: number): undefined {
		if (!this.#fds.has(port) || this.#closing.has(port)) throw new Error(`no port ${port}`);
		this.#engine.core.portClose(port);
		this.#closing.set(port, id);
	}

	/**
	 * Once neither the kernel nor a queue of ours knows the port any more, its descriptor can be closed. To close that of
	 * a device takes some ten milliseconds, in which this thread would forward nothing: the main thread has it done.
	 */
	#finishRemoval(port: number, keepFd: boolean, keepXsk = false): boolean {
		const { core } = this.#engine;
		if (this.#engine.portInflight(port) > 0) {
			this.#ring.cancel(port);
			return false;
		}
		if (core.rxPending() > 0 || core.txPending() > 0 || !core.portFree(port)) return false;
		this.#ring.setFile(port, -1);
		const xsk = this.#xsks.get(port);
		if (xsk !== undefined && !keepXsk) unmapXsks(this.#engine.address + this.#engine.xsk(xsk)!, abi.XSK_BYTES);
		this.#xsks.delete(port);
		if (!keepFd) close(this.#fds.get(port)!);
		this.#fds.delete(port);
		this.#failed.delete(port);
		this.#closing.delete(port);
		return true;
	}
}

function start(setup: WorkerSetup): Loop {
	takeShortTurns(TURN_NS);
	const engine = new Engine(setup.module, setup.memory, DAEMON_LIMITS);
	// A kernel may allow io_uring to administrators only (kernel.io_uring_disabled=1).
	rest(["CAP_SYS_ADMIN"]);
	const ring = openRing(engine, setup.mode);
	// What reads frames gets descriptors that others have opened, and needs no capability.
	renounce();
	return new Loop(setup, engine, ring);
}

// Nothing else is done here until the main thread says stop. Without a setup, nobody needs this thread.
parentPort?.once("message", (setup?: WorkerSetup) => setup && start(setup).run());
