/**
 * `npm run bench:e2e [-- --rounds N]`: whole paths, container to container and container to LAN, against what the
 * kernel has itself.
 *
 * Peers take turns in every round, so that a machine that gets slower gets slower for all; the table shows medians and
 * the ratio to kernel macvlan of the same rounds. Rounds in which the hypervisor took more than 5 % of the time are
 * done again, a few times.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { PEERS, type Peer, type Picture, type Place } from "./e2e/peers.js";
import { median, processorTime, processUse, quantile } from "./e2e/statistics.js";

const BLAST = fileURLToPath(new URL("./e2e/blast.js", import.meta.url));
const SECONDS = 2;
const STOLEN_SHARE_MAX = 0.05;
const REPEATS_MAX = 5;

/** What one peer did in one round. */
interface Sample {
	tcpPairGbps: number;
	tcpUpGbps: number;
	tcpDownGbps: number;
	framesPerSecond: number;
	pingP50Us: number;
	pingP99Us: number;
	/** Of the forwarding process; NaN when the kernel forwards. */
	cpuUsPerFrame: number;
	residentMiB: number;
}

const COLUMNS: { key: keyof Sample; title: string; digits: number }[] = [
	{ key: "tcpPairGbps", title: "TCP pair Gb/s", digits: 1 },
	{ key: "tcpUpGbps", title: "TCP to LAN", digits: 1 },
	{ key: "tcpDownGbps", title: "TCP from LAN", digits: 1 },
	{ key: "framesPerSecond", title: "64 B frames/s", digits: 0 },
	{ key: "pingP50Us", title: "ping p50 us", digits: 0 },
	{ key: "pingP99Us", title: "p99 us", digits: 0 },
	{ key: "cpuUsPerFrame", title: "CPU us/frame", digits: 2 },
	{ key: "residentMiB", title: "RSS MiB", digits: 0 },
];

async function tcp(from: Place, to: Place): Promise<number> {
	const server = to.ns.start(["iperf3", "-s", "-1", "--forceflush"]);
	await server.waitFor(/Server listening/);
	const { stdout } = from.ns.run(["iperf3", "-J", "-c", to.address, "-t", String(SECONDS)]);
	await server.ended;
	return JSON.parse(stdout).end.sum_received.bits_per_second / 1e9;
}

function received(place: Place): number {
	return place.ns.ip("-s", "link", "show", place.ifname)[0].stats64.rx.packets;
}

function pings(from: Place, to: Place): number[] {
	const stdout = from.ns.must(["ping", "-c", "300", "-i", "0.002", to.address]);
	return [...stdout.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms) * 1000);
}

async function measure(picture: Picture): Promise<Sample> {
	const { one, two, lan, pid } = picture;
	one.ns.must(["ping", "-c", "1", two.address]);
	const roundTripsUs = pings(one, two);
	const tcpPairGbps = await tcp(one, two);
	const tcpUpGbps = await tcp(one, lan);
	const tcpDownGbps = await tcp(lan, one);
	const mac = two.ns.ip("link", "show", two.ifname)[0].address;
	const before = { frames: received(two), cpu: pid ? processUse(pid).cpuSeconds : Number.NaN };
	one.ns.must([process.execPath, BLAST, one.ifname, mac, String(SECONDS)]);
	const frames = received(two) - before.frames;
	const use = pid ? processUse(pid) : { cpuSeconds: Number.NaN, residentBytes: Number.NaN };
	return {
		tcpPairGbps,
		tcpUpGbps,
		tcpDownGbps,
		framesPerSecond: frames / SECONDS,
		pingP50Us: quantile(roundTripsUs, 0.5),
		pingP99Us: quantile(roundTripsUs, 0.99),
		cpuUsPerFrame: ((use.cpuSeconds - before.cpu) * 1e6) / frames,
		residentMiB: use.residentBytes / (1 << 20),
	};
}

/** One turn of a peer; again, a few times, when the hypervisor was busy with others. */
async function turn(peer: Peer): Promise<Sample> {
	for (let attempt = 1; ; attempt++) {
		const before = processorTime();
		const picture = await peer.build();
		let sample: Sample;
		try {
			sample = await measure(picture);
		} finally {
			await picture.close();
		}
		const after = processorTime();
		const stolen = (after.stolen - before.stolen) / (after.total - before.total);
		if (stolen <= STOLEN_SHARE_MAX || attempt > REPEATS_MAX) return sample;
		console.error(`${peer.name}: ${(stolen * 100).toFixed(0)} % of the time was stolen; again`);
	}
}

function machine(): Record<string, string> {
	const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
	const date = new Date().toISOString().slice(0, 10);
	return {
		vlane: version,
		cpu: `${cpus()[0]?.model} x ${cpus().length}`,
		kernel: release(),
		node: process.version,
		date,
	};
}

const { values } = parseArgs({ options: { rounds: { type: "string", default: "3" }, json: { type: "string" } } });
const rounds = Number(values.rounds);
const present = PEERS.filter(({ name, missing }) => {
	if (missing) console.error(`${name} is left out: ${missing}`);
	return missing === undefined;
});
const samples = new Map<string, Sample[]>(present.map(({ name }) => [name, []]));
for (let round = 0; round < rounds; round++) {
	for (const peer of present) samples.get(peer.name)!.push(await turn(peer));
}

console.log(Object.values(machine()).join(", "), `, medians of ${rounds} rounds`);
console.log(["".padEnd(16), ...COLUMNS.map(({ title }) => title.padStart(14))].join(""));
const baseline = samples.get("kernel macvlan");
for (const [name, of] of samples) {
	const medians = COLUMNS.map(({ key }) => median(of.map((sample) => sample[key])));
	const cells = medians.map((value, i) => (Number.isNaN(value) ? "-" : value.toFixed(COLUMNS[i]!.digits)).padStart(14));
	console.log([name.padEnd(16), ...cells].join(""));
	if (!baseline || of === baseline) continue;
	const ratios = COLUMNS.map(({ key }) => median(of.map((sample, i) => sample[key] / baseline[i]![key])));
	console.log(
		["  / macvlan".padEnd(16), ...ratios.map((r) => (Number.isNaN(r) ? "" : r.toFixed(2)).padStart(14))].join(""),
	);
}
if (values.json) {
	const lines = [...samples].flatMap(([peer, of]) =>
		of.map((sample) => JSON.stringify({ ...machine(), peer, ...sample })),
	);
	writeFileSync(values.json, `${lines.join("\n")}\n`);
}
