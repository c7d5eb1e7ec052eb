/** The tests' own LAN, VLAN peer and capture: what every other namespace test stands on. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { decodeFrame } from "../support/frames.js";
import { FAR_END, makeLan, PARENT, startVlanPeer } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";

const support = suite("support");
const need = { root: true, tun: true, tools: ["ip", "ping", "iperf3"] };
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV4 = 0x0800;

testOrSkip(support, "a process may say more than a pipe holds while the test does something else", need, async () => {
	const namespace = new Namespace("talk");
	const talker = namespace.start([
		"sh",
		"-c",
		"head -c 4000000 /dev/zero | tr '\\0' x; echo; ip tuntap add done mode tap",
	]);
	const isDone = "until ip link show done; do sleep 0.01; done";
	assert.is(namespace.run(["timeout", "20", "sh", "-c", isDone]).status, 0);
	assert.is((await talker.ended).stdout.length, 4_000_001);
	namespace.close();
});

testOrSkip(support, "an untagged station answers, and the capture sees what arrived", need, async () => {
	const lan = await makeLan();
	const station = lan.station(undefined, ["10.1.0.1/24"]);
	lan.host.must(["ip", "address", "add", "10.1.0.2/24", "dev", PARENT]);
	const wire = await capture(lan.far, FAR_END);
	assert.is(lan.host.ping("10.1.0.1", 2), 2);
	const frames = (await wire.stop()).map(decodeFrame);
	assert.ok(frames.every(({ src, tags }) => src === lan.parentMac && tags.length === 0));
	assert.is(frames.filter(({ ethertype, dst }) => ethertype === ETHERTYPE_IPV4 && dst === station.mac).length, 2);
	assert.is(
		frames.filter(({ ethertype, dst }) => ethertype === ETHERTYPE_ARP && dst === "ff:ff:ff:ff:ff:ff").length,
		1,
	);
	lan.close();
});

testOrSkip(
	support,
	"VLAN peers on both ends talk through one wire, each in its own VLAN, with bulk TCP",
	need,
	async () => {
		const service = [
			{ tpid: 0x88a8, vid: 7 },
			{ tpid: 0x8100, vid: 50 },
		];
		const vlans = [50, 60, service];
		const lan = await makeLan({ vlans, mtuBytes: 1508 });
		const near = new Namespace("near");
		await startVlanPeer(lan.host, PARENT, vlans);
		const wire = await capture(lan.far, FAR_END);
		lan.station(50, ["10.50.0.1/24", "2001:db8:50::1/64"]);
		lan.station(60, ["10.60.0.1/24"]);
		lan.station(service, ["10.70.0.1/24"]);
		for (const [ifname, vid] of [
			["lan50", 50],
			["lan60", 60],
			["lan7.50", 70],
		] as const) {
			lan.host.must(["ip", "link", "set", ifname, "netns", near.name, "up"]);
			near.must(["ip", "address", "add", `10.${vid}.0.2/24`, "dev", ifname]);
		}
		near.must(["ip", "address", "add", "2001:db8:50::2/64", "dev", "lan50", "nodad"]);
		for (const address of ["10.50.0.1", "10.60.0.1", "10.70.0.1", "2001:db8:50::1"]) {
			assert.is(near.ping(address, 2), 2, address);
		}
		const frames = (await wire.stop()).map(decodeFrame);
		const stacks = new Set(
			frames.map(({ tags }) => tags.map(({ tpid, vid }) => `${tpid.toString(16)}:${vid}`).join(" ")),
		);
		assert.equal([...stacks].sort(), ["8100:50", "8100:60", "88a8:7 8100:50"]);

		const server = lan.far.start(["iperf3", "-s", "-1", "--forceflush"]);
		await server.waitFor(/listening/);
		const report = JSON.parse(near.must(["iperf3", "-c", "10.50.0.1", "-n", "200M", "-J"]));
		assert.is((await server.ended).status, 0);
		assert.ok(report.end.sum_received.bytes > 190e6);
		near.close();
		lan.close();
	},
);

support.run();
