/** What endpoints and networks do when their parent goes down, loses its wire, changes, goes away and comes back. */
import { request } from "node:http";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { FAR_END, PARENT } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { decoded, marked, marksOf } from "../support/packets.js";
import { send } from "../support/sender.js";
import { addressesOf, eventually, linksOf, macOf, type Site, siteTest } from "../support/site.js";

const lifecycle = suite("life cycle");
const OTHER_MAC = "02:00:00:00:0e:01";

function test(name: string, body: (site: Site) => void | Promise<void>): void {
	siteTest(lifecycle, name, body, { vlans: [50] });
}

function hasCarrier(ns: Namespace, ifname = "eth0"): boolean {
	return !ns.ip("link", "show", ifname)[0].flags.includes("NO-CARRIER");
}

function mtuOf(ns: Namespace, ifname = "eth0"): number {
	return ns.ip("link", "show", ifname)[0].mtu;
}

interface Scene {
	/** On eth0, on eth0.50, and on eth0.50 by ipvlan. */
	endpoints: Namespace[];
	pingAll(): boolean;
	stateIs(state: "up" | "degraded", detail?: string): boolean;
}

/** One network of each kind on the parent, with an endpoint each, and their gateways on the LAN. */
async function scene(site: Site): Promise<Scene> {
	site.lan.station(undefined, ["10.8.0.1/24"]);
	site.lan.station(50, ["10.8.50.1/24"]);
	site.create("untagged", "--subnet=10.8.0.0/24", "--gateway=10.8.0.1", "-o", "parent=eth0");
	site.create("v50", "-d", "ipvlan", "--subnet=10.8.50.0/24", "--gateway=10.8.50.1", "-o", "parent=eth0.50");
	const endpoints = [await site.join("untagged"), await site.join("v50")];
	return {
		endpoints,
		pingAll: () => endpoints[0]!.ping("10.8.0.1") === 1 && endpoints[1]!.ping("10.8.50.1") === 1,
		stateIs: (state, detail) =>
			["untagged", "v50"].every((name) => {
				const { State, Detail } = site.inspect(name).Status;
				return State === state && (detail === undefined || Detail === detail);
			}),
	};
}

test("the wire is unplugged and plugged in again: carrier follows", async (site) => {
	const { endpoints, pingAll, stateIs } = await scene(site);
	assert.ok(pingAll() && stateIs("up", ""));
	assert.ok(endpoints.every((ns) => hasCarrier(ns)) && hasCarrier(site.lan.host, "eth0.50"));
	site.lan.far.must(["ip", "link", "set", FAR_END, "down"]);
	assert.ok(stateIs("degraded", "parent interface eth0 has no carrier"));
	await eventually("nobody has a carrier", () => !endpoints.some((ns) => hasCarrier(ns)));
	assert.not.ok(hasCarrier(site.lan.host, "eth0.50"));
	site.lan.far.must(["ip", "link", "set", FAR_END, "up"]);
	assert.ok(stateIs("up", ""));
	await eventually("all have a carrier", () => endpoints.every((ns) => hasCarrier(ns)));
	await eventually("the LAN answers", pingAll);
});

test("endpoints can be made while the parent is down, and are there when it comes up", async (site) => {
	site.lan.host.must(["ip", "link", "set", PARENT, "down"]);
	const { endpoints, pingAll, stateIs } = await scene(site);
	assert.ok(stateIs("degraded", "parent interface eth0 is down"));
	assert.not.ok(endpoints.some((ns) => hasCarrier(ns)));
	site.lan.host.must(["ip", "link", "set", PARENT, "up"]);
	await eventually("all have a carrier", () => endpoints.every((ns) => hasCarrier(ns)));
	await eventually("the LAN answers", pingAll);
});

test("the parent's MTU changes: endpoints and the host's interface follow, an mtu option is a limit", async (site) => {
	const { endpoints } = await scene(site);
	site.create("fixed", "--subnet=10.8.60.0/24", "-o", "parent=eth0.60", "-o", "com.docker.network.driver.mtu=1300");
	const fixed = await site.join("fixed");
	const mtus = () => [...endpoints.map((ns) => mtuOf(ns)), mtuOf(site.lan.host, "eth0.50"), mtuOf(fixed)].join();
	assert.is(mtus(), "1500,1500,1500,1300");
	for (const [mtuBytes, expected] of [
		[1400, "1400,1400,1400,1300"],
		[1280, "1280,1280,1280,1280"],
		[9000, "9000,9000,9000,1300"],
	] as const) {
		for (const [ns, ifname] of [
			[site.lan.far, FAR_END],
			[site.lan.host, PARENT],
		] as const) {
			ns.must(["ip", "link", "set", ifname, "mtu", `${mtuBytes}`]);
		}
		await eventually(`${mtuBytes} has arrived`, () => mtus() === expected);
	}
	// A jumbo frame passes the switch, too.
	const [c1] = endpoints;
	assert.match(c1!.must(["ping", "-n", "-c", "1", "-M", "do", "-s", "8972", "10.8.0.1"]), / 1 received/);
	assert.is((await site.join("untagged")).ip("link", "show", "eth0")[0].mtu, 9000);
});

test("an MTU that changed while the daemon was away is caught up with", async (site) => {
	const { endpoints } = await scene(site);
	await site.vlane.stopDaemon();
	site.lan.host.must(["ip", "link", "set", PARENT, "mtu", "1400"]);
	await site.vlane.startDaemon();
	assert.equal([...endpoints.map((ns) => mtuOf(ns)), mtuOf(site.lan.host, "eth0.50")], [1400, 1400, 1400]);
});

test("the parent gets another address: what wears it follows", async (site) => {
	const { endpoints, pingAll } = await scene(site);
	const [c1, c2] = endpoints;
	const own = macOf(c1!);
	site.lan.host.must(["ip", "link", "set", PARENT, "address", OTHER_MAC]);
	await eventually("ipvlan has it", () => macOf(c2!) === OTHER_MAC);
	assert.is(macOf(site.lan.host, "eth0.50"), OTHER_MAC);
	assert.is(macOf(c1!), own);
	site.lan.far.must(["ip", "neighbour", "flush", "all"]);
	await eventually("the LAN answers", pingAll);
	const [shown] = Object.values<{ MacAddress: string }>(site.inspect("v50").Containers);
	assert.is(shown?.MacAddress, OTHER_MAC);
});

test("an endpoint gives itself another MAC address: it stays reachable, and keeps it over a restart", async (site) => {
	site.lan.station(undefined, ["10.8.0.1/24"]);
	site.create("net", "--subnet=10.8.0.0/24", "--gateway=10.8.0.1", "-o", "parent=eth0");
	const [c1, c2] = [await site.join("net"), await site.join("net")];
	const before = macOf(c1);
	const port = () => site.port("net", c1).mac;
	const isReached = () => c1.ping("10.8.0.1") === 1 && site.lan.far.ping("10.8.0.2") === 1 && c2.ping("10.8.0.2") === 1;
	assert.ok(isReached());
	c1.must(["ip", "link", "set", "eth0", "address", OTHER_MAC]);
	await eventually("the port follows", () => port() === OTHER_MAC && isReached());
	assert.is(macOf(c1), OTHER_MAC);
	// The parent's filter knows the new address, and the old one is nobody's.
	const filter = site.lan.host.must(["bridge", "fdb", "show", "dev", PARENT]);
	assert.ok(filter.includes(OTHER_MAC) && !filter.includes(before), filter);
	await site.vlane.stopDaemon("SIGKILL");
	await site.vlane.startDaemon();
	await eventually("reached again", isReached);
	assert.equal([macOf(c1), port()], [OTHER_MAC, OTHER_MAC]);
	// A sibling's, and the parent's own, are not to be had.
	for (const taken of [macOf(c2), macOf(site.lan.host)]) {
		c1.must(["ip", "link", "set", "eth0", "address", taken]);
		await eventually("it is taken back", () => macOf(c1) === OTHER_MAC);
		await eventually("reached still", isReached);
	}
});

test("an endpoint that may send from its own MAC address only is not followed", async (site) => {
	site.lan.station(undefined, ["10.8.0.1/24"]);
	site.create("net", "--subnet=10.8.0.0/24", "--gateway=10.8.0.1", "-o", "parent=eth0", "-o", "port_security=mac");
	const c1 = await site.join("net");
	const before = macOf(c1);
	c1.must(["ip", "link", "set", "eth0", "address", OTHER_MAC]);
	site.vlane.must("reconcile");
	assert.is(c1.ping("10.8.0.1"), 0);
	c1.must(["ip", "link", "set", "eth0", "address", before]);
	await eventually("its own works", () => c1.ping("10.8.0.1") === 1);
});

test("the parent is deleted and made again: everything is attached again by itself", async (site) => {
	const { endpoints, stateIs } = await scene(site);
	const before = endpoints.map((ns) => addressesOf(ns));
	site.lan.host.must(["ip", "link", "del", PARENT]);
	await eventually("degraded", () => stateIs("degraded", "parent interface eth0 was not found on the host"));
	await eventually("nobody has a carrier", () => !endpoints.some((ns) => hasCarrier(ns)));
	const name = site.namespace("late").path;
	const refused = site.refusal("network", "connect", "untagged", `netns:${name}`);
	assert.is(refused, "network untagged is degraded: parent interface eth0 was not found on the host");
	// The VLAN stations of the far side went with the old wire: what comes is looked at in bytes.
	site.lan.host.must([
		"ip",
		"link",
		"add",
		PARENT,
		"type",
		"veth",
		"peer",
		"name",
		FAR_END,
		"netns",
		site.lan.far.name,
	]);
	site.lan.far.must(["ip", "link", "set", FAR_END, "up"]);
	site.lan.far.must(["ip", "address", "add", "10.8.0.1/24", "dev", FAR_END]);
	site.lan.host.must(["ip", "link", "set", PARENT, "up"]);
	await eventually("up", () => stateIs("up", "") && endpoints.every((ns) => hasCarrier(ns)));
	assert.is(endpoints[0]!.ping("10.8.0.1"), 1);
	const wire = await capture(site.lan.far, FAR_END);
	send(endpoints[1]!, "eth0", [marked("again", macOf(endpoints[1]!))]);
	await eventually("it has gone out", () => site.port("v50", endpoints[1]!).rxFrames > 0);
	const tagged = decoded(await wire.stop()).filter(({ tags }) => tags.length > 0);
	assert.ok(tagged.length > 0 && tagged.every(({ tags }) => tags[0]?.vid === 50));
	assert.is(macOf(site.lan.host, "eth0.50"), macOf(site.lan.host, PARENT));
	assert.equal(
		endpoints.map((ns) => addressesOf(ns)),
		before,
	);
});

test("the parent is renamed: gone by the old name, back with it", async (site) => {
	const { pingAll, stateIs } = await scene(site);
	const rename = (from: string, to: string) => {
		site.lan.host.must(["ip", "link", "set", from, "down"]);
		site.lan.host.must(["ip", "link", "set", from, "name", to, "up"]);
	};
	rename(PARENT, "wan0");
	await eventually("degraded", () => stateIs("degraded", "parent interface eth0 was not found on the host"));
	rename("wan0", PARENT);
	await eventually("up", () => stateIs("up", ""));
	await eventually("the LAN answers", pingAll);
});

test("S47: whatever is gone of ours after a restart is made again", async (site) => {
	const { endpoints, pingAll } = await scene(site);
	site.create("stack", "-o", "parent=eth0.20.200");
	await site.vlane.stopDaemon("SIGKILL");
	for (const name of ["eth0.50", "eth0.20.200"]) site.lan.host.must(["ip", "link", "del", name]);
	await site.vlane.startDaemon();
	assert.ok(["eth0.50", "eth0.20.200"].every((name) => linksOf(site.lan.host).includes(name)));
	await eventually("the LAN answers", pingAll);
	assert.is(endpoints.length, 2);
});

test("S48: what was there before and is gone is not made, its network waits for it", async (site) => {
	const { host } = site.lan;
	const makeLink = () => {
		host.must(["ip", "link", "add", "eth0.60", "type", "veth", "peer", "name", "peer60"]);
		for (const name of ["eth0.60", "peer60"]) host.must(["ip", "link", "set", name, "up"]);
	};
	makeLink();
	site.create("v60", "-o", "parent=eth0.60");
	await site.vlane.stopDaemon();
	host.must(["ip", "link", "del", "eth0.60"]);
	await site.vlane.startDaemon();
	assert.not.ok(linksOf(host).includes("eth0.60"));
	const { State, Detail } = site.inspect("v60").Status;
	assert.equal([State, Detail], ["degraded", "parent interface eth0.60 was not found on the host"]);
	makeLink();
	await eventually("it is used again", () => site.inspect("v60").Status.State === "up");
	site.vlane.must("network", "rm", "v60");
	assert.ok(linksOf(host).includes("eth0.60"), "S49: it was not ours");
});

/** POST /networks/create, without a process for each. */
function create(socketPath: string, body: object): Promise<void> {
	return new Promise((resolve, reject) => {
		const outgoing = request({ socketPath, method: "POST", path: "/networks/create" }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () => (response.statusCode === 201 ? resolve() : reject(new Error(text))));
		});
		outgoing.on("error", reject);
		outgoing.end(JSON.stringify(body));
	});
}

test("S18: 4,094 VLANs on one parent", async (site) => {
	for (let vid = 1; vid <= 4094; vid++) {
		const IPAM = { Config: [{ Subnet: "10.9.0.0/24" }] };
		await create(site.vlane.socket, { Name: `v${vid}`, IPAM, Options: { parent: `eth0.${vid}` } });
	}
	assert.is(linksOf(site.lan.host).filter((name) => name.startsWith("eth0.")).length, 4094);
	const ends = [await site.join("v1"), await site.join("v4094")];
	const inside = await Promise.all(ends.map((ns) => capture(ns, "eth0")));
	const vids = [1, 2, 4093, 4094];
	send(
		site.lan.far,
		FAR_END,
		vids.map((vid) => marked(`${vid}`, OTHER_MAC, undefined, [{ tpid: 0x8100, vid }])),
	);
	const wire = await capture(site.lan.far, FAR_END);
	for (const ns of ends) send(ns, "eth0", [marked("out", macOf(ns))]);
	await new Promise((resolve) => setTimeout(resolve, 100));
	assert.equal(await Promise.all(inside.map(async (capturing) => marksOf(await capturing.stop()))), [["1"], ["4094"]]);
	const sent = decoded(await wire.stop()).filter(({ ethertype }) => ethertype === 0x88b5);
	assert.equal(sent.map(({ tags }) => tags.map(({ vid }) => vid).join()).sort(), ["1", "4094"]);
	for (const [name, text] of [
		["eth0.0", "vlan id must be between 1-4094, received: 0"],
		["eth0.4095", "vlan id must be between 1-4094, received: 4095"],
	] as const) {
		assert.is(site.refusal("network", "create", "-o", `parent=${name}`, "x"), text);
	}
	// What is on a parent follows it, however much it is.
	site.lan.far.must(["ip", "link", "set", FAR_END, "down"]);
	await eventually("nobody has a carrier", () => !ends.some((ns) => hasCarrier(ns)));
});

lifecycle.run();
