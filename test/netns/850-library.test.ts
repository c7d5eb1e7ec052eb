/** Live switches of the library: TAPs, a raw socket, and this program's own ports, in private namespaces. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
	type CapturedFrame,
	CaptureWriter,
	createSwitch,
	readCapture,
	type Switch,
	type SwitchOptions,
} from "../../src/lib/index.js";
import { close } from "../../src/sys/libc.js";
import { openNetns } from "../../src/sys/netns.js";
import { openTap } from "../../src/tap/tap.js";
import { BROADCAST, decodeFrame, makeFrame, TPID_CTAG } from "../support/frames.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { send } from "../support/sender.js";
import { eventually } from "../support/site.js";

const NEED = { root: true, tun: true, tools: ["ip", "ping"], kernel: ["veth"] };
const MACS = [1, 2, 3].map((n) => `02:00:00:00:00:0${n}`);
const tests = suite("library, live");
const open: Switch[] = [];
tests.after.each(async () => {
	for (const lan of open.splice(0)) await lan.close();
});

/** A live switch that ends with its test. */
async function start(options: SwitchOptions): Promise<Switch> {
	const lan = await createSwitch(options);
	open.push(lan);
	return lan;
}

/** A namespace in which only what a test sends is on the wire. */
function quiet(name: string): Namespace {
	const ns = new Namespace(name);
	ns.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
	return ns;
}

for (const ring of ["io_uring", "poll"] as const) {
	testOrSkip(tests, `${ring}: two TAPs ping each other, a memory port listens and speaks`, NEED, async () => {
		const lan = await start({ ring });
		const segment = await lan.addSegment();
		const heard: CapturedFrame[] = [];
		const [one, two] = [quiet("one"), quiet("two")];
		for (const [n, ns] of [one, two].entries()) {
			await lan.addPort({ type: "tap", ifname: "eth0", netns: ns.path, mac: MACS[n], segment });
			ns.must(["ip", "address", "add", `10.9.0.${n + 1}/24`, "dev", "eth0"]);
		}
		const onFrame = (frame: CapturedFrame) => heard.push(frame);
		const desk = await lan.addPort({ type: "memory", mac: MACS[2], segment, onFrame });
		one.must(["ping", "-c", "2", "-i", "0.05", "10.9.0.2"]);
		await eventually("the broadcast for an address is heard", () => heard.length > 0);
		const arp = decodeFrame(heard[0]!.bytes);
		assert.equal([arp.dst, arp.src, arp.ethertype], [BROADCAST, MACS[0], 0x0806]);
		assert.ok(Math.abs(Number(heard[0]!.timeNs / 1_000_000n) - Date.now()) < 60_000);
		// Who has 10.9.0.1? The kernel answers the port.
		heard.length = 0;
		const question = Buffer.from("0001080006040001" + "020000000003" + "0a090003" + "000000000000" + "0a090001", "hex");
		await desk.send(makeFrame({ dst: BROADCAST, src: MACS[2]!, ethertype: 0x0806, payload: question }));
		await eventually("the answer", () => heard.length > 0);
		assert.equal([...decodeFrame(heard[0]!.bytes).payload.subarray(8, 14)], [2, 0, 0, 0, 0, 1]);
		assert.equal(
			lan.stats().map(({ kind, drops }) => [kind, drops]),
			Array(3).fill(["endpoint", {}]),
		);
		// A checksum that the sender's kernel left to the network card is in the frame that a program gets.
		heard.length = 0;
		one.must(["ip", "neighbour", "replace", "10.9.0.3", "lladdr", MACS[2]!, "dev", "eth0"]);
		const datagram = `require("dgram").createSocket("udp4").send("odd", 9, "10.9.0.3", () => process.exit())`;
		one.must([process.execPath, "-e", datagram]);
		await eventually("the datagram", () => heard.length > 0);
		const ip = Buffer.from(decodeFrame(heard[0]!.bytes).payload);
		const pseudo = Buffer.concat([
			ip.subarray(12, 20),
			Buffer.from([0, 17, 0, 11]),
			ip.subarray(20, 31),
			Buffer.alloc(1),
		]);
		let sum = 0;
		for (let at = 0; at < pseudo.length; at += 2) sum += pseudo.readUInt16BE(at);
		assert.is((sum & 0xffff) + (sum >>> 16), 0xffff, "ones' complement over everything");
		await lan.close();
		assert.is(one.run(["ip", "link", "show", "eth0"]).status, 1, "the TAP went with its port");
	});

	testOrSkip(
		tests,
		`${ring}: a VLAN on a raw socket; a capture file goes out, and another comes of it`,
		NEED,
		async () => {
			const directory = mkdtempSync(join(tmpdir(), "vlane-850-"));
			const [input, output] = [join(directory, "in.pcap"), join(directory, "out.pcapng")];
			const near = quiet("near");
			const far = quiet("far");
			near.must(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "lan0", "netns", far.name]);
			for (const [ns, link] of [
				[near, "eth0"],
				[far, "lan0"],
			] as const)
				ns.must(["ip", "link", "set", link, "up"]);
			const frames = Array.from({ length: 500 }, (_, n) =>
				makeFrame({ dst: MACS[1]!, src: MACS[0]!, ethertype: 0x88b5, payload: new Uint8Array(46).fill(n) }),
			);
			const writer = new CaptureWriter(input);
			for (const bytes of frames) writer.write({ bytes, timeNs: 0n, originalBytes: bytes.length });
			writer.close();

			const ours = await start({ ring });
			const uplink = await ours.addPort({ type: "raw", ifname: "eth0", netns: near.path });
			assert.match(uplink.mac, /^[0-9a-f:]{17}$/);
			await ours.addPort({ type: "pcap", read: input, segment: await ours.addSegment({ uplink, tags: [50] }) });
			const theirs = await start({ ring });
			const lan0 = await theirs.addPort({ type: "raw", ifname: "lan0", netns: far.path });
			const segment = await theirs.addSegment({ uplink: lan0, tags: [50] });
			const sink = await theirs.addPort({ type: "pcap", write: output, mac: MACS[1], segment });
			const trunk = await theirs.addPort({ type: "memory" });

			assert.is(await ours.run(), frames.length);
			await eventually("all have arrived", () => sink.stats().txFrames === frames.length);
			assert.is(uplink.stats().txBytes, frames.length * 64, "tagged");
			await trunk.send(
				makeFrame({
					dst: BROADCAST,
					src: MACS[0]!,
					tags: [{ tpid: TPID_CTAG, vid: 9 }],
					ethertype: 1,
					payload: new Uint8Array(46),
				}),
			);
			await eventually("an uplink of this program counts foreign VLANs", () => trunk.stats().drops.vlan === 1);
			await ours.close();
			await theirs.close();
			const found = [...readCapture(output)].map(({ bytes }) => Buffer.from(bytes).toString("hex"));
			assert.equal(
				found,
				frames.map((bytes) => Buffer.from(bytes).toString("hex")),
			);
			rmSync(directory, { recursive: true });
		},
	);
}

testOrSkip(tests, "a descriptor of the program's own becomes a port and is closed with it", NEED, async () => {
	const ns = quiet("one");
	const lan = await start({});
	const segment = await lan.addSegment();
	const heard: string[] = [];
	const onFrame = ({ bytes }: CapturedFrame) => heard.push(Buffer.from(bytes).toString("latin1", 14));
	await lan.addPort({ type: "memory", mac: MACS[1], segment, onFrame });
	const netnsFd = openNetns(ns.path);
	const { fd } = openTap({ name: "t0", netnsFd, persist: false });
	close(netnsFd);
	const taken = await lan.addPort({ type: "fd", fd, mac: MACS[1], segment }).catch((error: Error) => error.message);
	assert.is(taken, `port "fd": MAC ${MACS[1]} is already in use on this VLAN`);
	const port = await lan.addPort({ type: "fd", fd, mac: MACS[0], segment });
	ns.must(["ip", "link", "set", "t0", "address", MACS[0]!, "up"]);
	send(ns, "t0", [makeFrame({ dst: MACS[1]!, src: MACS[0]!, ethertype: 0x88b5, payload: Buffer.from("hello") })]);
	await eventually("the frame is heard", () => heard.includes("hello"));
	await port.remove();
	assert.is(ns.run(["ip", "link", "show", "t0"]).status, 1, "the TAP went with its descriptor");
});

testOrSkip(tests, "what fails leaves nothing; a device that is deleted is told of", NEED, async () => {
	const ns = quiet("one");
	const failed: string[] = [];
	const lan = await start({ onPortError: ({ name }, errnoName) => failed.push(`${name} ${errnoName}`) });
	const segment = await lan.addSegment();
	const tap = await lan.addPort({ type: "tap", ifname: "t0", netns: ns.path, mac: MACS[0], segment });
	const add = (options: object) =>
		lan.addPort({ type: "tap", ifname: "t1", netns: ns.path, segment, ...options }).then(
			() => "nothing was thrown",
			(error: Error) => error.message,
		);
	assert.is(await add({ mac: MACS[0] }), `port "t1": MAC ${MACS[0]} is already in use on this VLAN`);
	assert.is(
		await add({ type: "memory", mac: MACS[0] }),
		`port "memory": MAC ${MACS[0]} is already in use on this VLAN`,
	);
	assert.match(await add({ ifname: "much-too-long-for-it" }), /^TUNSETIFF on "much-too-long-for-it": EINVAL/);
	assert.match(await add({ type: "raw", ifname: "none", segment: undefined }), /^raw socket on "none": ENODEV/);
	assert.match(await add({ netns: "/run/netns/none" }), /ENOENT/);
	const learning = await lan.addSegment({ learning: true }).then(
		() => "nothing was thrown",
		(error: Error) => error.message,
	);
	assert.match(learning, /^only an offline switch learns/);
	assert.is(ns.run(["ip", "link", "show", "t1"]).status, 1);
	ns.must(["ip", "link", "delete", "t0"]);
	await eventually("the failure is told of", () => failed.length > 0);
	assert.equal(failed, ["t0 EBADFD"]);
	await tap.remove();
	await lan.close();
});

tests.run();
