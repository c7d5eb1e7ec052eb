/** Daemons that follow each other without an interruption: descriptors are handed over, and what can go wrong then. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HELLO } from "../../src/daemon/handover.js";
import { connectFds } from "../../src/sys/fdsocket.js";
import { close } from "../../src/sys/libc.js";
import { FdPoller } from "../../src/sys/poller.js";
import { type Lan, makeLan, PARENT } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { LATE_SECONDS, Namespace, type Started } from "../support/netns.js";
import { Supervisor } from "../support/supervisor.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const TOOL = fileURLToPath(new URL("../support/sequence-tool.js", import.meta.url));
const NEED = { root: true, tun: true, tools: ["ip", "ping", "iperf3"] };
const PORT = 4000;
const DATAGRAMS = 6000;
/**
 * Of so many, at 1,000 in a second, in two handovers or one restart. What a queue of the kernel's has had no room for,
 * because a start has taken long, is counted apart: by its counters. Two kills cost some thousands.
 */
const LOST_MAX = 10;

const handover = suite("handover");
let lan: Lan;
let vlane: Vlane;
let c1: Namespace;
let c2: Namespace;
const poller = new FdPoller();

handover.before.each(async () => {
	lan = await makeLan({ vlans: [50] });
	lan.station(50, ["10.50.0.254/24"]);
	vlane = await startVlane(lan.host);
	[c1, c2] = [new Namespace("c1"), new Namespace("c2")];
	vlane.must("network", "create", "--subnet=10.50.0.0/24", "-o", `parent=${PARENT}.50`, "v50");
	vlane.must("network", "create", "--subnet=10.60.0.0/24", "-o", `parent=${PARENT}`, "untagged");
	for (const [index, ns] of [c1, c2].entries()) {
		vlane.must("network", "connect", `--ip=10.50.0.${index + 1}`, "v50", `netns:${ns.path}`);
		vlane.must("network", "connect", `--ip=10.60.0.${index + 1}`, "untagged", `netns:${ns.path}`);
	}
});

handover.after.each(async () => {
	await vlane.cleanup();
	for (const ns of [c1, c2]) ns.close();
	lan.close();
});

/** What must be the same: addresses, routes, and how often an interface has lost or got its carrier. */
const view = (ns: Namespace): string =>
	ns.must(["sh", "-c", "ip -o address; ip route; cat /sys/class/net/eth0/carrier_changes"]);
const promiscuity = () => lan.host.ip("-d", "link", "show", PARENT)[0].promiscuity;

/** Frames that have come in through a port. */
function received(port: string): number {
	const ports: { name: string; rxFrames: number }[] = JSON.parse(vlane.must("ports", "--json"));
	return ports.find(({ name }) => name === port)?.rxFrames ?? -1;
}

function pings(): void {
	for (const address of ["10.50.0.2", "10.50.0.254", "10.60.0.2"]) assert.is(c1.ping(address, 1, LATE_SECONDS), 1);
}

/** The daemon goes on: it forwards, and takes changes. */
function isThere(): void {
	pings();
	vlane.must("network", "create", "--subnet=10.70.0.0/24", "later");
	vlane.must("network", "rm", "later");
}

/** Frames that the queues of the sender's interfaces have had no room for. */
function overflown(): number {
	const links: { stats64?: { tx: { dropped: number } } }[] = c1.ip("-s", "link");
	return links.reduce((sum, { stats64 }) => sum + (stats64?.tx.dropped ?? 0), 0);
}

/** What became of numbered datagrams to a receiver. */
interface Count {
	lost: number;
	twice: number;
	/** Of both receivers: some of these may be among those that were lost. */
	overflown: number;
}

/** Numbered datagrams to two receivers while `work` is done. */
async function countLost(work: () => Promise<void>): Promise<Count[]> {
	const before = overflown();
	const receivers: Started[] = [c2, lan.far].map((ns) => ns.start([process.execPath, TOOL, "receive", `${PORT}`]));
	for (const receiver of receivers) await receiver.waitFor(/receiving/);
	const senders = ["10.50.0.2", "10.50.0.254"].map((address) =>
		c1.start([process.execPath, TOOL, "send", address, `${PORT}`, `${DATAGRAMS}`]),
	);
	await work();
	for (const sender of senders) assert.is((await sender.ended).status, 0);
	const results = [];
	for (const receiver of receivers) {
		const { received: came, twice } = JSON.parse((await receiver.stop()).stdout.split("\n")[1] ?? "");
		results.push({ lost: DATAGRAMS - came, twice, overflown: overflown() - before });
	}
	return results;
}

function areFew(counts: Count[]): void {
	for (const { lost, twice, overflown: dropped } of counts) {
		assert.ok(lost <= LOST_MAX + dropped, `${lost} datagrams were lost, queues have dropped ${dropped}`);
		assert.is(twice, 0);
	}
}

/** Sets of processors that threads of a process may run on. */
const processorsOf = (pid: number): string[] => [
	...new Set(
		readdirSync(`/proc/${pid}/task`).map((tid) => {
			const status = readFileSync(`/proc/${pid}/task/${tid}/status`, "latin1");
			return /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "";
		}),
	),
];

testOrSkip(handover, "a successor goes on with streams, carriers, addresses and counters", NEED, async () => {
	pings();
	const before = [view(c1), view(c2), promiscuity()];
	const counted = received(`v50/${c1.name}`);
	assert.ok(counted > 0);
	const servers = [c2, lan.far].map((ns) => ns.start(["iperf3", "-s", "-1", "--forceflush"]));
	for (const server of servers) await server.waitFor(/listening/i);
	const streams = ["10.50.0.2", "10.50.0.254"].map((address) =>
		c1.start(["iperf3", "-c", address, "-t", "8", "-b", "20M"]),
	);
	const lost = await countLost(async () => {
		for (let time = 0; time < 2; time++) {
			const { status, stderr } = await vlane.replaceDaemon();
			assert.is(status, 0, stderr);
			assert.match(stderr, "handing over");
		}
	});
	console.log(`datagrams lost in two handovers, of ${DATAGRAMS} each: ${JSON.stringify(lost)}`);
	areFew(lost);
	for (const stream of streams) assert.is((await stream.ended).status, 0);
	assert.equal([view(c1), view(c2), promiscuity()], before);
	assert.ok(received(`v50/${c1.name}`) > counted + DATAGRAMS, "counters go on");
	assert.equal(processorsOf(vlane.pid), processorsOf(process.pid), "it runs where it may again, with all threads");
	isThere();
	// What was inherited is given back as what was opened.
	vlane.must("network", "disconnect", "v50", c1.name);
	vlane.must("network", "disconnect", "v50", c2.name);
	vlane.must("network", "rm", "v50");
	assert.is(promiscuity(), before[2] - 1);
	assert.not.match(lan.host.must(["ip", "-o", "link"]), "eth0.50");
});

testOrSkip(handover, "a successor in the background has taken over when its command returns", NEED, async () => {
	const where = ["--state-dir", vlane.stateDirectory, "--socket", vlane.socket, "--docker-plugin-dir", "none"];
	const { status, stderr } = await vlane.start("daemon", "--replace", "--detach", ...where).ended;
	assert.is(status, 0, stderr);
	isThere();
	// The old one has ended by itself.
	assert.is((await vlane.stopDaemon("SIGCONT")).status, 0);
	await vlane.startDaemon("--replace");
	pings();
});

const point = () => connectFds(join(vlane.stateDirectory, "handover.sock"), poller);

testOrSkip(handover, "nothing is handed to another release, and the daemon goes on", NEED, async () => {
	const successor = point();
	await successor.send(JSON.stringify({ hello: { ...HELLO.hello, format: 99 } }));
	assert.match((await successor.receive(20_000))?.text ?? "", "refused");
	successor.close();
	isThere();
});

for (const [when, words] of Object.entries({
	"in the middle": [HELLO],
	"when it is ready": [HELLO, { ready: true }],
})) {
	testOrSkip(handover, `a successor that dies ${when} changes nothing`, NEED, async () => {
		const before = [view(c1), view(c2)];
		const successor = point();
		for (const said of words) await successor.send(JSON.stringify(said));
		const message = when === "in the middle" ? await successor.receive(20_000) : undefined;
		for (const fd of message?.fds ?? []) close(fd);
		successor.close();
		isThere();
		assert.equal([view(c1), view(c2)], before);
		await vlane.replaceDaemon();
		isThere();
	});
}

testOrSkip(handover, "a daemon that is killed while it hands over is succeeded all the same", NEED, async () => {
	for (const afterMs of [0, 20, 60]) {
		const { pid } = vlane;
		const replaced = vlane.replaceDaemon();
		const socketPath = join(vlane.stateDirectory, "handover.sock");
		// The successor has connected once the daemon has one more descriptor of the kind.
		const connections = () => lan.host.must(["sh", "-c", `grep -c '${socketPath}' /proc/net/unix || true`]).trim();
		for (const alone = connections(); connections() === alone; ) {
			await new Promise((resolve) => setTimeout(resolve, 5));
		}
		await new Promise((resolve) => setTimeout(resolve, afterMs));
		process.kill(pid, "SIGKILL");
		await replaced;
		isThere();
	}
});

/** Below a supervisor that keeps descriptors: what systemd does for a service with FileDescriptorStoreMax=. */
for (const [how, signal] of Object.entries({ stopped: "SIGTERM", killed: "SIGKILL" } as const)) {
	testOrSkip(handover, `${how}, its descriptors wait with the supervisor for the next daemon`, NEED, async () => {
		await vlane.stopDaemon();
		const supervisor = new Supervisor();
		vlane.supervisor = supervisor;
		await vlane.startDaemon();
		await supervisor.hear("READY=1");
		pings();
		const before = [view(c1), view(c2), promiscuity()];
		const counted = received(`v50/${c1.name}`);
		const lost = await countLost(async () => {
			await vlane.stopDaemon(signal);
			assert.is(supervisor.kept.size, 6, [...supervisor.kept.keys()].join());
			assert.equal([view(c1), view(c2), promiscuity()], before, "while nobody reads");
			await vlane.startDaemon();
			await supervisor.hear("READY=1");
			pings();
			assert.equal([view(c1), view(c2), promiscuity()], before);
		});
		console.log(`datagrams lost while it is ${how} and started again, of ${DATAGRAMS}: ${JSON.stringify(lost)}`);
		areFew(lost);
		if (signal === "SIGTERM") assert.ok(received(`v50/${c1.name}`) >= counted + DATAGRAMS, "counters go on");
		isThere();
		// What is kept is given back as what was opened: nothing of it holds a device.
		for (const words of [`disconnect v50 ${c1.name}`, `disconnect v50 ${c2.name}`, "rm v50"]) {
			const { status, stderr } = await vlane.start("network", ...words.split(" ")).ended;
			assert.is(status, 0, stderr);
		}
		assert.is(supervisor.kept.size, 3, [...supervisor.kept.keys()].join());
		assert.is(promiscuity(), before[2] - 1);
		assert.not.match(lan.host.must(["ip", "-o", "link"]), "eth0.50");
		await vlane.stopDaemon();
		supervisor.close();
		vlane.supervisor = undefined;
		await vlane.startDaemon();
		assert.is(c1.ping("10.60.0.2", 1, LATE_SECONDS), 1);
	});
}

handover.run();
