/**
 * The packet core against the model (test/model/switch.ts): random switches, random frames, the same verdict for each,
 * in the debug and in the release build. A failure prints the seed; VLANE_SEED=N runs it again.
 */
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import { Counters } from "../../src/core/counters.js";
import {
	CORE_DEBUG,
	CORE_RELEASE,
	compileCore,
	createMemory,
	Engine,
	type InputFrame,
	macNumbers,
} from "../../src/core/engine.js";
import { type ModelFrame, type ModelPort, type ModelTag, type Offload, SwitchModel } from "../model/switch.js";
import { BROADCAST, macBytes, tagBytes } from "../support/frames.js";

const LIMITS = { portsMax: 16, segmentsMax: 16, tablesMax: 16, fdbCapacity: 64, slotsMax: 64 };
const KINDS = { uplink: abi.KIND_UPLINK, endpoint: abi.KIND_ENDPOINT, host: abi.KIND_HOST };
const PARENT_MAC = "02:00:00:00:00:99";
const STATIONS = [1, 2, 3, 4, 5].map((n) => `02:00:00:00:00:0${n}`);
const GROUPS = [BROADCAST, "01:00:5e:00:00:01", "33:33:00:00:00:01", "01:80:c2:00:00:01"];
const ODD_SOURCES = ["00:00:00:00:00:00", BROADCAST, "03:00:00:00:00:01"];

// ---- Switches. Few values on purpose: that is how frames meet ports.

const tpid = fc.oneof(
	{ weight: 3, arbitrary: fc.constant(abi.TPID_CTAG) },
	{ weight: 1, arbitrary: fc.constant(abi.TPID_STAG) },
);
const knownVid = fc.oneof(
	{ weight: 6, arbitrary: fc.constantFrom(50, 60) },
	{ weight: 1, arbitrary: fc.constantFrom(1, abi.VID_MAX) },
);
const tag = fc.record({ tpid, vid: knownVid });
const mtu = fc.constantFrom(68, 100, 576, 1500, 1500, 1500);
const segmentSpec = fc.record({ uplink: fc.constantFrom(0, 1, 1, 1, 2), tags: fc.array(tag, { maxLength: 2 }) });
const stationSpec = fc.record({
	kind: fc.constantFrom("endpoint" as const, "endpoint" as const, "host" as const),
	segment: fc.nat(),
	network: fc.integer({ min: 1, max: 2 }),
	mac: fc.constantFrom(...STATIONS),
	mtuBytes: mtu,
});
const switchSpec = fc.record({
	uplinkMtus: fc.tuple(mtu, mtu),
	segments: fc.array(segmentSpec, { minLength: 1, maxLength: 5 }),
	stations: fc.array(stationSpec, { minLength: 3, maxLength: 10 }),
});

// ---- Frames.

const noOffload: Offload = { flags: 0, gsoType: 0, headerBytes: 0, gsoSize: 0, csumStart: 0, csumOffset: 0 };
const goodChecksum: Offload = { ...noOffload, flags: 1, csumStart: 34, csumOffset: 16 };
const offload = fc.oneof(
	{ weight: 12, arbitrary: fc.constant(noOffload) },
	{ weight: 3, arbitrary: fc.constant(goodChecksum) },
	{
		weight: 4,
		arbitrary: fc
			.constantFrom(1, 4, 5, 0x81)
			.map((gsoType) => ({ ...goodChecksum, gsoType, headerBytes: 54, gsoSize: 1448 })),
	},
	{
		weight: 1,
		arbitrary: fc.record({
			flags: fc.integer({ min: 0, max: 3 }),
			gsoType: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 0x80, 0x81, 0xff),
			headerBytes: fc.integer({ min: 0, max: 200 }),
			gsoSize: fc.constantFrom(0, 1, 1448),
			csumStart: fc.integer({ min: 0, max: 120 }),
			csumOffset: fc.constantFrom(0, 6, 16, 0xffff),
		}),
	},
);
const tci = fc.record({
	vid: fc.oneof({ weight: 3, arbitrary: knownVid }, { weight: 1, arbitrary: fc.constantFrom(0, 0, 0, 2, 4095) }),
	pcp: fc.integer({ min: 0, max: 7 }),
	dei: fc.integer({ min: 0, max: 1 }),
});
const frameTag = fc.tuple(tpid, tci).map(([type, rest]) => ({ tpid: type, ...rest }));
const ethertype = fc.constantFrom(0x0800, 0x0806, 0x86dd, abi.ETHERTYPE_PAUSE, 0x88b5, 0x0026);
const payloadBytes = fc.oneof(
	{ weight: 24, arbitrary: fc.integer({ min: 46, max: 110 }) },
	{ weight: 4, arbitrary: fc.constantFrom(46, 54, 58, 68, 72, 76, 100, 104, 108, 1500, 1504, 1508, 9000) },
	{ weight: 1, arbitrary: fc.integer({ min: 0, max: abi.SLOT_CAPACITY - 40 }) },
);
const frameSpec = fc.record({
	/** Counts through the ports that there are, and one more. */
	ingress: fc.nat(),
	dst: fc.oneof(fc.constantFrom(...STATIONS), fc.constantFrom(...GROUPS, PARENT_MAC)),
	src: fc.oneof(
		{ weight: 12, arbitrary: fc.constantFrom(...STATIONS, PARENT_MAC, "02:00:00:00:00:77") },
		{ weight: 1, arbitrary: fc.constantFrom(...ODD_SOURCES) },
	),
	tags: fc.array(frameTag, { maxLength: 3 }),
	stripped: fc.option(frameTag, { nil: undefined, freq: 2 }),
	ethertype,
	payloadBytes,
	/** Where the frame is cut off, if it is. */
	cut: fc.oneof(
		{ weight: 12, arbitrary: fc.constant(undefined) },
		{ weight: 1, arbitrary: fc.integer({ min: 0, max: 30 }) },
	),
	offload,
	filler: fc.integer({ min: 0, max: 255 }),
});
type FrameSpec = typeof frameSpec extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
	{ weight: 8, arbitrary: fc.record({ frames: fc.array(frameSpec, { minLength: 1, maxLength: 24 }) }) },
	{ weight: 1, arbitrary: fc.record({ close: fc.nat() }) },
	{ weight: 1, arbitrary: fc.record({ resize: fc.nat(), mtuBytes: mtu }) },
);

function frameBytes({ dst, src, tags, ethertype: type, payloadBytes: length, cut, filler }: FrameSpec): number[] {
	const payload = Array.from({ length }, (_, i) => (filler + i) & 0xff);
	const bytes = [...macBytes(dst), ...macBytes(src), ...tags.flatMap(tagBytes), type >> 8, type & 0xff, ...payload];
	return bytes.slice(0, cut);
}

function offloadBytes(o: Offload): number[] {
	const u16 = (value: number): number[] => [value & 0xff, value >> 8];
	return [o.flags, o.gsoType, ...[o.headerBytes, o.gsoSize, o.csumStart, o.csumOffset].flatMap(u16)];
}

const wireBytes = (frame: ModelFrame): Uint8Array => Uint8Array.from([...offloadBytes(frame.offload), ...frame.bytes]);

// ---- Both sides, built and driven alike.

class Pair {
	readonly model = new SwitchModel();
	/** Expected counters by port. */
	readonly received = new Map<number, { frames: number; bytes: number }>();
	readonly dropped = new Map<number, Record<string, number>>();
	readonly #counters: Counters;

	constructor(readonly engine: Engine) {
		this.#counters = new Counters(engine.memory);
	}

	addPort(spec: ModelPort): void {
		const { low, high } = macNumbers(spec.mac);
		const number = this.engine.core.portAdd(
			KINDS[spec.kind],
			abi.MODE_BRIDGE,
			spec.segment,
			spec.network,
			low,
			high,
			spec.mtuBytes,
		);
		// The core refuses a MAC that the segment has already; so does the control plane, and the model need not know.
		const isTaken = [...this.model.ports.values()].some(
			({ kind, segment, mac }) => kind !== "uplink" && segment === spec.segment && mac === spec.mac,
		);
		assert.is(number === 0, spec.kind !== "uplink" && isTaken);
		if (number) this.model.ports.set(number, spec);
	}

	addSegment(uplink: number, tags: ModelTag[]): void {
		const stack = uplink ? tags : [];
		const [outer = 0, inner = 0] = stack.map(({ tpid, vid }) => tpid * 0x10000 + vid);
		const number = this.engine.core.segmentAdd(uplink, outer, inner);
		const isTaken = [...this.model.segments.values()].some(
			(other) => uplink !== 0 && other.uplink === uplink && JSON.stringify(other.tags) === JSON.stringify(stack),
		);
		assert.is(number === 0, isTaken);
		if (number) this.model.segments.set(number, { uplink, tags: stack });
	}

	close(port: number): void {
		this.engine.core.portClose(port);
		this.model.ports.delete(port);
	}

	resize(port: number, mtuBytes: number): void {
		this.engine.core.portSetMtu(port, mtuBytes);
		this.model.ports.get(port)!.mtuBytes = mtuBytes;
	}

	forward(specs: FrameSpec[]): void {
		const inputs: InputFrame[] = [];
		const expected: Record<string, Uint8Array>[] = [];
		const ports = [...this.model.ports.keys(), LIMITS.portsMax - 1];
		for (const spec of specs) {
			const ingress = ports[spec.ingress % ports.length]!;
			const stripped = spec.stripped && this.model.ports.get(ingress)?.kind === "uplink" ? spec.stripped : undefined;
			const frame: ModelFrame = { offload: spec.offload, bytes: frameBytes(spec) };
			if (stripped)
				frame.stripped = { tpid: stripped.tpid, tci: (stripped.pcp << 13) | (stripped.dei << 12) | stripped.vid };
			const tagNumber = frame.stripped ? frame.stripped.tpid * 0x10000 + frame.stripped.tci : 0;
			inputs.push({ port: ingress, bytes: wireBytes(frame), tag: tagNumber });
			const { copies, drops } = this.model.receive(ingress, frame);
			expected.push(Object.fromEntries([...copies].map(([port, copy]) => [port, wireBytes(copy)])));
			for (const { port, reason } of drops) this.#countDrop(port, reason);
			if (this.model.ports.has(ingress)) this.#countReceived(ingress, frame.bytes.length);
		}
		const actual: Record<string, Uint8Array>[] = specs.map(() => ({}));
		for (const { port, input, bytes } of this.engine.forward(inputs)) {
			assert.not(port in actual[input]!, "one copy for each port");
			actual[input]![port] = bytes;
		}
		actual.forEach((copies, i) => {
			assert.equal(copies, expected[i], `frame ${i} of the batch`);
		});
		assert.is(this.engine.core.slotsFree(), LIMITS.slotsMax, "every slot comes back");
	}

	#countDrop(port: number, reason: string): void {
		const drops = this.dropped.get(port) ?? {};
		drops[reason] = (drops[reason] ?? 0) + 1;
		this.dropped.set(port, drops);
	}

	#countReceived(port: number, bytes: number): void {
		const before = this.received.get(port) ?? { frames: 0, bytes: 0 };
		this.received.set(port, { frames: before.frames + 1, bytes: before.bytes + bytes });
	}

	checkCounters(): void {
		for (let port = 0; port < LIMITS.portsMax; port++) {
			const { rxFrames, rxBytes, drops } = this.#counters.port(port);
			assert.equal(drops, this.dropped.get(port) ?? {}, `drops of port ${port}`);
			assert.equal(
				{ frames: rxFrames, bytes: rxBytes },
				this.received.get(port) ?? { frames: 0, bytes: 0 },
				`port ${port}`,
			);
		}
	}
}

const runs = {
	numRuns: 400,
	includeErrorInReport: true,
	...(process.env.VLANE_SEED ? { seed: Number(process.env.VLANE_SEED) } : {}),
};
const core = suite("core-model");

for (const [name, file] of [
	["debug", CORE_DEBUG],
	["release", CORE_RELEASE],
] as const) {
	core(`${name} build forwards like the model`, () => {
		const module = compileCore(file);
		const memory = createMemory(module, LIMITS);
		const property = fc.property(switchSpec, fc.array(step, { minLength: 1, maxLength: 8 }), (spec, steps) => {
			new Uint8Array(memory.buffer).fill(0);
			const pair = new Pair(new Engine(module, memory, LIMITS));
			for (const mtuBytes of spec.uplinkMtus) {
				pair.addPort({ kind: "uplink", segment: 0, network: 0, mac: PARENT_MAC, mtuBytes });
			}
			for (const { uplink, tags } of spec.segments) pair.addSegment(uplink, tags);
			for (const { segment, network, kind, ...rest } of spec.stations) {
				const number = 1 + (segment % pair.model.segments.size);
				pair.addPort({ kind, segment: number, network: kind === "host" ? 0 : network, ...rest });
			}
			for (const action of steps) {
				const stations = [...pair.model.ports.keys()].filter((port) => pair.model.ports.get(port)!.kind !== "uplink");
				if ("frames" in action) pair.forward(action.frames);
				else if (stations.length === 0) continue;
				else if ("close" in action) pair.close(stations[action.close % stations.length]!);
				else pair.resize(stations[action.resize % stations.length]!, action.mtuBytes);
			}
			pair.checkCounters();
		});
		fc.assert(property, runs);
	});
}

core("release build imports nothing but its memory", () => {
	const imports = WebAssembly.Module.imports(compileCore(CORE_RELEASE));
	assert.equal(imports, [{ module: "env", name: "memory", kind: "memory" }]);
});

core.run();
