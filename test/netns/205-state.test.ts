/** The daemon's state directory when the disk is full, and beside the commands that look after it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { type Lan, makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { must, Namespace } from "../support/netns.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const state = suite("state");
const need = { root: true, tun: true, tools: ["ip", "mount", "umount"] };

let lan: Lan;
let vlane: Vlane;
let c1: Namespace;
let disk: string;

state.before.each(async () => {
	lan = await makeLan();
	vlane = await startVlane(lan.host);
	c1 = new Namespace("c1");
	disk = join(vlane.directory, "disk");
	mkdirSync(disk);
});

state.after.each(async () => {
	await vlane.cleanup();
	c1.close();
	lan.close();
});

/** A file system of its own; returns how to take it away, which has to be done before its mount point goes. */
function mountDisk(kib: number): () => void {
	must(["mount", "-t", "tmpfs", "-o", `size=${kib}k`, "tmpfs", disk]);
	return onCleanup(() => must(["umount", "--lazy", disk]));
}

function fill(): void {
	try {
		for (let piece = 0; ; piece++) writeFileSync(join(disk, `filler${piece}`), Buffer.alloc(4096));
	} catch (error) {
		assert.is((error as NodeJS.ErrnoException).code, "ENOSPC");
	}
}

function makeRoom(): void {
	must(["sh", "-c", `rm -f ${disk}/filler*`]);
}

const FULL = /cannot write to state directory .*: ENOSPC, no space left on device; make room and try again\n$/;

testOrSkip(state, "a full disk refuses changes, loses nothing, and takes them once there is room", need, async () => {
	const stateDir = join(disk, "state");
	const unmount = mountDisk(1024);
	const labels = Array.from({ length: 200 }, (_, index) => `--label=k${index}=${"x".repeat(100)}`);
	const create = (name: string) => vlane.vlane("network", "create", ...labels, name);
	const connect = (...flags: string[]) => vlane.vlane("network", "connect", ...flags, "kept", `netns:${c1.path}`);
	const disconnect = () => vlane.vlane("network", "disconnect", "kept", `netns:${c1.path}`);
	try {
		await vlane.stopDaemon();
		await vlane.startDaemon("--state-dir", stateDir);
		vlane.must("network", "create", "--subnet=10.9.0.0/24", "kept");
		assert.is(connect().status, 0);
		const before = c1.must(["ip", "address", "show", "eth0"]);
		fill();
		const created: string[] = [];
		let refused = create("n0");
		for (; refused.status === 0; refused = create(`n${created.length}`)) created.push(`n${created.length}`);
		assert.match(refused.stderr, FULL);
		const networks = vlane.must("network", "ls", "-q", "--no-trunc");
		assert.is(networks.split("\n").length, created.length + 1);
		// What can not be taken away stays as it is.
		const removals = [
			...created.map((name) => ["network", "rm", name]),
			["network", "disconnect", "kept", `netns:${c1.path}`],
		];
		for (const argv of removals) {
			const { status, stderr } = vlane.vlane(...argv);
			if (status !== 0) assert.match(stderr, FULL);
		}
		await vlane.stopDaemon("SIGKILL");
		await vlane.startDaemon("--state-dir", stateDir);
		makeRoom();
		assert.is(create("after").status, 0);
		assert.is(vlane.vlane("state", "check", "--state-dir", stateDir).status, 0);
		vlane.vlane("network", "disconnect", "kept", `netns:${c1.path}`);
		assert.is(connect("--ip=10.9.0.1").status, 0);
		assert.is(before.includes("10.9.0.1/24"), true);
		assert.is(disconnect().status, 0);
	} finally {
		await vlane.stopDaemon();
		unmount();
	}
});

testOrSkip(state, "a new state directory on a full disk is refused", need, () => {
	const unmount = mountDisk(64);
	try {
		fill();
		const socket = join(vlane.directory, "other.sock");
		const { status, stderr } = vlane.vlane("daemon", "--state-dir", join(disk, "state"), "--socket", socket);
		assert.is(status, 1);
		assert.match(stderr, /^cannot (write to|use) state directory .*ENOSPC/);
	} finally {
		unmount();
	}
});

testOrSkip(state, "what a daemon keeps is exported beside it, checked, and imported elsewhere", need, async () => {
	const where = ["--state-dir", vlane.stateDirectory];
	vlane.must("network", "create", "--subnet=10.9.0.0/24", "kept");
	vlane.must("network", "connect", "kept", `netns:${c1.path}`);
	const file = join(vlane.directory, "export.json");
	writeFileSync(file, vlane.must("state", "export", ...where));
	assert.match(readFileSync(file, "utf8"), /"name": "kept"/);
	assert.match(vlane.must("state", "check", ...where), /is consistent$/);
	const inUse = vlane.vlane("state", "import", "--force", ...where, file);
	assert.is(inUse.status, 1);
	assert.match(inUse.stderr, /is in use by another vlane daemon; stop it or use another --state-dir\n$/);
	await vlane.stopDaemon();
	rmSync(vlane.stateDirectory, { recursive: true });
	assert.match(vlane.must("state", "import", ...where, file), /^2 records imported into /);
	const again = vlane.vlane("state", "import", ...where, file);
	assert.match(again.stderr, /has 2 records; give --force to replace them, or another --state-dir\n$/);
	await vlane.startDaemon();
	assert.match(vlane.must("network", "inspect", "kept"), /"IPv4Address": "10.9.0.1\/24"/);
	assert.is(vlane.must("reconcile"), "everything is as it should be");
});

state.run();
