/**
 * Coalescing and offloads in software: whatever the core puts together or cuts, the receiver gets exactly what was
 * sent, each flow in its order.
 */
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import { Counters } from "../../src/core/counters.js";
import { CORE_DEBUG, CORE_RELEASE, compileCore, createMemory, Engine } from "../../src/core/engine.js";
import { Tables } from "../../src/host/tables.js";
import { macBytes, TPID_CTAG } from "../support/frames.js";
import {
	ACK,
	type ChecksumState,
	FIN,
	flowOf,
	type Layer4,
	PSH,
	packet,
	received,
	superFrame,
	TCP,
	UDP,
	vnetOf,
} from "../support/offload.js";

const LIMITS = { portsMax: 16, segmentsMax: 16, tablesMax: 8, fdbCapacity: 64, slotsMax: 256 };
const MACS = { one: "02:00:00:00:00:01", two: "02:00:00:00:00:02", far: "02:00:00:00:00:99" };
const COALESCED = abi.OFFLOAD_TSO4 | abi.OFFLOAD_TSO6 | abi.OFFLOAD_USO;

interface Setting {
	file: URL;
	coalesce?: number;
	/** false: what leaves by endpoint `two` and by the uplink is finished. */
	offloads?: boolean;
}

/** A parent with VLAN 50, two endpoints on it. */
class Desk {
	readonly engine: Engine;
	readonly counters: Counters;
	readonly uplink: number;
	readonly one: number;
	readonly two: number;

	constructor({ file, coalesce = 0, offloads = true }: Setting) {
		const module = compileCore(file);
		const memory = createMemory(module, LIMITS);
		this.engine = new Engine(module, memory, LIMITS);
		this.counters = new Counters(memory);
		const tables = new Tables(this.engine.core, coalesce);
		const common = { fd: -1, mtuBytes: 1500, offloads };
		this.uplink = tables.addPort({ kind: "uplink", name: "eth0", mac: MACS.far, ...common });
		const segment = tables.addSegment({ uplink: this.uplink, tags: [{ tpid: TPID_CTAG, vid: 50 }] });
		const endpoint = { kind: "endpoint", segment, network: 1, mode: "bridge", ...common } as const;
		this.one = tables.addPort({ ...endpoint, name: "one", mac: MACS.one, offloads: true });
		this.two = tables.addPort({ ...endpoint, name: "two", mac: MACS.two });
	}

	/** Sends frames of endpoint `one` in one batch; answers what leaves, behind vnet headers. */
	forward(frames: Uint8Array[]): Uint8Array[] {
		return this.engine.forward(frames.map((bytes) => ({ port: this.one, bytes }))).map(({ bytes }) => bytes);
	}
}

const ethernetTo = (mac: string): Uint8Array => Uint8Array.from([...macBytes(mac), ...macBytes(MACS.one)]);
const TO_TWO = ethernetTo(MACS.two);
const TO_WIRE = ethernetTo(MACS.far);
/** As they leave on the wire: with the tag of the segment. */
const TAGGED = Uint8Array.from([...TO_WIRE, 0x81, 0x00, 0, 50]);

const bytesOf = (count: number, seed = 0): Uint8Array =>
	Uint8Array.from({ length: count }, (_, i) => (i * 7 + seed) & 255);

/** `count` packets of one flow, each of `size` bytes, that can become one. */
function run(count: number, size: number, parts: Partial<Layer4> = {}): Layer4[] {
	return Array.from({ length: count }, (_, index) => ({
		...{ ipv6: false, protocol: UDP, sourcePort: 1000, destinationPort: 2000, payload: bytesOf(size, index) },
		...{ id: index, sequence: (0xffff_ff00 + index * size) >>> 0 },
		...parts,
	}));
}

function changed(packets: Layer4[], index: number, parts: Partial<Layer4>): Layer4[] {
	return packets.map((packet, at) => (at === index ? { ...packet, ...parts } : packet));
}

function byFlow(frames: Uint8Array[]): Map<string, string[]> {
	const flows = new Map<string, string[]>();
	for (const frame of frames) {
		const flow = flowOf(frame);
		flows.set(flow, [...(flows.get(flow) ?? []), Buffer.from(frame).toString("hex")]);
	}
	return flows;
}

/** The receiver sees what was sent, each flow in its order. */
function assertSame(leaving: Uint8Array[], sent: Uint8Array[]): void {
	assert.equal(byFlow(leaving.flatMap(received)), byFlow(sent.flatMap(received)));
}

const checksums = fc.constantFrom<ChecksumState>("full", "partial", "verified", "wrong", "none");
/** Mostly what can be merged, now and then what can not. */
const mostly = <T>(usual: T, ...others: T[]) =>
	fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(usual, ...others) });
const steps = fc.record({
	flow: fc.integer({ min: 0, max: 3 }),
	toWire: fc.boolean(),
	bytes: mostly(100, 0, 1, 99, 101, 1400),
	checksum: fc.oneof(
		{ weight: 4, arbitrary: fc.constant<ChecksumState>("partial") },
		{ weight: 1, arbitrary: checksums },
	),
	skip: mostly(0, 1),
	flags: mostly(ACK, ACK | PSH, ACK | FIN, 0x02, ACK | 0x80),
	window: mostly(1000, 999),
	acknowledgement: mostly(7, 8),
	ttl: mostly(64, 63),
	tos: mostly(0, 3),
	dontFragment: mostly(true, false),
	option: mostly(0, 1),
	padding: mostly(0, 4),
});

for (const [name, file] of [
	["debug", CORE_DEBUG],
	["release", CORE_RELEASE],
] as const) {
	const test = suite(`core offloads (${name})`);

	for (const ipv6 of [false, true]) {
		for (const protocol of [UDP, TCP]) {
			const what = `${protocol === TCP ? "TCP" : "UDP"} over IPv${ipv6 ? 6 : 4}`;

			test(`${what}: neighbours of a flow leave as one offload frame, to siblings and with a tag to the wire`, () => {
				for (const [ethernet, checksum] of [
					[TO_TWO, "partial"],
					[TO_WIRE, "full"],
					[TO_WIRE, "verified"],
				] as const) {
					const desk = new Desk({ file, coalesce: COALESCED });
					const packets = run(10, 300, { ipv6, protocol, checksum });
					const sent = packets.map((parts) => packet(ethernet, parts));
					const leaving = desk.forward(sent);
					assert.is(leaving.length, 1);
					const type = protocol === UDP ? abi.VNET_GSO_UDP : ipv6 ? abi.VNET_GSO_TCPV6 : abi.VNET_GSO_TCPV4;
					const headerBytes = (ethernet === TO_WIRE ? 18 : 14) + (ipv6 ? 40 : 20) + (protocol === TCP ? 20 : 8);
					assert.equal(vnetOf(leaving[0]!), { flags: abi.VNET_F_NEEDS_CSUM, type, size: 300, headerBytes });
					const onWire = ethernet === TO_WIRE ? packets.map((parts) => packet(TAGGED, parts)) : sent;
					assertSame(leaving, onWire);
					const egress = ethernet === TO_WIRE ? desk.uplink : desk.two;
					assert.is(desk.counters.port(egress).txMerged, 9);
				}
			});

			test(`${what}: a shorter packet is the last of its frame, a longer one begins another`, () => {
				const sizes = [300, 300, 200, 300, 301, 301];
				let sequence = 0;
				const sent = sizes.map((size, id) => {
					const parts = run(1, size, { ipv6, protocol, checksum: "partial", id, sequence })[0]!;
					sequence += size;
					return packet(TO_TWO, parts);
				});
				const leaving = new Desk({ file, coalesce: COALESCED }).forward(sent);
				assert.equal(
					leaving.map((framed) => received(framed).length),
					[3, 1, 2],
				);
				assertSame(leaving, sent);
			});

			test(`${what}: a super-frame leaves in segments, with all sums, where nobody else makes them`, () => {
				for (const ethernet of [TO_TWO, TO_WIRE]) {
					const desk = new Desk({ file, offloads: false });
					const parts = run(1, 3_001, { ipv6, protocol, checksum: "partial", flags: ACK | PSH | FIN, id: 0xffff })[0]!;
					const sent = superFrame(packet(ethernet, parts), 1_000);
					const leaving = desk.forward([sent]);
					assert.equal(
						leaving.map((framed) => vnetOf(framed)),
						Array(4).fill({ flags: 0, type: 0, size: 0, headerBytes: 0 }),
					);
					assertSame(leaving, [ethernet === TO_WIRE ? superFrame(packet(TAGGED, parts), 1_000) : sent]);
					assert.is(desk.counters.port(ethernet === TO_WIRE ? desk.uplink : desk.two).txFinished, 4);
				}
			});

			test(`${what}: an open checksum is computed where nobody else does`, () => {
				const desk = new Desk({ file, offloads: false });
				for (let size = 1; size < 70; size++) {
					const sent = packet(TO_TWO, run(1, size, { ipv6, protocol, checksum: "partial" })[0]!);
					const [leaving] = desk.forward([sent]);
					assert.is(vnetOf(leaving!).flags, 0);
					assertSame([leaving!], [sent]);
				}
			});
		}
	}

	test("what can not be put together again leaves alone", () => {
		const options = Uint8Array.from([1, 1, 1, 0]);
		const cases: [string, Layer4[], number][] = [
			["a datagram without checksum", run(3, 100, { checksum: "none" }), 3],
			["a wrong checksum", changed(run(3, 100), 1, { checksum: "wrong" }), 3],
			["an identification out of turn", changed(run(3, 100, { dontFragment: false }), 1, { id: 9 }), 3],
			["another time to live", changed(run(3, 100), 1, { ttl: 1 }), 3],
			["another type of service", changed(run(3, 100), 1, { tos: 2 }), 3],
			["another port", changed(run(3, 100), 1, { sourcePort: 1 }), 2],
			["an empty datagram", changed(run(3, 100), 1, { payload: new Uint8Array() }), 3],
			["DHCP", run(3, 100, { destinationPort: 68 }), 3],
			["a gap", changed(run(3, 100, { protocol: TCP }), 1, { sequence: 5 }), 3],
			["another window", changed(run(3, 100, { protocol: TCP }), 1, { window: 1 }), 3],
			["another acknowledgement", changed(run(3, 100, { protocol: TCP }), 1, { acknowledgement: 1 }), 3],
			["FIN", changed(run(3, 100, { protocol: TCP }), 2, { flags: ACK | FIN }), 2],
			["other options", changed(run(3, 100, { protocol: TCP }), 1, { options }), 3],
			["no data", run(3, 0, { protocol: TCP }), 3],
		];
		for (const [what, packets, count] of cases) {
			const sent = packets.map((parts) => packet(TO_TWO, parts));
			const leaving = new Desk({ file, coalesce: COALESCED }).forward(sent);
			assert.is(leaving.length, count, what);
			assertSame(leaving, sent);
		}
	});

	test("nothing is put together for a port that did not ask, and only what it asked for", () => {
		const sent = run(4, 100).map((parts) => packet(TO_TWO, parts));
		assert.is(new Desk({ file }).forward(sent).length, 4);
		assert.is(new Desk({ file, coalesce: abi.OFFLOAD_TSO4 }).forward(sent).length, 4);
		assert.is(new Desk({ file, coalesce: COALESCED, offloads: false }).forward(sent).length, 4);
		assert.is(new Desk({ file, coalesce: abi.OFFLOAD_USO }).forward(sent).length, 1);
	});

	test("an offload frame holds 64 frames and no more than an IP packet can", () => {
		const count = (packets: Layer4[]) =>
			new Desk({ file, coalesce: COALESCED })
				.forward(packets.map((parts) => packet(TO_TWO, parts)))
				.map((framed) => received(framed).length);
		assert.equal(count(run(130, 20, { checksum: "partial" })), [64, 64, 2]);
		assert.equal(count(run(64, 1_400, { checksum: "partial" })), [46, 18]);
	});

	test("any mix of flows and oddities arrives as it was sent", () => {
		const desk = new Desk({ file, coalesce: COALESCED });
		const bare = new Desk({ file, coalesce: COALESCED, offloads: false });
		fc.assert(
			fc.property(fc.array(steps, { minLength: 1, maxLength: 60 }), (list) => {
				const sequences = [0, 0, 0xffff_fff0, 0];
				const onWire: Uint8Array[] = [];
				const sent = list.map((step, id) => {
					const { flow, toWire, skip, option, bytes, ...rest } = step;
					const parts: Layer4 = {
						...{ ipv6: flow % 2 === 1, protocol: flow < 2 ? UDP : TCP, sourcePort: 1000 + flow, destinationPort: 2000 },
						...{ ...rest, id, payload: bytesOf(bytes, id), sequence: (sequences[flow]! + skip) >>> 0 },
						...(option ? { options: Uint8Array.from([1, 1, 1, 0]) } : {}),
					};
					sequences[flow] = (sequences[flow]! + bytes) >>> 0;
					onWire.push(packet(toWire ? TAGGED : TO_TWO, parts));
					return packet(toWire ? TO_WIRE : TO_TWO, parts);
				});
				assertSame(desk.forward(sent), onWire);
				assertSame(bare.forward(sent), onWire);
			}),
			{ numRuns: 300 },
		);
	});

	test("a super-frame whose headers are not what it says is refused and counted, never read beyond", () => {
		const desk = new Desk({ file, offloads: false });
		const good = superFrame(packet(TO_TWO, run(1, 3_000, { protocol: TCP, checksum: "partial" })[0]!), 1_000);
		const broken: [string, (bytes: Uint8Array) => void][] = [
			["IPv6 in an IPv4 frame", (bytes) => bytes.set([abi.VNET_GSO_TCPV6], abi.VNET_GSO_TYPE)],
			["layer 4 elsewhere", (bytes) => bytes.set([38], abi.VNET_CSUM_START)],
			["a TCP header of 0 bytes", (bytes) => bytes.set([0], abi.VNET_BYTES + 34 + 12)],
			["UDP fragments", (bytes) => bytes.set([3], abi.VNET_GSO_TYPE)],
			["an IP header of 60 bytes", (bytes) => bytes.set([0x4f], abi.VNET_BYTES + 14)],
		];
		for (const [what, spoil] of broken) {
			const bytes = Uint8Array.from(good);
			spoil(bytes);
			assert.is(desk.forward([bytes]).length, 0, what);
		}
		assert.is(desk.counters.port(desk.two).drops.tx_error, broken.length);
		assert.is(desk.forward([good]).length, 3);
	});

	test("a super-frame of more segments than there are slots is dropped whole and counted", () => {
		const desk = new Desk({ file, offloads: false });
		const sent = superFrame(packet(TO_TWO, run(1, 3_000, { protocol: TCP, checksum: "partial" })[0]!), 10);
		assert.is(desk.forward([sent]).length, 0);
		assert.is(desk.counters.port(desk.two).drops.tx_full, 1);
		assert.is(desk.engine.core.slotsFree(), LIMITS.slotsMax);
	});

	test.run();
}
