/** Nonsense on the socket between a daemon and its successor, from either side, and in what is left for a successor. */
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HELLO } from "../../src/daemon/handover.js";
import { isErrno } from "../../src/sys/errno.js";
import { connectFds, type FdConnection, listenFds } from "../../src/sys/fdsocket.js";
import { close } from "../../src/sys/libc.js";
import { FdPoller } from "../../src/sys/poller.js";
import { testOrSkip } from "../support/needs.js";
import { LATE_SECONDS, Namespace } from "../support/netns.js";
import { eventually } from "../support/site.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const NEED = { root: true, tun: true, tools: ["ip", "ping"] };
/** Of nonsense; `VLANE_RUNS=N` tells others. */
const STORIES = Number(process.env.VLANE_RUNS ?? 15);

const handover = suite("handover, nonsense");
let host: Namespace;
let vlane: Vlane;
let c1: Namespace;
let c2: Namespace;
const poller = new FdPoller();
const point = () => connectFds(join(vlane.stateDirectory, "handover.sock"), poller);

handover.before(async () => {
	host = new Namespace("host");
	vlane = await startVlane(host);
	[c1, c2] = [new Namespace("c1"), new Namespace("c2")];
	vlane.must("network", "create", "--subnet=10.60.0.0/24", "n");
	for (const [index, ns] of [c1, c2].entries()) {
		vlane.must("network", "connect", `--ip=10.60.0.${index + 1}`, "n", `netns:${ns.path}`);
	}
});

handover.after(async () => {
	await vlane.cleanup();
	for (const ns of [c1, c2, host]) ns.close();
});

/** The daemon goes on: it forwards, and takes changes. */
function isThere(): void {
	assert.is(c1.ping("10.60.0.2", 1, LATE_SECONDS), 1);
	vlane.must("network", "create", "--subnet=10.70.0.0/24", "later");
	vlane.must("network", "rm", "later");
}

/** What somebody who is no successor could say; not that it is ready, or that the daemon has to stop. */
const nonsense = fc.oneof(
	fc.constantFrom(JSON.stringify(HELLO), "null", "[]", "{", '{"ready":false}', '{"hello":null}', "x".repeat(65536)),
	fc.string({ minLength: 1 }),
	fc.json({ maxDepth: 3 }),
);
const stories = fc.array(fc.record({ text: nonsense, fds: fc.nat({ max: 3 }) }), { minLength: 1, maxLength: 4 });

testOrSkip(handover, "nonsense from a successor does the daemon no harm", NEED, async () => {
	const descriptors = () => readdirSync(`/proc/${vlane.pid}/fd`).length;
	const before = descriptors();
	const seed = Date.now();
	for (const story of fc.sample(stories, { numRuns: STORIES, seed })) {
		const successor = point();
		for (const { text, fds } of story) {
			const given = new Array<number>(fds).fill(process.stdout.fd);
			// The daemon may have closed it already, with or without having read all.
			const isClosed = (error: unknown) => assert.ok(isErrno(error, "EPIPE", "ECONNRESET"), `${error}`);
			await successor.send(text, given).catch(isClosed);
		}
		// Items, a refusal, or nothing: then it has looked at this one.
		const message = await successor.receive(20_000);
		for (const fd of message?.fds ?? []) close(fd);
		successor.close();
	}
	isThere();
	await eventually(`every descriptor is given back (seed ${seed})`, () => descriptors() <= before);
	await vlane.replaceDaemon();
	isThere();
});

testOrSkip(handover, "who does not read is not waited for", NEED, async () => {
	const path = join(vlane.directory, "silent");
	const connections: FdConnection[] = [];
	const stop = listenFds(path, poller, (connection) => connections.push(connection));
	const sender = connectFds(path, poller);
	const flood = async () => {
		for (;;) await sender.send("x".repeat(60_000), [], 50);
	};
	const error = await flood().catch((reason: unknown) => reason);
	assert.ok(isErrno(error, "EAGAIN"), `${error}`);
	for (const connection of [sender, ...connections]) connection.close();
	stop();
});

testOrSkip(handover, "a predecessor that talks nonsense ends the successor, in one line", NEED, async () => {
	await vlane.stopDaemon();
	const path = join(vlane.stateDirectory, "handover.sock");
	const answers = ["{", '{"items":[null],"lock":true}', '{"counters":{}}'];
	for (const answer of answers) {
		const stop = listenFds(path, poller, async (connection) => {
			await connection.send(answer);
			await connection.receive(20_000);
			connection.close();
		});
		const where = ["--state-dir", vlane.stateDirectory, "--socket", vlane.socket, "--docker-plugin-dir", "none"];
		const { status, stderr } = await vlane.start("daemon", "--replace", ...where).ended;
		stop();
		rmSync(path);
		assert.is(status, 1, answer);
		assert.match(stderr, /^the running daemon has handed nothing over, and goes on: .*\n$/, answer);
	}
	for (const notes of ["null", '{"items":[null],"counters":7}']) {
		writeFileSync(join(vlane.stateDirectory, "handover.json"), notes);
		await vlane.startDaemon();
		await vlane.stopDaemon();
	}
	await vlane.startDaemon();
	isThere();
});

handover.run();
