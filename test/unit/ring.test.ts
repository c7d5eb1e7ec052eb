/**
 * The forwarding thread's loop and the core's ring driver over a kernel that does everything a kernel may do
 * (test/model/kernel.ts): after each batch the core and the kernel agree about what is under way; every message is
 * answered, also while others flood; every port can be removed; in the end every buffer is free and nothing is under
 * way. A failure prints the seed; VLANE_SEED=N runs it again.
 */
import { closeSync, openSync } from "node:fs";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CORE_DEBUG, CORE_RELEASE, compileCore, createMemory, Engine } from "../../src/core/engine.js";
import { SOFT_RING } from "../../src/core/softring.js";
import { type Operation, type Reply, STOP } from "../../src/host/protocol.js";
import { Loop } from "../../src/host/worker.js";
import { chanceOf, ModelKernel, type Mood, WILLING } from "../model/kernel.js";
import { BROADCAST, makeFrame } from "../support/frames.js";

const LIMITS = { portsMax: 64, segmentsMax: 16, tablesMax: 8, fdbCapacity: 256, slotsMax: 96 };
const PARENT = "02:00:00:00:ff:ff";
const STATIONS_MAX = 56;
/** Batches in which a willing kernel has to come to an end of everything. */
const BATCHES_MAX = 3000;

type Step =
	| { add: number }
	| { remove: number }
	| { resize: number }
	| { traffic: number; frames: number }
	| { gone: number }
	| { batches: number; mood: Mood };

const share = fc.constantFrom(0, 0, 0.1, 0.5, 0.9);
const mood: fc.Arbitrary<Mood> = fc.record({
	busy: share,
	partial: share,
	late: share,
	failing: fc.constantFrom(0, 0, 0.1),
});
const index = fc.nat({ max: 1000 });
const step: fc.Arbitrary<Step> = fc.oneof(
	{ weight: 2, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 40 }) }) },
	{ weight: 3, arbitrary: fc.record({ remove: index }) },
	{ weight: 3, arbitrary: fc.record({ resize: index }) },
	{ weight: 4, arbitrary: fc.record({ traffic: index, frames: fc.integer({ min: 1, max: 300 }) }) },
	{ weight: 1, arbitrary: fc.record({ gone: index }) },
	{ weight: 8, arbitrary: fc.record({ batches: fc.integer({ min: 1, max: 12 }), mood }) },
);
const story = fc.record({
	seed: fc.integer(),
	steps: fc.array(step, { minLength: 5, maxLength: 40 }),
	flooders: fc.integer({ min: 0, max: 3 }),
});

/** A loop with a kernel of ours below it, driven a batch at a time. */
class Rig {
	readonly engine: Engine;
	readonly kernel: ModelKernel;
	/** Numbers of the stations' ports, and their descriptors. */
	readonly ports = new Map<number, number>();
	#uplink = 0;
	#segment = 0;
	readonly #loop: Loop;
	readonly #channel = new MessageChannel();
	readonly #stop = new Int32Array(1);
	readonly #answers = new Map<number, number | string>();
	/** Descriptors of ports that are being removed, by the message that asks for it. */
	readonly #leaving = new Map<number, number>();
	#lastId = 0;
	#macs = 0;

	constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, seed: number) {
		this.engine = new Engine(module, memory, LIMITS);
		const header = (field: number): number => this.engine.header(field);
		this.kernel = new ModelKernel(memory, header, chanceOf(seed));
		const { sqHead, sqTail, sqArray, cqHead, cqTail, cqes } = SOFT_RING;
		// Addresses are offsets in the memory.
		this.engine.core.ringInit(0, 0, sqHead, sqTail, sqArray, cqHead, cqTail, cqes);
		const setup = { coalesce: false, eventFd: 0, held: false, stop: this.#stop, port: this.#channel.port2 };
		this.#loop = new Loop(setup, this.engine, this.kernel);
	}

	begin(): void {
		const spec = { name: "eth0", fd: this.#device(BROADCAST), mac: PARENT, mtuBytes: 1500 };
		this.#uplink = this.settle(this.ask({ op: "addPort", spec: { ...spec, kind: "uplink" } }));
		this.#segment = this.settle(this.ask({ op: "addSegment", spec: { uplink: this.#uplink, tags: [] } }));
	}

	#device(source: string): number {
		const fd = openSync("/dev/null", "r");
		const frame = makeFrame({ dst: BROADCAST, src: source, ethertype: 0x88b5, payload: new Uint8Array(50) });
		this.kernel.devices.set(fd, { waiting: 0, isGone: false, frame });
		return fd;
	}

	ask(operation: Operation): number {
		const id = ++this.#lastId;
		this.#channel.port1.postMessage({ ...operation, id });
		this.kernel.signals++;
		return id;
	}

	/** Batches until the answer is there. */
	settle(id: number): number {
		for (let count = 0; !this.#answers.has(id); count++) {
			assert.ok(count < BATCHES_MAX, `message ${id} has an answer after ${count} batches`);
			assert.ok(this.batch(), `message ${id} has an answer before the loop sleeps`);
		}
		const answer = this.#answers.get(id);
		assert.type(answer, "number", `${answer}`);
		return answer as number;
	}

	/** One batch; false: the thread sleeps, and nothing that could wake it up has happened. */
	batch(): boolean {
		const isWoken = this.kernel.signals > 0 || [...this.kernel.devices.values()].some(({ waiting }) => waiting > 0);
		if (this.kernel.isAsleep && !isWoken) return false;
		assert.ok(this.#loop.turn());
		this.#listen();
		this.check();
		return true;
	}

	#listen(): void {
		for (;;) {
			const item = receiveMessageOnPort(this.#channel.port1);
			if (!item) return;
			const reply = item.message as Reply;
			if ("value" in reply) this.#done(reply.id, reply.value);
			if ("error" in reply) this.#answers.set(reply.id, reply.error);
		}
	}

	/** The loop lets go of the descriptor of a port that was removed; the main thread closes it. */
	#done(id: number, value: number): void {
		this.#answers.set(id, value);
		const fd = this.#leaving.get(id);
		if (fd !== undefined) closeSync(fd);
	}

	/** What the core believes to be under way is what the kernel has. */
	check(): void {
		const held = this.kernel.held();
		assert.ok((held.get(0) ?? 0) <= 1, "one read of the eventfd");
		for (let port = 1; port < LIMITS.portsMax; port++)
			assert.is(this.engine.portInflight(port), held.get(port) ?? 0, `requests of port ${port}`);
	}

	addStations(count: number): void {
		for (let added = 0; added < count && this.ports.size < STATIONS_MAX; added++) {
			const number = (++this.#macs).toString(16).padStart(4, "0");
			const mac = `02:00:00:00:${number.slice(0, 2)}:${number.slice(2)}`;
			const fd = this.#device(mac);
			const common = { fd, name: mac, mac, mtuBytes: 1500, segment: this.#segment };
			const spec = { ...common, kind: "endpoint", network: 1, mode: "bridge" } as const;
			this.ports.set(this.settle(this.ask({ op: "addPort", spec })), fd);
		}
	}

	pick(count: number): [port: number, fd: number] | undefined {
		return [...this.ports][count % this.ports.size];
	}

	remove(port: number): number {
		const id = this.ask({ op: "removePort", port });
		this.#leaving.set(id, this.ports.get(port)!);
		this.ports.delete(port);
		return id;
	}

	apply(todo: Step): void {
		if ("add" in todo) return this.addStations(todo.add);
		if ("batches" in todo) {
			this.kernel.mood = todo.mood;
			for (let count = 0; count < todo.batches && this.batch(); count++);
			return;
		}
		const [port, fd] = this.pick(Number(Object.values(todo)[0])) ?? [];
		if (port === undefined || fd === undefined) return;
		const device = this.kernel.devices.get(fd)!;
		if ("remove" in todo) this.#removed.push(this.remove(port));
		else if ("resize" in todo) this.ask({ op: "setMtu", port, mtuBytes: 1000 + port });
		else if ("gone" in todo) device.isGone = true;
		else device.waiting += todo.frames;
	}

	/** Removals that may have no answer yet. */
	readonly #removed: number[] = [];

	/** While `flooders` stations send without end, all others go; then these, too. */
	removeAll(flooders: number): void {
		this.kernel.mood = WILLING;
		const rest = [...this.ports];
		for (const [, fd] of rest.slice(0, flooders)) this.kernel.devices.get(fd)!.waiting = Number.POSITIVE_INFINITY;
		for (const id of this.#removed) this.settle(id);
		for (const [port] of rest.slice(flooders)) this.settle(this.remove(port));
		for (const [port] of rest.slice(0, flooders)) this.settle(this.remove(port));
	}

	/** With nothing left to do: no buffer is in use, no request is under way but the eventfd's and the uplink's poll. */
	checkIdle(): void {
		for (const device of this.kernel.devices.values()) device.waiting = 0;
		for (let count = 0; this.batch(); count++) assert.ok(count < BATCHES_MAX, "the loop sleeps");
		assert.is(this.engine.core.slotsFree(), LIMITS.slotsMax, "every buffer is free");
		assert.equal([...this.kernel.held()].sort(), [
			[0, 1],
			[this.#uplink, 1],
		]);
	}

	/** The thread ends. */
	end(): void {
		this.kernel.mood = WILLING;
		Atomics.store(this.#stop, 0, STOP);
		this.kernel.signals++;
		this.kernel.isAsleep = false;
		this.kernel.mayBlock = false;
		let count = 0;
		while (this.#loop.turn()) assert.ok(count++ < BATCHES_MAX, "the loop ends");
		this.check();
		assert.is(this.engine.core.slotsFree(), LIMITS.slotsMax, "every buffer is free");
		this.#channel.port1.close();
	}
}

const runs = {
	numRuns: Number(process.env.VLANE_RUNS ?? 15),
	includeErrorInReport: true,
	...(process.env.VLANE_SEED ? { seed: Number(process.env.VLANE_SEED) } : {}),
};
const ring = suite("ring");

for (const [name, file] of [
	["debug", CORE_DEBUG],
	["release", CORE_RELEASE],
] as const) {
	const module = compileCore(file);
	const memory = createMemory(module, LIMITS);

	ring(`${name} build: no request is lost and nothing is left over, whatever the kernel does`, () => {
		const property = fc.property(story, ({ seed, steps, flooders }) => {
			new Uint8Array(memory.buffer).fill(0);
			const rig = new Rig(module, memory, seed);
			rig.begin();
			for (const one of steps) rig.apply(one);
			rig.removeAll(flooders);
			rig.checkIdle();
			rig.end();
		});
		fc.assert(property, runs);
	});

	ring(`${name} build: the thread ends in the middle of anything`, () => {
		const property = fc.property(story, ({ seed, steps }) => {
			new Uint8Array(memory.buffer).fill(0);
			const rig = new Rig(module, memory, seed);
			rig.begin();
			for (const one of steps) rig.apply(one);
			rig.end();
		});
		fc.assert(property, runs);
	});
}

ring.run();
