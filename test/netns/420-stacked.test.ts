/**
 * Parents with two tags (QinQ), with 802.1ad tags, and parents of other kinds and names: the bytes on the wire, and the
 * MTU.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { makeFrame, type Tag } from "../support/frames.js";
import { FAR_END, PARENT } from "../support/lan.js";
import { decoded, ETHERTYPE_EXPERIMENT, marked, marksOf } from "../support/packets.js";
import { send } from "../support/sender.js";
import { linksOf, macOf, sharedSite } from "../support/site.js";

const stacked = suite("stacked");
const [CTAG, STAG] = [0x8100, 0x88a8];
const STRANGER = "02:00:00:00:00:99";
const AD = ["-o", "vlan_protocol=802.1ad"];

interface Stack {
	parent: string;
	flags: string[];
	tags: Tag[];
	/** What the kernel sends at most where the parent's MTU is 1500. */
	mtuBytes: number;
	vlans: string[];
}

const STACKS: Stack[] = [
	{ parent: "eth0.20", flags: [], tags: [{ tpid: CTAG, vid: 20 }], mtuBytes: 1500, vlans: ["20"] },
	{ parent: "eth0.50", flags: AD, tags: [{ tpid: STAG, vid: 50 }], mtuBytes: 1496, vlans: ["50 (802.1ad)"] },
	{
		parent: "eth0.20.200",
		flags: [],
		tags: [
			{ tpid: CTAG, vid: 20 },
			{ tpid: CTAG, vid: 200 },
		],
		mtuBytes: 1496,
		vlans: ["20", "200"],
	},
	{
		parent: "eth0.50.300",
		flags: AD,
		tags: [
			{ tpid: STAG, vid: 50 },
			{ tpid: CTAG, vid: 300 },
		],
		mtuBytes: 1492,
		vlans: ["50 (802.1ad)", "300"],
	},
];

const test = sharedSite(stacked, { vlans: STACKS.map(({ tags }) => tags) });

for (const { parent, flags, tags, mtuBytes, vlans } of STACKS) {
	const text = tags.map(({ tpid, vid }) => `${tpid.toString(16)}:${vid}`).join(" ");
	test(`${parent} ${flags[1] ?? ""} wears ${text}, and its largest packets pass`, async (site) => {
		const options = ["-o", `parent=${parent}`, ...flags];
		site.create(
			"net",
			"--subnet=10.7.0.0/24",
			"--gateway=10.7.0.1",
			"--subnet=2001:db8:7::/64",
			"--gateway=2001:db8:7::1",
			...options,
		);
		const { State, Detail, Vlans, HostInterface } = site.inspect("net").Status;
		assert.equal([State, Vlans, HostInterface], ["up", vlans, parent]);
		assert.is(Detail.includes(`MTU ${mtuBytes}`), mtuBytes < 1500, Detail);
		const station = site.lan.station(tags, ["10.7.0.1/24", "2001:db8:7::1/64"]);
		station.ns.must(["ip", "link", "set", station.ifname, "mtu", `${mtuBytes}`]);
		const [c1, c2] = [await site.join("net"), await site.join("net")];
		assert.is(c1.ip("link", "show", "eth0")[0].mtu, mtuBytes);
		assert.is(site.lan.host.ip("link", "show", parent)[0].mtu, mtuBytes);
		const wire = await capture(site.lan.far, FAR_END);
		assert.is(c1.ping("10.7.0.1", 2), 2);
		assert.is(c1.ping("2001:db8:7::1", 2), 2);
		assert.is(c1.ping("10.7.0.3", 2), 2);
		const largest = (to: string) => ["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", `${mtuBytes - 28}`, to];
		c1.must(largest("10.7.0.1"));
		c2.must(largest("10.7.0.2"));
		site.lan.far.must(largest("10.7.0.2"));
		const frames = decoded(await wire.stop()).filter(({ src }) => src === macOf(c1) || src === macOf(c2));
		assert.ok(frames.length > 0);
		const wanted = tags.map((tag) => ({ pcp: 0, dei: 0, ...tag }));
		for (const frame of frames) assert.equal(frame.tags, wanted);
		// The kernel takes just so much from a raw socket on the parent, and not a byte more.
		const taken = (payloadBytes: number) => {
			const payload = new Uint8Array(payloadBytes);
			const frame = makeFrame({ dst: STRANGER, src: STRANGER, tags, ethertype: ETHERTYPE_EXPERIMENT, payload });
			return send(site.lan.host, PARENT, [frame]);
		};
		assert.equal([taken(mtuBytes), taken(mtuBytes + 1)], [1, 0]);
	});
}

test("an mtu that is given is taken as it is: what the kernel does not send is lost, and counted", async (site) => {
	const mtu = "com.docker.network.driver.mtu=1500";
	const { tags } = STACKS[2]!;
	site.lan.station(tags, ["10.7.0.1/24"]);
	site.create("net", "--subnet=10.7.0.0/24", "--gateway=10.7.0.1", "-o", "parent=eth0.20.200", "-o", mtu);
	const c1 = await site.join("net");
	assert.is(c1.ip("link", "show", "eth0")[0].mtu, 1500);
	const lost = "packets of more than 1496 bytes do not fit behind the tags and are lost";
	assert.is(site.inspect("net").Status.Detail, `${lost}; give 1496 or less, or eth0 a larger MTU`);
	const ping = (bytes: number) =>
		c1.run(["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", `${bytes - 28}`, "10.7.0.1"]).status;
	assert.is(ping(1496), 0);
	assert.is.not(ping(1500), 0);
	assert.ok((site.ports().get(PARENT)!.drops.tx_too_big ?? 0) > 0, "the uplink has counted it");
});

test("stacks are told apart by every tag and its kind", async (site) => {
	const parents = [...STACKS, { parent: "eth0.50", flags: [] as string[], tags: [{ tpid: CTAG, vid: 50 }] }];
	const untagged = { parent: "eth0", flags: [] as string[], tags: [] as Tag[] };
	const all = [...parents, untagged];
	for (const [index, { parent, flags }] of all.entries()) {
		site.create(`net${index}`, `--subnet=10.7.${index}.0/24`, "-o", `parent=${parent}`, ...flags);
	}
	const endpoints = await Promise.all(all.map((_, index) => site.join(`net${index}`)));
	const inside = await Promise.all(endpoints.map((ns) => capture(ns, "eth0")));
	const strange: Tag[][] = [
		[{ tpid: STAG, vid: 20 }],
		[{ tpid: CTAG, vid: 21 }],
		[
			{ tpid: CTAG, vid: 200 },
			{ tpid: CTAG, vid: 20 },
		],
		[
			{ tpid: STAG, vid: 50 },
			{ tpid: STAG, vid: 300 },
		],
	];
	const stacks = [...all.map(({ tags }) => tags), ...strange];
	send(
		site.lan.far,
		FAR_END,
		stacks.map((tags, index) => marked(`stack ${index}`, STRANGER, undefined, tags)),
	);
	await new Promise((resolve) => setTimeout(resolve, 100));
	const seen = await Promise.all(inside.map(async (capturing) => marksOf(await capturing.stop())));
	// A tag that no network asks for is payload to the network of the tag in front of it: a trunk inside a VLAN.
	const expected = all.map((_, index) => [`stack ${index}`]);
	expected[1]!.push(`stack ${stacks.length - 1}`);
	assert.equal(seen, expected);
});

test("two protocols with one name: the second has no interface on the host, and says so", async (site) => {
	site.create("c50", "--subnet=10.7.0.0/24", "-o", "parent=eth0.50");
	site.create("s50", "--subnet=10.7.0.0/24", "-o", "parent=eth0.50", ...AD);
	assert.is(site.inspect("c50").Status.HostInterface, "eth0.50");
	assert.is(site.inspect("s50").Status.HostInterface, "");
	assert.match(site.inspect("s50").Status.Detail, /^eth0.50 is another VLAN's host interface: none was made; MTU 1496/);
	site.vlane.must("network", "rm", "s50");
	assert.ok(linksOf(site.lan.host).includes("eth0.50"));
	site.vlane.must("network", "rm", "c50");
	assert.not.ok(linksOf(site.lan.host).includes("eth0.50"));
});

test("an existing link of any name or kind is used as it is, also below tags", async (site) => {
	const { host } = site.lan;
	host.must(["ip", "link", "add", "eth0.77", "type", "veth", "peer", "name", "far77"]);
	host.must(["ip", "tuntap", "add", "dev", "tap.a", "mode", "tap"]);
	for (const name of ["eth0.77", "far77", "tap.a"]) {
		host.must(["tee", `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`], { input: "1" });
		host.must(["ip", "link", "set", name, "up"]);
	}
	const before = host.must(["ip", "address", "show", "eth0.77"]);
	site.create("v", "-o", "parent=eth0.77");
	site.create("v5", "-o", "parent=eth0.77.5");
	site.create("t6", "-o", "parent=tap.a.6");
	const wires = (name: string) => {
		const { Link, Vlans } = site.inspect(name).Status;
		return `${Link}:${Vlans.join()}`;
	};
	assert.equal(["v", "v5", "t6"].map(wires), ["eth0.77:", "eth0.77:5", "tap.a:6"]);
	assert.is(site.inspect("t6").Status.Detail, "parent interface tap.a has no carrier");
	const refused = site.refusal("network", "create", "-o", "parent=eth0.77", ...AD, "x");
	assert.match(refused, /^driver-opt "vlan_protocol" is for sub-interfaces/);
	for (const name of ["v", "v5", "t6"]) site.vlane.must("network", "rm", name);
	assert.is(host.must(["ip", "address", "show", "eth0.77"]), before, "never modified, never removed");
	assert.ok(linksOf(host).includes(PARENT));
	for (const name of ["eth0.77", "tap.a"]) host.must(["ip", "link", "del", name]);
});

stacked.run();
