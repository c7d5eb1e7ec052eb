/**
 * `node dist/bench/reliability/recover.js`: how long it takes from kill -9 until 1,000 endpoints on 100 networks
 * are connected again, each a real TAP in a namespace of its own, each network on a VLAN. `--quick` does a tenth.
 *
 * The daemon says that it is ready once everything is compared and opened. It is started as its systemd unit does. The
 * time is from the start of its process until then; beside it the time that a daemon without any state takes.
 */
import { cpus, loadavg, release } from "node:os";
import { close } from "../../src/sys/libc.js";
import { newNetns } from "../../src/sys/netns.js";
import { makeLan } from "../../test/support/lan.js";
import type { Vlane } from "../../test/support/vlane.js";
import { ask } from "../ask.js";
import { startAsUnit } from "./asunit.js";

const SCALE = process.argv.includes("--quick") ? 10 : 1;
const NETWORKS = 100 / SCALE;
const ENDPOINTS_EACH = 10;
const ROUNDS = 3;

/** Milliseconds until a daemon that was killed is ready again, `ROUNDS` times. */
async function restarts(vlane: Vlane): Promise<number[]> {
	const times = [];
	for (let round = 0; round < ROUNDS; round++) {
		await vlane.stopDaemon("SIGKILL");
		const startMs = performance.now();
		await vlane.startDaemon("--log-level=warn");
		times.push(performance.now() - startMs);
	}
	return times;
}

function report(what: string, times: number[]): void {
	const sorted = times.toSorted((a, b) => a - b).map((time) => time.toFixed(0));
	console.log(`${what.padEnd(44)} median ${sorted[ROUNDS >> 1]} ms, all: ${sorted.join(", ")}`);
}

const lan = await makeLan();
const vlane = await startAsUnit(lan.host, "--log-level=warn");
const load = loadavg()[0]?.toFixed(1);
console.log(`${cpus()[0]?.model} x ${cpus().length}, Linux ${release()}, Node ${process.versions.node}, load ${load}`);
report("no state", await restarts(vlane));
const fds: number[] = [];
for (let network = 1; network <= NETWORKS; network++) {
	const IPAM = { Config: [{ Subnet: `10.${network}.0.0/24`, Gateway: `10.${network}.0.254` }] };
	const Options = { parent: `eth0.${network}` };
	await ask(vlane.socket, "POST", "/networks/create", { Name: `n${network}`, IPAM, Options });
	for (let index = 0; index < ENDPOINTS_EACH; index++) {
		const fd = newNetns();
		fds.push(fd);
		const target = { Target: `netns:/proc/${process.pid}/fd/${fd}`, Name: `e${fd}` };
		await ask(vlane.socket, "POST", `/networks/n${network}/connect`, target);
	}
}
report(`${fds.length} endpoints on ${NETWORKS} networks`, await restarts(vlane));
await vlane.cleanup();
for (const fd of fds) close(fd);
lan.close();
