/**
 * The same forwarding, whatever hosts the core: the Node host, and the C host of examples/ with the core translated by
 * wasm2c or run by an interpreter (and by what VLANE_C_API names, see examples/c-api). Real frames on a LAN in
 * namespaces, looked at from outside only.
 *
 *   a1, a2 (VLAN 50, network 1)   c (VLAN 50, network 2)   b (VLAN 60)   u (untagged)   all on the parent eth0
 */
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { buildProgram, coreOf, NATIVE_ENGINES, TOOLS } from "../support/firmware.js";
import { BROADCAST, TPID_CTAG } from "../support/frames.js";
import { FAR_END, type Lan, makeLan, PARENT } from "../support/lan.js";
import { type Need, testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { marked, marksOf } from "../support/packets.js";
import { send } from "../support/sender.js";

const NODE_HOST = fileURLToPath(new URL("../support/nodehost-tool.js", import.meta.url));
const BASE: Need = { root: true, tun: true, tools: ["ip", "ping"] };
const TAG_50 = { tpid: TPID_CTAG, vid: 50 };
const TAPS = { a1: "50", a2: "50", c: "50:2", b: "60", u: "0" };
type Tap = keyof typeof TAPS;

interface Host {
	name: string;
	need: Need;
	/** Command before the options; building it takes its time, so it is not done for a test that is skipped. */
	command: () => string[];
}

const programs = new Map<string, string>();
const HOSTS: Host[] = [
	{ name: "node", need: BASE, command: () => [process.execPath, NODE_HOST] },
	...NATIVE_ENGINES.map((engine) => ({
		name: engine,
		need: { ...BASE, tools: [...BASE.tools!, ...TOOLS[engine].tools!] },
		command: () => {
			if (!programs.has(engine)) programs.set(engine, buildProgram(engine, "host"));
			return [programs.get(engine)!, "-c", coreOf(engine)];
		},
	})),
];

interface Site {
	lan: Lan;
	/** Namespaces of the stations; the TAP has the name of its key. */
	ns: Record<Tap, Namespace>;
	mac: Record<Tap, string>;
}

/** A LAN, a running host and its stations with 10.VLAN.0.x, the LAN's own being x = 1. */
async function makeSite({ command }: Host): Promise<Site> {
	const lan = await makeLan({ vlans: [50, 60] });
	const options = Object.entries(TAPS).flatMap(([name, where]) => ["-t", `${name}:${where}`]);
	await lan.host.start([...command(), "-u", PARENT, ...options]).waitFor(/^ready$/);
	lan.station(undefined, ["10.0.0.1/24"]);
	lan.station(50, ["10.50.0.1/24"]);
	lan.station(60, ["10.60.0.1/24"]);
	const site = { lan, ns: {} as Site["ns"], mac: {} as Site["mac"] };
	for (const [index, [name, where]] of (Object.entries(TAPS) as [Tap, string][]).entries()) {
		const ns = new Namespace(name);
		lan.host.must(["ip", "link", "set", "dev", name, "netns", ns.name]);
		ns.sysctl(`net/ipv6/conf/${name}/disable_ipv6`, 1);
		ns.must(["ip", "link", "set", "dev", name, "up"]);
		ns.must(["ip", "address", "add", `10.${Number.parseInt(where, 10)}.0.${10 + index}/24`, "dev", name]);
		site.ns[name] = ns;
		site.mac[name] = ns.ip("link", "show", "dev", name)[0].address;
	}
	return site;
}

/** One site for all tests of a host; it ends with the process. */
const sites = new Map<Host, Promise<Site>>();

function siteOf(host: Host): Promise<Site> {
	const site = sites.get(host) ?? makeSite(host);
	sites.set(host, site);
	return site;
}

/**
 * What each station and the wire got of the frames that `sends` sends; a ping behind them says that all are through.
 */
async function marksAfter(site: Site, sends: () => void): Promise<Record<Tap | "wire", string[]>> {
	const { lan, ns } = site;
	const places: [Tap | "wire", Namespace, string][] = [
		["wire", lan.far, FAR_END],
		...(Object.keys(TAPS) as Tap[]).map((tap) => [tap, ns[tap], tap] as [Tap, Namespace, string]),
	];
	const captures = await Promise.all(places.map(([, where, ifname]) => capture(where, ifname)));
	sends();
	for (const [from, to] of [["a1", "10.50.0.1"] as const, ["b", "10.60.0.1"] as const, ["u", "10.0.0.1"] as const])
		assert.is(ns[from].ping(to), 1);
	const frames = await Promise.all(captures.map((running) => running.stop()));
	return Object.fromEntries(places.map(([name], i) => [name, marksOf(frames[i]!)])) as Record<Tap | "wire", string[]>;
}

const NOBODY = { a1: [], a2: [], c: [], b: [], u: [], wire: [] };

const tests = suite("any host");

for (const host of HOSTS) {
	testOrSkip(tests, `${host.name}: stations of a network and the LAN ping each other`, host.need, async () => {
		const { lan, ns } = await siteOf(host);
		assert.is(ns.a1.ping("10.50.0.11", 2), 2, "two TAPs");
		assert.is(ns.a1.ping("10.50.0.1", 2), 2, "the LAN, tagged");
		assert.is(ns.b.ping("10.60.0.1", 2), 2, "another VLAN");
		assert.is(ns.u.ping("10.0.0.1", 2), 2, "the LAN, untagged");
		assert.is(lan.far.ping("10.50.0.12", 2), 2, "from the LAN");
		// A frame of 1514 bytes and, inside, a checksum that was left to the receiver.
		ns.a1.must(["ping", "-c", "1", "-s", "1472", "-M", "do", "10.50.0.1"]);
	});

	testOrSkip(
		tests,
		`${host.name}: what leaves on the wire is the frame and its tag, byte for byte`,
		host.need,
		async () => {
			const { lan, ns, mac } = await siteOf(host);
			const wire = await capture(lan.far, FAR_END);
			const station = "02:00:00:00:00:77";
			const big = (tap: Tap, tags = [] as (typeof TAG_50)[]) => marked("x".repeat(1500), mac[tap], station, tags);
			send(ns.a1, "a1", [marked("one", mac.a1, station), big("a1")]);
			send(ns.a1, "a1", [marked("all", mac.a1)]);
			send(ns.u, "u", [marked("two", mac.u, station), big("u")]);
			assert.is(ns.a1.ping("10.50.0.1") + ns.u.ping("10.0.0.1"), 2);
			const got = (await wire.stop()).filter((frame) => marksOf([frame]).length > 0);
			const expected = [
				marked("one", mac.a1, station, [TAG_50]),
				big("a1", [TAG_50]),
				marked("all", mac.a1, BROADCAST, [TAG_50]),
				marked("two", mac.u, station),
				big("u"),
			];
			assert.equal(
				got.map((frame) => Buffer.from(frame).toString("hex")),
				expected.map((frame) => Buffer.from(frame).toString("hex")),
			);
		},
	);

	testOrSkip(
		tests,
		`${host.name}: what comes from the wire arrives without its tag, byte for byte`,
		host.need,
		async () => {
			const { lan, ns, mac } = await siteOf(host);
			const station = "02:00:00:00:00:77";
			const tap = await capture(ns.a1, "a1");
			send(lan.far, FAR_END, [marked("in", station, mac.a1, [TAG_50]), marked("all", station, BROADCAST, [TAG_50])]);
			assert.is(ns.a1.ping("10.50.0.1"), 1);
			const got = (await tap.stop()).filter((frame) => marksOf([frame]).length > 0);
			const expected = [marked("in", station, mac.a1), marked("all", station)];
			assert.equal(got, expected);
		},
	);

	testOrSkip(
		tests,
		`${host.name}: a broadcast reaches its own network and the wire, or its VLAN`,
		host.need,
		async () => {
			const site = await siteOf(host);
			const { lan, ns, mac } = site;
			const fromTap = await marksAfter(site, () => send(ns.a1, "a1", [marked("tap", mac.a1)]));
			assert.equal(fromTap, { ...NOBODY, a2: ["tap"], wire: ["tap"] });
			const fromWire = await marksAfter(site, () => {
				const from = "02:00:00:00:00:77";
				send(lan.far, FAR_END, [marked("vlan", from, BROADCAST, [TAG_50]), marked("plain", from)]);
				send(lan.far, FAR_END, [marked("none", from, BROADCAST, [{ ...TAG_50, vid: 70 }])]);
			});
			assert.equal(fromWire, { ...NOBODY, a1: ["vlan"], a2: ["vlan"], c: ["vlan"], u: ["plain"] });
		},
	);

	testOrSkip(tests, `${host.name}: networks and VLANs are kept apart`, host.need, async () => {
		const site = await siteOf(host);
		const { ns, mac } = site;
		const got = await marksAfter(site, () => {
			send(ns.a1, "a1", [marked("sibling", mac.a1, mac.a2)]);
			send(ns.a1, "a1", [marked("other network", mac.a1, mac.c), marked("other vlan", mac.a1, mac.b)]);
			send(ns.u, "u", [marked("into a vlan", mac.u, mac.a1, [TAG_50]), marked("untagged", mac.u, mac.a1)]);
		});
		assert.equal(got, { ...NOBODY, a2: ["sibling"], wire: ["other network", "other vlan", "untagged"] });
	});
}

tests.run();
