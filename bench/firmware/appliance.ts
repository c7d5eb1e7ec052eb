/** The static host of examples/wasm2c as a program: what it weighs, and what it forwards beside the Node host. */
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildProgram } from "../../test/support/firmware.js";
import { Namespace, type Started } from "../../test/support/netns.js";
import { CUBIC } from "../congestion.js";

const NODE_HOST = fileURLToPath(new URL("../../test/support/nodehost-tool.js", import.meta.url));
const PORTS = 16;
const PARENT = "eth0";
const STARTS = 21;
const ROUNDS = 3;
const SECONDS = 3;

export interface Appliance {
	/** Size of the program's file. */
	fileBytes: number;
	/** Resident memory with 16 ports, as started. */
	residentKib: number;
	/** The part of it that is not the program's file: what the machine has to find for it. */
	anonymousKib: number;
	/** The most that it was with 16 ports, while 14 of them carried TCP in frames of 64 KiB. */
	residentLoadedKib: number;
	/** From exec to the first frame that could be forwarded, one parent and two TAPs; median. */
	startMs: number;
	/** TCP between two TAPs in Gbit/s, medians. */
	throughput: { host: string; gbits: number }[];
}

function statusKib(pid: number, field: string): number {
	return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

/** The host itself: `ip netns exec` becomes its command. */
const pidOf = (host: Started): number => host.process.pid!;

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

function parentIn(ns: Namespace): void {
	ns.must(["ip", "link", "add", PARENT, "type", "veth", "peer", "name", "lan0"]);
	ns.must(["ip", "link", "set", PARENT, "up"]);
	ns.must(["ip", "link", "set", "lan0", "up"]);
}

/** TCP within each of so many pairs of TAPs at the same time, all on one host; `options` are more of the host's. */
async function trafficOf(
	command: string[],
	pairs: number,
	options: string[] = [],
): Promise<{ gbits: number; residentMaxKib: number }> {
	const site = new Namespace("host");
	if (options.includes(PARENT)) parentIn(site);
	const stations = Array.from({ length: pairs * 2 }, (_, n) => {
		return { ns: new Namespace(`s${n}`), tap: `s${n}`, address: `10.9.${n >> 1}.${1 + (n & 1)}` };
	});
	const host = site.start([...command, ...options, ...stations.flatMap(({ tap }) => ["-t", tap])]);
	await host.waitFor(/^ready$/);
	for (const { ns, tap, address } of stations) {
		site.must(["ip", "link", "set", "dev", tap, "netns", ns.name]);
		ns.must(["ip", "link", "set", "dev", tap, "up"]);
		ns.must(["ip", "address", "add", `${address}/24`, "dev", tap]);
	}
	const clients = [];
	for (let n = 0; n < stations.length; n += 2) {
		const [from, to] = [stations[n]!, stations[n + 1]!];
		from.ns.must(["ping", "-c", "1", to.address]);
		await to.ns.start(["iperf3", "-s", "-1", "--forceflush"]).waitFor(/listening/);
		clients.push(["iperf3", "-J", ...CUBIC, "-c", to.address, "-t", String(SECONDS)]);
	}
	const reports = await Promise.all(clients.map((client, n) => stations[n * 2]!.ns.start(client).ended));
	const bits = reports.map(({ stdout }) => JSON.parse(stdout).end.sum_received.bits_per_second as number);
	const residentMaxKib = statusKib(pidOf(host), "VmHWM");
	await host.stop();
	for (const ns of [...stations.map((station) => station.ns), site]) ns.close();
	return { gbits: bits.reduce((sum, value) => sum + value, 0) / 1e9, residentMaxKib };
}

/** Builds the host and measures it. Needs root, iperf3, wabt and a C compiler. */
export async function measureAppliance(): Promise<Appliance> {
	const program = buildProgram("wasm2c", "host");
	const ns = new Namespace("weigh");
	parentIn(ns);

	const taps = Array.from({ length: PORTS - 1 }, (_, i) => ["-t", `t${i}:${50 + (i % 4)}`]).flat();
	const host = ns.start([program, "-p", "32", "-u", PARENT, ...taps]);
	await host.waitFor(/^ready$/);
	const residentKib = statusKib(pidOf(host), "VmRSS");
	const anonymousKib = statusKib(pidOf(host), "RssAnon");
	await host.stop();

	// A shell in the namespace takes the time, so that entering it does not count; its own two processes do.
	const once = [
		"fifo=$(mktemp -u); mkfifo $fifo; s=$(date +%s%N)",
		`${program} -u ${PARENT} -t a:50 -t b:50 > $fifo & read ready < $fifo`,
		"e=$(date +%s%N); kill $!; wait; rm $fifo; echo $((e - s))",
	].join("; ");
	const starts = Array.from({ length: STARTS }, () => Number(ns.must(["sh", "-c", once]).trim()) / 1e6);
	ns.close();

	const hosts = { "wasm2c, static": [program], Node: [process.execPath, NODE_HOST] };
	const results = new Map<string, number[]>(Object.keys(hosts).map((name) => [name, []]));
	for (let round = 0; round < ROUNDS; round++) {
		for (const [name, command] of Object.entries(hosts)) {
			results.get(name)!.push((await trafficOf(command, 1)).gbits);
		}
	}
	const loaded = await trafficOf([program], (PORTS - 2) / 2, ["-u", PARENT, "-t", "idle"]);
	return {
		fileBytes: statSync(program).size,
		residentKib,
		anonymousKib,
		residentLoadedKib: loaded.residentMaxKib,
		startMs: median(starts),
		throughput: [...results].map(([name, values]) => ({ host: name, gbits: median(values) })),
	};
}
