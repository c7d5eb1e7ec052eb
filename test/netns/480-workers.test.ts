/**
 * Parents and isolated networks on several threads: what each does alone, and what is said about all of them together.
 * All other tests of the daemon are the same tests with `VLANE_TEST_WORKERS=3`.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ApiPort, ApiStation, ApiStats } from "../../src/control/types.js";
import { readCapture } from "../../src/lib/index.js";
import { corruptDatapath } from "../support/corrupt.js";
import { makeFrame } from "../support/frames.js";
import { makeLan, startVlanPeer } from "../support/lan.js";
import { needs, testOrSkip } from "../support/needs.js";
import type { Namespace } from "../support/netns.js";
import { send } from "../support/sender.js";
import { eventually, macOf, Site } from "../support/site.js";
import { startVlane } from "../support/vlane.js";

const workers = suite("workers");
const NEED = { root: true, tun: true, tools: ["ip", "ping", "iperf3"] };
/** A source that no frame may have. */
const GROUP = "03:00:00:00:00:01";

interface Scene {
	/** Containers by their network. */
	of: {
		plain: [Namespace];
		v50: [Namespace];
		w50: [Namespace, Namespace];
		iso: [Namespace, Namespace];
		iso2: [Namespace];
	};
	/** The far end of the second parent. */
	far: Namespace;
}

let site: Site;
let scene: Scene;

/** All tests go on where the one before has left the scene, which is as it was made. */
workers.before(async () => {
	if (needs(NEED) !== undefined) return;
	const lan = await makeLan({ vlans: [50] });
	site = new Site(lan, await startVlane(lan.host, "--workers", "3"));
	scene = await makeScene();
});
workers.after(() => site?.close());

function test(name: string, body: () => Promise<void>): void {
	testOrSkip(workers, name, NEED, body);
}

function stats(): ApiStats {
	return JSON.parse(site.vlane.must("stats", "--json"));
}

function workersOf(): Map<string, number> {
	return new Map(stats().ports.map(({ name, worker }) => [name, worker]));
}

/**
 * Two parents and two networks without one. What could be mixed up has the same VLAN ID, the same subnet or the same
 * addresses: VLAN 50 of both parents, and both isolated networks.
 */
async function makeScene(): Promise<Scene> {
	const { lan } = site;
	const far = site.namespace("far2");
	lan.host.must(["ip", "link", "add", "eth1", "type", "veth", "peer", "name", "lan1", "netns", far.name]);
	for (const [ns, link] of [
		[lan.host, "eth1"],
		[far, "lan1"],
	] as const) {
		ns.sysctl(`net/ipv6/conf/${link}/disable_ipv6`, 1);
		ns.must(["ip", "link", "set", link, "up"]);
	}
	await startVlanPeer(far, "lan1", [50]);
	far.must(["ip", "address", "add", "10.50.0.253/24", "dev", "lan50"]);
	far.must(["ip", "link", "set", "lan50", "up"]);
	lan.station(undefined, ["10.1.0.254/24"]);
	lan.station(50, ["10.50.0.254/24"]);
	site.create("plain", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	site.create("w50", "--subnet=10.50.0.0/24", "-o", "parent=eth1.50");
	site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	site.create("iso", "--subnet=10.9.0.0/24");
	site.create("iso2", "--subnet=10.9.0.0/24");
	const join = (network: string, ip: string) => site.join(network, { ip });
	const of: Scene["of"] = {
		plain: [await join("plain", "10.1.0.1")],
		v50: [await join("v50", "10.50.0.1")],
		w50: [await join("w50", "10.50.0.11"), await join("w50", "10.50.0.12")],
		iso: [await join("iso", "10.9.0.1"), await join("iso", "10.9.0.2")],
		iso2: [await join("iso2", "10.9.0.11")],
	};
	return { of, far };
}

/** Networks on all threads, their neighbours and wires. */
function assertConnected(): void {
	const { of } = scene;
	assert.is(of.plain[0].ping("10.1.0.254"), 1, "plain");
	assert.is(of.v50[0].ping("10.50.0.254"), 1, "v50");
	assert.is(of.w50[0].ping("10.50.0.12"), 1, "w50, neighbours");
	assert.is(of.w50[1].ping("10.50.0.253"), 1, "w50, wire");
	assert.is(of.iso[0].ping("10.9.0.2"), 1, "iso");
}

test("parents and networks without one are spread; frames stay there; counters and tables are of all", async () => {
	const { of } = scene;
	const placed = workersOf();
	const one = placed.get("eth0");
	for (const name of ["eth0.50", `plain/${of.plain[0].name}`, `v50/${of.v50[0].name}`]) {
		assert.is(placed.get(name), one, `${name} is with its parent`);
	}
	assert.is(placed.get(`w50/${of.w50[0].name}`), placed.get("eth1"));
	assert.is(new Set(placed.values()).size, 3, "all workers have something to do");
	assertConnected();
	assert.is(of.v50[0].ping("10.50.0.11"), 0, "VLAN 50 of another parent");
	assert.is(of.w50[0].ping("10.50.0.254"), 0, "the wire of another parent");
	assert.is(of.iso[0].ping("10.9.0.11"), 0, "another isolated network");

	// Frames that are dropped are nobody else's: exact counts.
	const bad = makeFrame({ dst: "02:00:00:00:00:99", src: GROUP, ethertype: 0x88b5, payload: new Uint8Array(46) });
	const ends = Object.entries(of).map(([network, [ns]], index) => ({ name: `${network}/${ns.name}`, ns, index }));
	for (const { ns, index } of ends) send(ns, "eth0", Array(3 + index).fill(bad));
	await eventually("all are counted", () => {
		const ports = site.ports();
		return ends.every(({ name, index }) => ports.get(name)?.drops.source === 3 + index);
	});
	const { ports, ...whole } = stats();
	assert.is(whole.workers, 3);
	assert.is(
		ports.reduce((sum, { drops }) => sum + (drops.source ?? 0), 0),
		ends.reduce((sum, { index }) => sum + 3 + index, 0),
	);
	assert.is(
		whole.batches,
		whole.batchSizes.reduce((sum, { batches }) => sum + batches, 0),
		"no batch is lost",
	);
	assert.match(site.vlane.must("stats"), /^Datapath: +\S+, 3 workers$/m);
	assert.is(((await site.ask("GET", "/info")) as { Workers: number }).Workers, 3);
	assert.equal(
		site.inspect("iso2").Status.Ports.map(({ name, drops }: ApiPort) => [name, drops.source]),
		[[`iso2/${of.iso2[0].name}`, 7]],
	);

	site.create(
		"src",
		"--subnet=10.70.0.0/24",
		"-o",
		"parent=eth1.70",
		"-o",
		"macvlan_mode=source",
		"-o",
		"source_macs=02:00:00:00:00:aa",
	);
	site.vlane.must("network", "create", "-d", "ipvlan", "--subnet=10.60.0.0/24", "-o", "parent=eth1.60", "ip60");
	const c60 = await site.join("ip60");
	c60.must(["ip", "address", "add", "10.60.0.99/24", "dev", "eth0"]);
	c60.run(["ping", "-c", "1", "-W", "1", "-I", "10.60.0.99", "10.60.0.9"]);
	const stations: ApiStation[] = JSON.parse(site.vlane.must("fdb", "show", "--json"));
	const numbers = new Map(stats().ports.map(({ name, port }) => [name, port]));
	for (const [network, containers] of Object.entries(of)) {
		for (const ns of containers) {
			const { name, port, network: shown } = stations.find(({ mac }) => mac === macOf(ns))!;
			assert.equal([name, port, shown], [`${network}/${ns.name}`, numbers.get(name), network]);
		}
	}
	const kinds = (network: string) => stations.filter((station) => station.network === network).map(({ type }) => type);
	assert.equal(kinds("src"), ["source"]);
	assert.equal(kinds("ip60").sort(), ["learned", "static"]);

	await site.disconnect("ip60", c60);
	for (const network of ["src", "ip60"]) site.vlane.must("network", "rm", network);
	const [iso] = of.iso;
	iso.must(["ip", "link", "delete", "eth0"]);
	await eventually("an interface that is deleted on any of them comes back", () => iso.ping("10.9.0.2") === 1);
});

test("a capture has frames of several threads in the order of their times", async () => {
	const c1 = site.run("c1", "--network=plain", "--network=iso");
	const placed = workersOf();
	assert.is.not(placed.get(`plain/${c1}`), placed.get(`iso/${c1}`));
	const file = join(site.vlane.directory, "c1.pcapng");
	const capture = site.vlane.start("capture", c1, "-w", file, "icmp");
	await capture.waitFor(/^listening on /);
	for (let round = 0; round < 5; round++) {
		for (const target of ["10.1.0.254", "10.9.0.2"]) {
			// One at a time: after a first answer ping waits for others for two round trips only.
			assert.match(site.exec(c1, "ping", "-c1", "-W10", target), / 1 received/);
		}
	}
	const { stderr } = await capture.stop("SIGINT");
	assert.match(stderr, /, 0 lost\n$/);
	const times = [...readCapture(file)].map(({ timeNs }) => timeNs);
	assert.is(times.length, 5 * 2 * 2, stderr);
	assert.equal(
		times,
		[...times].sort((left, right) => (left < right ? -1 : left > right ? 1 : 0)),
	);
	site.vlane.must("rm", "-f", c1);
});

test("datagrams keep their order on all threads under load, and no buffer is left behind", async () => {
	const { of } = scene;
	const pairs = [
		{ from: of.plain[0], to: site.lan.far, address: "10.1.0.254" },
		{ from: of.w50[0], to: of.w50[1], address: "10.50.0.12" },
		{ from: of.iso[0], to: of.iso[1], address: "10.9.0.2" },
	];
	const results = await Promise.all(
		pairs.map(async ({ from, to, address }) => {
			const server = to.start(["iperf3", "-s", "-1", "--forceflush"]);
			await server.waitFor(/listening/);
			// 256 byte datagrams as fast as they go: more than what is taken, so queues are full and frames are dropped.
			return from.start(["iperf3", "-c", address, "-u", "-b", "0", "-l", "256", "-t", "2", "-J"]).ended;
		}),
	);
	for (const { status, stdout, stderr } of results) {
		assert.is(status, 0, stderr);
		const { end } = JSON.parse(stdout);
		for (const { udp } of end.streams) {
			assert.is(udp.out_of_order, 0);
			assert.ok(udp.packets - udp.lost_packets > 1000, `${udp.packets - udp.lost_packets} datagrams have arrived`);
		}
	}
	await eventually("all buffers are free", () => stats().buffers.used === 0);
	assert.is(stats().buffers.total % 3, 0);
});

test("a thread that dies disturbs its own parent only, and comes back with its ports and counters", async () => {
	const { of, far } = scene;
	assertConnected();
	const steady = [of.plain, of.iso].map(([from], index) =>
		from.start(["ping", "-n", "-q", "-i", "0.02", "-c", "150", "-W", "10", index === 0 ? "10.1.0.254" : "10.9.0.2"]),
	);
	const name = `w50/${of.w50[1].name}`;
	const capture = site.vlane.start("capture", name, "icmp");
	await capture.waitFor(/^listening on /);
	const before = site.ports();
	for (let time = 0; time < 2; time++) {
		corruptDatapath(site.vlane.pid, macOf(of.w50[0]));
		await eventually("the dead one is back", () => far.ping("10.50.0.12") === 1);
	}
	for (const { stdout } of await Promise.all(steady.map(({ ended }) => ended))) {
		// For the last answer ping may not wait long enough.
		const received = Number(/150 packets transmitted, (\d+) received/.exec(stdout)?.[1]);
		assert.ok(received >= 149, stdout);
	}
	assertConnected();
	assert.is(of.v50[0].ping("10.50.0.11"), 0);
	const after = site.ports();
	assert.equal([...after.keys()].sort(), [...before.keys()].sort());
	for (const [port, { rxFrames, txFrames }] of before) {
		assert.ok(after.get(port)!.rxFrames >= rxFrames && after.get(port)!.txFrames >= txFrames, port);
	}
	await capture.waitFor(/10\.50\.0\.12/);
	await capture.stop("SIGINT");
	const worker = workersOf().get("eth1");
	const { stderr } = await site.vlane.stopDaemon();
	await site.vlane.startDaemon("--workers", "3");
	const deaths = stderr.match(/the datapath has died and was started again worker=\d+/g) ?? [];
	assert.equal(
		deaths.map((death) => Number(death.split("=")[1])),
		[worker, worker],
		stderr,
	);
});

test("a restart places anew, with any number of workers; what is removed makes room", async () => {
	const descriptors = () => readdirSync(`/proc/${site.vlane.pid}/fd`).length;
	for (const number of [2, 7, 3]) {
		await site.vlane.stopDaemon();
		await site.vlane.startDaemon("--workers", `${number}`);
		assertConnected();
		const placed = workersOf();
		assert.is(new Set(placed.values()).size, Math.min(number, 4), "two parents and two isolated networks");
		assert.ok([...placed.values()].every((worker) => worker >= 1 && worker <= number));
	}
	const before = descriptors();
	// One of the three has eth1 alone.
	const worker = workersOf().get("eth1");
	for (const ns of scene.of.w50) await site.disconnect("w50", ns);
	site.vlane.must("network", "rm", "w50");
	const ports = (name: string) => [...workersOf()].filter(([port]) => port.startsWith(`${name}/`));
	for (const name of ["new1", "new2", "new3"]) {
		site.create(name);
		const guest = await site.join(name);
		if (name === "new1") assert.equal(ports(name), [[`${name}/${guest.name}`, worker]], "where there is most room");
		await site.disconnect(name, guest);
		site.vlane.must("network", "rm", name);
	}
	await site.removeAll();
	assert.equal(stats().ports, []);
	assert.equal(JSON.parse(site.vlane.must("fdb", "show", "--json")), []);
	assert.ok(descriptors() < before);
});

workers.run();
