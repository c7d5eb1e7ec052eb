/**
 * Many containers at once, and engine and daemon killed among them. `VLANE_TEST_CONTAINERS` says how many, half of them
 * in the second test. The figures are printed; 100 is what they are quoted for, and takes a minute on two cores.
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
const KILLED_AMONG = Math.ceil(CONTAINERS / 2);
const KILLED_AT_ONCE = 10;
const VICTIMS = ["daemon", "engine", "daemon", "engine"];
const START_MS_MAX = 60_000;
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

/** Starts containers, all at once; answers how many came up. */
async function startAtOnce(count: number): Promise<number> {
	const flags = ["run", "-d", "--net=pub_net", "alpine", "sleep", "1000000"];
	const runs = Array.from({ length: count }, () => site.engine.start(...flags).ended);
	return (await Promise.all(runs)).filter(({ status }) => status === 0).length;
}

testOrSkip(docker, `${CONTAINERS} containers, ${AT_ONCE} at a time, leave nothing behind`, ENGINE, async () => {
	// The first one makes what is made once.
	assert.is(await startAtOnce(1), 1);
	site.engine.removeAll();
	const before = await figures();
	const start = Date.now();
	for (let running = 0; running < CONTAINERS; running += AT_ONCE) {
		const count = Math.min(AT_ONCE, CONTAINERS - running);
		assert.is(await startAtOnce(count), count);
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

testOrSkip(docker, `engine and daemon killed in turn while ${KILLED_AMONG} containers start`, ENGINE, async () => {
	let left = KILLED_AMONG;
	let up = 0;
	let engineBack = Promise.resolve();
	/** Who starts containers one after the other does not go on without an engine. */
	const startNext = async (): Promise<void> => {
		while (left > 0) {
			await engineBack;
			left -= 1;
			const started = await startAtOnce(1);
			up += started;
		}
	};
	const started = Promise.all(Array.from({ length: KILLED_AT_ONCE }, startNext));
	let kills = 0;
	for (let share = 1; share <= VICTIMS.length; share++) {
		// In the middle of them: some endpoints are there, others are not yet.
		const leftAtKill = Math.floor(KILLED_AMONG * (1 - share / (VICTIMS.length + 1)));
		await eventually("the next ones start", () => left <= leftAtKill, START_MS_MAX);
		kills += 1;
		if (VICTIMS[share - 1] === "daemon") {
			await site.vlane.stopDaemon("SIGKILL");
			await site.vlane.startDaemon(...PLUGIN);
		} else {
			engineBack = site.engine.stopEngine("SIGKILL").then(() => site.engine.startEngine());
			await engineBack;
		}
	}
	await started;
	console.log(`${up} of ${KILLED_AMONG} started while engine and daemon were killed ${kills} times`);
	site.engine.removeAll();
	// An engine looks after what it has lost when it starts.
	await site.engine.stopEngine();
	await site.engine.startEngine();
	site.engine.removeAll();
	assert.is(await startAtOnce(2), 2);
	assert.is(site.lan.far.ping("172.16.86.2"), 1);
	site.engine.removeAll();
	await eventually("all endpoints are gone", async () => (await figures()).ports === 1);
	assert.equal(site.links(), ["lo", "eth0"]);
	site.engine.must("network", "rm", "pub_net");
	assert.equal(linesOf(site.vlane.must("network", "ls", "-q")), []);
	assert.is((await figures()).ports, 0);
});

docker.run();
