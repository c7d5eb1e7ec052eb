/** What the switch says about itself, over a real daemon: ports, stations, statistics, counters of a network. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ApiPort, ApiStation, ApiStats } from "../../src/control/types.js";
import { readDocument } from "../support/docs.js";
import { PARENT } from "../support/lan.js";
import { eventually, macOf, sharedSite } from "../support/site.js";
import { transfer } from "../support/transfer.js";

const observe = suite("observe");
const test = sharedSite(observe, { vlans: [60] });

test("ports know their networks, parents and tags; foreign frames of the wire are no faults", async (site) => {
	site.create("pub", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	const c1 = await site.join("v50");
	const ports: ApiPort[] = JSON.parse(site.vlane.must("ports", "--json"));
	assert.equal(
		ports.map(({ name, kind, networks, parent, vlans }) => [name, kind, networks, parent, vlans]),
		[
			["eth0", "uplink", ["pub", "v50"], "eth0", []],
			["eth0.50", "host", ["v50"], "eth0.50", ["50"]],
			[`v50/${c1.name}`, "endpoint", ["v50"], "eth0.50", ["50"]],
		],
	);
	const endpoint = ports[2]!;
	assert.equal([endpoint.mac, endpoint.mtuBytes, endpoint.carrier], [macOf(c1), 1500, true]);
	site.lan.station(60, ["10.60.0.1/24"]);
	site.lan.far.run(["ping", "-c", "1", "-W", "1", "10.60.0.9"]);
	await eventually("a foreign VLAN is filtered", () => (site.ports().get(PARENT)?.filtered.vlan ?? 0) > 0);
	assert.equal(site.ports().get(PARENT)!.drops, {});
	assert.match(site.vlane.must("stats", PARENT), /^Filtered: +\d+: vlan \d+/m);
});

test("frames that come while nobody takes them wait, and beyond that are counted", async (site) => {
	site.lan.station(undefined, ["10.1.0.254/24"]);
	site.create("net", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	await site.join("net");
	const before = site.ports().get(PARENT)!;
	const echoes = 40_000;
	process.kill(site.vlane.pid, "SIGSTOP");
	try {
		// The socket's queue takes 32 MiB; a frame of that size counts for more than 2 KiB there.
		const burst = ["ping", "-q", "-n", "-c", `${echoes}`, "-l", `${echoes}`, "-s", "1400", "-W", "1", "10.1.0.1"];
		site.lan.far.must(["ip", "neigh", "replace", "10.1.0.1", "lladdr", "02:00:00:00:00:01", "dev", "lan0"]);
		assert.match(site.lan.far.run(burst).stdout, new RegExp(`${echoes} packets transmitted`));
	} finally {
		process.kill(site.vlane.pid, "SIGCONT");
	}
	const after = () => site.ports().get(PARENT)!;
	const lost = () => after().drops.rx_full ?? 0;
	const came = () => after().rxFrames - before.rxFrames;
	await eventually("what has come was forwarded or counted", () => came() + lost() >= echoes);
	assert.ok(lost() > 1000 && came() > 1000, `${lost()} lost, ${came()} came`);
	assert.match(site.vlane.must("stats", PARENT), /rx_full \d+/);
});

test("each field of ports and stations in JSON is in docs/observe.md", async (site) => {
	site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	const text = readDocument("docs/observe.md");
	const { batchSizes } = JSON.parse(site.vlane.must("stats", "--json"));
	const [station] = JSON.parse(site.vlane.must("fdb", "show", "--json"));
	const [port] = JSON.parse(site.vlane.must("ports", "--json"));
	const fields = [batchSizes[0], port, station].flatMap((thing) => Object.keys(thing));
	const missing = fields.filter((field) => !text.includes(`\`${field}\``));
	assert.equal(missing, []);
});

test("the forwarding database has every station, and what ipvlan has learned", async (site) => {
	site.create("v50", "--subnet=10.50.0.0/24", "--subnet=2001:db8::/64", "-o", "parent=eth0.50");
	site.vlane.must("network", "create", "-d", "ipvlan", "--subnet=10.60.0.0/24", "-o", "parent=eth0.60", "ip60");
	site.create(
		"src",
		"--subnet=10.70.0.0/24",
		"-o",
		"parent=eth0.70",
		"-o",
		"macvlan_mode=source",
		"-o",
		"source_macs=02:00:00:00:00:aa",
	);
	const [c1, c2] = [await site.join("v50"), await site.join("ip60")];
	c2.must(["ip", "address", "add", "10.60.0.99/24", "dev", "eth0"]);
	c2.run(["ping", "-c", "1", "-W", "1", "-I", "10.60.0.99", "10.60.0.9"]);
	const of = (...argv: string[]): ApiStation[] => JSON.parse(site.vlane.must("fdb", "show", "--json", ...argv));
	assert.equal(
		of("--network", "v50").map(({ mac, addresses, name, type }) => [mac, addresses, name, type]),
		[[macOf(c1), ["10.50.0.1", "2001:db8::1"], `v50/${c1.name}`, "static"]],
	);
	const learned = of("--network", "ip60").map(({ addresses: [address], type }) => [address, type]);
	assert.ok(learned.some(([address, type]) => address === "10.60.0.1" && type === "static"));
	assert.ok(learned.some(([address, type]) => address === "10.60.0.99" && type === "learned"));
	assert.equal(of("--network", "src"), [
		{ network: "src", parent: "eth0.70", mac: "02:00:00:00:00:aa", addresses: [], port: 0, name: "", type: "source" },
	]);
	assert.ok(of().some(({ network, name }) => network === "" && name === "eth0.50"));
	assert.is(site.refusal("fdb", "show", "--network", "nope"), "network nope not found");
});

test("statistics count frames, offloads and batches; inspect has the counters of its network", async (site) => {
	site.lan.station(undefined, ["10.1.0.254/24"]);
	site.create("net", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	const c1 = await site.join("net");
	await transfer(c1, site.lan.far, "10.1.0.254", 4 << 20);
	const stats: ApiStats = JSON.parse(site.vlane.must("stats", "--json"));
	const port = stats.ports.find(({ name }) => name === `net/${c1.name}`)!;
	assert.ok(port.rxBytes > 4 << 20 && port.rxOffloads > 0 && port.rxOffloads <= port.rxFrames, JSON.stringify(port));
	assert.is(
		stats.batches,
		stats.batchSizes.reduce((total, { batches }) => total + batches, 0),
	);
	assert.ok(Date.now() - Date.parse(stats.time) < 60_000 && stats.uptimeSeconds < 600);
	const { Ports } = site.inspect("net").Status;
	assert.equal(
		Ports.map(({ name, rxOffloads }: ApiPort) => [name, rxOffloads]),
		[[port.name, port.rxOffloads]],
	);
	assert.is(
		site.vlane.must("network", "inspect", "--format", "{{range .Status.Ports}}{{.name}} {{.rxOffloads}}{{end}}", "net"),
		`${port.name} ${port.rxOffloads}`,
	);
});

observe.run();
