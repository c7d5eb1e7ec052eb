/**
 * `node dist/bench/scale.js [--leases N] [--watchers N]`: what a group of hosts costs its etcd. Real keys, written by
 * the code that the daemon writes them with, in one real etcd on the loopback, whose disk is a temporary directory.
 *
 *   leases      N claims of an IPv4 and an IPv6 address and a MAC address each, 64 at a time, then a tenth given back
 *   copy        what a host needs that follows the whole group: time and memory
 *   watchers    how long it takes until all of N streams have heard of a change, and what it costs etcd
 *   alive       leases of etcd kept alive, as every host does it
 *   snapshot    time and size of one
 *
 * Its figures for 10,000 hosts and 1,000,000 leases are extrapolated from these by what grows with what: docs/scale.md.
 */
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Claim } from "../src/control/shared.js";
import { Etcd, endOf } from "../src/etcd/client.js";
import { Mirror } from "../src/etcd/mirror.js";
import { Claims } from "../src/group/claims.js";
import { Keys } from "../src/group/keys.js";
import { View } from "../src/group/view.js";
import { cpuSecondsOf, median, quantile, residentMiB } from "./e2e/statistics.js";
import { flag } from "./flag.js";

const LEASES = flag("--leases", 100_000);
const WATCHERS = flag("--watchers", 500);
const HOSTS = 1000;
const WIRES = 100;
const AT_ONCE = 64;
const CHANGES = 200;
const KEEPALIVES = 2000;
const PREFIX = "/vlane/";

function freePort(): Promise<number> {
	return new Promise((resolve) => {
		const server = createServer().listen(0, "127.0.0.1", () => {
			const { port } = server.address() as { port: number };
			server.close(() => resolve(port));
		});
	});
}

/** The claim of the endpoint with this number: hosts and wires take turns, names are as long as real ones. */
function claimOf(index: number): Claim {
	const [wire, onWire] = [index % WIRES, Math.floor(index / WIRES)];
	const hex = index.toString(16).padStart(8, "0");
	return {
		id: randomBytes(32).toString("hex"),
		networkId: wire.toString(16).padStart(64, "0"),
		network: `lan-${wire}`,
		name: `web-${hex}`,
		wire: `eth0.${wire + 1}`,
		mac: `02:42:${hex.replace(/../g, "$&:").slice(0, 11)}`,
		addresses: [
			`10.${onWire >> 16}.${(onWire >> 8) & 255}.${onWire & 255}`,
			`fd00:${wire}::${hex.slice(0, 4)}:${hex.slice(4)}`,
		],
	};
}

/** Calls for 0 to `count` - 1, so many at once; milliseconds of each, and seconds of all. */
async function together(count: number, call: (index: number) => Promise<unknown>): Promise<[number[], number]> {
	const times: number[] = [];
	let next = 0;
	const startMs = performance.now();
	const work = async () => {
		while (next < count) {
			const index = next++;
			const callMs = performance.now();
			await call(index);
			times.push(performance.now() - callMs);
		}
	};
	await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, work));
	return [times, (performance.now() - startMs) / 1000];
}

/** Calls for each second, and how long they take. */
function rate(times: number[], seconds: number): string {
	const [middle, late] = [median(times), quantile(times, 0.99)];
	return `${(times.length / seconds).toFixed(0)}/s, ${middle.toFixed(1)} ms p50, ${late.toFixed(1)} ms p99`;
}

const directory = mkdtempSync(join(tmpdir(), "vlane-scale-"));
const [clientPort, peerPort] = [await freePort(), await freePort()];
const [client, peer] = [clientPort, peerPort].map((port) => `http://127.0.0.1:${port}`);
const server = spawn(
	"etcd",
	[
		...["--data-dir", join(directory, "data"), "--quota-backend-bytes", `${8 * 2 ** 30}`, "--log-level", "error"],
		...["--listen-client-urls", `${client}`, "--advertise-client-urls", `${client}`],
		...["--listen-peer-urls", `${peer}`, "--initial-advertise-peer-urls", `${peer}`],
		...["--initial-cluster", `default=${peer}`],
	],
	{ stdio: ["ignore", "inherit", "inherit"] },
);
const pid = server.pid ?? 0;
const endpoints = [{ host: "127.0.0.1", port: clientPort }];
const etcd = new Etcd({ endpoints });
const keys = new Keys(PREFIX);
const ctl = (...argv: string[]) => {
	const { status, stdout, stderr } = spawnSync(
		"etcdctl",
		["--endpoints", `${client}`, "--command-timeout", "120s", ...argv],
		{
			env: { ...process.env, ETCDCTL_API: "3" },
			encoding: "utf8",
		},
	);
	if (status !== 0) throw new Error(`etcdctl ${argv.join(" ")}: ${stderr}`);
	return stdout;
};
/** Bytes of the database on disk, and of them in use. */
const sizes = () => {
	const [{ Status }] = JSON.parse(ctl("endpoint", "status", "--write-out", "json"));
	return { file: Status.dbSize as number, used: (Status.dbSizeInUse ?? Status.dbSize) as number };
};
const MiB = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const say = (what: string, text: string) => console.log(`${what.padEnd(28)}${text}`);

/** A copy of everything below a prefix. */
async function follow(prefix: string): Promise<Mirror> {
	const mirror = new Mirror(etcd, prefix, 5000, {
		onChange: (changes) => view?.take(changes),
		onLive: () => {},
		onLost: () => {},
	});
	mirror.start();
	if (!(await mirror.wait(() => mirror.lost === undefined, 600_000))) throw mirror.lost?.error;
	return mirror;
}

let view: View | undefined;
try {
	for (let tries = 0; ; tries++) {
		try {
			await etcd.range("/");
			break;
		} catch (error) {
			if (tries === 100) throw error;
			await delay(100);
		}
	}
	const today = new Date().toISOString().slice(0, 10);
	const [
		{
			Status: { version },
		},
	] = JSON.parse(ctl("endpoint", "status", "--write-out", "json"));
	console.log(
		`${cpus()[0]?.model} x ${cpus().length}, Linux ${release()}, Node ${process.versions.node}, etcd ${version}, ${today}`,
	);

	// The claims themselves need no more of the group's records than that etcd is there.
	const nothing = await follow("/nothing/");
	const nothingSeen = new View(nothing, keys);
	const hosts = Array.from(
		{ length: HOSTS },
		() => new Claims(etcd, nothingSeen, keys, randomBytes(32).toString("hex")),
	);
	const before = { ...sizes(), rssMiB: residentMiB(pid) };
	const taken: Claim[] = [];
	const take = await together(LEASES, async (index) => {
		const claim = claimOf(index);
		taken[index] = claim;
		if ((await hosts[index % HOSTS]?.take(claim)) !== "won") throw new Error(`claim ${index} was not won`);
	});
	say(`${LEASES} leases taken`, rate(...take));
	const again = await together(Math.min(1000, LEASES), async (index) => {
		const outcome = await hosts[0]?.take({ ...claimOf(index), id: randomBytes(32).toString("hex") });
		if (outcome === "won") throw new Error(`claim ${index} was given twice`);
	});
	say("refused, as taken", rate(...again));
	const [{ file, used }, rssMiB] = [sizes(), residentMiB(pid)];
	say("etcd's database", `${MiB(file)}, ${((used - before.used) / LEASES).toFixed(0)} bytes for each lease`);
	say(
		"etcd's memory",
		`${rssMiB.toFixed(0)} MiB, ${(((rssMiB - before.rssMiB) * 2 ** 20) / LEASES).toFixed(0)} bytes for each lease`,
	);

	globalThis.gc?.();
	const heapBefore = process.memoryUsage().heapUsed;
	const copyMs = performance.now();
	const copied: { mirror?: Mirror } = {};
	view = undefined;
	copied.mirror = await follow(PREFIX);
	view = new View(copied.mirror, keys);
	view.take([...copied.mirror.entries].map(([key, now]) => ({ key, now })));
	const copySeconds = (performance.now() - copyMs) / 1000;
	globalThis.gc?.();
	const heap = process.memoryUsage().heapUsed - heapBefore;
	say(
		"a host's copy of it",
		`${copied.mirror.entries.size} keys in ${copySeconds.toFixed(1)} s, ${MiB(heap)}, ${(heap / LEASES).toFixed(0)} bytes for each lease`,
	);
	await copied.mirror.close();
	view = undefined;

	const stop = new AbortController();
	let heard = 0;
	let wake: () => void = () => undefined;
	for (let at = 0; at < WATCHERS; at++) {
		const { stream } = await etcd.watch(PREFIX, endOf(PREFIX), 0, stop.signal);
		stream
			.on("error", () => undefined)
			.on("data", (chunk: Buffer) => {
				heard += chunk.toString("latin1").split('"events"').length - 1;
				if (heard >= WATCHERS) wake();
			});
	}
	await delay(1000);
	const cpuBefore = cpuSecondsOf(pid);
	const spreads: number[] = [];
	for (let change = 0; change < CHANGES; change++) {
		heard = 0;
		const all = new Promise<void>((resolve) => {
			wake = resolve;
		});
		const startMs = performance.now();
		await etcd.txn({ compare: [], success: [{ put: keys.of("catalog", "eth0.1"), value: `${change}` }] });
		await all;
		spreads.push(performance.now() - startMs);
	}
	const each = ((cpuSecondsOf(pid) - cpuBefore) / CHANGES / WATCHERS) * 1e6;
	say(
		`${WATCHERS} watchers`,
		`heard of a change after ${median(spreads).toFixed(1)} ms p50, ${quantile(spreads, 0.99).toFixed(1)} ms p99, ${each.toFixed(1)} us of etcd for each`,
	);
	stop.abort();

	const granted: string[] = [];
	await together(KEEPALIVES, async (index) => {
		granted[index] = await etcd.grant(600);
	});
	say(
		`${KEEPALIVES} hosts kept alive`,
		rate(...(await together(KEEPALIVES, (index) => etcd.keepAlive(granted[index] ?? "")))),
	);

	const gone = Math.max(1, Math.floor(LEASES / 10));
	say(
		`${gone} leases given back`,
		rate(
			...(await together(gone, async (index) => {
				const claim = taken[index];
				if (claim) await hosts[index % HOSTS]?.drop([{ ...claim, hostId: hosts[index % HOSTS]?.hostId ?? "" }]);
			})),
		),
	);
	const snapshotMs = performance.now();
	ctl("snapshot", "save", join(directory, "snapshot"));
	say(
		"snapshot",
		`${MiB(statSync(join(directory, "snapshot")).size)} in ${((performance.now() - snapshotMs) / 1000).toFixed(1)} s`,
	);
	await nothing.close();
} finally {
	etcd.close();
	server.kill("SIGKILL");
	rmSync(directory, { recursive: true, force: true });
}
