/** Frames that no stack would send, from containers and the wire: the daemon lives, VLANs hold, all are counted. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { BROADCAST, be16, isTpid, macBytes, type Tag, TPID_CTAG, TPID_STAG } from "../support/frames.js";
import { FAR_END, PARENT } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { decoded, marked, marksOf } from "../support/packets.js";
import { type OffloadFrame, send } from "../support/sender.js";
import { macOf, type Site, sharedSite } from "../support/site.js";

const garbage = suite("garbage frames");
const test = sharedSite(garbage, { vlans: [50, 60] });

/** Fewer than the queue of a TAP holds, so that none is lost before it is read. */
const FRAMES = 2000;
const STRANGER = "02:00:00:00:00:99";
const VNET_BYTES = 10;

/** Numbers from 0 to below 2^32, the same in each run (mulberry32). */
function randomNumbers(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return (mixed ^ (mixed >>> 14)) >>> 0;
	};
}

function randomBytes(next: () => number, length: number): Uint8Array {
	return Uint8Array.from({ length }, () => next() & 0xff);
}

/** Random bytes, every fourth frame with a VLAN tag's type, every fourth to everybody. */
function randomFrame(next: () => number, bytesMax = 1514): Uint8Array {
	const frame = randomBytes(next, 14 + (next() % (bytesMax - 13)));
	if (next() % 4 === 0) frame.set(next() % 2 ? [0x81, 0x00] : [0x88, 0xa8], 12);
	if (next() % 4 === 0) frame.set(macBytes(BROADCAST), 0);
	return frame;
}

/** Why the switch must drop a frame that a container on a VLAN sends, as `vlane ports` says; undefined: it passes. */
function reasonOf(frame: Uint8Array): string | undefined {
	if (isTpid(be16(frame, 12)) && frame.length < 18) return "runt";
	const source = frame.subarray(6, 12);
	return source[0]! & 1 || source.every((octet) => octet === 0) ? "source" : undefined;
}

interface Scene {
	c50: Namespace;
	c60: Namespace;
	plain: Namespace;
	/** Captures of c60 and plain, which must not see anything of VLAN 50. */
	others: { stop(): Promise<Uint8Array[]> }[];
}

/** Three networks on one parent, each with a gateway out there that answers. */
async function makeScene(site: Site): Promise<Scene> {
	for (const [name, vid] of [
		["v50", 50],
		["v60", 60],
		["plain", undefined],
	] as const) {
		site.lan.station(vid, [`10.${vid ?? 1}.0.254/24`]);
		const parent = `parent=eth0${vid ? `.${vid}` : ""}`;
		site.create(name, `--subnet=10.${vid ?? 1}.0.0/24`, "-o", parent);
	}
	const [c50, c60, plain] = [await site.join("v50"), await site.join("v60"), await site.join("plain")];
	return { c50, c60, plain, others: await Promise.all([c60, plain].map((ns) => capture(ns, "eth0"))) };
}

/** The daemon moves frames as before; and by then it has moved all that came earlier on the same ways. */
function assertAlive({ c50, c60, plain }: Scene): void {
	assert.is(c50.ping("10.50.0.254", 2), 2);
	assert.is(c60.ping("10.60.0.254", 2), 2);
	assert.is(plain.ping("10.1.0.254", 2), 2);
}

test("random bytes from a container stay in its VLAN and are counted by what is wrong with them", async (site) => {
	const scene = await makeScene(site);
	const wire = await capture(site.lan.far, FAR_END);
	const next = randomNumbers(1);
	const frames = Array.from({ length: FRAMES }, () => randomFrame(next));
	const before = site.port("v50", scene.c50);
	assert.is(send(scene.c50, "eth0", frames), FRAMES);
	assertAlive(scene);
	const own = [scene.c60, scene.plain].map((ns) => macOf(ns));
	const seen = decoded(await wire.stop()).filter(({ src }) => !own.includes(src));
	const reasons = frames.map(reasonOf);
	assert.ok(
		seen.every(({ tags }) => tags[0]?.tpid === TPID_CTAG && tags[0].vid === 50),
		"all of it wears the tag",
	);
	assert.ok(seen.length >= reasons.filter((reason) => reason === undefined).length);
	for (const other of scene.others) {
		const sources = decoded(await other.stop()).map(({ src }) => src);
		const known = [...own, macOf(site.lan.far, "lan60"), macOf(site.lan.far, FAR_END)];
		assert.ok(sources.every((src) => known.includes(src)));
	}
	const after = site.port("v50", scene.c50);
	assert.ok(after.rxFrames - before.rxFrames >= FRAMES);
	assert.is(after.drops.source, reasons.filter((reason) => reason === "source").length);
});

test("runts, giants and tags that a container must not send are counted, each by its name", async (site) => {
	const scene = await makeScene(site);
	const { c50, plain } = scene;
	const [in50, inPlain] = [macOf(c50), macOf(plain)].map((mac) => [...macBytes(BROADCAST), ...macBytes(mac)]);
	const runt = Uint8Array.from([...in50!, 0x81, 0x00]);
	const tagged = marked("hop", macOf(plain), BROADCAST, [{ tpid: TPID_CTAG, vid: 50 }]);
	const fromGroup = marked("", "01:00:5e:00:00:01");
	for (const ns of [c50, plain]) ns.must(["ip", "link", "set", "eth0", "mtu", "9000"]);
	const giant = Uint8Array.from([...inPlain!, 0x88, 0xb5, ...new Array<number>(4000).fill(1)]);
	assert.is(send(c50, "eth0", [runt, runt, runt, fromGroup]), 4);
	assert.is(send(plain, "eth0", [tagged, tagged, giant]), 3);
	for (const ns of [c50, plain]) ns.must(["ip", "link", "set", "eth0", "mtu", "1500"]);
	assertAlive(scene);
	assert.equal(site.port("v50", c50).drops, { runt: 3, source: 1 });
	assert.equal(site.port("plain", plain).drops, { vlan: 2 });
	assert.is(site.ports().get(PARENT)!.drops.giant, 1);
});

test("random tags and bytes from the wire reach only who they are for, and what is left is counted", async (site) => {
	const scene = await makeScene(site);
	const inside = await capture(scene.c50, "eth0");
	const next = randomNumbers(2);
	const vids = [0, 1, 50, 60, 51, 4094, 4095];
	const pick = <T>(list: T[]): T => list[next() % list.length]!;
	const targets = [macOf(scene.c50), macOf(scene.c60), macOf(scene.plain), BROADCAST, "33:33:00:00:00:07", STRANGER];
	const sent = Array.from({ length: FRAMES }, (_, number) => {
		const tags = Array.from({ length: next() % 4 }, (): Tag => {
			return { tpid: next() % 4 ? TPID_CTAG : TPID_STAG, vid: pick(vids), pcp: next() % 8, dei: next() % 2 };
		});
		const dst = pick(targets);
		return { number, tags, dst, bytes: marked(`${number}`, STRANGER, dst, tags) };
	});
	const before = site.ports().get(PARENT)!;
	assert.is(
		send(
			site.lan.far,
			FAR_END,
			sent.map(({ bytes }) => bytes),
		),
		FRAMES,
	);
	assertAlive(scene);
	const after = site.ports().get(PARENT)!;
	/** What a network on `vid` gets; its own address is `mac`. */
	const expected = (vid: number | undefined, mac: string) => {
		const isFor = (dst: string) => dst === mac || dst === BROADCAST || dst.startsWith("33:33");
		const wears = ([outer]: Tag[]) => (outer?.tpid === TPID_CTAG && outer.vid !== 0 ? outer.vid : undefined);
		const isOurs = (tags: Tag[]) =>
			wears(tags) === vid && (vid !== undefined || tags.every(({ vid: own }, at) => at > 0 || own === 0));
		return sent
			.filter(({ tags, dst }) => isOurs(tags) && isFor(dst))
			.map(({ number, tags }) => `${number} below ${tags.length}`);
	};
	const depth = new Map(sent.map(({ number, tags }) => [`${number}`, tags.length]));
	const seen = await Promise.all(
		[inside, ...scene.others].map(async (capturing) => {
			return marksOf(await capturing.stop()).map((text) => `${text} below ${depth.get(text)}`);
		}),
	);
	assert.equal(seen[0], expected(50, macOf(scene.c50)));
	assert.equal(seen[1], expected(60, macOf(scene.c60)));
	assert.equal(seen[2], expected(undefined, macOf(scene.plain)));
	assert.ok(after.rxFrames - before.rxFrames >= FRAMES);
	const outside = sent.filter(
		({ tags: [outer] }) => outer && (outer.tpid === TPID_STAG ? outer.vid !== 0 : ![0, 50, 60].includes(outer.vid)),
	);
	assert.is((after.filtered.vlan ?? 0) - (before.filtered.vlan ?? 0), outside.length);
});

test("offload headers that make no sense do no harm, from either side", async (site) => {
	const scene = await makeScene(site);
	const inside = await capture(scene.c50, "eth0");
	const next = randomNumbers(3);
	const headers = (src: string, dst: string, tags: Tag[]): OffloadFrame[] => {
		return Array.from({ length: FRAMES }, (_, number) => {
			const vnet = randomBytes(next, VNET_BYTES);
			// Most random headers are refused by the kernel itself: these flags and types are the ones it knows.
			vnet[0] = next() % 2;
			vnet[1] = [0, 1, 3, 4, 5, 0x81][next() % 6]!;
			for (const at of [3, 5, 7, 9]) vnet[at] = next() % 8 === 0 ? vnet[at]! : 0;
			return { vnet, bytes: marked(`${number}`, src, dst, tags) };
		});
	};
	const taken = send(scene.c50, "eth0", headers(macOf(scene.c50), BROADCAST, []));
	const fromWire = headers(STRANGER, macOf(scene.c50), [{ tpid: TPID_CTAG, vid: 50 }]);
	const takenFar = send(site.lan.far, FAR_END, fromWire);
	assert.ok(taken > 0 && takenFar > 0, "the kernel lets some of them pass");
	assertAlive(scene);
	await inside.stop();
	for (const other of scene.others) assert.equal(marksOf(await other.stop()), []);
	assert.ok(site.port("v50", scene.c50).rxFrames > 0);
});

garbage.run();
