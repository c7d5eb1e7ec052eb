/**
 * Many containers at once, and engine and daemon killed among them. `VLANE_TEST_CONTAINERS` says how many (40 when
 * absent); the figures are printed.
 */
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type DockerSite, ENGINE, makeDockerSite } from "../support/engine.js";
import { testOrSkip } from "../support/needs.js";
import { eventually, linesOf } from "../support/site.js";

const docker = suite("docker: load");
const CONTAINERS = Number(process.env.VLANE_TEST_CONTAINERS ?? 40);
const AT_ONCE = 20;
const PLUGIN = ["--docker-plugin-dir", "/run/docker/plugins"];
/** What the daemon may grow by for good: its heap breathes. */
const GROWTH_MIB_MAX = 64;

let site: DockerSite;

docker.before(async () => {
	site = await makeDockerSite();
	site.lan.station(undefined, ["172.16.86.1/24"]);
	const flags = ["--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", "parent=eth0"];
	site.engine.must("network", "create", "-d", "vlane", ...flags, "pub_net");
});

docker.after(async () => {
	await site?.cleanup();
});

interface Figures {
	links: number;
	ports: number;
	descriptors: number;
	residentMib: number;
}

function daemonPid(): Promise<number> {
	return new Promise((resolve, reject) => {
		request({ socketPath: site.vlane.socket, path: "/info", agent: false }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () => resolve(JSON.parse(text).Pid));
		})
			.on("error", reject)
			.end();
	});
}

/** Names of the switch's ports; an endpoint's is that of the engine's endpoint. */
function portNames(): string[] {
	return JSON.parse(site.vlane.must("ports", "--json")).map(({ name }: { name: string }) => name);
}

async function figures(): Promise<Figures> {
	const pid = await daemonPid();
	const [, kib = "0"] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
	return {
		links: site.links().length,
		ports: portNames().length,
		descriptors: readdirSync(`/proc/${pid}/fd`).length,
		residentMib: Math.round(Number(kib) / 1024),
	};
}

/** Starts containers `first` to `last`, all at once; answers how many came up. */
async function startAtOnce(first: number, last: number): Promise<number> {
	const flags = ["run", "-d", "--net=pub_net", "alpine", "sleep", "1000000"];
	const runs = Array.from({ length: last - first + 1 }, () => site.engine.start(...flags).ended);
	return (await Promise.all(runs)).filter(({ status }) => status === 0).length;
}

testOrSkip(docker, `${CONTAINERS} containers, ${AT_ONCE} at a time, leave nothing behind`, ENGINE, async () => {
	// The first one makes what is made once.
	assert.is(await startAtOnce(1, 1), 1);
	site.engine.removeAll();
	const before = await figures();
	const start = Date.now();
	for (let first = 1; first <= CONTAINERS; first += AT_ONCE) {
		const last = Math.min(CONTAINERS, first + AT_ONCE - 1);
		assert.is(await startAtOnce(first, last), last - first + 1);
	}
	const started = Date.now();
	const during = await figures();
	assert.is(during.ports, before.ports + CONTAINERS);
	assert.is(during.links, before.links, "every interface has gone into its container");
	const [network] = JSON.parse(site.engine.must("network", "inspect", "pub_net"));
	const macs = Object.values<{ MacAddress: string }>(network.Containers).map(({ MacAddress }) => MacAddress);
	assert.is(new Set(macs).size, CONTAINERS);
	assert.is(site.lan.far.ping("172.16.86.2"), 1);
	site.engine.removeAll();
	const removed = Date.now();
	const after = await figures();
	console.log(`${CONTAINERS} containers: started in ${started - start} ms, removed in ${removed - started} ms`);
	for (const [when, found] of Object.entries({ before, during, after })) console.log(when, JSON.stringify(found));
	assert.equal([after.links, after.ports, after.descriptors], [before.links, before.ports, before.descriptors]);
	assert.ok(after.residentMib < before.residentMib + GROWTH_MIB_MAX);
});

testOrSkip(docker, "engine and daemon killed in turn while containers start", ENGINE, async () => {
	const count = Math.ceil(CONTAINERS / 2);
	let up = 0;
	for (const victim of ["daemon", "engine", "daemon", "engine"]) {
		const had = new Set(portNames());
		const running = startAtOnce(1, Math.ceil(count / 4));
		// In the middle of them: some endpoints are there, others are not yet. (Those of a killed engine go meanwhile.)
		await eventually("a new one is there", () => portNames().some((name) => !had.has(name)));
		if (victim === "daemon") {
			await site.vlane.stopDaemon("SIGKILL");
			await site.vlane.startDaemon(...PLUGIN);
		} else {
			await site.engine.stopEngine("SIGKILL");
			await site.engine.startEngine();
		}
		up += await running;
	}
	console.log(`${up} of ${4 * Math.ceil(count / 4)} started while engine and daemon were killed four times`);
	site.engine.removeAll();
	// An engine looks after what it has lost when it starts.
	await site.engine.stopEngine();
	await site.engine.startEngine();
	site.engine.removeAll();
	assert.is(await startAtOnce(1, 2), 2);
	assert.is(site.lan.far.ping("172.16.86.2"), 1);
	site.engine.removeAll();
	await eventually("all endpoints are gone", async () => (await figures()).ports === 1);
	assert.equal(site.links(), ["lo", "eth0"]);
	site.engine.must("network", "rm", "pub_net");
	assert.equal(linesOf(site.vlane.must("network", "ls", "-q")), []);
	assert.is((await figures()).ports, 0);
});

docker.run();
