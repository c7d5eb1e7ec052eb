/**
 * `node dist/bench/cni.js [ROUNDS]`: what a call of `vlane-cni` costs, beside Node without any program, and beside the
 * reference plugins where they are installed. A runtime starts the plugin anew for every call, so this is what a pod
 * waits for. All take turns in each round; the table has medians with the lowest and the highest.
 *
 *   version   starts, reads standard input, answers
 *   status    the same, and asks the daemon once
 *   add, del  the same, and an interface with an address in a network namespace comes and goes
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus, release } from "node:os";
import { BIN, PLUGINS } from "../test/support/cni.js";
import { makeLan } from "../test/support/lan.js";
import { Namespace } from "../test/support/netns.js";
import { startVlane } from "../test/support/vlane.js";
import { median, quantile } from "./e2e/statistics.js";

const ROUNDS = Number(process.argv[2] ?? 20);

const lan = await makeLan({ vlans: [50] });
const vlane = await startVlane(lan.host);
const pod = new Namespace("pod");

/** A call, as a runtime makes it. */
function start(command: string[], cniCommand: string): void {
	const [file = "", ...args] = command;
	const config = {
		...{ cniVersion: "1.1.0", name: "net", type: "vlane-cni", master: "eth0", vlanId: 50 },
		ipam: { type: "vlane", subnets: [{ subnet: "10.50.0.0/24" }] },
	};
	const env = {
		...{ PATH: process.env.PATH, CNI_COMMAND: cniCommand, CNI_PATH: PLUGINS, VLANE_HOST: `unix://${vlane.socket}` },
		...{ CNI_CONTAINERID: "bench", CNI_NETNS: pod.path, CNI_IFNAME: "eth0" },
	};
	const input = JSON.stringify(cniCommand === "VERSION" ? { cniVersion: "1.0.0" } : config);
	const { status, stdout, stderr, error } = spawnSync(file, args, { env, input, encoding: "utf8" });
	// What does not read its input may be gone before it is written.
	if (status !== 0 && (error as NodeJS.ErrnoException | undefined)?.code !== "EPIPE")
		throw error ?? new Error(`${command.join(" ")} ${cniCommand}: status ${status}: ${stdout}${stderr}`);
}

const plugin = [process.execPath, BIN];
const reference = `${PLUGINS}/macvlan`;
const cases: [string, () => void][] = [
	["node without a program", () => start([process.execPath, "-e", "0"], "VERSION")],
	["vlane-cni VERSION", () => start(plugin, "VERSION")],
	["vlane-cni STATUS", () => start(plugin, "STATUS")],
	["vlane-cni ADD", () => start(plugin, "ADD")],
	["vlane-cni DEL", () => start(plugin, "DEL")],
	...(existsSync(reference)
		? ([["reference macvlan VERSION", () => start([reference], "VERSION")]] as [string, () => void][])
		: []),
];

try {
	const times = new Map<string, number[]>(cases.map(([name]) => [name, []]));
	for (let round = 0; round < ROUNDS; round++) {
		for (const [name, call] of cases) {
			const startMs = performance.now();
			call();
			times.get(name)?.push(performance.now() - startMs);
		}
	}
	const today = new Date().toISOString().slice(0, 10);
	console.log(`${cpus()[0]?.model} x ${cpus().length}, Linux ${release()}, Node ${process.versions.node}, ${today}`);
	console.log(`${ROUNDS} rounds; ms: median (lowest-highest)`);
	for (const [name, samples] of times) {
		const [middle, lowest, highest] = [median(samples), quantile(samples, 0), quantile(samples, 1)];
		console.log(`${name.padEnd(28)}${middle.toFixed(1)} (${lowest.toFixed(1)}-${highest.toFixed(1)})`);
	}
} finally {
	await vlane.cleanup();
	pod.close();
	lan.close();
}
