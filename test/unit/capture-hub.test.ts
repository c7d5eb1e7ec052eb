/** The hub of captures over a ring of the test's own: several captures, slow readers, ports that come and go. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compileFilter } from "../../src/capture/filter.js";
import { type CapturedPort, type CaptureOrder, type CaptureSink, Hub } from "../../src/capture/hub.js";
import type { RingFrame } from "../../src/core/capturering.js";
import { type FollowedPacket, Follower } from "../../src/pcap/follow.js";

const hubs = suite("capture hub");

class Source {
	generation = 0;
	readonly snapBytes = new Map<number, number>();
	isOn = false;
	frames: RingFrame[] = [];
	lostFrames = 0;
	readonly capture = {
		setPort: (port: number, bytes: number) => void this.snapBytes.set(port, bytes),
		setOn: (on: boolean) => {
			this.isOn = on;
		},
		forget: () => undefined,
		lost: () => this.lostFrames,
		read: () => this.frames.splice(0),
	};

	pass(port: number, length: number): void {
		const frame = { direction: "in", dropped: undefined, timeNs: 7n, originalBytes: length } as const;
		this.frames.push({ port, ...frame, bytes: new Uint8Array(length) });
	}
}

class Reader implements CaptureSink {
	readonly packets: FollowedPacket[] = [];
	readonly follower = new Follower((packet) => this.packets.push(packet));
	behind = false;
	ended = false;
	write(block: Buffer): void {
		// In pieces, as a socket would hand them over.
		for (let at = 0; at < block.length; at += 5) this.follower.push(block.subarray(at, at + 5));
	}
	isBehind(): boolean {
		return this.behind;
	}
	async end(): Promise<void> {
		this.ended = true;
	}
}

function orderOf(ports: CapturedPort[], more: Partial<CaptureOrder> = {}): CaptureOrder {
	const filter = { filter: compileFilter(""), filterText: "" };
	return { select: () => ports, ...filter, snapBytes: 1000, application: "test", ...more };
}

const ONE = { port: 1, name: "one", description: "endpoint" };
const TWO = { port: 2, name: "two", description: "endpoint" };

hubs("the core records what somebody wants, and no longer than that", async () => {
	const source = new Source();
	const hub = new Hub(source);
	const [a, b] = [new Reader(), new Reader()];
	const [first, second] = [hub.newId(), hub.newId()];
	hub.open(first, orderOf([ONE], { snapBytes: 64 }), a);
	hub.open(second, orderOf([ONE, TWO]), b);
	assert.ok(source.isOn);
	assert.equal(
		[...source.snapBytes],
		[
			[1, 1000],
			[2, 1000],
		],
	);
	source.pass(1, 500);
	source.pass(2, 500);
	assert.ok(hub.end(second));
	assert.equal(
		[...source.snapBytes],
		[
			[1, 128],
			[2, 0],
		],
	);
	await hub.close();
	assert.not.ok(source.isOn);
	assert.is(source.snapBytes.get(1), 0);
	assert.equal(
		a.packets.map(({ name, bytes, originalBytes }) => [name, bytes.length, originalBytes]),
		[["one", 64, 500]],
	);
	assert.equal(
		b.packets.map(({ name, bytes }) => [name, bytes.length]),
		[
			["one", 500],
			["two", 500],
		],
	);
	assert.ok(a.ended && b.ended);
	assert.not.ok(hub.end(first));
});

hubs("what a slow reader does not take is counted, as is what the ring lost", async () => {
	const source = new Source();
	source.lostFrames = 100;
	const hub = new Hub(source);
	const reader = new Reader();
	hub.open(hub.newId(), orderOf([ONE]), reader);
	reader.behind = true;
	for (let i = 0; i < 5; i++) source.pass(1, 60);
	source.lostFrames = 103;
	await hub.close();
	assert.equal(reader.follower.counts, { received: 5, lost: 3, late: 5, delivered: 0 });
});

hubs("a follower without a listener counts the same, however the stream is cut", async () => {
	for (const pieceBytes of [1, 5, 11, 12, 13, 100, 1_000_000]) {
		const source = new Source();
		const hub = new Hub(source);
		const follower = new Follower();
		const write = (blocks: Buffer) => {
			for (let at = 0; at < blocks.length; at += pieceBytes) follower.push(blocks.subarray(at, at + pieceBytes));
		};
		const sink = { write, isBehind: () => false, end: async () => undefined };
		hub.open(hub.newId(), orderOf([ONE, TWO]), sink);
		for (let i = 0; i < 20; i++) source.pass(1 + (i & 1), 60 + i);
		await hub.close();
		assert.equal(follower.counts, { received: 20, lost: 0, late: 0, delivered: 20 });
	}
});

hubs("pieces are filled again once they are taken, and not before", async () => {
	const source = new Source();
	const hub = new Hub(source);
	const held: { blocks: Buffer; copy: Buffer; taken: (() => void) | undefined }[] = [];
	const write = (blocks: Buffer, taken?: () => void) => held.push({ blocks, copy: Buffer.from(blocks), taken });
	hub.open(hub.newId(), orderOf([ONE]), { write, isBehind: () => false, end: async () => undefined });
	const seen: Buffer[] = [];
	for (let round = 0; round < 30; round++) {
		for (let i = 0; i < 300; i++) source.pass(1, 1000);
		await new Promise((resolve) => setTimeout(resolve, 15));
		for (const { blocks, copy, taken } of held.splice(0)) {
			assert.ok(blocks.equals(copy));
			seen.push(copy);
			taken?.();
		}
	}
	await hub.close();
	for (const { copy } of held) seen.push(copy);
	const follower = new Follower();
	follower.push(Buffer.concat(seen));
	assert.equal(follower.counts, { received: 9000, lost: 0, late: 0, delivered: 9000 });
});

hubs("a port of the same name is the same interface, whatever its number", async () => {
	const source = new Source();
	const hub = new Hub(source);
	const reader = new Reader();
	const ports = [ONE];
	hub.open(hub.newId(), orderOf(ports), reader);
	ports[0] = { ...ONE, port: 9 };
	ports[1] = TWO;
	source.generation++;
	await new Promise((resolve) => setTimeout(resolve, 50));
	source.pass(9, 60);
	source.pass(2, 60);
	await hub.close();
	assert.equal(
		reader.packets.map(({ name }) => name),
		["one", "two"],
	);
});

hubs("a capture ends by itself after its count, and loses nothing before", async () => {
	const source = new Source();
	const hub = new Hub(source);
	const reader = new Reader();
	hub.open(hub.newId(), orderOf([ONE], { countMax: 2 }), reader);
	for (let i = 0; i < 5; i++) source.pass(1, 60 + i);
	while (!reader.ended) await new Promise((resolve) => setTimeout(resolve, 5));
	assert.equal(
		reader.packets.map(({ bytes }) => bytes.length),
		[60, 61],
	);
	assert.not.ok(source.isOn);
});

hubs.run();
