/** What the daemon may do: the capabilities of all its threads, and who may ask it. */
import { chmodSync, readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Lan, makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const privileges = suite("privileges");
const need = { root: true, tun: true, tools: ["ip", "ping", "setpriv"] };

const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
/** Bits of include/uapi/linux/capability.h. */
const [KILL, NET_ADMIN, NET_RAW, SYS_PTRACE, SYS_ADMIN] = [5, 12, 13, 19, 21].map((bit) => 1n << BigInt(bit)) as [
	bigint,
	bigint,
	bigint,
	bigint,
	bigint,
];
const ALL = KILL | NET_ADMIN | NET_RAW | SYS_PTRACE | SYS_ADMIN;

let lan: Lan;
let vlane: Vlane;

/** Fields of /proc/PID/task/TID/status, of each thread. */
function threads(pid: number): Record<string, string>[] {
	return readdirSync(`/proc/${pid}/task`).map((tid) => {
		const text = readFileSync(`/proc/${pid}/task/${tid}/status`, "latin1");
		return { ...Object.fromEntries(text.split("\n").map((line) => line.split(/:\s*/))), tid };
	});
}

const setOf = (thread: Record<string, string>, name: string): bigint => BigInt(`0x${thread[name]}`);

privileges.before(async () => {
	lan = await makeLan();
	vlane = await startVlane(lan.host);
	vlane.must("network", "create", "--subnet=10.9.0.0/24", "quiet");
});

privileges.after(async () => {
	await vlane.cleanup();
	lan.close();
});

testOrSkip(privileges, "no thread has more than the five capabilities, nor can get more", need, () => {
	const all = threads(vlane.pid);
	assert.ok(all.length > 5, "Node's own threads are among them");
	for (const thread of all) {
		for (const name of ["CapPrm", "CapEff", "CapInh", "CapAmb"]) assert.is(setOf(thread, name) & ~ALL, 0n, name);
		assert.is(setOf(thread, "CapBnd"), ALL);
		assert.is(thread.NoNewPrivs, "1");
	}
});

testOrSkip(privileges, "what is executed anew holds little memory for young objects", need, () => {
	const argv = readFileSync(`/proc/${vlane.pid}/cmdline`, "utf8").split("\0");
	assert.is(argv.filter((word) => word === "--max-semi-space-size=1").length, 1, argv.join(" "));
});

testOrSkip(privileges, "administration is in effect in no thread that works", need, () => {
	const main = threads(vlane.pid).find(({ tid }) => tid === `${vlane.pid}`)!;
	assert.is(setOf(main, "CapEff"), NET_ADMIN | NET_RAW);
	assert.is(setOf(main, "CapPrm"), ALL);
	for (const name of ["CapInh", "CapAmb"]) assert.is(setOf(main, name), 0n, name);
});

testOrSkip(privileges, "the thread that reads frames has no capability", need, () => {
	const bare = threads(vlane.pid).filter((thread) => setOf(thread, "CapPrm") === 0n);
	assert.ok(bare.length >= 1);
	for (const thread of bare) assert.is(setOf(thread, "CapEff"), 0n);
});

testOrSkip(privileges, "containers of other users are entered, and ended with all that runs in them", need, () => {
	const other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
	vlane.must("run", "-d", "--net=quiet", "--name=stranger", ...other, "sleep", "infinity");
	vlane.must("run", "-d", "--net=quiet", "--name=root", "sh", "-c", `${other.join(" ")} sleep infinity; true`);
	assert.match(vlane.must("exec", "root", "ping", "-c1", "-W5", "10.9.0.1"), "1 received");
	vlane.must("network", "create", "--subnet=10.8.0.0/24", "second");
	vlane.must("network", "connect", "second", "stranger");
	vlane.must("network", "disconnect", "second", "stranger");
	vlane.must("network", "rm", "second");
	vlane.must("rm", "-f", "stranger", "root");
	assert.is(vlane.must("ps", "-aq"), "");
});

testOrSkip(privileges, "the API's socket can be opened to a group, by name or number", need, async () => {
	const nogroup = Number(/^nogroup:[^:]*:(\d+):/m.exec(readFileSync("/etc/group", "utf8"))?.[1]);
	for (const [group, gid] of [
		["nogroup", nogroup],
		["54321", 54321],
	] as const) {
		await vlane.stopDaemon();
		await vlane.startDaemon("--socket-group", group);
		const { mode, gid: found, uid } = statSync(vlane.socket);
		assert.equal([mode & 0o777, found, uid], [0o660, gid, 0]);
	}
	chmodSync(vlane.directory, 0o711);
	const as = (gid: number) => ["setpriv", "--reuid=65534", `--regid=${gid}`, "--clear-groups", process.execPath, VLANE];
	const ask = (gid: number) => lan.host.run([...as(gid), "-H", `unix://${vlane.socket}`, "network", "ls", "-q"]);
	assert.is(ask(54321).status, 0);
	assert.match(ask(54322).stderr, "permission denied");
	await vlane.stopDaemon();
	await vlane.startDaemon();
	assert.is(statSync(vlane.socket).mode & 0o777, 0o600);
});

testOrSkip(privileges, "a group that is not there, or may not be joined, is refused", need, () => {
	const where = ["--state-dir", `${vlane.directory}/none`, "--socket", `${vlane.directory}/none.sock`];
	const start = (wrapper: string[], group: string) =>
		lan.host.run([...wrapper, process.execPath, VLANE, "daemon", ...where, "--socket-group", group]);
	for (const group of ["no-such-group", "4294967295"]) {
		const { status, stderr } = start([], group);
		assert.is(status, 1);
		assert.is(stderr, `no group "${group}" in /etc/group; make it: groupadd NAME\n`);
	}
	const { status, stderr } = start(["setpriv", "--bounding-set=-setgid"], "54321");
	assert.is(status, 1);
	assert.is(stderr, "cannot give the socket to group 54321: setgroups: EPERM; start the daemon as a member of it\n");
	assert.throws(() => statSync(`${vlane.directory}/none`), /ENOENT/);
});

privileges.run();
