/**
 * `node dist/bench/control.js`: how long the control plane takes when there is much of everything, and how much memory.
 *
 *   addresses  a /16 is handed out and returned, in memory
 *   endpoints  1,000 endpoints on one network, each a real TAP in a namespace of its own; then changes beside them
 *   networks   4,094 networks on one parent, one for each VLAN, each with its host interface
 *
 * The daemon is the real one, asked over its socket; everything happens in private namespaces. `--quick` does a
 * tenth. Times are of one machine on one day: what matters is that the first and the last are alike.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { AddressSpace } from "../src/control/address/ipam.js";
import { close } from "../src/sys/libc.js";
import { newNetns } from "../src/sys/netns.js";
import { makeLan } from "../test/support/lan.js";
import { startVlane, type Vlane } from "../test/support/vlane.js";
import { ask } from "./ask.js";

const SCALE = process.argv.includes("--quick") ? 10 : 1;
const ADDRESSES = 65_534;
const ENDPOINTS = 1000 / SCALE;
const NETWORKS = Math.floor(4094 / SCALE);
const SAMPLES = 100;
const EDGE = 100;

/** Milliseconds of each call. */
async function timed(count: number, call: (index: number) => unknown): Promise<number[]> {
	const times = [];
	for (let index = 0; index < count; index++) {
		const startMs = performance.now();
		await call(index);
		times.push(performance.now() - startMs);
	}
	return times;
}

function quantile(times: number[], q: number): number {
	return times.toSorted((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * q))] ?? 0;
}

function report(what: string, times: number[], unit = "ms"): void {
	const factor = unit === "us" ? 1000 : 1;
	const edge = Math.min(EDGE, times.length);
	const columns = [
		times.length,
		quantile(times, 0.5),
		quantile(times, 0.99),
		quantile(times.slice(0, edge), 0.5),
		quantile(times.slice(-edge), 0.5),
	].map((value, index) => (index === 0 ? `${value}` : (value * factor).toFixed(2)).padStart(10));
	console.log(`${`${what}, ${unit}`.padEnd(44)}${columns.join("")}`);
}

function residentMiB(pid: number): string {
	const [, kib = "0"] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
	return `${(Number(kib) / 1024).toFixed(0)} MiB`;
}

async function addresses(): Promise<void> {
	const space = new AddressSpace();
	space.addPool("id", { subnet: "10.1.0.0/16" }, "n");
	const given: string[] = [];
	report(
		"address handed out",
		await timed(ADDRESSES, () => given.push(space.allocate("id", { family: 4 }).address)),
		"us",
	);
	// Every other one first, so that the free ones are in as many pieces as there can be.
	const order = [...given.filter((_, index) => index % 2 === 0), ...given.filter((_, index) => index % 2 === 1)];
	report(
		"address returned, in pieces",
		await timed(ADDRESSES, (index) => space.release("id", order[index] ?? "")),
		"us",
	);
}

async function pidOf(vlane: Vlane): Promise<number> {
	return ((await ask(vlane.socket, "GET", "/info")) as { Pid: number }).Pid;
}

/** A body for POST /networks/create; no two subnets are alike. */
function network(name: string, index: number, options: Record<string, string> = {}): object {
	const Subnet = `10.${64 + (index >> 8)}.${index & 0xff}.0/24`;
	return { Name: name, IPAM: { Config: [{ Subnet }] }, Options: options };
}

async function endpoints(vlane: Vlane): Promise<void> {
	const pid = await pidOf(vlane);
	const quiet = { parent: "eth0", "com.docker.network.advertise_addr_nmsgs": "0" };
	await ask(vlane.socket, "POST", "/networks/create", {
		Name: "big",
		IPAM: { Config: [{ Subnet: "10.1.0.0/16", Gateway: "10.1.0.1" }] },
		Options: quiet,
	});
	const fds = Array.from({ length: ENDPOINTS + SAMPLES }, () => newNetns());
	const connect = (index: number, name = `e${index}`) => {
		const body = { Target: `netns:/proc/${process.pid}/fd/${fds[index]}`, Name: name };
		return ask(vlane.socket, "POST", "/networks/big/connect", body);
	};
	report(`connect, 0 to ${ENDPOINTS} endpoints`, await timed(ENDPOINTS, (index) => connect(index)));
	console.log(`daemon with ${ENDPOINTS} endpoints: ${residentMiB(pid)}`);
	const created = await timed(SAMPLES, (index) =>
		ask(vlane.socket, "POST", "/networks/create", network(`s${index}`, index, { parent: `eth0.${index + 1}` })),
	);
	report(`network create beside ${ENDPOINTS} endpoints`, created);
	report(`connect beside ${ENDPOINTS} endpoints`, await timed(SAMPLES, (index) => connect(ENDPOINTS + index)));
	report("network inspect", await timed(20, () => ask(vlane.socket, "GET", "/networks/big")));
	report(
		"disconnect",
		await timed(ENDPOINTS, (index) => ask(vlane.socket, "POST", "/networks/big/disconnect", { Target: `e${index}` })),
	);
	for (const fd of fds) close(fd);
}

async function networks(vlane: Vlane): Promise<void> {
	const pid = await pidOf(vlane);
	const create = (index: number) =>
		ask(vlane.socket, "POST", "/networks/create", network(`v${index + 1}`, index, { parent: `eth0.${index + 1}` }));
	report(`network create, VLANs 1 to ${NETWORKS}`, await timed(NETWORKS, create));
	console.log(`daemon with ${NETWORKS} networks: ${residentMiB(pid)}`);
	report("network ls", await timed(5, () => ask(vlane.socket, "GET", "/networks")));
	report("network rm", await timed(NETWORKS, (index) => ask(vlane.socket, "DELETE", `/networks/v${index + 1}`)));
	console.log(`daemon after they were removed: ${residentMiB(pid)}`);
}

/** Runs `body` with a daemon and a LAN of its own. */
async function withVlane(body: (vlane: Vlane) => Promise<void>): Promise<void> {
	const lan = await makeLan();
	const vlane = await startVlane(lan.host, "--log-level=warn");
	try {
		await body(vlane);
	} finally {
		await vlane.cleanup();
		lan.close();
	}
}

/** One record at a time, as durable as the store makes it: the least that any change costs on this disk. */
async function disk(): Promise<void> {
	const { openLmdbStore } = await import("../src/control/records/lmdbstore.js");
	const directory = mkdtempSync(join(tmpdir(), "vlane-bench-"));
	const store = await openLmdbStore(directory);
	report("one durable write", await timed(SAMPLES, (index) => store.put(`bench/${index}`, index)));
	await store.close();
	rmSync(directory, { recursive: true });
}

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const date = new Date().toISOString().slice(0, 10);
const cpu = `${cpus()[0]?.model} x ${cpus().length}`;
console.log(`Control plane\nvlane ${version}, ${cpu}, Linux ${release()}, Node ${process.versions.node}, ${date}\n`);
const heads = ["calls", "median", "p99", `first ${EDGE}`, `last ${EDGE}`].map((head) => head.padStart(10));
console.log(`${"what".padEnd(44)}${heads.join("")}`);
await addresses();
await disk();
await withVlane(endpoints);
await withVlane(networks);
