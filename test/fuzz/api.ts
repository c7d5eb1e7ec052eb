/**
 * Fuzzes the daemon's two sockets, the API's and Docker's: requests that are nearly right, and bytes that are none,
 * against the real daemon in a private namespace.
 *
 * `node dist/test/fuzz/api.js [REQUESTS]` (default 1,000,000). Checked after each batch: the daemon lives, every
 * request has an answer of the protocol, a refusal is one line, and a batch of refusals has changed nothing; at the
 * end: it holds no more descriptors than before, and not much more memory. No request names a process or a namespace
 * that exists: a container ends with all that is in it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { makeLan } from "../support/lan.js";
import { type Ran, threadsOf } from "../support/netns.js";
import { startVlane } from "../support/vlane.js";

const REQUESTS_DEFAULT = 1_000_000;
const BATCH = 16;
/** Every so many requests one connection sends bytes that are no request. */
const GARBAGE_EVERY = 50;
/** Of the requests, before memory is looked at. */
const WARM_SHARE = 0.2;
const RESIDENT_MIB_MAX = 96;
/** Within which the end of a daemon is known whose connections are closed. */
const END_MS = 300;

/** Larger than any pid_max. */
const nobody = fc.integer({ min: 5_000_000, max: 0x7fff_ffff });
const namesNobody = (text: string): boolean => !/^\s*(pid|netns):|^\d+$/.test(text);
const junk = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: "binary", maxLength: 8 })).filter(namesNobody);
const id = fc.constantFrom("a".repeat(64), "b".repeat(64), "c".repeat(63), "keep");
const name = fc.oneof(fc.constantFrom("keep", "n1", "n2", "", "../x", "a b"), junk);
const address = fc.constantFrom(
	"10.7.0.5",
	"10.7.0.5/24",
	"10.7.0.300",
	"::1",
	"2001:db8::/64",
	"10.7.0.0/16",
	"x",
	"",
);
const mac = fc.constantFrom("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "02-00", "");
const target = fc.oneof(
	nobody.map((pid) => `pid:${pid}`),
	junk.map((text) => `netns:/nowhere/${text}`),
	junk,
);
const optionKeys = [
	"parent",
	"macvlan_mode",
	"port_security",
	"com.docker.network.driver.mtu",
	"ipvlan_mode",
	"parnet",
];
const optionValues = ["eth0", "eth0.50", "eth0.4095", "nope", "bridge", "l2", "mac,ip", "1500", "-1", ""];
const options = fc.dictionary(fc.constantFrom(...optionKeys), fc.oneof(fc.constantFrom(...optionValues), junk), {
	maxKeys: 3,
});
const ipam = fc.record(
	{ Config: fc.array(fc.record({ Subnet: address, Gateway: address }, { requiredKeys: [] }), { maxLength: 2 }) },
	{ requiredKeys: [] },
);
const endpoint = {
	IPv4Address: address,
	IPv6Address: address,
	MacAddress: mac,
	DriverOpts: options,
	GwPriority: fc.integer(),
	Aliases: fc.array(junk, { maxLength: 2 }),
};
const networkBody = {
	Name: name,
	Driver: junk,
	IPAM: ipam,
	Options: options,
	Internal: fc.boolean(),
	ConfigOnly: fc.boolean(),
};
const containerBody = {
	Name: name,
	Pid: nobody,
	Command: fc.array(junk),
	AutoRemove: fc.boolean(),
	Networks: fc.array(fc.record({ Network: name, ...endpoint })),
};
const pluginBody = {
	NetworkID: id,
	EndpointID: id,
	SandboxKey: junk.map((text) => `/nowhere/${text}`),
	Options: fc.dictionary(junk, fc.jsonValue(), { maxKeys: 2 }),
	Interface: fc.record({ Address: address, AddressIPv6: address, MacAddress: mac }, { requiredKeys: [] }),
	IPv4Data: fc.array(fc.record({ AddressSpace: junk, Pool: address, Gateway: address }, { requiredKeys: [] }), {
		maxLength: 2,
	}),
};

/** Questions of the CNI plugin's. */
const cniBody = {
	network: name,
	containerId: name,
	ifname: fc.oneof(fc.constant("eth0"), junk),
	netns: junk.map((text) => `/nowhere/${text}`),
	args: fc.record({ mac, ip: address }, { requiredKeys: [] }),
	config: fc.record(
		{
			...{ cniVersion: fc.constantFrom("1.1.0", "0.3.1"), name, master: fc.constantFrom("eth0", "nope") },
			...{ mode: fc.constantFrom("bridge", "x"), vlanId: fc.integer({ min: -1, max: 4095 }), ipam: fc.jsonValue() },
			...{ network: name, mtu: fc.integer(), runtimeConfig: fc.jsonValue(), args: fc.jsonValue() },
		},
		{ requiredKeys: ["cniVersion", "name"] },
	),
	ips: fc.array(fc.record({ address, gateway: address }, { requiredKeys: [] }), { maxLength: 2 }),
	routes: fc.array(fc.record({ dst: address, gw: address }, { requiredKeys: [] }), { maxLength: 2 }),
	isLeased: fc.boolean(),
	mac,
};

/** A body with fields left out, of other types, or too many. */
function nearly(fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<string> {
	const odd = fc.constantFrom<unknown>(null, 0, -1, 1e99, true, [], {}, "", "\0");
	const shaped = fc.record(
		Object.fromEntries(
			Object.entries(fields).map(([key, value]) => [
				key,
				fc.oneof({ weight: 12, arbitrary: value }, { weight: 1, arbitrary: odd }),
			]),
		),
		{ requiredKeys: [] },
	);
	return fc.oneof(
		{ weight: 12, arbitrary: shaped.map((body) => JSON.stringify(body)) },
		{ weight: 1, arbitrary: fc.json({ maxDepth: 3 }) },
		{ weight: 1, arbitrary: fc.constantFrom("", "{", "[]", "null", '{"__proto__":{"Name":"x"}}', '"\ud800"') },
	);
}

/** What refusals of the three protocols have. */
interface Refusal {
	message?: string;
	Err?: string;
	error?: { message: string };
}

interface Attempt {
	socket: "api" | "plugin";
	method: string;
	path: string;
	body: string;
}

const plain = (text: string): string => encodeURIComponent(Buffer.from(text).toString()).slice(0, 200);
const call = (method: string, path: fc.Arbitrary<string>, fields: Record<string, fc.Arbitrary<unknown>>) =>
	fc.record({ socket: fc.constant("api" as const), method: fc.constant(method), path, body: nearly(fields) });
const place = (before: string, after = "") => name.map((text) => `${before}${plain(text)}${after}`);
const PLUGIN_CALLS = [
	"CreateNetwork",
	"DeleteNetwork",
	"CreateEndpoint",
	"DeleteEndpoint",
	"Join",
	"Leave",
	"EndpointOperInfo",
];
const CNI_CALLS = ["add", "configure", "del", "check", "status", "list", "x"];
const attempts: fc.Arbitrary<Attempt> = fc.oneof(
	{ weight: 4, arbitrary: call("POST", fc.constant("/networks/create"), networkBody) },
	{ weight: 3, arbitrary: call("POST", place("/networks/", "/connect"), { Target: target, Name: name, ...endpoint }) },
	{ weight: 2, arbitrary: call("POST", place("/networks/", "/disconnect"), { Target: target, Force: fc.boolean() }) },
	{ weight: 2, arbitrary: call("POST", fc.constant("/containers"), containerBody) },
	{ weight: 1, arbitrary: call("POST", place("/containers/", "/stop"), { TimeoutSeconds: fc.integer() }) },
	{ weight: 2, arbitrary: call("GET", fc.oneof(place("/networks/"), place("/containers/"), place("/")), {}) },
	{ weight: 1, arbitrary: call("DELETE", fc.oneof(place("/containers/"), place("/networks/none")), {}) },
	{ weight: 1, arbitrary: call("PATCH", place("/networks/"), networkBody) },
	{
		weight: 3,
		arbitrary: call("POST", fc.constantFrom(...CNI_CALLS.map((verb) => `/cni/${verb}`)), cniBody),
	},
	{
		weight: 6,
		arbitrary: fc.record({
			socket: fc.constant("plugin" as const),
			method: fc.constant("POST"),
			path: fc.constantFrom(...PLUGIN_CALLS, "AllocateNetwork", "x").map((verb) => `/NetworkDriver.${verb}`),
			body: nearly(pluginBody),
		}),
	},
);

/** What a run says about itself. */
export interface ApiReport {
	requests: number;
	refused: number;
	residentMiB: { warm: number; end: number };
	descriptors: { start: number; end: number };
}

const residentMiB = (pid: number): number =>
	Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) / 1024;
const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Sends bytes that are no request, and waits until the daemon has closed the connection. */
function sendGarbage(path: string, bytes: Uint8Array): Promise<void> {
	return new Promise((resolve) => {
		const socket = connect(path, () => socket.end(bytes));
		socket.on("error", () => undefined).on("data", () => undefined);
		socket.on("close", () => resolve());
	});
}

/** @throws Error that names the request and what is wrong with its answer */
export async function fuzzApi(requests: number, seed = Date.now()): Promise<ApiReport> {
	const lan = await makeLan();
	const vlane = await startVlane(lan.host);
	await vlane.stopDaemon();
	const plugins = join(vlane.directory, "plugins");
	await vlane.startDaemon("--docker-plugin-dir", plugins);
	const { pid } = vlane;
	const agent = new Agent({ keepAlive: true, maxSockets: BATCH });
	const sockets = { api: vlane.socket, plugin: join(plugins, "vlane.sock") };

	let left: Ran | undefined;
	vlane.ended.then((ran) => {
		left = ran;
	});
	/** Whether the daemon is there, and what can be said about that. */
	const stateOfDaemon = async (): Promise<{ lives: boolean; said: string }> => {
		// Its connections are closed before its end is told.
		await delay(END_MS);
		if (!left) return { lives: true, said: `the daemon lives, process ${pid}: ${threadsOf(pid)}` };
		return { lives: false, said: `the daemon has ended with status ${left.status} and said ${left.stderr}` };
	};

	const send = ({ socket, method, path, body }: Attempt): Promise<{ status: number; text: string }> =>
		new Promise((resolve, reject) => {
			const headers = { "Content-Length": Buffer.byteLength(body) };
			const outgoing = request({ socketPath: sockets[socket], method, path, agent, headers }, (response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk: string) => {
					text += chunk;
				});
				response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
			});
			outgoing.on("error", async (error) => {
				const state = await stateOfDaemon();
				// A daemon that lives may close an idle connection at the moment in which it is used again.
				if (state.lives && outgoing.reusedSocket) resolve(send({ socket, method, path, body }));
				else reject(new Error(`${method} ${path} ${body}: ${error.message}; ${state.said}`));
			});
			outgoing.end(body);
		});
	const get = async (path: string): Promise<string> =>
		(await send({ socket: "api", method: "GET", path, body: "" })).text;
	const state = async (): Promise<string> => `${await get("/networks")}\n${await get("/containers?all=1")}`;
	/** Whether it was refused. @throws Error when the answer is none */
	const isRefused = (attempt: Attempt, { status, text }: { status: number; text: string }): boolean => {
		const answer: Refusal | undefined = text === "" ? undefined : JSON.parse(text);
		const said = status >= 400 ? answer?.message : answer?.error?.message;
		const refusal = attempt.socket === "plugin" ? answer?.Err : said;
		const problem = status >= 500 && status !== 503 ? `status ${status}` : refusal?.includes("\n") ? "two lines" : "";
		if (problem) throw new Error(`${problem}: ${JSON.stringify(attempt)}: ${text}`);
		return refusal !== undefined;
	};
	/** Takes away what was accepted, but for the network that was there. */
	const tidyUp = async (): Promise<void> => {
		const networks: { Id: string; Name: string }[] = JSON.parse(await get("/networks"));
		for (const { Id, Name } of networks) {
			if (Name === "keep") continue;
			await send({
				socket: "plugin",
				method: "POST",
				path: "/NetworkDriver.DeleteNetwork",
				body: `{"NetworkID":"${Id}"}`,
			});
			await send({ socket: "api", method: "DELETE", path: `/networks/${Id}?force=1`, body: "" });
		}
	};

	try {
		vlane.must("network", "create", "--subnet=10.7.0.0/24", "keep");
		const report: ApiReport = {
			requests: 0,
			refused: 0,
			residentMiB: { warm: 0, end: 0 },
			descriptors: { start: descriptorsOf(pid), end: 0 },
		};
		let known = await state();
		for (let round = 0; report.requests < requests; round++) {
			const batch = fc.sample(attempts, { numRuns: BATCH, seed: seed + round });
			const answers = await Promise.all(batch.map(send));
			const refused = batch.filter((attempt, index) => isRefused(attempt, answers[index]!)).length;
			report.requests += BATCH;
			report.refused += refused;
			const isChecked = refused < BATCH || round % 4 === 0;
			if (refused < BATCH) await tidyUp();
			const now = isChecked ? await state() : known;
			if (refused === BATCH && now !== known) throw new Error(`refusals changed the state: ${JSON.stringify(batch)}`);
			known = now;
			if (round % GARBAGE_EVERY === 0) {
				const [bytes = new Uint8Array()] = fc.sample(fc.uint8Array({ maxLength: 300 }), {
					numRuns: 1,
					seed: seed + round,
				});
				for (const path of Object.values(sockets)) await sendGarbage(path, bytes);
			}
			if (report.residentMiB.warm === 0 && report.requests >= requests * WARM_SHARE) {
				report.residentMiB.warm = residentMiB(pid);
			}
		}
		agent.destroy();
		await get("/networks");
		report.residentMiB.end = residentMiB(pid);
		agent.destroy();
		await delay(200);
		report.descriptors.end = descriptorsOf(pid);
		const grown = report.residentMiB.end - report.residentMiB.warm;
		if (grown > RESIDENT_MIB_MAX) throw new Error(`the daemon has grown by ${grown} MiB`);
		if (report.descriptors.end > report.descriptors.start) throw new Error(JSON.stringify(report.descriptors));
		return report;
	} finally {
		agent.destroy();
		await vlane.cleanup();
		lan.close();
	}
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	console.log(JSON.stringify(await fuzzApi(Number(process.argv[2] ?? REQUESTS_DEFAULT))));
}
