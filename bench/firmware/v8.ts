/**
 * bench/firmware/measure.c in V8: `v8.js BUILD TARGET STATIONS SAMPLES` prints the same line. A process of its own for
 * each measurement, as the other engines have.
 */
import * as abi from "../../assembly/abi.js";
import { type CoreBuild, compileCores, openCore } from "../../test/support/firmware.js";

const BATCH = 64;
const FRAME_BYTES = 60;
const ROUNDS = 64;
const SAMPLE_MS = 20;
const VLAN_50 = ((abi.TPID_CTAG << 16) | 50) >>> 0;
const HEAD_WORDS = 6;

const [build, target, stationsText, samplesText] = process.argv.slice(2);
const stations = Number(stationsText);
const members = target === "broadcast" ? 16 : 2;
const fdbCapacity = 2 ** Math.ceil(Math.log2(stations * 2 + 64));
const limits = { portsMax: 64, segmentsMax: 16, tablesMax: 8, fdbCapacity, slotsMax: 512 };
const engine = openCore(build as CoreBuild, compileCores(), limits);
const { core } = engine;
const memory = engine.view(0, engine.header(abi.HEADER_BYTES_TOTAL));
const view = new DataView(memory.buffer);
const slots = engine.header(abi.HEADER_SLOTS);

/** Locally administered, 02:00:xx:xx:xx:xx. */
const station = (index: number): bigint => (BigInt(index) << 16n) | 2n;

function add(kind: number, segment: number, low: number, high: number): number {
	const port = core.portAdd(kind, abi.MODE_BRIDGE, segment, 1, low, high, 1500);
	if (port === 0) throw new Error("no room for a port");
	return port;
}

const uplink = add(abi.KIND_UPLINK, 0, 0x0000ff02, 0);
const segment = core.segmentAdd(uplink, VLAN_50, 0);
const ports = Array.from({ length: members }, (_, i) => add(abi.KIND_ENDPOINT, segment, 0x0000ee02, i << 8));
for (let i = 1; i <= stations - members; i++) core.fdbAdd(segment, station(i), ports[1]!);

let seed = 1;
for (let slot = 0; slot < limits.slotsMax; slot++) {
	const frame = slots + slot * abi.SLOT_BYTES + abi.SLOT_FRAME;
	seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
	let mac = station(1 + (seed % (stations - members)));
	if (target === "broadcast") mac = 0xffff_ffff_ffffn;
	if (target === "to-wire") mac = (0x010153n << 24n) | 0x5e0000n;
	view.setBigUint64(frame, mac, true);
	memory.set([0x02, 0xee, 0, 0, 0, 0, 0x08, 0], frame + 6);
}
const rx = engine.header(abi.HEADER_RX);
for (let i = 0; i < BATCH; i++) {
	view.setUint16(rx + i * abi.RX_BYTES + abi.RX_PORT, target === "from-wire" ? uplink : ports[0]!, true);
	view.setUint32(rx + i * abi.RX_BYTES + abi.RX_LENGTH, FRAME_BYTES, true);
	view.setUint32(rx + i * abi.RX_BYTES + abi.RX_TAG, target === "from-wire" ? VLAN_50 : 0, true);
}

const words = new Uint32Array(memory.buffer);
const firstHead = (slots + abi.SLOT_FRAME - 12) >>> 2;
const head = words.slice(firstHead, firstHead + HEAD_WORDS);
const restores = target === "to-wire";

function batch(): number {
	core.batchPrepare(BATCH);
	if (restores) {
		// A tag that is pushed in place moves the head of the frame; reception would write it again.
		for (let i = 0; i < BATCH; i++) {
			const slot = view.getUint16(rx + i * abi.RX_BYTES + abi.RX_SLOT, true);
			const at = firstHead + ((slot * abi.SLOT_BYTES) >>> 2);
			for (let word = 0; word < HEAD_WORDS; word++) words[at + word] = head[word]!;
		}
	}
	return core.batchForward(BATCH);
}

/** FNV-1a of the descriptors and bytes of one batch. */
function checksum(sends: number): string {
	let sum = 0x811c9dc5;
	const eat = (value: number): void => {
		sum = Math.imul(sum ^ value, 0x01000193) >>> 0;
	};
	for (let i = 0; i < sends; i++) {
		const tx = engine.header(abi.HEADER_TX) + i * abi.TX_BYTES;
		const u32 = (field: number): number => view.getUint32(tx + field, true);
		eat(view.getUint16(tx + abi.TX_PORT, true));
		memory.subarray(u32(abi.TX_HEAD), u32(abi.TX_HEAD) + u32(abi.TX_HEAD_LENGTH)).forEach(eat);
		memory.subarray(u32(abi.TX_BODY), u32(abi.TX_BODY) + u32(abi.TX_BODY_LENGTH)).forEach(eat);
	}
	return sum.toString(16).padStart(8, "0");
}

const sum = checksum(batch());
core.batchDone();
const times: number[] = [];
for (let sample = -5; sample < Number(samplesText); sample++) {
	const start = performance.now();
	let end = start;
	let frames = 0;
	while (end - start < SAMPLE_MS) {
		for (let round = 0; round < ROUNDS; round++) {
			batch();
			core.batchDone();
		}
		frames += ROUNDS * BATCH;
		end = performance.now();
	}
	if (sample >= 0) times.push(((end - start) * 1e6) / frames); // the first ones warm up
}
times.sort((a, b) => a - b);
const figures = [times[times.length >> 1]!, times[0]!, times.at(-1)!].map((time) => time.toFixed(2));
console.log([...figures, sum].join(" "));
