/** The plugin's socket against everything that is not a good request: an error, no crash, no change of state. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Lan, makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { askSocket, type Said } from "../support/plugin.js";
import { eventually } from "../support/site.js";
import { HOSTILE, spoiled } from "../support/spoil.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const protocol = suite("docker: the protocol");
const need = { root: true, tun: true, tools: ["ip"] };

let lan: Lan;
let vlane: Vlane;
let socket: string;

protocol.before(async () => {
	lan = await makeLan();
	vlane = await startVlane(lan.host);
	await vlane.stopDaemon();
	socket = join(vlane.directory, "vlane.sock");
	const plugins = join(vlane.directory, "plugins");
	socket = join(plugins, "vlane.sock");
	await vlane.startDaemon("--docker-plugin-dir", plugins);
});

protocol.after(async () => {
	await vlane?.cleanup();
	lan?.close();
});

function ask(call: string, body?: unknown, method?: string): Promise<Said> {
	return askSocket(socket, call, body, method);
}

/** What users and the kernel see of the state. */
function stateNow(): string {
	const networks = vlane.must("network", "ls", "-q").split("\n").filter(Boolean);
	const inspected = networks.length > 0 ? vlane.must("network", "inspect", ...networks) : "";
	return [
		inspected,
		vlane.must("ports", "--json").replace(/Frames": \d+|Bytes": \d+/g, ""),
		lan.host.must(["ip", "-o", "link"]),
	].join();
}

const N = "a".repeat(64);
const E = "b".repeat(64);
const POOL = { AddressSpace: "LocalDefault", Pool: "10.1.0.0/24", Gateway: "10.1.0.1/24" };
const NETWORK = {
	NetworkID: N,
	Options: { "com.docker.network.generic": { parent: "eth0" } },
	IPv4Data: [POOL],
	IPv6Data: null,
};
const ENDPOINT = {
	NetworkID: N,
	EndpointID: E,
	Interface: { Address: "10.1.0.9/24", AddressIPv6: "", MacAddress: "" },
	Options: {},
};

const CHANGING = ["CreateNetwork", "DeleteNetwork", "CreateEndpoint", "DeleteEndpoint", "Join"];
const ABOUT = ["Leave", "EndpointOperInfo", "ProgramExternalConnectivity", "RevokeExternalConnectivity"];

testOrSkip(protocol, "the socket is the engine's alone, and gone when the daemon has ended", need, async () => {
	assert.is(statSync(socket).mode & 0o777, 0o600);
	const { status, answer, headers } = await ask("Plugin.Activate");
	assert.is(status, 200);
	assert.equal(answer, { Implements: ["NetworkDriver", "IpamDriver"] });
	assert.is(headers.connection, "close");
	assert.is(headers["content-type"], "application/vnd.docker.plugins.v1.1+json");
	assert.equal((await ask("NetworkDriver.GetCapabilities")).answer, {
		...{ Scope: "local", ConnectivityScope: "global", GwAllocChecker: true },
	});
	await vlane.stopDaemon();
	assert.not(existsSync(socket));
	await vlane.startDaemon("--docker-plugin-dir", join(vlane.directory, "plugins"));
});

testOrSkip(protocol, "a good life, and what it answers", need, async () => {
	assert.equal((await ask("NetworkDriver.CreateNetwork", NETWORK)).answer, {});
	const { answer } = await ask("NetworkDriver.CreateEndpoint", ENDPOINT);
	assert.match(answer.Interface.MacAddress, /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
	const about = { NetworkID: N, EndpointID: E };
	const joined = await ask("NetworkDriver.Join", { ...about, SandboxKey: "/var/run/docker/netns/none", Options: null });
	assert.equal(joined.answer, {
		InterfaceName: { SrcName: `vl${E.slice(0, 11)}`, DstPrefix: "eth" },
		Gateway: "10.1.0.1",
		DisableGatewayService: true,
	});
	assert.equal((await ask("NetworkDriver.EndpointOperInfo", about)).answer, { Value: {} });
	for (const call of [
		"ProgramExternalConnectivity",
		"RevokeExternalConnectivity",
		"Leave",
		"DeleteEndpoint",
		"DeleteEndpoint",
	]) {
		assert.equal((await ask(`NetworkDriver.${call}`, about)).answer, {}, call);
	}
	assert.not.match(lan.host.must(["ip", "-o", "link"]), /vl[0-9a-f]{11}/);
	for (const call of ["DiscoverNew", "DiscoverDelete", "FreeNetwork"]) {
		assert.equal((await ask(`NetworkDriver.${call}`, {})).answer, {}, call);
	}
	assert.match((await ask("NetworkDriver.AllocateNetwork", {})).answer.Err, /belong to one host/);
	for (let times = 0; times < 2; times++) {
		assert.equal((await ask("NetworkDriver.DeleteNetwork", { NetworkID: N })).answer, {});
	}
});

testOrSkip(protocol, "bad requests are errors, and change nothing", need, async () => {
	await ask("NetworkDriver.CreateNetwork", NETWORK);
	await ask("NetworkDriver.CreateEndpoint", ENDPOINT);
	const own = vlane.must("network", "create", "--subnet=10.2.0.0/24", "own");
	const before = stateNow();
	const other = "c".repeat(64);
	const bodies: [call: string, body: unknown][] = [
		...[...CHANGING, ...ABOUT].flatMap((call): [string, unknown][] =>
			[undefined, "{", "null", "[]", '"x"', "1", "{}", "\0", '{"NetworkID":', `{"a":${"[".repeat(50_000)}`].map(
				(body) => [call, body],
			),
		),
		...HOSTILE.flatMap((value): [string, unknown][] => [
			["CreateNetwork", { ...NETWORK, NetworkID: value }],
			["CreateNetwork", { ...NETWORK, NetworkID: other, Options: { "com.docker.network.generic": { parent: value } } }],
			["CreateEndpoint", { ...ENDPOINT, NetworkID: value }],
			["CreateEndpoint", { ...ENDPOINT, EndpointID: value }],
			["Join", { NetworkID: value, EndpointID: E, SandboxKey: "/x" }],
			["Join", { NetworkID: N, EndpointID: value, SandboxKey: "/x" }],
			["DeleteNetwork", { NetworkID: value }],
			["DeleteEndpoint", { NetworkID: N, EndpointID: value }],
		]),
		...["", null, 7, {}, "relative", "/a\0b"].map((key): [string, unknown] => [
			"Join",
			{ NetworkID: N, EndpointID: E, SandboxKey: key },
		]),
		...["x", "10.1.0.9", "10.1.0.9/99", "10.9.0.9/24", "fd00::1/64", 5, {}].map((Address): [string, unknown] => [
			"CreateEndpoint",
			{ ...ENDPOINT, EndpointID: other, Interface: { Address } },
		]),
		...["x", "01:00:00:00:00:01", "00:00:00:00:00:00", 9].map((MacAddress): [string, unknown] => [
			"CreateEndpoint",
			{ ...ENDPOINT, EndpointID: other, Interface: { Address: "10.1.0.77/24", MacAddress } },
		]),
		[
			"CreateEndpoint",
			{ ...ENDPOINT, EndpointID: other, Interface: { Address: "10.1.0.77/24" }, Options: { colour: "red" } },
		],
		["CreateNetwork", NETWORK],
		["CreateNetwork", { ...NETWORK, NetworkID: other, IPv4Data: [{ Pool: "10.1.0.0/33" }] }],
		["CreateNetwork", { ...NETWORK, NetworkID: other, IPv4Data: "x" }],
		["CreateNetwork", { ...NETWORK, NetworkID: other, Options: { "com.docker.network.generic": { nonsense: "1" } } }],
		["CreateNetwork", "x".repeat(3 << 20)],
		["CreateEndpoint", { ...ENDPOINT, NetworkID: own }],
		["Join", { NetworkID: own, EndpointID: E, SandboxKey: "/x" }],
		["Join", { NetworkID: N, EndpointID: other, SandboxKey: "/x" }],
	];
	for (const [call, body] of bodies) {
		const { answer } = await ask(`NetworkDriver.${call}`, body);
		assert.type(answer.Err, "string", `${call} ${JSON.stringify(body)?.slice(0, 200)}: ${JSON.stringify(answer)}`);
		assert.not.match(answer.Err, /\n|TypeError|undefined is not/);
	}
	// Our own network is not Docker's to remove.
	assert.equal((await ask("NetworkDriver.DeleteNetwork", { NetworkID: own })).answer, {});
	for (const [method, path] of [
		["GET", "Plugin.Activate"],
		["POST", "NetworkDriver.Nothing"],
		["POST", ""],
		["POST", "__proto__"],
		["DELETE", "NetworkDriver.CreateNetwork"],
	] as const) {
		assert.is((await ask(path, undefined, method)).status, 404, `${method} ${path}`);
	}
	assert.is(({} as { polluted?: boolean }).polluted, undefined);
	assert.is(stateNow(), before);
	await ask("NetworkDriver.DeleteNetwork", { NetworkID: N });
	vlane.must("network", "rm", "own");
});

/** A good request for every call that takes one. */
const GOOD: Record<string, object> = {
	"NetworkDriver.CreateNetwork": { ...NETWORK, NetworkID: "d".repeat(64), IPv6Data: [] },
	"NetworkDriver.DeleteNetwork": { NetworkID: "d".repeat(64) },
	"NetworkDriver.CreateEndpoint": { ...ENDPOINT, EndpointID: "d".repeat(64) },
	"NetworkDriver.Join": { NetworkID: N, EndpointID: E, SandboxKey: "/var/run/docker/netns/none", Options: {} },
	...Object.fromEntries(
		["DeleteEndpoint", ...ABOUT].map((call) => [`NetworkDriver.${call}`, { NetworkID: N, EndpointID: "e".repeat(64) }]),
	),
	"NetworkDriver.GwAllocCheck": { Options: {} },
	"NetworkDriver.AllocateNetwork": { NetworkID: N, Options: {}, IPv4Data: [], IPv6Data: [] },
	"NetworkDriver.FreeNetwork": { NetworkID: N },
	"NetworkDriver.DiscoverNew": { DiscoveryType: 1, DiscoveryData: {} },
	"NetworkDriver.DiscoverDelete": { DiscoveryType: 1, DiscoveryData: {} },
	"NetworkDriver.GetCapabilities": {},
	"Plugin.Activate": {},
	"IpamDriver.GetCapabilities": {},
	"IpamDriver.GetDefaultAddressSpaces": {},
	"IpamDriver.RequestPool": { AddressSpace: "vlane", Pool: "10.3.0.0/24", SubPool: "", Options: {}, V6: false },
	"IpamDriver.ReleasePool": { PoolID: "f".repeat(64) },
	"IpamDriver.RequestAddress": { PoolID: "f".repeat(64), Address: "", Options: {} },
	"IpamDriver.ReleaseAddress": { PoolID: "f".repeat(64), Address: "10.3.0.2" },
};

testOrSkip(protocol, "whatever is wrong with a request to whichever call, an error changes nothing", need, async () => {
	const api = async (path: string): Promise<string> =>
		JSON.stringify((await askSocket(vlane.socket, path, undefined, "GET")).answer);
	const state = async () => [await api("networks"), readdirSync(`/proc/${vlane.pid}/root/sys/class/net`)].join();
	await ask("NetworkDriver.CreateNetwork", NETWORK);
	await ask("NetworkDriver.CreateEndpoint", ENDPOINT);
	const request = fc.record({
		call: fc.constantFrom(...Object.keys(GOOD)),
		path: fc.array(fc.nat(8), { minLength: 1, maxLength: 4 }),
		value: fc.oneof(fc.constantFrom(undefined, "x".repeat(2 << 20), ...HOSTILE), fc.jsonValue(), fc.string()),
	});
	await fc.assert(
		fc.asyncProperty(request, async ({ call, path, value }) => {
			const before = await state();
			const { status, answer } = await ask(call, spoiled(GOOD[call], path, value));
			assert.ok([200, 500].includes(status));
			assert.type(answer, "object");
			if (answer.Err === undefined) return;
			assert.match(answer.Err, /^[^\n]+$/);
			assert.not.match(answer.Err, /TypeError|undefined is not|Cannot read/);
			assert.is(await state(), before);
		}),
		{
			numRuns: Number(process.env.VLANE_TEST_REQUESTS ?? 300),
			includeErrorInReport: true,
			// The address of an endpoint that is there, with a bad MAC address: the one that is there stays.
			examples: [[{ call: "NetworkDriver.CreateEndpoint", path: [2, 2], value: "/%9K<" }]],
		},
	);
	assert.is((await ask("Plugin.Activate")).status, 200);
	for (const [call, body] of Object.entries(GOOD)) assert.is((await ask(call, body)).status, 200, call);
	for (const network of JSON.parse(await api("networks"))) {
		await ask("NetworkDriver.DeleteNetwork", { NetworkID: network.Id });
	}
	assert.equal(JSON.parse(vlane.must("ports", "--json")), []);
	assert.not.match(lan.host.must(["ip", "-o", "link"]), /vl[0-9a-f]{11}/);
});

/** Sends a body of 4 MiB, and looks for the answer only when all of it is sent. */
async function sendThenRead(path: string, request: string): Promise<string> {
	const connection = createConnection(path).setEncoding("utf8").pause();
	const broken = new Promise<never>((_resolve, reject) => connection.once("error", reject));
	const send = async () => {
		connection.write(`${request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${4 << 20}\r\n\r\n`);
		for (let piece = 0; piece < 4; piece++) {
			connection.write(" ".repeat(1 << 20));
			await delay(20);
		}
		let text = "";
		for await (const chunk of connection) text += chunk;
		return text;
	};
	return Promise.race([send(), broken]);
}

testOrSkip(
	protocol,
	"a body that nobody wants is taken to its end, so that its sender sees the answer",
	need,
	async () => {
		const tooLarge = /"request body is larger than 1048576 bytes"/;
		assert.match(await sendThenRead(socket, "POST /NetworkDriver.CreateNetwork"), tooLarge);
		assert.match(await sendThenRead(vlane.socket, "POST /networks/create"), tooLarge);
		assert.match(await sendThenRead(socket, "POST /NetworkDriver.Nothing"), /^HTTP\/1.1 404 /);
		assert.match(await sendThenRead(socket, "PUT /NetworkDriver.CreateNetwork"), /^HTTP\/1.1 404 /);
		assert.match(await sendThenRead(vlane.socket, "POST /nothing"), /^HTTP\/1.1 404 /);
	},
);

testOrSkip(protocol, "half a request, and bytes that are no request, do not disturb others", need, async () => {
	const raw = (text: string) =>
		new Promise<void>((resolve) => {
			const connection = createConnection(socket, () => connection.write(text));
			connection.on("error", () => undefined);
			connection.on("close", () => resolve());
			setTimeout(() => connection.destroy(), 50);
		});
	const head = "POST /NetworkDriver.CreateNetwork HTTP/1.1\r\nHost: \r\nContent-Length: 5000\r\n\r\n";
	await Promise.all([
		raw(head + JSON.stringify(NETWORK).slice(0, 50)),
		raw("\x16\x03\x01\0\0"),
		raw("\0".repeat(9999)),
	]);
	assert.is((await ask("Plugin.Activate")).status, 200);
	assert.is(vlane.must("network", "ls", "-q"), "");
});

testOrSkip(
	protocol,
	"what an engine has forgotten is collected: by address, by the next engine, with the network",
	need,
	async () => {
		await ask("NetworkDriver.CreateNetwork", NETWORK);
		const join = async (letter: string, address: string) => {
			const EndpointID = letter.repeat(64);
			const made = await ask("NetworkDriver.CreateEndpoint", {
				...ENDPOINT,
				EndpointID,
				Interface: { Address: address },
			});
			assert.is(made.answer.Err, undefined);
			await ask("NetworkDriver.Join", { NetworkID: N, EndpointID, SandboxKey: `/run/docker/netns/${letter}` });
			return made.answer.Interface.MacAddress;
		};
		const links = () => (lan.host.must(["ip", "-o", "link"]).match(/vl[0-9a-f]{11}/g) ?? []).length;
		const mac = await join("1", "10.1.0.5/24");
		assert.is(links(), 1);
		assert.is(await join("2", "10.1.0.5/24"), mac, "the same address, the same MAC");
		assert.is(links(), 1);
		await join("3", "10.1.0.6/24");
		assert.is(links(), 2);
		await ask("NetworkDriver.GetCapabilities");
		assert.is(links(), 0);
		await join("4", "10.1.0.7/24");
		await ask("NetworkDriver.DeleteNetwork", { NetworkID: N });
		assert.is(links(), 0);
		assert.equal(JSON.parse(vlane.must("ports", "--json")), []);
	},
);

testOrSkip(protocol, "a killed daemon's interfaces are taken over, or swept when nobody knows them", need, async () => {
	await ask("NetworkDriver.CreateNetwork", NETWORK);
	await ask("NetworkDriver.CreateEndpoint", ENDPOINT);
	await ask("NetworkDriver.Join", { NetworkID: N, EndpointID: E, SandboxKey: "/run/docker/netns/none" });
	const name = `vl${E.slice(0, 11)}`;
	const [{ ifalias: alias }] = lan.host.ip("link", "show", name);
	await vlane.stopDaemon("SIGKILL");
	// One that no record knows, and two that are not ours.
	for (const [ifname, ifalias] of [
		["vl0123456789a", alias.replace(E, "c".repeat(64))],
		["vlserver", alias],
		["vl0123456789b", "of somebody"],
	]) {
		lan.host.must(["ip", "tuntap", "add", "dev", ifname, "mode", "tap"]);
		lan.host.must(["ip", "link", "set", ifname, "alias", ifalias]);
	}
	await vlane.startDaemon("--docker-plugin-dir", join(vlane.directory, "plugins"));
	const links = lan.host.must(["ip", "-o", "link"]);
	assert.match(links, name);
	for (const others of ["vlserver", "vl0123456789b"]) {
		assert.match(links, others);
		lan.host.must(["ip", "link", "del", others]);
	}
	assert.not.match(links, "vl0123456789a");
	await ask("NetworkDriver.DeleteEndpoint", { NetworkID: N, EndpointID: E });
	assert.not.match(lan.host.must(["ip", "-o", "link"]), name);
	await ask("NetworkDriver.DeleteNetwork", { NetworkID: N });
});

testOrSkip(protocol, "a second daemon leaves the first one's interfaces alone, alive or killed", need, async () => {
	await ask("NetworkDriver.CreateNetwork", NETWORK);
	await ask("NetworkDriver.CreateEndpoint", ENDPOINT);
	await ask("NetworkDriver.Join", { NetworkID: N, EndpointID: E, SandboxKey: "/run/docker/netns/none" });
	// Without carrier the interface looks as if nobody had it.
	lan.host.must(["ip", "link", "set", "eth0", "down"]);
	const name = `vl${E.slice(0, 11)}`;
	await eventually("the daemon has noticed", () => vlane.must("network", "inspect", N).includes("degraded"));
	await (await startVlane(lan.host)).cleanup();
	assert.match(lan.host.must(["ip", "-o", "link"]), name);
	await vlane.stopDaemon("SIGKILL");
	await (await startVlane(lan.host)).cleanup();
	assert.match(lan.host.must(["ip", "-o", "link"]), name);
	await vlane.startDaemon("--docker-plugin-dir", join(vlane.directory, "plugins"));
	await ask("NetworkDriver.DeleteNetwork", { NetworkID: N });
	assert.not.match(lan.host.must(["ip", "-o", "link"]), name);
	lan.host.must(["ip", "link", "set", "eth0", "up"]);
});

protocol.run();
