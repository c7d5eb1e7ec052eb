/**
 * `npm run bench`: how long the packet core takes for a frame, without any kernel around it.
 *
 * A round is one batch of 64 frames of 64 bytes through the full pipeline: sanity checks, ingress VLAN, source check,
 * forwarding database, bridge rules, tag push or pop, counters, transmit descriptors, slots. Random stations, so that
 * the table is really read. Times are of one process on a quiet machine or not: compare rows of one run, not runs of
 * two days.
 */
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import Benchmark from "benchmark";
import * as abi from "../assembly/abi.js";
import { type CoreLimits, compileCore, createMemory, Engine, macNumbers } from "../src/core/engine.js";

const BATCH = 64;
const FRAME_BYTES = 60; // 64 on the wire with the checksum that the hardware adds
const VLAN_50 = ((0x8100 << 16) | 50) >>> 0;

type Target = "sibling" | "wire, tag pushed" | "from the wire, tag popped" | "broadcast, 15 siblings and the wire";

interface Scenario {
	target: Target;
	/** Addresses in the forwarding database. */
	stations: number;
}

const SCENARIOS: Scenario[] = [
	...[64, 4096, 100_000, 1_000_000].map((stations) => ({ target: "sibling" as const, stations })),
	{ target: "wire, tag pushed", stations: 4096 },
	{ target: "from the wire, tag popped", stations: 4096 },
	{ target: "broadcast, 15 siblings and the wire", stations: 4096 },
];

function limitsFor(stations: number): CoreLimits {
	const fdbCapacity = 2 ** Math.ceil(Math.log2(stations * 2 + 64));
	return { portsMax: 64, segmentsMax: 16, tablesMax: 8, fdbCapacity, slotsMax: 512 };
}

/** Station `index` as the number that the core compares: locally administered, 02:00:xx:xx:xx:xx. */
function station(index: number): bigint {
	return (BigInt(index) << 16n) | 0x0002n;
}

function addPort(engine: Engine, kind: number, segment: number, network: number, mac: string): number {
	const { low, high } = macNumbers(mac);
	const port = engine.core.portAdd(kind, abi.MODE_BRIDGE, segment, network, low, high, 1500);
	if (port === 0) throw new Error(`no port for ${mac}`);
	return port;
}

/** A function that forwards one batch; what does not change is prepared here. */
function prepare({ target, stations }: Scenario): () => void {
	const limits = limitsFor(stations);
	const module = compileCore();
	const engine = new Engine(module, createMemory(module, limits), limits);
	const { core } = engine;
	const uplink = addPort(engine, abi.KIND_UPLINK, 0, 0, "02:ff:00:00:00:00");
	const segment = core.segmentAdd(uplink, VLAN_50, 0);
	const members = target.startsWith("broadcast") ? 16 : 2;
	const ports = Array.from({ length: members }, (_, i) => {
		return addPort(engine, abi.KIND_ENDPOINT, segment, 1, `02:ee:00:00:00:${i.toString(16).padStart(2, "0")}`);
	});
	for (let i = 1; i <= stations - members; i++) core.fdbAdd(segment, station(i), ports[1]!);

	const rx = engine.header(abi.HEADER_RX);
	const slots = engine.header(abi.HEADER_SLOTS);
	const fromWire = target.startsWith("from the wire");
	let seed = 1;
	for (let slot = 0; slot < limits.slotsMax; slot++) {
		seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator: the same frames in each run
		const frame = new DataView(new ArrayBuffer(FRAME_BYTES));
		const known = station(1 + (seed % (stations - members)));
		if (target.startsWith("broadcast")) frame.setBigUint64(0, 0xffff_ffff_ffff_ffffn);
		else if (target.startsWith("wire")) frame.setBigUint64(0, 0x0000_5e00_5301_0000n);
		else frame.setBigUint64(0, known, true);
		frame.setUint32(6, 0x02ee_0000);
		frame.setUint16(10, 0);
		frame.setUint16(12, 0x0800);
		engine.view(slots + slot * abi.SLOT_BYTES + abi.SLOT_FRAME, FRAME_BYTES).set(new Uint8Array(frame.buffer));
	}
	const descriptors = new DataView(engine.memory.buffer, rx, BATCH * abi.RX_BYTES);
	for (let i = 0; i < BATCH; i++) {
		descriptors.setUint16(i * abi.RX_BYTES + abi.RX_PORT, fromWire ? uplink : ports[0]!, true);
		descriptors.setUint32(i * abi.RX_BYTES + abi.RX_LENGTH, FRAME_BYTES, true);
		descriptors.setUint32(i * abi.RX_BYTES + abi.RX_TAG, fromWire ? VLAN_50 : 0, true);
	}
	// A tag that is pushed in place moves the vnet header and the addresses; reception would write them again, so we do.
	const words = new Uint32Array(engine.memory.buffer);
	const head = (slots + abi.SLOT_FRAME - 12) >>> 2;
	const headWords = words.slice(head, head + 6);
	const restores = target.startsWith("wire");
	return () => {
		core.batchPrepare(BATCH);
		if (restores) {
			for (let i = 0; i < BATCH; i++) {
				const slot = descriptors.getUint16(i * abi.RX_BYTES + abi.RX_SLOT, true);
				const target = head + ((slot * abi.SLOT_BYTES) >>> 2);
				for (let word = 0; word < 6; word++) words[target + word] = headWords[word]!;
			}
		}
		const sent = core.batchForward(BATCH);
		if (sent < BATCH) throw new Error(`only ${sent} of ${BATCH} frames were forwarded`);
		core.batchDone();
	};
}

function machine(): string {
	const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
	const date = new Date().toISOString().slice(0, 10);
	const { length } = cpus();
	return `vlane ${version}, ${cpus()[0]?.model} x ${length}, Linux ${release()}, Node ${process.versions.node}, ${date}`;
}

console.log(`Packet core, batches of ${BATCH} frames of 64 bytes\n${machine()}\n`);
const HEADINGS = ["addresses".padStart(10), "ns/frame".padStart(10), "Mframes/s".padStart(11), "+-%".padStart(7)];
console.log(["what".padEnd(38), ...HEADINGS].join(""));

const suite = new Benchmark.Suite();
for (const scenario of SCENARIOS) {
	let batch: (() => void) | undefined;
	suite.add(scenario.target, {
		fn: () => batch!(),
		onStart: () => {
			batch = prepare(scenario);
		},
		onComplete: (event: Benchmark.Event) => {
			batch = undefined; // tables of a million stations are large: one at a time
			const { hz, stats } = event.target as unknown as Benchmark;
			const perSecond = (hz ?? 0) * BATCH;
			const row = [
				scenario.target.padEnd(38),
				scenario.stations.toString().padStart(10),
				(1e9 / perSecond).toFixed(1).padStart(10),
				(perSecond / 1e6).toFixed(1).padStart(11),
				(stats?.rme ?? 0).toFixed(1).padStart(7),
			];
			console.log(row.join(""));
		},
		onError: (event: Benchmark.Event) => {
			console.error(`vlane bench: ${scenario.target}: ${(event.target as unknown as { error: Error }).error.message}`);
			process.exitCode = 1;
		},
	});
}
suite.run();
