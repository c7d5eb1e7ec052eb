/** Captures in the core: what is recorded, what it looks like, and that a full ring loses copies and nothing else. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import { CaptureRing, type RingFrame } from "../../src/core/capturering.js";
import { Counters } from "../../src/core/counters.js";
import { CORE_DEBUG, CORE_RELEASE, compileCore, createMemory, Engine } from "../../src/core/engine.js";
import { Tables } from "../../src/host/tables.js";
import { BROADCAST, decodeFrame, makeFrame, TPID_CTAG } from "../support/frames.js";

const LIMITS = { portsMax: 16, segmentsMax: 16, tablesMax: 8, fdbCapacity: 64, slotsMax: 64, captureBytes: 4096 };
const ONE = "02:00:00:00:00:01";
const TWO = "02:00:00:00:00:02";
const FAR = "02:00:00:00:00:99";
const VNET = new Uint8Array(abi.VNET_BYTES);

/** A parent with VLAN 50, two endpoints on it. */
class Desk {
	readonly engine: Engine;
	readonly ring: CaptureRing;
	readonly counters: Counters;
	readonly uplink: number;
	readonly one: number;
	readonly two: number;

	constructor(file: URL) {
		const module = compileCore(file);
		const memory = createMemory(module, LIMITS);
		this.engine = new Engine(module, memory, LIMITS);
		this.ring = new CaptureRing(memory);
		this.counters = new Counters(memory);
		const tables = new Tables(this.engine.core);
		const common = { fd: -1, mtuBytes: 1500 };
		this.uplink = tables.addPort({ kind: "uplink", name: "eth0", mac: FAR, ...common });
		const segment = tables.addSegment({ uplink: this.uplink, tags: [{ tpid: TPID_CTAG, vid: 50 }] });
		const endpoint = { kind: "endpoint", segment, network: 1, mode: "bridge", ...common } as const;
		this.one = tables.addPort({ ...endpoint, name: "one", mac: ONE });
		this.two = tables.addPort({ ...endpoint, name: "two", mac: TWO });
	}

	watch(...ports: number[]): void {
		for (const port of ports) this.ring.setPort(port, 65_535);
		this.ring.setOn(ports.length > 0);
	}

	send(port: number, frame: Uint8Array, tag = 0): void {
		this.engine.stampCapture();
		this.engine.forward([{ port, bytes: Uint8Array.from([...VNET, ...frame]), tag }]);
	}

	read(): RingFrame[] {
		return [...this.ring.read()].map((frame) => ({ ...frame, bytes: Uint8Array.from(frame.bytes) }));
	}
}

for (const [name, file] of [
	["debug", CORE_DEBUG],
	["release", CORE_RELEASE],
] as const) {
	const test = suite(`core captures (${name})`);
	const payload = Uint8Array.from({ length: 100 }, (_, index) => index);

	test("nothing is recorded of ports that nobody watches", () => {
		const desk = new Desk(file);
		desk.send(desk.one, makeFrame({ dst: TWO, src: ONE, ethertype: 0x88b5, payload }));
		desk.watch(desk.uplink);
		desk.send(desk.one, makeFrame({ dst: TWO, src: ONE, ethertype: 0x88b5, payload }));
		assert.equal(desk.read(), []);
	});

	test("a flood is recorded as it comes, and as it leaves by each port, tags as on the wire", () => {
		const desk = new Desk(file);
		desk.watch(desk.uplink, desk.one, desk.two);
		const frame = makeFrame({ dst: BROADCAST, src: ONE, ethertype: 0x88b5, payload });
		desk.send(desk.one, frame);
		const [came, left, wire, ...more] = desk.read();
		assert.equal(more, []);
		assert.equal([came!.port, came!.direction, came!.dropped], [desk.one, "in", undefined]);
		assert.equal(came!.bytes, frame);
		assert.equal([left!.port, left!.direction, left!.originalBytes], [desk.two, "out", frame.length]);
		assert.equal(left!.bytes, frame);
		assert.equal([wire!.port, wire!.direction, wire!.originalBytes], [desk.uplink, "out", frame.length + 4]);
		assert.equal(decodeFrame(wire!.bytes).tags, [{ tpid: TPID_CTAG, vid: 50, pcp: 0, dei: 0 }]);
		assert.equal(decodeFrame(wire!.bytes).payload, payload);
		assert.is(came!.timeNs, wire!.timeNs);
		assert.ok(Math.abs(Number(came!.timeNs / 1_000_000n) - Date.now()) < 60_000);
		assert.equal(desk.read(), []);
	});

	test("a tag pushed in place and a tag that the kernel took out are both recorded", () => {
		const desk = new Desk(file);
		desk.watch(desk.uplink, desk.one);
		desk.send(desk.one, makeFrame({ dst: FAR, src: ONE, ethertype: 0x88b5, payload }));
		desk.send(
			desk.uplink,
			makeFrame({ dst: ONE, src: FAR, ethertype: 0x88b5, payload }),
			((TPID_CTAG << 16) | 50) >>> 0,
		);
		const tags = desk.read().map(({ port, direction, bytes }) => {
			return [port, direction, decodeFrame(bytes).tags.map(({ vid }) => vid), bytes.length];
		});
		assert.equal(tags, [
			[desk.one, "in", [], 114],
			[desk.uplink, "out", [50], 118],
			[desk.uplink, "in", [50], 118],
			[desk.one, "out", [], 114],
		]);
	});

	test("what is dropped says why, and shorter than its headers does no harm", () => {
		const desk = new Desk(file);
		desk.watch(desk.uplink, desk.one);
		desk.send(desk.uplink, makeFrame({ dst: ONE, src: FAR, ethertype: 0x88b5 }), ((TPID_CTAG << 16) | 51) >>> 0);
		desk.send(desk.uplink, Uint8Array.of(1, 2, 3), ((TPID_CTAG << 16) | 50) >>> 0);
		desk.send(desk.one, makeFrame({ dst: TWO, src: BROADCAST, ethertype: 0x88b5 }));
		desk.send(desk.one, new Uint8Array());
		const said = desk.read().map(({ port, dropped, bytes }) => [port, dropped, bytes.length]);
		assert.equal(said, [
			[desk.uplink, "vlan", 18],
			[desk.uplink, "runt", 7],
			[desk.one, "source", 14],
			[desk.one, "runt", 0],
		]);
	});

	test("a record holds as much as was asked for", () => {
		const desk = new Desk(file);
		desk.ring.setPort(desk.uplink, 64);
		desk.ring.setPort(desk.one, 64);
		desk.ring.setPort(desk.two, 64);
		desk.ring.setOn(true);
		const frame = makeFrame({ dst: BROADCAST, src: ONE, ethertype: 0x88b5, payload });
		desk.send(desk.one, frame);
		desk.send(
			desk.uplink,
			makeFrame({ dst: ONE, src: FAR, ethertype: 0x88b5, payload }),
			((TPID_CTAG << 16) | 50) >>> 0,
		);
		const found = desk.read();
		assert.equal(
			found.map(({ bytes, originalBytes }) => [bytes.length, originalBytes]),
			[114, 114, 118, 118, 114].map((bytes) => [64, bytes]),
		);
		assert.equal(found[0]!.bytes, frame.subarray(0, 64));
		assert.equal(decodeFrame(found[2]!.bytes).payload, payload.subarray(0, 46));
	});

	test("a full ring loses copies and counts them; frames go on; it wraps whole records", () => {
		const desk = new Desk(file);
		desk.watch(desk.one);
		const frame = makeFrame({ dst: TWO, src: ONE, ethertype: 0x88b5, payload: new Uint8Array(500).fill(7) });
		for (let i = 0; i < 20; i++) desk.send(desk.one, frame);
		assert.is(desk.read().length, 7); // 544 bytes each
		assert.is(desk.ring.lost(desk.one), 13);
		assert.is(desk.counters.port(desk.one).rxFrames, 20);
		assert.equal(desk.counters.port(desk.one).drops, {});
		for (let i = 0; i < 100; i++) {
			desk.send(desk.one, frame);
			desk.send(desk.one, frame.subarray(0, 100 + i));
			assert.equal(
				desk.read().map(({ bytes }) => bytes.length),
				[514, 100 + i],
			);
		}
		assert.is(desk.ring.lost(desk.one), 13);
	});

	test("a port that is made anew is not watched; the ring begins empty", () => {
		const desk = new Desk(file);
		const frame = makeFrame({ dst: TWO, src: ONE, ethertype: 0x88b5 });
		desk.watch(desk.one);
		desk.send(desk.one, frame);
		desk.ring.forget();
		assert.equal(desk.read(), []);
		desk.ring.setOn(false);
		desk.send(desk.one, frame);
		assert.equal(desk.read(), []);
	});

	test("batches are counted by their sizes, and frames that offloads have left whole", () => {
		const desk = new Desk(file);
		const frame = makeFrame({ dst: TWO, src: ONE, ethertype: 0x0800, payload: new Uint8Array(3000) });
		const bytes = Uint8Array.from([1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, ...frame]); // NEEDS_CSUM, TCPv4 of 1460 bytes
		desk.engine.forward([{ port: desk.one, bytes }]);
		desk.engine.forward(
			Array.from({ length: 5 }, () => ({ port: desk.one, bytes: Uint8Array.from([...VNET, ...frame]) })),
		);
		assert.equal(desk.counters.batchSizes(), [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
		assert.is(desk.counters.port(desk.one).rxOffloads, 1);
		const stations = desk.counters.fdb().map(({ mac, value }) => `${mac} ${value}`);
		assert.equal(stations.sort(), [`${ONE} ${desk.one}`, `${TWO} ${desk.two}`]);
	});

	test.run();
}
