/**
 * `node dist/bench/capture.js [OPTION...]`: what a capture of a whole network costs the traffic in it, container to
 * container, and what it loses. Turns with and without a capture follow each other, so that both see the same machine.
 *
 * The network's capture has each frame twice: as it comes into the switch and as it leaves.
 */
import { cpus, loadavg, release } from "node:os";
import type { Started } from "../test/support/netns.js";
import { startVlane, type Vlane } from "../test/support/vlane.js";
import { CUBIC } from "./congestion.js";
import { median } from "./e2e/statistics.js";
import { ADDRESSES, layWire, type Place, SUBNET } from "./e2e/wire.js";
import { readOptions } from "./flag.js";

const CASES: Record<string, string[]> = {
	"udp-1g": ["-u", "-b", "1G", "-l", "1472"],
	"tcp-1g": [...CUBIC, "-b", "1G"],
	tcp: CUBIC,
};
const COST_MAX = 0.05;
const LISTENING = /^Server listening/;

const USAGE = `usage: node dist/bench/capture.js [OPTION...]

  --rounds N     turns of each (5)
  --seconds S    length of each measurement (4)
  --cases C,C    udp-1g (frames of 1,514 bytes, 83,000 of them a second), tcp-1g, tcp (as fast as it goes)
  --snaplen N    bytes recorded of each frame (all)
  --write FILE   where captures go (/dev/null)
  --check        ends with status 1 when a case at 1 Gb/s loses 5 % or more of its throughput, or any frame of it`;

const options = readOptions(USAGE, {
	rounds: { type: "string", default: "5" },
	seconds: { type: "string", default: "4" },
	cases: { type: "string", default: Object.keys(CASES).join(",") },
	snaplen: { type: "string" },
	write: { type: "string", default: "/dev/null" },
	check: { type: "boolean", default: false },
});

interface Turn {
	/** Received, in bit/s. */
	rate: number;
	/** Of the datagrams sent, those that did not arrive; of TCP 0. */
	lost: number;
	/** Of the frames that a capture should have, those that it lost; without a capture 0. */
	captureLost: number;
}

async function traffic(one: Place, two: Place, flags: string[]): Promise<Pick<Turn, "rate" | "lost">> {
	const server = two.ns.start(["iperf3", "-s", "-1", "--forceflush"]);
	await server.waitFor(LISTENING);
	const client = one.ns.start(["iperf3", "-J", "-c", two.address, "-t", options.seconds, ...flags]);
	const { stdout } = await client.ended;
	await server.ended;
	const { end, error } = JSON.parse(stdout);
	if (error) throw new Error(`iperf3: ${error}`);
	const received = end.sum_received ?? end.sum;
	return { rate: received.bits_per_second, lost: (end.sum?.lost_percent ?? 0) / 100 };
}

async function startCapture(vlane: Vlane): Promise<Started> {
	const snaplen = options.snaplen === undefined ? [] : ["-s", options.snaplen];
	const capture = vlane.start("capture", ...snaplen, "-w", options.write, "bench");
	await capture.waitFor(/^listening on bench/);
	return capture;
}

/** The share of frames that it lost. */
async function endCapture(capture: Started): Promise<number> {
	const { stderr } = await capture.stop("SIGINT");
	const [, delivered, , lost] = /(\d+) frames captured, (\d+) looked at, (\d+) lost/.exec(stderr) ?? [];
	if (delivered === undefined) throw new Error(`vlane capture: ${stderr}`);
	return Number(lost) / Math.max(1, Number(delivered) + Number(lost));
}

async function turn(vlane: Vlane, one: Place, two: Place, flags: string[], isCaptured: boolean): Promise<Turn> {
	const capture = isCaptured ? await startCapture(vlane) : undefined;
	const measured = await traffic(one, two, flags);
	return { ...measured, captureLost: capture ? await endCapture(capture) : 0 };
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
const gigabits = (rate: number): string => `${(rate / 1e9).toFixed(3)} Gbit/s`;

/** Measures a case in turns; whether it keeps the limits. */
async function measure(vlane: Vlane, one: Place, two: Place, name: string): Promise<boolean> {
	const flags = CASES[name];
	if (!flags) throw new Error(`no case ${name}; there are: ${Object.keys(CASES).join(", ")}`);
	const turns: Record<"with" | "without", Turn[]> = { with: [], without: [] };
	for (let round = 0; round < Number(options.rounds); round++) {
		turns.without.push(await turn(vlane, one, two, flags, false));
		turns.with.push(await turn(vlane, one, two, flags, true));
	}
	const of = (among: Turn[], field: keyof Turn) => median(among.map((one) => one[field]));
	const cost = 1 - of(turns.with, "rate") / of(turns.without, "rate");
	const captureLost = of(turns.with, "captureLost");
	for (const kind of ["without", "with"] as const) {
		const datagrams = name.startsWith("udp") ? `, ${percent(of(turns[kind], "lost"))} of the datagrams lost` : "";
		console.log(`${name.padEnd(7)} ${kind.padEnd(7)} a capture: ${gigabits(of(turns[kind], "rate"))}${datagrams}`);
	}
	console.log(`${name.padEnd(7)} costs ${percent(cost)}, the capture lost ${percent(captureLost)} of its frames`);
	return !name.endsWith("-1g") || (cost < COST_MAX && captureLost === 0);
}

const wire = await layWire("untagged");
const vlane = await startVlane(wire.host);
try {
	const machine = `${cpus()[0]?.model} x ${cpus().length}, Linux ${release()}, Node ${process.versions.node}`;
	const turns = `load ${loadavg()[0]?.toFixed(1)}, medians of ${options.rounds} turns of ${options.seconds} s`;
	console.log(`${machine}, ${turns}, ${new Date().toISOString().slice(0, 10)}`);
	vlane.must("network", "create", `--subnet=${SUBNET}`, "-o", "parent=eth0", "bench");
	vlane.must("network", "connect", "--ip", ADDRESSES.one, "bench", `netns:${wire.one.path}`);
	vlane.must("network", "connect", "--ip", ADDRESSES.two, "bench", `netns:${wire.two.path}`);
	const { one, two } = wire.picture();
	let isGood = true;
	for (const name of options.cases.split(",")) isGood = (await measure(vlane, one, two, name)) && isGood;
	if (options.check && !isGood) process.exitCode = 1;
} finally {
	await vlane.cleanup();
	for (const ns of [wire.one, wire.two, wire.lan.ns, wire.host]) ns.close();
}
