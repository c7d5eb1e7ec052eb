/**
 * Process of test/netns/125-loop.test.ts: `loop-tool.js FRAMES` moves at least that many small frames between two TAPs
 * of its namespace, then has nothing to do. Prints, as JSON, how many frames and batches there were, and how often the
 * thread that forwards was woken up in a second without any frame: the best of some.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { startDatapath } from "../../src/host/datapath.js";
import { FrameGenerator } from "../../src/raw/generator.js";
import { openTap } from "../../src/tap/tap.js";
import { must } from "./netns.js";

const FRAMES_AT_ONCE = 256;
const QUIET_MS = 1000;
const TRIES = 10;

const datapath = await startDatapath({ mode: "io_uring" });
const segment = await datapath.addSegment({ uplink: null, tags: [] });
const stations = [1, 2].map((number) => ({ name: `t${number}`, mac: `02:00:00:00:00:0${number}` }));
for (const { name, mac } of stations) {
	const { fd } = openTap({ name, persist: false });
	must(["ip", "link", "set", name, "address", mac, "up"]);
	await datapath.addPort({ kind: "endpoint", name, fd, mac, mtuBytes: 1500, segment, network: 1, mode: "bridge" });
}
const [from, to] = stations as [(typeof stations)[0], (typeof stations)[0]];

const generator = new FrameGenerator(from.name, from.mac, to.mac);
const arrived = (): number => datapath.counters.port(2).txFrames;
async function move(wanted: number): Promise<void> {
	while (arrived() < wanted) {
		generator.offer(64, FRAMES_AT_ONCE);
		await sleep(0);
	}
}
await move(Number(process.argv[2]));

/** The thread that waits in the ring, and how often it has given its processor up. */
function waiter(): number | undefined {
	for (const tid of readdirSync("/proc/self/task")) {
		if (readFileSync(`/proc/self/task/${tid}/wchan`, "latin1") !== "io_cqring_wait") continue;
		const status = readFileSync(`/proc/self/task/${tid}/status`, "latin1");
		return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
	}
	return undefined;
}

let wakeups = Number.POSITIVE_INFINITY;
for (let left = TRIES; left > 0 && wakeups > 0; left--) {
	const before = waiter();
	await sleep(QUIET_MS);
	const after = waiter();
	if (before !== undefined && after !== undefined) wakeups = Math.min(wakeups, after - before);
}
const [frames, batches] = [arrived(), datapath.counters.batches()];
// What was compiled while the thread slept, because this machine has had other work, V8 takes when it runs again.
await move(frames + 10 * FRAMES_AT_ONCE);
generator.close();
console.log(JSON.stringify({ frames, batches, wakeups }));
await datapath.close();
