/** The library as its users have it: offline switches, learning, capture files as ports, errors; and the examples. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
	type CapturedFrame,
	CaptureWriter,
	createSwitch,
	type MemoryPort,
	readCapture,
	type Segment,
} from "../../src/lib/index.js";
import { BROADCAST, decodeFrame, makeFrame, type Tag, TPID_CTAG, TPID_STAG } from "../support/frames.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const ETHERTYPE = 0x88b5;
const STATIONS = [1, 2, 3, 4].map((n) => `02:00:00:00:00:0${n}`);
const library = suite("library");
const directory = mkdtempSync(join(tmpdir(), "vlane-library-"));
library.after(() => rmSync(directory, { recursive: true }));

const inDirectory = (name: string) => join(directory, name);
const payload = new Uint8Array(46);
const frame = (dst: string, src: string, tags: Tag[] = []) =>
	makeFrame({ dst, src, tags, ethertype: ETHERTYPE, payload });

/** Memory ports that note what leaves through them. */
class Desk {
	readonly seen: string[] = [];
	readonly frames: CapturedFrame[] = [];

	private constructor(readonly lan: Awaited<ReturnType<typeof createSwitch>>) {}

	static async open(): Promise<Desk> {
		return new Desk(await createSwitch({ offline: true }));
	}

	port(name: string, segment?: Segment, mac?: string): Promise<MemoryPort> {
		const onFrame = (left: CapturedFrame) => {
			const { tags } = decodeFrame(left.bytes);
			this.seen.push([name, ...tags.map(({ vid }) => vid)].join("."));
			this.frames.push(left);
		};
		return this.lan.addPort({ type: "memory", name, segment, mac, onFrame });
	}

	/** Where frames have left since the last question. */
	took(): string {
		return this.seen.splice(0).sort().join(" ");
	}
}

const rejection = (promise: Promise<unknown>): Promise<string> =>
	promise.then(
		() => "nothing was thrown",
		(error: Error) => error.message,
	);

library("without learning macvlan's rules hold: known addresses, the uplink for the rest", async () => {
	const desk = await Desk.open();
	const uplink = await desk.port("up");
	const segment = await desk.lan.addSegment({ uplink, tags: [50] });
	const [one, two] = [await desk.port("one", segment, STATIONS[0]), await desk.port("two", segment, STATIONS[1])];
	await one.send(frame(two.mac, one.mac));
	assert.is(desk.took(), "two");
	await one.send(frame(STATIONS[3]!, one.mac));
	assert.is(desk.took(), "up.50");
	await one.send(frame(BROADCAST, one.mac));
	assert.is(desk.took(), "two up.50");
	await uplink.send(frame(one.mac, STATIONS[3]!, [{ tpid: TPID_CTAG, vid: 50 }]));
	assert.is(desk.took(), "one");
	await uplink.send(frame(one.mac, STATIONS[3]!, [{ tpid: TPID_CTAG, vid: 51 }]));
	assert.is(desk.took(), "");
	assert.equal(uplink.stats(), {
		...{ port: uplink.number, name: "up", kind: "uplink", rxFrames: 2, rxBytes: 128, txFrames: 2, txBytes: 128 },
		rxOffloads: 0,
		txMerged: 0,
		txFinished: 0,
		drops: { vlan: 1 },
	});
	await desk.lan.close();
});

library("a segment that learns floods the unknown, follows stations that move, on the uplink too", async () => {
	const desk = await Desk.open();
	const uplink = await desk.port("up");
	const segment = await desk.lan.addSegment({ uplink, tags: [{ tpid: TPID_STAG, vid: 7 }, 50], learning: true });
	const ports: MemoryPort[] = [];
	for (const name of ["a", "b", "c"]) ports.push(await desk.port(name, segment));
	const [a, b, c] = ports as [MemoryPort, MemoryPort, MemoryPort];
	const [one, two, far] = STATIONS as [string, string, string];
	const tags = [
		{ tpid: TPID_STAG, vid: 7 },
		{ tpid: TPID_CTAG, vid: 50 },
	];
	await a.send(frame(two, one));
	assert.is(desk.took(), "b c up.7.50", "two is unknown");
	await b.send(frame(one, two));
	assert.is(desk.took(), "a", "one was learned");
	await uplink.send(frame(far, two, [{ tpid: TPID_CTAG, vid: 50 }]));
	assert.is(desk.took(), "", "another VLAN");
	await a.send(frame(far, one));
	assert.is(desk.took(), "b c up.7.50");
	await uplink.send(frame(one, far, tags));
	assert.is(desk.took(), "a");
	await b.send(frame(far, two));
	assert.is(desk.took(), "up.7.50", "far was learned behind the uplink");
	await uplink.send(frame(STATIONS[3]!, far, tags));
	assert.is(desk.took(), "a b c", "from the wire the unknown is flooded too, but not back");
	await c.send([frame(one, two), frame(BROADCAST, one)]);
	assert.is(desk.took(), "a a b up.7.50", "both have moved to c; the first frame found one where it was");
	await a.send(frame(one, STATIONS[3]!));
	assert.is(desk.took(), "c");
	for (const { bytes } of desk.frames)
		assert.ok([one, two, far, BROADCAST, STATIONS[3]].includes(decodeFrame(bytes).dst));
	await c.remove();
	await a.send(frame(one, STATIONS[3]!));
	assert.is(desk.took(), "b up.7.50", "what was behind a removed port is forgotten");
	assert.is(await rejection(uplink.remove()), 'port "up" is the uplink of a segment');
	await a.remove();
	await b.remove();
	await segment.remove();
	await uplink.remove();
	assert.equal(desk.lan.stats(), []);
});

library("MTUs and allowed sources change while frames pass", async () => {
	const desk = await Desk.open();
	const uplink = await desk.port("up");
	const segment = await desk.lan.addSegment({ uplink });
	const one = await desk.port("one", segment, STATIONS[0]);
	await one.setMtu(45);
	await uplink.send(frame(one.mac, STATIONS[3]!));
	assert.equal([desk.took(), one.stats().drops], ["", { giant: 1 }]);
	await one.setMtu(46);
	await uplink.send(frame(one.mac, STATIONS[3]!));
	assert.is(desk.took(), "one");
	const listener = { type: "memory", name: "two", segment, mac: STATIONS[1], network: 2, mode: "source" } as const;
	await desk.lan.addPort({ ...listener, onFrame: () => desk.seen.push("two") });
	await segment.allowSource(STATIONS[3]!, 2);
	await uplink.send(frame(one.mac, STATIONS[3]!));
	assert.is(desk.took(), "one two");
	await segment.disallowSource(STATIONS[3]!);
	await uplink.send(frame(one.mac, STATIONS[3]!));
	assert.is(desk.took(), "one");
	assert.equal([uplink.kind, one.kind, desk.lan.ring], ["uplink", "endpoint", "none"]);
});

library("learning agrees with a bridge in five lines", async () => {
	const step = fc.record({ port: fc.nat(3), src: fc.nat(5), dst: fc.nat(6) });
	const mac = (n: number) => (n === 6 ? BROADCAST : `02:00:00:00:00:0${n + 1}`);
	const property = fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.boolean(), async (steps, isBatch) => {
		const desk = await Desk.open();
		const segment = await desk.lan.addSegment({ learning: true });
		const ports: MemoryPort[] = [];
		for (let n = 0; n < 4; n++) ports.push(await desk.port(`${n}`, segment));
		const behind = new Map<number, number>();
		const expected: string[] = [];
		for (const { port, src, dst } of steps) {
			behind.set(src, port);
			const target = behind.get(dst);
			for (let n = 0; n < 4; n++) if (n !== port && (target ?? n) === n) expected.push(`${n}`);
		}
		if (isBatch) {
			// Frames of a row of steps through the same port in one call.
			for (let at = 0; at < steps.length; ) {
				const { port } = steps[at]!;
				let end = at;
				while (end < steps.length && steps[end]!.port === port) end++;
				await ports[port]!.send(steps.slice(at, end).map(({ src, dst }) => frame(mac(dst), mac(src))));
				at = end;
			}
		} else for (const { port, src, dst } of steps) await ports[port]!.send(frame(mac(dst), mac(src)));
		assert.is(desk.took(), expected.sort().join(" "));
		await desk.lan.close();
	});
	await fc.assert(property, { numRuns: 60 });
});

library("capture files: in the order of their times, times and cut lengths are kept", async () => {
	const names = ["left.pcap", "right.pcapng"].map(inDirectory);
	names.forEach((name, index) => {
		const writer = new CaptureWriter(name);
		for (let n = 0; n < 100; n++) {
			const bytes = frame(STATIONS[3]!, STATIONS[index]!);
			writer.write({ bytes, timeNs: BigInt(n * 2 + index), originalBytes: 1000 + n });
		}
		writer.close();
	});
	const lan = await createSwitch({ offline: true });
	const uplink = await lan.addPort({ type: "pcap", write: inDirectory("out.pcapng") });
	const segment = await lan.addSegment({ uplink, tags: [218] });
	for (const read of names) await lan.addPort({ type: "pcap", read, segment });
	assert.is(await lan.run(), 200);
	assert.is(await lan.run(), 0, "the files are at their ends");
	await lan.close();
	const out = [...readCapture(inDirectory("out.pcapng"))];
	assert.equal(
		out.map(({ timeNs }) => Number(timeNs)),
		Array.from({ length: 200 }, (_, n) => n),
	);
	assert.is(out[7]!.originalBytes, 1003 + 4);
	assert.equal(
		Buffer.from(out[7]!.bytes),
		Buffer.from(frame(STATIONS[3]!, STATIONS[1]!, [{ tpid: TPID_CTAG, vid: 218 }])),
	);
});

library("a damaged file is forwarded as far as it goes, then told of", async () => {
	const [whole, cut, copy] = ["whole.pcap", "cut.pcap", "copy.pcap"].map(inDirectory) as [string, string, string];
	const writer = new CaptureWriter(whole);
	for (let n = 0; n < 3; n++) writer.write({ bytes: frame(BROADCAST, STATIONS[0]!), timeNs: 0n, originalBytes: 60 });
	writer.close();
	writeFileSync(cut, readFileSync(whole).subarray(0, -1));
	const lan = await createSwitch({ offline: true });
	const segment = await lan.addSegment();
	await lan.addPort({ type: "pcap", read: cut, segment });
	await lan.addPort({ type: "pcap", write: copy, segment });
	assert.match(await rejection(lan.run()), /^capture ".*cut.pcap": byte 192: ends in the middle of a frame$/);
	await lan.close();
	assert.is([...readCapture(copy)].length, 2);
});

library("what can not be is refused in words, and leaves nothing", async () => {
	const desk = await Desk.open();
	const { lan } = desk;
	const uplink = await desk.port("up");
	const segment = await lan.addSegment({ uplink, tags: [50] });
	const one = await desk.port("one", segment, STATIONS[0]);
	const add = (options: object) => rejection(lan.addPort({ type: "memory", name: "x", ...options } as never));
	assert.is(await rejection(lan.addSegment({ uplink, tags: [4095] })), "VID 4095 is not in 1..4094");
	assert.is(
		await rejection(lan.addSegment({ uplink, tags: [{ tpid: 0x9100, vid: 1 }] })),
		"TPID 37120 is neither 0x8100 nor 0x88a8",
	);
	assert.is(await rejection(lan.addSegment({ uplink, tags: [1, 2, 3] })), "a segment has at most 2 tags, not 3");
	assert.is(await rejection(lan.addSegment({ tags: [1] })), "a segment without uplink has no tags");
	assert.is(await rejection(lan.addSegment({ uplink: one })), 'port "one" is in a segment: it can not be an uplink');
	assert.match(await rejection(lan.addSegment({ uplink, tags: [50] })), /its VLAN is taken on this uplink/);
	assert.is(
		await add({ mac: "03:00:00:00:00:01" }),
		'port "x": "03:00:00:00:00:01" is not the MAC address of one station',
	);
	assert.is(await add({ segment, mac: STATIONS[0] }), `port "x": MAC ${STATIONS[0]} is already in use on this VLAN`);
	assert.is(await add({ mtuBytes: 67 }), 'port "x": MTU 67 is not in 68..65535');
	assert.is(await add({ segment, network: 0 }), 'port "x": network 0 is not in 1..65535');
	assert.is(await add({ type: "disk" }), 'port "x": type "disk" is not known');
	assert.is(await add({ type: "tap", ifname: "t0" }), 'port "x": an offline switch has no tap ports');
	assert.match(await add({ type: "pcap", read: inDirectory("none") }), /^open on ".*none": ENOENT/);
	assert.match(
		await rejection(one.send(new Uint8Array(70_000))),
		/^a frame of 70000 bytes; at most \d+ are forwarded$/,
	);
	assert.is(await add({ type: "raw", ifname: "eth0", segment }), 'port "x": a raw port is always an uplink');
	const other = await Desk.open();
	assert.is(await rejection(other.lan.addSegment({ uplink })), 'port "up" is not a port of this switch');
	assert.is(lan.stats().length, 2);
	await one.remove();
	assert.is(await rejection(one.send(frame(BROADCAST, STATIONS[0]!))), 'port "one" has been removed');
	assert.is(await rejection(segment.remove()), "nothing was thrown");
});

/** Runs an example; answers what it says. */
function example(name: string, ...args: string[]): string {
	const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, "examples", name), ...args], {
		encoding: "utf8",
	});
	assert.is(status, 0, stderr);
	return stdout;
}

library("examples/learning-switch.mjs, in 20 lines of code", () => {
	const [a, b, c] = ["a", "b", "c"].map((last) => `02:00:00:00:00:0${last}`);
	const expected = [
		`${a} -> ${b}: port 2, port 3`,
		`${b} -> ${a}: port 1`,
		`${a} -> ${b}: port 2`,
		`${c} -> ${a}: port 1`,
	];
	assert.is(example("learning-switch.mjs"), `${expected.join("\n")}\n`);
	const source = readFileSync(join(ROOT, "examples/learning-switch.mjs"), "utf8").trim().split("\n");
	assert.ok(source.filter((line) => line !== "" && !line.startsWith("//")).length <= 20);
});

library("examples/vlan-tagger.mjs and examples/pcap-replay.mjs", () => {
	const [input, output] = [inDirectory("plain.pcap"), inDirectory("tagged.pcap")] as const;
	const writer = new CaptureWriter(input);
	const source = [frame(BROADCAST, STATIONS[0]!), frame(STATIONS[1]!, STATIONS[0]!), new Uint8Array(5)];
	for (const bytes of source) writer.write({ bytes, timeNs: 5n, originalBytes: bytes.length });
	writer.close();
	assert.is(
		example("vlan-tagger.mjs", input, output, "50"),
		"3 frames read, 2 written with VLAN 50\n1 dropped: runt\n",
	);
	const tags = [...readCapture(output)].map(({ bytes }) => decodeFrame(bytes).tags.map(({ tpid, vid }) => [tpid, vid]));
	assert.equal(tags, [[[TPID_CTAG, 50]], [[TPID_CTAG, 50]]]);
	assert.match(
		example("pcap-replay.mjs", input, "0"),
		/^3 frames x 1 rounds, 2 forwarded, 128 bytes\n\d+ frames\/s, \d+ ns\/frame\n$/,
	);
	const broken = spawnSync(process.execPath, [
		join(ROOT, "examples/vlan-tagger.mjs"),
		join(ROOT, "LICENSE"),
		output,
		"50",
	]);
	assert.is(broken.status, 1);
	assert.match(
		broken.stderr.toString(),
		/^capture ".*LICENSE": byte 0: magic number [0-9a-f]{8} is neither pcap's nor pcapng's\n$/,
	);
});

library("docs/library.md is what the doc comments say", () => {
	const { status, stderr } = spawnSync(process.execPath, [join(ROOT, "scripts/libdocs.mjs"), "--check"]);
	assert.is(status, 0, stderr.toString());
});

library.run();
