/** The core's reader of frames and its tag operations, byte by byte; debug and release build alike. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import { CORE_DEBUG, CORE_RELEASE, compileCore, createMemory, Engine } from "../../src/core/engine.js";

const LIMITS = { portsMax: 16, segmentsMax: 16, tablesMax: 8, fdbCapacity: 64, slotsMax: 16 };
const DST = "020000000002";
const SRC = "020000000001";
const MACS = DST + SRC;
const IPV4 = "45000054000040004001b1e60a0000010a000002"; // 20-byte header, total length 84, ICMP
const IPV6 = "6000000000083a40fe80000000000000000000000000000120010db8000000000000000000000002"; // payload 8, ICMPv6

interface Parsed {
	etherType: number;
	tags: number;
	kind: number;
	l3: number;
	l4: number;
	protocol: number;
	flags: number;
	outer: number;
	inner: number;
	length: number;
}

function hex(text: string): Uint8Array {
	return Uint8Array.from(Buffer.from(text.replace(/\s+/g, ""), "hex"));
}

for (const [name, file] of [
	["debug", CORE_DEBUG],
	["release", CORE_RELEASE],
] as const) {
	const module = compileCore(file);
	const engine = new Engine(module, createMemory(module, LIMITS), LIMITS);
	const frameAt = engine.header(abi.HEADER_SLOTS) + abi.SLOT_FRAME;
	const outAt = engine.header(abi.HEADER_SLOTS) + abi.SLOT_BYTES;
	const test = suite(`core frames (${name})`);

	const parse = (bytes: Uint8Array): Parsed => {
		engine.view(frameAt, bytes.length).set(bytes);
		engine.core.parse(frameAt, bytes.length, outAt);
		const out = Buffer.from(engine.view(outAt, abi.PARSED_BYTES));
		return {
			etherType: out.readUInt16LE(abi.PARSED_ETHERTYPE),
			tags: out[abi.PARSED_TAGS]!,
			kind: out[abi.PARSED_L3_KIND]!,
			l3: out.readUInt16LE(abi.PARSED_L3_OFFSET),
			l4: out.readUInt16LE(abi.PARSED_L4_OFFSET),
			protocol: out[abi.PARSED_L4_PROTOCOL]!,
			flags: out[abi.PARSED_FLAGS]!,
			outer: out.readUInt16LE(abi.PARSED_OUTER_TCI),
			inner: out.readUInt16LE(abi.PARSED_INNER_TCI),
			length: out.readUInt16LE(abi.PARSED_L3_LENGTH),
		};
	};
	const padded = (text: string, bytes: number) => {
		const frame = new Uint8Array(bytes);
		frame.set(hex(text));
		return frame;
	};

	test("imports nothing but its memory", () => {
		assert.equal(WebAssembly.Module.imports(module), [{ module: "env", name: "memory", kind: "memory" }]);
	});

	test("IPv4 in Ethernet II", () => {
		const parsed = parse(padded(`${MACS}0800${IPV4}`, 98));
		assert.equal(parsed, {
			etherType: 0x0800,
			tags: 0,
			kind: abi.L3_IPV4,
			l3: 14,
			l4: 34,
			protocol: 1,
			flags: 0,
			outer: 0,
			inner: 0,
			length: 84,
		});
	});

	test("802.1Q and QinQ tags, with PCP and DEI", () => {
		const single = parse(padded(`${MACS}8100f0320800${IPV4}`, 102));
		assert.equal([single.tags, single.outer, single.l3, single.l4], [1, 0xf032, 18, 38]);
		const double = parse(padded(`${MACS}88a80014810000c80800${IPV4}`, 106));
		assert.equal([double.tags, double.outer, double.inner, double.l3], [2, 20, 200, 22]);
	});

	test("more tags than are followed leave a TPID as the type", () => {
		const parsed = parse(padded(`${MACS}${"81000001".repeat(5)}0800${IPV4}`, 130));
		assert.equal([parsed.tags, parsed.etherType], [4, 0x8100]);
	});

	test("a tag without a type behind it is truncated", () => {
		assert.ok(parse(hex(`${MACS}81000032`)).flags & abi.PARSED_F_TRUNCATED);
	});

	test("IPv4 options, fragments, lies about lengths", () => {
		const options = `${IPV4.replace(/^45/, "46")}01010101`;
		assert.is(parse(padded(`${MACS}0800${options}`, 98)).l4, 38);
		const fragment = IPV4.replace("0000400040", "0000200040");
		const parsed = parse(padded(`${MACS}0800${fragment}`, 98));
		assert.equal([parsed.l4, parsed.flags], [0, abi.PARSED_F_FRAGMENT]);
		assert.ok(parse(padded(`${MACS}0800${IPV4}`, 97)).flags & abi.PARSED_F_TRUNCATED, "total length beyond the frame");
		assert.ok(parse(padded(`${MACS}0800${IPV4.replace(/^45/, "44")}`, 98)).flags & abi.PARSED_F_TRUNCATED, "IHL 4");
		assert.ok(parse(padded(`${MACS}0800${IPV4.replace(/^45/, "65")}`, 98)).flags & abi.PARSED_F_TRUNCATED, "version 6");
	});

	test("IPv6, extension headers, fragments, endless chains", () => {
		assert.equal(parse(padded(`${MACS}86dd${IPV6}`, 62)), {
			etherType: 0x86dd,
			tags: 0,
			kind: abi.L3_IPV6,
			l3: 14,
			l4: 54,
			protocol: 58,
			flags: 0,
			outer: 0,
			inner: 0,
			length: 48,
		});
		const hop = `${IPV6.replace("00083a40", "00100040")}3a00000000000000`;
		assert.equal(
			[parse(padded(`${MACS}86dd${hop}`, 70)).l4, parse(padded(`${MACS}86dd${hop}`, 70)).protocol],
			[62, 58],
		);
		const fragment = `${IPV6.replace("00083a40", "00102c40")}3a00000100000000`;
		const parsed = parse(padded(`${MACS}86dd${fragment}`, 70));
		assert.equal([parsed.l4, parsed.flags, parsed.protocol], [0, abi.PARSED_F_FRAGMENT, 58]);
		const chain = IPV6.replace("00083a40", "00400040") + "0000000000000000".repeat(8);
		assert.ok(parse(padded(`${MACS}86dd${chain}`, 118)).flags & abi.PARSED_F_TRUNCATED, "eight headers and no end");
	});

	test("ARP, 802.3 with LLC, unknown types", () => {
		assert.equal([parse(padded(`${MACS}0806`, 42)).kind, parse(padded(`${MACS}0806`, 42)).flags], [abi.L3_ARP, 0]);
		assert.ok(parse(padded(`${MACS}0806`, 41)).flags & abi.PARSED_F_TRUNCATED);
		const llc = parse(padded(`${MACS}00264242`, 60));
		assert.equal([llc.kind, llc.etherType, llc.flags], [abi.L3_LLC, 38, 0]);
		assert.is(parse(padded(`${MACS}88cc`, 60)).kind, abi.L3_OTHER);
	});

	test("group addresses", () => {
		assert.is(parse(padded(`01005e000001${SRC}88cc`, 60)).flags, abi.PARSED_F_MULTICAST);
		assert.is(parse(padded(`ffffffffffff${SRC}88cc`, 60)).flags, abi.PARSED_F_MULTICAST | abi.PARSED_F_BROADCAST);
	});

	test("never reads beyond the frame, whatever its length", () => {
		const whole = padded(`${MACS}8100003288a8000186dd${IPV6}`, 80);
		for (let bytes = 0; bytes < whole.length; bytes++) {
			// What lies behind the frame says the opposite of what is in it: a read beyond it would show in the result.
			engine.view(frameAt, 200).fill(0xff);
			const ones = parse(whole.subarray(0, bytes));
			engine.view(frameAt, 200).fill(0);
			assert.equal(parse(whole.subarray(0, bytes)), ones, `${bytes} bytes`);
		}
	});

	test("push and pop are each other's opposite for every VID and priority", () => {
		// NEEDS_CSUM, TCPv4, hdr_len 66, gso_size 1448, csum_start 34, offset 16
		const vnet = hex("01 01 4200 a805 2200 1000");
		const frame = padded(`${MACS}0800${IPV4}`, 98);
		for (let vid = 0; vid < 4096; vid++) {
			const tci = ((vid & 15) << 12) | vid;
			engine.view(frameAt - abi.VNET_BYTES, 10).set(vnet);
			engine.view(frameAt, frame.length).set(frame);
			const tagged = engine.core.push(frameAt, ((0x8100 << 16) | tci) >>> 0) >>> 0;
			assert.is(tagged, frameAt - 4);
			const bytes = Buffer.from(engine.view(tagged - abi.VNET_BYTES, 10 + 18));
			assert.is(bytes.subarray(10, 22).toString("hex"), MACS);
			assert.equal([bytes.readUInt16BE(22), bytes.readUInt16BE(24), bytes.readUInt16BE(26)], [0x8100, tci, 0x0800]);
			assert.equal([bytes.readUInt16LE(2), bytes.readUInt16LE(6)], [70, 38], "hdr_len and csum_start follow");
			const untagged = engine.core.pop(tagged) >>> 0;
			assert.is(untagged, frameAt);
			assert.equal([...engine.view(frameAt - abi.VNET_BYTES, 10)], [...vnet]);
			assert.equal([...engine.view(frameAt, frame.length)], [...frame]);
		}
	});

	test("a new VID keeps priority and drop eligibility", () => {
		engine.view(frameAt, 18).set(hex(`${MACS}8100b0320800`));
		engine.core.rewriteVid(frameAt, 4094);
		assert.is(Buffer.from(engine.view(frameAt + 12, 4)).toString("hex"), "8100bffe");
	});

	test("a head of its own carries one or two tags and leaves the frame alone", () => {
		const vnet = hex("01 01 4200 a805 2200 1000");
		engine.view(frameAt - abi.VNET_BYTES, 10).set(vnet);
		engine.view(frameAt, 14).set(hex(`${MACS}0800`));
		const length = engine.core.buildHead(outAt, frameAt, 0x88a80014, 0x810000c8);
		const head = Buffer.from(engine.view(outAt, length));
		assert.is(head.subarray(10).toString("hex"), `${MACS}88a80014810000c8`);
		assert.equal([head.readUInt16LE(2), head.readUInt16LE(6)], [74, 42]);
		assert.is(engine.core.buildHead(outAt, frameAt, 0x81000032, 0), 26);
		assert.is(Buffer.from(engine.view(frameAt, 14)).toString("hex"), `${MACS}0800`);
	});

	test.run();
}
