/**
 * The forwarding database against a Map: any order of adding and removing, at and beyond its capacity; segments and
 * their tables.
 */

import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import { CORE_DEBUG, CORE_RELEASE, compileCore, createMemory, Engine, macNumbers } from "../../src/core/engine.js";

const LIMITS = { portsMax: 16, segmentsMax: 16, tablesMax: 6, fdbCapacity: 128, slotsMax: 16 };
const CTAG = (vid: number) => ((abi.TPID_CTAG << 16) | vid) >>> 0;
const STAG = (vid: number) => ((abi.TPID_STAG << 16) | vid) >>> 0;

for (const [name, file] of [
	["debug", CORE_DEBUG],
	["release", CORE_RELEASE],
] as const) {
	const module = compileCore(file);
	const fresh = () => new Engine(module, createMemory(module, LIMITS), LIMITS);
	const test = suite(`core tables (${name})`);

	test("behaves like a map, whatever is added and removed", () => {
		const station = fc.record({ fid: fc.integer({ min: 1, max: 3 }), mac: fc.bigInt({ min: 0n, max: 40n }) });
		const step = fc.record({ add: fc.boolean(), station, port: fc.integer({ min: 1, max: 65535 }) });
		fc.assert(
			fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
				const { core } = fresh();
				const model = new Map<string, number>();
				for (const { add, station, port } of steps) {
					const key = `${station.fid}/${station.mac}`;
					if (add) {
						const fits = !model.has(key) && model.size < LIMITS.fdbCapacity / 2;
						assert.is(core.fdbAdd(station.fid, station.mac, port), fits ? 1 : 0);
						if (fits) model.set(key, port);
					} else {
						assert.is(core.fdbRemove(station.fid, station.mac), model.delete(key) ? 1 : 0);
					}
				}
				for (let fid = 1; fid <= 3; fid++) {
					for (let mac = 0n; mac <= 40n; mac++) {
						assert.is(core.fdbLookup(fid, mac), model.get(`${fid}/${mac}`) ?? 0);
					}
				}
			}),
			{ numRuns: 60 },
		);
	});

	const uplink = (engine: Engine) => engine.core.portAdd(abi.KIND_UPLINK, 0, 0, 0, 0x02, 0, 1500);
	const frame = (port: number, tags: string, tag = 0) => ({
		port,
		tag,
		bytes: Uint8Array.from(
			Buffer.from(`${"00".repeat(10)}ffffffffffff020000000009${tags}0800${"00".repeat(46)}`, "hex"),
		),
	});

	test("one VLAN, one segment; its name is free again after it", () => {
		const { core } = fresh();
		const port = core.portAdd(abi.KIND_UPLINK, 0, 0, 0, 2, 0, 1500);
		const first = core.segmentAdd(port, CTAG(50), 0);
		assert.ok(first > 0);
		assert.is(core.segmentAdd(port, CTAG(50), 0), 0, "taken");
		assert.ok(core.segmentAdd(port, STAG(50), 0) > 0, "another TPID is another VLAN");
		assert.ok(core.segmentAdd(port, CTAG(4094), 0) > 0);
		assert.is(core.segmentAdd(port, CTAG(4095), 0), 0, "reserved");
		assert.is(core.segmentRemove(first), 1);
		assert.is(core.segmentAdd(port, CTAG(50), 0), first);
	});

	test("stacked tags: the inner one decides, the rest stays with the outer VLAN", () => {
		const engine = fresh();
		const { core } = engine;
		const port = uplink(engine);
		const inner = core.segmentAdd(port, CTAG(20), CTAG(200));
		const outer = core.segmentAdd(port, CTAG(20), 0);
		assert.is(core.segmentAdd(port, CTAG(20), CTAG(200)), 0, "taken");
		const member = (segment: number, last: number) => {
			const { low, high } = macNumbers(`02:00:00:00:01:0${last}`);
			return core.portAdd(abi.KIND_ENDPOINT, abi.MODE_BRIDGE, segment, 1, low, high, 1500);
		};
		const [onInner, onOuter] = [member(inner, 1), member(outer, 2)];
		const targets = (tags: string, tag: number) => engine.forward([frame(port, tags, tag)]).map((out) => out.port);
		assert.equal(targets("810000c8", CTAG(20)), [onInner]);
		assert.equal(targets("810000c9", CTAG(20)), [onOuter], "an inner tag that nobody asked for is payload");
		assert.equal(targets("", CTAG(20)), [onOuter]);
		assert.equal(targets("810000c8", CTAG(21)), []);
		core.portClose(onInner);
		core.portFree(onInner);
		assert.is(core.segmentRemove(inner), 1);
		assert.equal(targets("810000c8", CTAG(20)), [onOuter], "without the inner segment everything is the outer one's");
	});

	test("ports: numbers are used again, a MAC once in a segment, segments with members stay", () => {
		const engine = fresh();
		const { core } = engine;
		const segment = core.segmentAdd(0, 0, 0);
		const add = (low: number) => core.portAdd(abi.KIND_ENDPOINT, 0, segment, 1, low, 0, 1500);
		const first = add(2);
		assert.is(add(2), 0);
		const second = add(6);
		assert.is(core.segmentRemove(segment), 0);
		core.portClose(first);
		assert.is(core.portFree(first), 1);
		assert.is(add(10), first);
		assert.is(core.stationPort(segment, 6, 0), second);
		assert.is(core.stationPort(segment, 2, 0), 0);
		let count = 2;
		while (add(100 + 4 * count) !== 0) count++;
		assert.is(count, LIMITS.portsMax - 1, "as many as there are numbers, then a clear no");
	});

	test("slots come back: thousands of floods leak none", () => {
		const engine = fresh();
		const { core } = engine;
		const segment = core.segmentAdd(uplink(engine), CTAG(7), 0);
		const ports = [2, 6, 10, 14].map((low) => core.portAdd(abi.KIND_ENDPOINT, 0, segment, 1, low, 0, 1500));
		for (let round = 0; round < 500; round++) {
			const sent = engine.forward(Array.from({ length: 8 }, () => frame(ports[round % 4]!, "")));
			assert.is(sent.length, 8 * 4, "three siblings and the wire");
		}
		assert.is(core.slotsFree(), LIMITS.slotsMax);
	});

	test.run();
}
