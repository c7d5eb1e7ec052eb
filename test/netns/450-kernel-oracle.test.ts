/**
 * The kernel's own macvlan as oracle: the same frames into it and into vlane, at every place where a frame can come in,
 * and the same deliveries out. Two scenes are alike but for who connects the endpoints:
 *
 *   A, B, C (eth0 of a namespace each) --- macvlan, or vlane --- eth0 ===== lan0 (far)
 *
 * Every place captures promiscuously, which opens the kernel's multicast filters: vlane has none, groups are for all.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Capture, capture } from "../support/capture.js";
import { BROADCAST, makeFrame, type Tag } from "../support/frames.js";
import { FAR_END, type Lan, makeLan, PARENT } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { ETHERTYPE_EXPERIMENT } from "../support/packets.js";
import { send } from "../support/sender.js";
import { startVlane } from "../support/vlane.js";

const oracle = suite("kernel oracle");

const MAC = { A: "02:00:00:00:00:0a", B: "02:00:00:00:00:0b", C: "02:00:00:00:00:0c" } as const;
const PARENT_MAC = "02:00:00:00:00:0e";
const STRANGER = "02:00:00:00:00:99";
const UNKNOWN = "02:00:00:00:00:77";
const IPV4_GROUP = "01:00:5e:01:02:03";
const IPV6_GROUP = "33:33:00:00:00:fb";
const PAUSE_GROUP = "01:80:c2:00:00:01";
const ETHERTYPE_PAUSE = 0x8808;
const PRIORITY: Tag[] = [{ tpid: 0x8100, vid: 0, pcp: 5 }];
const OTHER_VLAN: Tag[] = [{ tpid: 0x8100, vid: 7 }];
const SETTLE_MS = 300;

/** A frame, by what it is for people; `tags` and `ethertype` where they matter. */
interface Case {
	text: string;
	dst: string;
	src: string;
	tags?: Tag[];
	ethertype?: number;
}

/** What goes in at an endpoint with this address. */
function fromEndpoint(own: string, sibling: string): Case[] {
	const destinations: [string, string][] = [
		["a sibling", sibling],
		["itself", own],
		["nobody known", UNKNOWN],
		["the parent", PARENT_MAC],
		["all", BROADCAST],
		["an IPv4 group", IPV4_GROUP],
		["an IPv6 group", IPV6_GROUP],
	];
	return [
		...destinations.map(([text, dst]) => ({ text: `to ${text}`, dst, src: own })),
		{ text: "to all, not from its own address", dst: BROADCAST, src: STRANGER },
		{ text: "to a sibling, not from its own address", dst: sibling, src: STRANGER },
		{ text: "to all, from a sibling's address", dst: BROADCAST, src: sibling },
		{ text: "to all, with priority", dst: BROADCAST, src: own, tags: PRIORITY },
		{ text: "to a sibling, with priority", dst: sibling, src: own, tags: PRIORITY },
		{ text: "to all, on another VLAN", dst: BROADCAST, src: own, tags: OTHER_VLAN },
		{ text: "to a sibling, on another VLAN", dst: sibling, src: own, tags: OTHER_VLAN },
		{ text: "pause", dst: PAUSE_GROUP, src: own, ethertype: ETHERTYPE_PAUSE },
		{ text: "to all, from a group", dst: BROADCAST, src: "03:00:00:00:00:01" },
	];
}

/** What comes from the wire. */
const FROM_FAR: Case[] = [
	...["A", "B"].map((name) => ({ text: `to ${name}`, dst: MAC[name as "A" | "B"], src: STRANGER })),
	...[
		["the parent", PARENT_MAC],
		["nobody known", UNKNOWN],
		["all", BROADCAST],
		["an IPv4 group", IPV4_GROUP],
		["an IPv6 group", IPV6_GROUP],
	].map(([text, dst]) => ({ text: `to ${text}`, dst: dst!, src: STRANGER })),
	{ text: "A's own to all, sent back", dst: BROADCAST, src: MAC.A },
	{ text: "A's own to a group, sent back", dst: IPV4_GROUP, src: MAC.A },
	{ text: "A's own to B, sent back", dst: MAC.B, src: MAC.A },
	{ text: "A's own to itself, sent back", dst: MAC.A, src: MAC.A },
	{ text: "the parent's own to all, sent back", dst: BROADCAST, src: PARENT_MAC },
	{ text: "to all, with priority", dst: BROADCAST, src: STRANGER, tags: PRIORITY },
	{ text: "to A, with priority", dst: MAC.A, src: STRANGER, tags: PRIORITY },
	{ text: "to all, on another VLAN", dst: BROADCAST, src: STRANGER, tags: OTHER_VLAN },
	{ text: "to A, on another VLAN", dst: MAC.A, src: STRANGER, tags: OTHER_VLAN },
	{ text: "pause", dst: PAUSE_GROUP, src: STRANGER, ethertype: ETHERTYPE_PAUSE },
	{ text: "to all, from a group", dst: BROADCAST, src: "03:00:00:00:00:01" },
];

/** Where frames go in and come out: the endpoints, and the far end of the wire. */
type Places = Map<string, { ns: Namespace; ifname: string }>;

interface Scene {
	lan: Lan;
	places: Places;
	close(): Promise<void> | void;
}

async function makeWire(): Promise<Lan> {
	const lan = await makeLan();
	lan.host.must(["ip", "link", "set", PARENT, "address", PARENT_MAC]);
	return lan;
}

/** An endpoint's namespace, in which nobody says anything by himself. */
function quiet(name: string): Namespace {
	const ns = new Namespace(name.toLowerCase());
	ns.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
	return ns;
}

async function kernelScene(mode: string, names: (keyof typeof MAC)[]): Promise<Scene> {
	const lan = await makeWire();
	const places: Places = new Map();
	for (const name of names) {
		const ns = quiet(name);
		const link = ["link", PARENT, "name", `mv${name}`, "address", MAC[name], "type", "macvlan", "mode", mode];
		lan.host.must(["ip", "link", "add", ...link]);
		lan.host.must(["ip", "link", "set", `mv${name}`, "netns", ns.name]);
		ns.must(["ip", "link", "set", `mv${name}`, "name", "eth0"]);
		ns.must(["ip", "link", "set", "eth0", "address", MAC[name], "up"]);
		places.set(name, { ns, ifname: "eth0" });
	}
	places.set("far", { ns: lan.far, ifname: FAR_END });
	return { lan, places, close: () => closeAll(lan, places) };
}

async function vlaneScene(mode: string, names: (keyof typeof MAC)[]): Promise<Scene> {
	const lan = await makeWire();
	const vlane = await startVlane(lan.host);
	const options = ["-o", `parent=${PARENT}`, "-o", `macvlan_mode=${mode}`];
	vlane.must("network", "create", "--subnet=10.1.0.0/24", ...options, "net");
	const places: Places = new Map();
	for (const name of names) {
		const ns = quiet(name);
		vlane.must("network", "connect", `--mac-address=${MAC[name]}`, "net", `netns:${ns.path}`);
		places.set(name, { ns, ifname: "eth0" });
	}
	places.set("far", { ns: lan.far, ifname: FAR_END });
	const close = async () => {
		await vlane.cleanup();
		closeAll(lan, places);
	};
	return { lan, places, close };
}

function closeAll(lan: Lan, places: Places): void {
	for (const { ns } of places.values()) if (ns !== lan.far) ns.close();
	lan.close();
}

/** The cases that go in at each place, their names made unique. */
function plan(names: (keyof typeof MAC)[]): Map<string, Case[]> {
	const [first, second] = names;
	const all = new Map<string, Case[]>([["far", FROM_FAR]]);
	all.set(first!, fromEndpoint(MAC[first!], MAC.B));
	if (second) all.set(second, fromEndpoint(MAC[second], MAC.A));
	return new Map([...all].map(([at, cases]) => [at, cases.map((one) => ({ ...one, text: `${at}: ${one.text}` }))]));
}

function frameOf({ text, dst, src, tags, ethertype = ETHERTYPE_EXPERIMENT }: Case): Uint8Array {
	return makeFrame({ dst, src, tags, ethertype, payload: Buffer.from(`<${text}>`.padEnd(80, "\0")) });
}

/** Sends all cases; answers for each who received it, every time that it arrived. */
async function deliveries({ places }: Scene, cases: Map<string, Case[]>): Promise<Record<string, string[]>> {
	const captures = new Map<string, Capture>();
	for (const [name, { ns, ifname }] of places) captures.set(name, await capture(ns, ifname));
	for (const [at, list] of cases) {
		const { ns, ifname } = places.get(at)!;
		assert.is(send(ns, ifname, list.map(frameOf)), list.length);
	}
	await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
	const texts = [...cases.values()].flat().map(({ text }) => text);
	const result: Record<string, string[]> = Object.fromEntries(texts.map((text) => [text, []]));
	for (const [name, capturing] of captures) {
		for (const frame of await capturing.stop()) {
			const [, text = ""] = /<(.*?)>/.exec(Buffer.from(frame).toString("latin1")) ?? [];
			result[text]?.push(name);
		}
	}
	return result;
}

/** Where vlane is meant to be stricter: it delivers such a frame to nobody, whoever gets it of the kernel. */
const STRICTER: [RegExp, string][] = [
	[/on another VLAN$/, "a network is on one VLAN: the kernel hands frames of others on with their tag, and sends them"],
	[/from a group$/, "a source address is an individual one (IEEE 802.3-2022 3.2.3)"],
	[
		/^[AB]: to itself$/,
		"a frame is never sent back to the port that it came from; only mode bridge of the kernel does",
	],
];

for (const [mode, names] of [
	["bridge", ["A", "B", "C"]],
	["private", ["A", "B", "C"]],
	["vepa", ["A", "B", "C"]],
	["passthru", ["A"]],
] as [string, (keyof typeof MAC)[]][]) {
	const need = { root: true, tun: true, tools: ["ip"], kernel: ["macvlan"] };
	testOrSkip(oracle, `${mode}: the same frames in, the same deliveries out`, need, async () => {
		const cases = plan(names);
		const kernel = await kernelScene(mode, names);
		const expected = await deliveries(kernel, cases);
		await kernel.close();
		const vlane = await vlaneScene(mode, names);
		const seen = await deliveries(vlane, cases);
		await vlane.close();
		const isMeant = (text: string) => seen[text]!.length === 0 && STRICTER.some(([pattern]) => pattern.test(text));
		const different = Object.keys(expected).filter((text) => expected[text]!.join() !== seen[text]!.join());
		const wrong = different
			.filter((text) => !isMeant(text))
			.map((text) => `${text}: kernel ${expected[text]!.join() || "nobody"}, vlane ${seen[text]!.join() || "nobody"}`);
		assert.is(wrong.join("\n"), "");
		if (mode !== "bridge") return;
		const idle = STRICTER.filter(([pattern]) => !different.some((text) => pattern.test(text)));
		assert.equal(idle, [], "a difference that is none any more");
	});
}

oracle.run();
