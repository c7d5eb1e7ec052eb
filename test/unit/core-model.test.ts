/**
 * The packet core against the model (test/model/switch.ts): random switches of all modes, random frames, the same
 * verdict for each, in the debug and in the release build. A failure prints the seed; VLANE_SEED=N runs it again.
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
	ipNumbers,
	macNumbers,
} from "../../src/core/engine.js";
import type { ForwardingMode, PortSecurity } from "../../src/host/types.js";
import { addressOf } from "../model/addresses.js";
import { type FrameSpec, frameBytes, PARENT_MAC, type Story, story } from "../model/random.js";
import { type ModelFrame, type ModelPort, type ModelTag, type Offload, SwitchModel } from "../model/switch.js";
import type { Tag } from "../support/frames.js";

const LIMITS = { portsMax: 64, segmentsMax: 16, tablesMax: 16, fdbCapacity: 256, slotsMax: 64 };
const KINDS = { uplink: abi.KIND_UPLINK, endpoint: abi.KIND_ENDPOINT, host: abi.KIND_HOST };
const MODES: Record<ForwardingMode, number> = {
	bridge: abi.MODE_BRIDGE,
	private: abi.MODE_PRIVATE,
	vepa: abi.MODE_VEPA,
	passthru: abi.MODE_PASSTHRU,
	source: abi.MODE_SOURCE,
	"ipvlan-bridge": abi.MODE_IPVLAN,
	"ipvlan-private": abi.MODE_IPVLAN_PRIVATE,
	"ipvlan-vepa": abi.MODE_IPVLAN_VEPA,
};

const SECURITY: Record<PortSecurity, number> = {
	none: 0,
	mac: abi.FLAG_SECURE_MAC,
	"mac,ip": abi.FLAG_SECURE_MAC | abi.FLAG_SECURE_IP,
};

function offloadBytes(o: Offload): number[] {
	const u16 = (value: number): number[] => [value & 0xff, value >> 8];
	return [o.flags, o.gsoType, ...[o.headerBytes, o.gsoSize, o.csumStart, o.csumOffset].flatMap(u16)];
}

const wireBytes = (frame: ModelFrame): Uint8Array => Uint8Array.from([...offloadBytes(frame.offload), ...frame.bytes]);

/** A tag as the kernel hands it over. */
function kernelTag({ tpid, pcp = 0, dei = 0, vid }: Tag): { tpid: number; tci: number } {
	return { tpid, tci: (pcp << 13) | (dei << 12) | vid };
}

const isIpvlan = (port: ModelPort): boolean => port.mode.startsWith("ipvlan");
/** Only these are given addresses by the control plane. */
const hasAddresses = (port: ModelPort): boolean => isIpvlan(port) || port.security === "mac,ip";

const UPLINK = { kind: "uplink", mode: "bridge", segment: 0, network: 0, mac: PARENT_MAC, security: "none" } as const;

/** Core and model, built and driven alike. */
class Pair {
	readonly model = new SwitchModel();
	/** Expected counters by port. */
	readonly received = new Map<number, { frames: number; bytes: number }>();
	readonly dropped = new Map<number, Record<string, number>>();
	/** Numbers that nobody has any more: what they counted is void. */
	readonly #freed = new Set<number>();
	readonly #counters: Counters;

	constructor(readonly engine: Engine) {
		this.#counters = new Counters(engine.memory);
	}

	addPort(spec: ModelPort): void {
		const neighbours = [...this.model.ports.values()].filter(
			({ kind, segment }) => kind !== "uplink" && spec.kind !== "uplink" && segment === spec.segment,
		);
		// The control plane sees to it that such an endpoint is alone.
		if (spec.mode === "passthru" && neighbours.some(({ mode }) => mode === "passthru")) return;
		const { low, high } = macNumbers(spec.mac);
		const number = this.engine.core.portAdd(
			KINDS[spec.kind],
			MODES[spec.mode],
			spec.segment,
			spec.network,
			low,
			high,
			spec.mtuBytes,
		);
		// The core refuses a MAC that the segment has already; so does the control plane, and the model need not know.
		const isTaken = neighbours.some((port) => !isIpvlan(port) && !isIpvlan(spec) && port.mac === spec.mac);
		assert.is(number === 0, isTaken);
		if (!number) return;
		this.engine.core.portSecure(number, SECURITY[spec.security]);
		this.model.ports.set(number, { ...spec });
		this.#freed.delete(number);
		this.received.delete(number);
		this.dropped.delete(number);
	}

	addStation({ segment, ...rest }: Story["stations"][number]): void {
		this.addPort({ ...rest, segment: this.#segment(segment) });
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

	/** Segments are numbered from 1 on. */
	#segment(count: number): number {
		return 1 + (count % this.model.segments.size);
	}

	#pick(count: number, isWanted: (port: ModelPort) => boolean): number | undefined {
		const ports = [...this.model.ports].flatMap(([number, port]) => (isWanted(port) ? [number] : []));
		return ports[count % ports.length];
	}

	allow({ segment: count, network, mac }: Story["allowed"][number]): void {
		const segment = this.#segment(count);
		const { low, high } = macNumbers(mac);
		const isNew = this.engine.core.sourceAdd(segment, network, low, high) === 1;
		assert.is(isNew, this.model.allow(segment, network, mac));
	}

	disallow({ segment: count, mac }: Story["allowed"][number]): void {
		const segment = this.#segment(count);
		const { low, high } = macNumbers(mac);
		assert.is(this.engine.core.sourceRemove(segment, low, high) === 1, this.model.disallow(segment, mac));
	}

	assign({ port: count, address }: Story["assigned"][number]): void {
		const port = this.#pick(count, hasAddresses);
		if (port === undefined) return;
		const [a, b, c, d] = ipNumbers(address);
		const isNew = this.engine.core.ipAdd(this.model.ports.get(port)!.segment, a, b, c, d, port) === 1;
		assert.is(isNew, this.model.assign(port, addressOf(address)));
	}

	apply(step: Story["steps"][number]): void {
		const isStation = ({ kind }: ModelPort): boolean => kind !== "uplink";
		if ("frames" in step) this.forward(step.frames);
		else if ("open" in step) this.addStation(step.open);
		else if ("assign" in step) this.assign(step.assign);
		else if ("allow" in step) this.allow(step.allow);
		else if ("disallow" in step) this.disallow(step.disallow);
		else {
			const port = this.#pick("close" in step ? step.close : step.resize, isStation);
			if (port === undefined) return;
			if ("close" in step) this.close(port, step.isFreed);
			else this.resize(port, step.mtuBytes);
		}
	}

	close(port: number, isFreed: boolean): void {
		this.engine.core.portClose(port);
		this.model.close(port);
		if (!isFreed) return;
		assert.is(this.engine.core.portFree(port), 1);
		this.#freed.add(port);
	}

	resize(port: number, mtuBytes: number): void {
		this.engine.core.portSetMtu(port, mtuBytes);
		this.model.ports.get(port)!.mtuBytes = mtuBytes;
	}

	/** The frame of a spec and where it arrives. */
	#arrival(spec: FrameSpec): { ingress: number; frame: ModelFrame } {
		const { offload, aim, station, stripped } = spec;
		const reached = [...this.model.segments].filter(([, { uplink }]) => uplink !== 0);
		if (aim === undefined || reached.length === 0) {
			const ports = [...this.model.ports.keys(), LIMITS.portsMax - 1];
			const ingress = ports[spec.ingress % ports.length]!;
			const { kind, mac } = this.model.ports.get(ingress) ?? {};
			const frame = { offload, bytes: frameBytes(spec, spec.tags, mac ?? PARENT_MAC) };
			const isTagStripped = kind === "uplink" && stripped;
			return { ingress, frame: isTagStripped ? { ...frame, stripped: kernelTag(stripped) } : frame };
		}
		const [number, { uplink, tags }] = reached[aim % reached.length]!;
		const macs = [...this.model.ports.values()].flatMap(({ segment, mac }) => (segment === number ? [mac] : []));
		const own = macs[station % macs.length] ?? PARENT_MAC;
		if (!stripped) return { ingress: uplink, frame: { offload, bytes: frameBytes(spec, tags, own) } };
		const [outer = { tpid: stripped.tpid, vid: 0 }, ...inner] = tags;
		const bytes = frameBytes(spec, inner, own);
		return { ingress: uplink, frame: { offload, bytes, stripped: kernelTag({ ...stripped, ...outer }) } };
	}

	forward(specs: FrameSpec[]): void {
		const inputs: InputFrame[] = [];
		const expected: Record<string, Uint8Array>[] = [];
		for (const spec of specs) {
			const { ingress, frame } = this.#arrival(spec);
			const tag = frame.stripped ? frame.stripped.tpid * 0x10000 + frame.stripped.tci : 0;
			inputs.push({ port: ingress, bytes: wireBytes(frame), tag });
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
			if (this.#freed.has(port)) continue;
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
		const property = fc.property(story, ({ uplinkMtus, segments, stations, allowed, assigned, steps }) => {
			new Uint8Array(memory.buffer).fill(0);
			const pair = new Pair(new Engine(module, memory, LIMITS));
			for (const mtuBytes of uplinkMtus) {
				pair.addPort({ ...UPLINK, mtuBytes });
			}
			for (const { uplink, tags } of segments) pair.addSegment(uplink, tags);
			for (const station of stations) pair.addStation(station);
			for (const one of allowed) pair.allow(one);
			for (const one of assigned) pair.assign(one);
			for (const step of steps) pair.apply(step);
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
