/**
 * `npm run bench:e2e [-- OPTION...]`: whole paths, container to container and container to LAN, against what else there
 * is: the kernel's own drivers, Open vSwitch in user space, vde_switch, a loop in C.
 *
 * Peers take turns in every round, so that a machine that gets slower gets slower for all. A turn during which the
 * hypervisor took more than 2 % of the time is done again, a few times, and said so.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CASES, type Case, TRIAL_SECONDS, type Values } from "./e2e/cases.js";
import { judge } from "./e2e/floors.js";
import { handoverNs } from "./e2e/handover.js";
import { PEERS } from "./e2e/peers/index.js";
import { sendsUntagged, UNTAGGED_NOTE } from "./e2e/peers/kernel.js";
import { writePlots } from "./e2e/plots.js";
import { report } from "./e2e/report.js";
import { appendSample, Results, readSamples, type Sample } from "./e2e/samples.js";
import { processorTime, shareSince } from "./e2e/statistics.js";
import type { Peer } from "./e2e/wire.js";
import { readOptions } from "./flag.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STOLEN_SHARE_MAX = 0.02;
const REPEATS_MAX = 4;
/** Of the machine, by others, before a round. */
const BUSY_SHARE_MAX = 0.1;
const IDLE_LOOK_MS = 250;
const LISTS = /[,\s]+/;

const USAGE = `usage: npm run bench:e2e [-- OPTION...]

  --rounds N       turns of each peer (3)
  --seconds S      length of each measurement (2)
  --only P,P       these peers: vlane ovs-tso ovs vde c-loop macvlan bridge;
                   only when named: vlane-plain (vlane --coalesce off), vlane-xdp (-o uplink=xdp)
  --cases C,C      these cases: ping tcp tcp-bbr frames loss udp lan idle tagged qinq;
                   only when named: ports-2 ports-16 ports-100 ports-1000
  --trial S        length of each trial of loss (0.2; RFC 2544 asks for 60)
  --quick          what bench/e2e/floors.ts judges, in three rounds of 1 s; what takes long
                   (loss, idle, ports-100, ports-1000) in the first of them only: about ten minutes
  --json FILE      appends each sample to FILE, a line of JSON each
  --from FILE,...  measures nothing and reports what is in the files
  --plots DIR      writes the diagrams into DIR
  --check          ends with status 1 when a floor of bench/e2e/floors.ts is missed, and names each`;

const options = readOptions(USAGE, {
	rounds: { type: "string", default: "3" },
	seconds: { type: "string" },
	trial: { type: "string", default: `${TRIAL_SECONDS}` },
	quick: { type: "boolean", default: false },
	only: { type: "string" },
	cases: { type: "string" },
	json: { type: "string" },
	from: { type: "string" },
	plots: { type: "string" },
	check: { type: "boolean", default: false },
});

/** What `--quick` means. */
const QUICK = {
	only: "vlane,ovs-tso,vde,c-loop,macvlan",
	cases: "ping,tcp,tcp-bbr,frames,loss,udp,lan,idle,tagged,ports-2,ports-16,ports-100,ports-1000",
	once: ["loss", "idle", "ports-100", "ports-1000"],
};
if (options.quick) {
	options.only ??= QUICK.only;
	options.cases ??= QUICK.cases;
	options.seconds ??= "1";
}
const SECONDS = Number(options.seconds ?? 2);

/** Those of a list that were asked for. @throws Error for a name that is none */
function chosen<Item extends { name: string }>(all: Item[], names: string | undefined, isDefault = all): Item[] {
	if (names === undefined) return isDefault;
	return names.split(LISTS).map((name) => {
		const found = all.find((item) => item.name === name);
		if (!found) throw new Error(`"${name}" is none of ${all.map((item) => item.name).join(", ")}`);
		return found;
	});
}

function machine(): Pick<Sample, "vlane" | "commit" | "cpu" | "kernel" | "node"> {
	const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
	const { stdout } = spawnSync("git", ["-C", ROOT, "describe", "--always", "--dirty"], { encoding: "utf8" });
	return {
		vlane: version,
		commit: stdout?.trim() || "unknown",
		cpu: `${cpus()[0]?.model.trim()} x ${cpus().length}`,
		kernel: release(),
		node: process.versions.node,
	};
}

/** Says so when somebody else uses the machine: all peers suffer, but not all of them alike. */
async function lookForOthers(): Promise<void> {
	const before = processorTime();
	await sleep(IDLE_LOOK_MS);
	const share = 1 - shareSince(before, "idle") - shareSince(before, "iowait");
	if (share > BUSY_SHARE_MAX)
		console.error(`others take ${(share * 100).toFixed(0)} % of this machine; measuring all the same`);
}

/** Cases of one picture, each with the share of time that was stolen from it. */
async function turn(peer: Peer, cases: Case[]): Promise<Map<Case, { values: Values; stolenShare: number }>> {
	const measured = new Map<Case, { values: Values; stolenShare: number }>();
	const picture = await peer.build(cases[0]!);
	try {
		for (const place of cases.map(({ needsLan }) => (needsLan ? picture.lan : picture.two))) {
			if (place) picture.one.ns.must(["ping", "-c", "2", "-i", "0.2", place.address]);
		}
		for (const one of cases) {
			if (one.needsLan && !picture.lan) continue;
			for (let attempt = 1; ; attempt++) {
				const before = processorTime();
				const values = await one.measure(picture, SECONDS, Number(options.trial));
				const stolenShare = shareSince(before, "stolen");
				if (stolenShare <= STOLEN_SHARE_MAX || attempt > REPEATS_MAX) {
					measured.set(one, { values, stolenShare });
					break;
				}
				console.error(`${peer.name}, ${one.name}: ${(stolenShare * 100).toFixed(1)} % stolen; discarded, again`);
			}
		}
	} finally {
		await picture.close();
	}
	return measured;
}

async function measure(): Promise<Sample[]> {
	const usual = PEERS.filter(({ isExtra }) => !isExtra);
	const peers = chosen(PEERS, options.only, usual).filter(({ name, missing }) => {
		if (missing) console.error(`${name} is left out: ${missing}`);
		return missing === undefined;
	});
	const cases = chosen(
		CASES,
		options.cases,
		CASES.filter(({ name }) => !name.startsWith("ports-")),
	);
	if (sendsUntagged && cases.some(({ wire }) => wire === "tagged")) console.error(UNTAGGED_NOTE);
	const pictureOf = ({ wire, ports }: Case): string => `${wire} ${ports}`;
	const pictures = [...new Set(cases.map(pictureOf))].map((key) => cases.filter((one) => pictureOf(one) === key));
	const samples: Sample[] = [];
	const run = new Date().toISOString();
	const about = machine();
	for (let round = 0; round < Number(options.rounds); round++) {
		await lookForOthers();
		const isDue = ({ name }: Case): boolean => !options.quick || round === 0 || !QUICK.once.includes(name);
		for (const all of pictures) {
			const of = all.filter(isDue);
			if (!of[0]) continue;
			const { wire, ports } = of[0];
			for (const peer of peers.filter(({ wires, portsMax }) => wires.includes(wire) && ports <= portsMax)) {
				const measured = await turn(peer, of).catch((error: Error) => {
					console.error(`${peer.name}, ${wire}, ${ports} containers: ${error.message}`);
					return [];
				});
				const apartNs = Math.round(await handoverNs());
				const common = { run, round, peer: peer.name, seconds: SECONDS, apartNs, ...about };
				for (const [{ name }, { values, stolenShare }] of measured) {
					const sample = { ...common, case: name, stolenShare, values };
					samples.push(sample);
					if (options.json) appendSample(options.json, sample);
				}
				const apart = `${apartNs} ns from processor to processor`;
				console.error(`round ${round + 1}: ${peer.name}, ${wire}, ${ports} containers; ${apart}`);
			}
		}
	}
	return samples;
}

const results = new Results(options.from ? readSamples(options.from.split(LISTS)) : await measure());
console.log(report(results));
if (options.plots) for (const file of writePlots(results, options.plots)) console.log(`wrote ${file}`);
const verdicts = judge(results);
if (verdicts.length > 0) console.log("\n## Goals\n");
for (const { text, reachesGoal, reachesFloor } of verdicts) {
	console.log(`- ${reachesGoal ? "reached" : reachesFloor ? "not reached" : "BELOW THE FLOOR"}: ${text}`);
}
const misses = verdicts.filter(({ reachesFloor }) => !reachesFloor);
const goals = verdicts.filter(({ reachesGoal }) => reachesGoal).length;
if (options.check) {
	for (const { text } of misses) console.error(`missed: ${text}`);
	const verdict = misses.length === 0 ? "passed" : "FAILED";
	console.log(`\n${verdict}: ${goals} of ${verdicts.length} goals reached, ${misses.length} below the floor`);
	if (verdicts.length === 0) console.error("nothing was judged: vlane was not measured beside any other");
	if (misses.length > 0 || verdicts.length === 0) process.exitCode = 1;
}
