/** The static host of examples/wasm2c as a program: what it weighs, and what it forwards beside the Node host. */
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildProgram } from "../../test/support/firmware.js";
import { Namespace, type Started } from "../../test/support/netns.js";

const NODE_HOST = fileURLToPath(new URL("../../test/support/nodehost-tool.js", import.meta.url));
const PORTS = 16;
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
	/** The most after a round of TCP in frames of 64 KiB, with two ports. */
	residentAfterTrafficKib: number;
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
	ns.must(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "lan0"]);
	ns.must(["ip", "link", "set", "eth0", "up"]);
	ns.must(["ip", "link", "set", "lan0", "up"]);
}

async function throughputOf(command: string[]): Promise<{ gbits: number; residentKib: number }> {
	const [site, one, two] = ["host", "one", "two"].map((label) => new Namespace(label)) as [
		Namespace,
		Namespace,
		Namespace,
	];
	const host = site.start([...command, "-t", "one", "-t", "two"]);
	await host.waitFor(/^ready$/);
	for (const [ns, name, address] of [[one, "one", "10.9.0.1"] as const, [two, "two", "10.9.0.2"] as const]) {
		site.must(["ip", "link", "set", "dev", name, "netns", ns.name]);
		ns.must(["ip", "link", "set", "dev", name, "up"]);
		ns.must(["ip", "address", "add", `${address}/24`, "dev", name]);
	}
	one.must(["ping", "-c", "1", "10.9.0.2"]);
	const server = two.start(["iperf3", "-s", "-1", "--forceflush"]);
	await server.waitFor(/listening/);
	const report = JSON.parse(one.must(["iperf3", "-J", "-c", "10.9.0.2", "-t", String(SECONDS)]));
	const residentKib = statusKib(pidOf(host), "VmRSS");
	await host.stop();
	for (const ns of [one, two, site]) ns.close();
	return { gbits: report.end.sum_received.bits_per_second / 1e9, residentKib };
}

/** Builds the host and measures it. Needs root, iperf3, wabt and a C compiler. */
export async function measureAppliance(): Promise<Appliance> {
	const program = buildProgram("wasm2c", "host");
	const ns = new Namespace("weigh");
	parentIn(ns);

	const taps = Array.from({ length: PORTS - 1 }, (_, i) => ["-t", `t${i}:${50 + (i % 4)}`]).flat();
	const host = ns.start([program, "-p", "32", "-u", "eth0", ...taps]);
	await host.waitFor(/^ready$/);
	const residentKib = statusKib(pidOf(host), "VmRSS");
	const anonymousKib = statusKib(pidOf(host), "RssAnon");
	await host.stop();

	// A shell in the namespace takes the time, so that entering it does not count; its own two processes do.
	const once = [
		"fifo=$(mktemp -u); mkfifo $fifo; s=$(date +%s%N)",
		`${program} -u eth0 -t a:50 -t b:50 > $fifo & read ready < $fifo`,
		"e=$(date +%s%N); kill $!; wait; rm $fifo; echo $((e - s))",
	].join("; ");
	const starts = Array.from({ length: STARTS }, () => Number(ns.must(["sh", "-c", once]).trim()) / 1e6);
	ns.close();

	const hosts = { "wasm2c, static": [program], Node: [process.execPath, NODE_HOST] };
	const results = new Map<string, number[]>(Object.keys(hosts).map((name) => [name, []]));
	let residentAfterTrafficKib = 0;
	for (let round = 0; round < ROUNDS; round++) {
		for (const [name, command] of Object.entries(hosts)) {
			const { gbits, residentKib: resident } = await throughputOf(command);
			results.get(name)!.push(gbits);
			if (command[0] === program) residentAfterTrafficKib = Math.max(residentAfterTrafficKib, resident);
		}
	}
	return {
		fileBytes: statSync(program).size,
		residentKib,
		anonymousKib,
		residentAfterTrafficKib,
		startMs: median(starts),
		throughput: [...results].map(([name, values]) => ({ host: name, gbits: median(values) })),
	};
}
