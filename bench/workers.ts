/**
 * `node dist/bench/workers.js [--rounds 5] [--seconds 3]`: 64-byte frames between the containers of two networks, each
 * on a parent of its own, at the same time: with one worker, and with two. Rounds alternate, the table has medians.
 */
import { cpus, loadavg, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Blasted, Burst } from "../src/raw/generator.js";
import { must, Namespace } from "../test/support/netns.js";
import { startVlane } from "../test/support/vlane.js";
import { framesReceived } from "./e2e/counters.js";
import { fork, type Helper } from "./e2e/process.js";
import { cpuSecondsOf, median } from "./e2e/statistics.js";
import type { Place } from "./e2e/wire.js";
import { flag } from "./flag.js";

const BLAST = fileURLToPath(new URL("./e2e/blast.js", import.meta.url));
const WORKERS = [1, 2];
const PARENTS = 2;
const BYTES = 64;
const WARM_SECONDS = 0.3;
const rounds = flag("--rounds", 5);
const seconds = flag("--seconds", 3);

interface Sample {
	framesPerSecond: number;
	cpuMicroseconds: number;
}

/** Who sends and who receives on one parent. */
interface Pair {
	blast: Helper;
	to: Place;
}

async function measure(workers: number): Promise<Sample> {
	const host = new Namespace("host");
	const daemon = await startVlane(host, "--workers", `${workers}`);
	const made = [host];
	const pairs: Pair[] = [];
	try {
		for (let index = 0; index < PARENTS; index++) {
			const far = new Namespace("far");
			const ends = [1, 2].map(() => ({ ns: new Namespace("c"), ifname: "eth0" }));
			made.push(far, ...ends.map(({ ns }) => ns));
			const parent = `eth${index}`;
			must(["ip", "-n", host.name, "link", "add", parent, "type", "veth", "peer", "name", "lan0", "netns", far.name]);
			host.must(["ip", "link", "set", parent, "up"]);
			far.must(["ip", "link", "set", "lan0", "up"]);
			daemon.must("network", "create", `--subnet=10.${index}.0.0/24`, "-o", `parent=${parent}`, `net${index}`);
			const [from, to] = ends.map(({ ns, ifname }, end) => {
				daemon.must("network", "connect", `net${index}`, `netns:${ns.path}`);
				return { ns, ifname, address: `10.${index}.0.${end + 1}` };
			}) as [Place, Place];
			const mac = ({ ns, ifname }: Place): string => ns.ip("link", "show", ifname)[0].address;
			pairs.push({ to, blast: await fork(from.ns, BLAST, [from.ifname, mac(from), mac(to)]) });
		}
		const burst: Burst = { bytes: BYTES, seconds: seconds + 2 * WARM_SECONDS };
		const done = pairs.map(({ blast }) => blast.ask<Blasted>(burst));
		const received = () => pairs.reduce((sum, { to }) => sum + framesReceived(to), 0);
		await sleep(WARM_SECONDS * 1000);
		const before = { frames: received(), cpu: cpuSecondsOf(daemon.pid), at: performance.now() };
		await sleep(seconds * 1000);
		const frames = received() - before.frames;
		const elapsed = (performance.now() - before.at) / 1000;
		const cpuMicroseconds = ((cpuSecondsOf(daemon.pid) - before.cpu) * 1e6) / frames;
		await Promise.all(done);
		return { framesPerSecond: frames / elapsed, cpuMicroseconds };
	} finally {
		for (const { blast } of pairs) await blast.stop();
		await daemon.cleanup();
		for (const ns of made) ns.close();
	}
}

const samples = new Map<number, Sample[]>(WORKERS.map((workers) => [workers, []]));
console.log(`${cpus()[0]?.model} x ${cpus().length}, Linux ${release()}, Node ${process.versions.node}`);
for (let round = 0; round < rounds; round++) {
	for (const workers of WORKERS) samples.get(workers)!.push(await measure(workers));
	console.error(`round ${round + 1} of ${rounds}, load ${loadavg()[0]?.toFixed(1)}`);
}
console.log("| workers | k frames/s | CPU us/frame |\n|---|---|---|");
for (const [workers, all] of samples) {
	const rates = all.map(({ framesPerSecond }) => framesPerSecond / 1000);
	const spread = `${Math.min(...rates).toFixed(0)}-${Math.max(...rates).toFixed(0)}`;
	const cost = median(all.map(({ cpuMicroseconds }) => cpuMicroseconds)).toFixed(2);
	console.log(`| ${workers} | ${median(rates).toFixed(0)} (${spread}) | ${cost} |`);
}
