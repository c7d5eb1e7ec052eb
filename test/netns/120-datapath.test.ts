/**
 * The datapath alone, without the control plane, on each kind of ring: frames between TAPs, ports that come and go
 * under load, and threads that are blocked in the kernel when the process wants to end.
 */
import { createHash, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type RunningDatapath, startDatapath } from "../../src/host/datapath.js";
import type { RingKind } from "../../src/host/ring.js";
import { close } from "../../src/sys/libc.js";
import { openNetns } from "../../src/sys/netns.js";
import { openTap } from "../../src/tap/tap.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace, run } from "../support/netns.js";
import { eventually } from "../support/site.js";

const NEED = { root: true, tun: true, tools: ["ip", "ping"] };
const TRANSFER_BYTES = 256 << 20;
/** Of each of three flows at once, with a flood beside them. */
const SHARED_BYTES = 16 << 20;
const ENDPOINT = fileURLToPath(new URL("../../src/host/datapath.js", import.meta.url));

const tests = suite("datapath");

interface Station {
	ns: Namespace;
	port: number;
	mac: string;
	address: string;
}

/** A station with a TAP of its own on a segment. */
async function addStation(datapath: RunningDatapath, segment: number, number: number): Promise<Station> {
	const ns = new Namespace(`s${number}`);
	const mac = `02:00:00:00:00:0${number}`;
	const address = `10.9.0.${number}`;
	const netnsFd = openNetns(ns.path);
	const { fd } = openTap({ name: "eth0", netnsFd, persist: false });
	close(netnsFd);
	ns.sysctl("net/ipv6/conf/eth0/disable_ipv6", 1);
	ns.must(["ip", "link", "set", "eth0", "address", mac, "up"]);
	ns.must(["ip", "address", "add", `${address}/24`, "dev", "eth0"]);
	const spec = {
		kind: "endpoint",
		name: ns.name,
		fd,
		mac,
		mtuBytes: 1500,
		segment,
		network: 1,
		mode: "bridge",
	} as const;
	return { ns, mac, address, port: await datapath.addPort(spec) };
}

/** Sends random bytes over TCP from one station to another; answers both digests. */
async function transfer(from: Station, to: Station, bytes: number): Promise<{ sent: string; received: string }> {
	const sink = `
		const hash = require("crypto").createHash("sha256");
		const end = () => { console.log("digest " + hash.digest("hex")); process.exit(); };
		require("net").createServer((socket) => socket.on("data", (chunk) => hash.update(chunk)).on("end", end))
			.listen(9, "${to.address}", () => console.log("ready"));`;
	const source = `
		const hash = require("crypto").createHash("sha256");
		const block = require("crypto").randomBytes(1 << 20);
		let left = ${bytes};
		const socket = require("net").connect(9, "${to.address}");
		const send = () => {
			while (left > 0) {
				block.writeUInt32LE(left >>> 0);
				const part = Buffer.from(block.subarray(0, Math.min(left, block.length)));
				left -= part.length;
				hash.update(part);
				if (!socket.write(part)) return;
			}
			socket.off("drain", send).end();
			console.log("digest " + hash.digest("hex"));
		};
		socket.on("drain", send).on("connect", send);`;
	const receiver = to.ns.start([process.execPath, "-e", sink]);
	await receiver.waitFor(/^ready$/);
	const sender = from.ns.start([process.execPath, "-e", source]);
	const sent = await sender.waitFor(/^digest/);
	return { sent, received: await receiver.waitFor(/^digest/) };
}

for (const mode of ["io_uring", "poll"] as RingKind[]) {
	testOrSkip(tests, `${mode}: two TAPs, ping and a checksummed transfer both ways`, NEED, async () => {
		const datapath = await startDatapath({ mode });
		assert.is(datapath.ring, mode);
		const segment = await datapath.addSegment({ uplink: null, tags: [] });
		const one = await addStation(datapath, segment, 1);
		const two = await addStation(datapath, segment, 2);
		one.ns.must(["ping", "-c", "3", "-i", "0.05", two.address]);
		for (const [from, to] of [
			[one, two],
			[two, one],
		] as const) {
			const { sent, received } = await transfer(from, to, TRANSFER_BYTES);
			assert.is(received, sent);
		}
		const stats = datapath.stats();
		assert.equal(
			stats.map(({ drops }) => drops),
			[{}, {}],
			"nothing was dropped",
		);
		assert.is(stats[0]!.rxFrames, stats[1]!.txFrames, "what one sent the other got");
		assert.ok(stats[0]!.rxBytes > TRANSFER_BYTES);
		await datapath.close();
		assert.is(one.ns.run(["ip", "link", "show", "eth0"]).status, 1, "the TAP went with its descriptor");
	});

	testOrSkip(tests, `${mode}: ports come and go under load`, NEED, async () => {
		const datapath = await startDatapath({ mode });
		const segment = await datapath.addSegment({ uplink: null, tags: [] });
		const one = await addStation(datapath, segment, 1);
		const two = await addStation(datapath, segment, 2);
		const flood = one.ns.start(["ping", "-q", "-f", "-b", "10.9.0.255"]);
		for (let round = 0; round < 5; round++) {
			const guest = await addStation(datapath, segment, 3 + round);
			const countOf = () => datapath.stats().find(({ port }) => port === guest.port)!.txFrames;
			await eventually("the flood reaches the new port", () => countOf() > 50);
			await datapath.removePort(guest.port);
			assert.is(guest.ns.run(["ip", "link", "show", "eth0"]).status, 1, "its TAP is gone");
		}
		await flood.stop("SIGINT");
		one.ns.must(["ping", "-c", "1", two.address]);
		await datapath.removePort(one.port);
		await datapath.removePort(two.port);
		await datapath.removeSegment(segment);
		await datapath.close();
	});

	testOrSkip(tests, `${mode}: ports come and go under load, and not a byte of the others is wrong`, NEED, async () => {
		const datapath = await startDatapath({ mode });
		const segment = await datapath.addSegment({ uplink: null, tags: [] });
		const [one, two] = [await addStation(datapath, segment, 1), await addStation(datapath, segment, 2)];
		const [three, four] = [await addStation(datapath, segment, 3), await addStation(datapath, segment, 4)];
		// Broadcasts reach the guests, too: they go with frames under way to them.
		const flood = three.ns.start(["ping", "-q", "-f", "-b", "10.9.0.255"]);
		let isDone = false;
		const flows = Promise.all([
			transfer(one, two, SHARED_BYTES),
			transfer(two, one, SHARED_BYTES),
			transfer(three, four, SHARED_BYTES),
		]).finally(() => {
			isDone = true;
		});
		let guests = 0;
		while (!isDone || guests < 5) {
			const guest = await addStation(datapath, segment, 5);
			const countOf = () => datapath.stats().find(({ port }) => port === guest.port)!.txFrames;
			await eventually("the flood reaches the new port", () => countOf() > 2);
			await datapath.removePort(guest.port);
			guest.ns.close();
			guests++;
		}
		for (const { sent, received } of await flows) assert.is(received, sent);
		await flood.stop("SIGINT");
		await eventually("no buffer is in use", () => datapath.counters.buffers().used === 0);
		await datapath.close();
	});

	testOrSkip(tests, `${mode}: messages while floods fill the queue of requests`, NEED, async () => {
		// Batches of 60 broadcasts to 40 ports are more than the submission queue has entries (512).
		const datapath = await startDatapath({ mode });
		const segment = await datapath.addSegment({ uplink: null, tags: [] });
		const one = await addStation(datapath, segment, 1);
		const crowd = new Namespace("crowd");
		const netnsFd = openNetns(crowd.path);
		const ports: number[] = [];
		for (let number = 0; number < 40; number++) {
			const name = `t${number}`;
			const { fd } = openTap({ name, netnsFd, persist: false });
			const mac = `02:00:00:01:00:${number.toString(16).padStart(2, "0")}`;
			const spec = { kind: "endpoint", name, fd, mac, mtuBytes: 1500 } as const;
			ports.push(await datapath.addPort({ ...spec, segment, network: 1, mode: "bridge" }));
		}
		close(netnsFd);
		const sent = () => datapath.stats().find(({ port }) => port === one.port)!.rxFrames;
		for (let round = 0; round < 5; round++) {
			// ping sends 1,000 at once, then a hundred a second.
			const least = sent() + 1000;
			const burst = one.ns.start(["ping", "-q", "-f", "-l", "1000", "-b", "10.9.0.255"]);
			while (sent() < least) {
				for (let time = 0; time < 20; time++) await datapath.setMtu(ports[time]!, 1500);
			}
			await burst.stop("SIGINT");
		}
		await eventually("no buffer is in use", () => datapath.counters.buffers().used === 0);
		for (const port of ports) await datapath.removePort(port);
		await datapath.close();
	});

	testOrSkip(tests, `${mode}: a device that is deleted is reported, and its port can be removed`, NEED, async () => {
		const datapath = await startDatapath({ mode });
		const failed: string[] = [];
		datapath.onPortError((port, errnoName) => failed.push(`${port} ${errnoName}`));
		const segment = await datapath.addSegment({ uplink: null, tags: [] });
		const one = await addStation(datapath, segment, 1);
		one.ns.must(["ip", "link", "delete", "eth0"]);
		await eventually("the failure is reported", () => failed.length > 0);
		assert.equal(failed, [`${one.port} EBADFD`]);
		await datapath.removePort(one.port);
		await datapath.close();
	});

	testOrSkip(tests, `${mode}: the process ends at once, however it ends`, NEED, () => {
		const endings = { "process.exit(3)": 3, "throw new Error('on purpose')": 1, "await datapath.close()": 0 };
		for (const [ending, status] of Object.entries(endings)) {
			const program = `import { startDatapath } from ${JSON.stringify(ENDPOINT)};
				const datapath = await startDatapath({ mode: "${mode}" });
				setTimeout(async () => { ${ending} }, 50);`;
			const ended = run(["timeout", "-s", "KILL", "20", process.execPath, "--input-type=module", "-e", program]);
			assert.is(ended.status, status, `${ending}: ${ended.stderr}`);
		}
	});
}

testOrSkip(tests, "contradictions are refused with the object's name, and leave nothing", NEED, async () => {
	const datapath = await startDatapath();
	const segment = await datapath.addSegment({ uplink: null, tags: [] });
	const one = await addStation(datapath, segment, 1);
	const fd = openTap({
		name: `t${createHash("sha1").update(randomBytes(8)).digest("hex").slice(0, 8)}`,
		persist: false,
	}).fd;
	const twin = {
		kind: "endpoint",
		name: "twin",
		fd,
		mac: one.mac,
		mtuBytes: 1500,
		segment,
		network: 1,
		mode: "bridge",
	} as const;
	const error = await datapath.addPort(twin).then(
		() => undefined,
		(reason: Error) => reason.message,
	);
	assert.is(error, `port "twin": MAC ${one.mac} is already in use on this VLAN`);
	close(fd);
	assert.is(datapath.stats().length, 1);
	const busy = await datapath.removeSegment(segment).then(
		() => undefined,
		(reason: Error) => reason.message,
	);
	assert.is(busy, "the segment still has ports");
	await datapath.close();
});

tests.run();
