/** How long the packet core takes for a frame on this machine, without any kernel around it. */
import * as abi from "../../assembly/abi.js";
import { type CoreLimits, compileCore, createMemory, Engine, macNumbers } from "./engine.js";

const BATCH = 64;
const FRAME_BYTES = 60; // 64 on the wire with the checksum that the hardware adds
const STATIONS = 4096;
const LIMITS: CoreLimits = { portsMax: 64, segmentsMax: 16, tablesMax: 8, fdbCapacity: 16384, slotsMax: 512 };
/** Until V8 has compiled the core with all its optimisations. */
const WARM_BATCHES = 20_000;
const SAMPLES = 7;
const SAMPLE_BATCHES = 10_000;
const MTU_BYTES = 1500;

const stationMac = (index: number): string =>
	`02:00:00:00:${(index >> 8).toString(16).padStart(2, "0")}:${(index & 0xff).toString(16).padStart(2, "0")}`;

/**
 * Nanoseconds for a frame of 64 bytes between two containers, the median of several samples: checks, source, forwarding
 * database of 4,096 stations, rules, counters, descriptors.
 */
export function coreNsPerFrame(): number {
	const module = compileCore();
	const engine = new Engine(module, createMemory(module, LIMITS), LIMITS);
	const { core } = engine;
	const segment = core.segmentAdd(0, 0, 0);
	const ports = [stationMac(1), stationMac(2)].map((mac) => {
		const { low, high } = macNumbers(mac);
		return core.portAdd(abi.KIND_ENDPOINT, abi.MODE_BRIDGE, segment, 1, low, high, MTU_BYTES);
	});
	for (let i = 3; i <= STATIONS; i++) {
		core.fdbAdd(segment, BigInt(`0x${stationMac(i).split(":").toReversed().join("")}`), ports[1]!);
	}
	const slots = engine.header(abi.HEADER_SLOTS);
	for (let slot = 0; slot < LIMITS.slotsMax; slot++) {
		const frame = engine.view(slots + slot * abi.SLOT_BYTES + abi.SLOT_FRAME, FRAME_BYTES);
		const target = stationMac(3 + ((slot * 7919) % (STATIONS - 2))); // a prime: far from each other
		frame.set(Buffer.from(`${target}${stationMac(1)}0800`.replaceAll(":", ""), "hex"));
	}
	const descriptors = engine.view(engine.header(abi.HEADER_RX), BATCH * abi.RX_BYTES);
	const view = new DataView(descriptors.buffer, descriptors.byteOffset, descriptors.byteLength);
	for (let i = 0; i < BATCH; i++) {
		view.setUint16(i * abi.RX_BYTES + abi.RX_PORT, ports[0]!, true);
		view.setUint32(i * abi.RX_BYTES + abi.RX_LENGTH, FRAME_BYTES, true);
	}
	const forward = (batches: number): void => {
		for (let i = 0; i < batches; i++) {
			core.batchPrepare(BATCH);
			core.batchForward(BATCH);
			core.batchDone();
		}
	};
	forward(WARM_BATCHES);
	const samples = Array.from({ length: SAMPLES }, () => {
		const startMs = performance.now();
		forward(SAMPLE_BATCHES);
		return ((performance.now() - startMs) * 1e6) / (SAMPLE_BATCHES * BATCH);
	});
	return samples.toSorted((a, b) => a - b)[Math.floor(SAMPLES / 2)]!;
}
