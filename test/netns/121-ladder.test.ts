/**
 * Each rung of the ladder from the newest io_uring down to plain system calls, forced, with the real daemon and real
 * frames: kernels that do not know a flag (test/support/oldkernel.c), and a seccomp filter that forbids io_uring. With
 * kernel.io_uring_disabled the kernel answers EPERM, too; it is the whole machine's, so it is not touched here.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { makeLan } from "../support/lan.js";
import { needs, testOrSkip } from "../support/needs.js";
import { must } from "../support/netns.js";
import { Site } from "../support/site.js";
import { transfer } from "../support/transfer.js";
import { startVlaneBehind } from "../support/vlane.js";

const CQSIZE = 1 << 3;
const SUBMIT_ALL = 1 << 7;
const SINGLE_ISSUER = 1 << 12;
const DEFER_TASKRUN = 1 << 13;
const NO_MMAP = 1 << 14;
const REGISTER_RING_FDS = 20;
const MIB = 1 << 20;

/** exec below a seccomp filter that answers io_uring_setup with an errno. */
const forbidding = (errno: number): string[] => [
	"perl",
	"-e",
	[
		"require Config;",
		"my $prctl = $Config::Config{archname} =~ /aarch64/ ? 167 : 157;",
		`my $filter = pack('(SCCL)4', 0x20,0,0,0, 0x15,0,1,425, 0x06,0,0,${0x50000 + errno}, 0x06,0,0,0x7fff0000);`,
		"my $program = pack('Sx6P', 4, $filter);",
		"syscall($prctl, 38, 1, 0, 0, 0) == 0 or die;",
		"syscall($prctl, 22, 2, $program) == 0 or die $!;",
		"exec @ARGV or die;",
	].join(" "),
];

interface Rung {
	name: string;
	env?: Record<string, string>;
	prefix?: string[];
	ring: "io_uring" | "poll";
	/** Of the ring that came about. */
	flags?: number;
	/** With a VLAN as well, which takes another switch behind the wire. */
	isTagged?: boolean;
}

const LEAST = CQSIZE | NO_MMAP;
const RUNGS: Rung[] = [
	{
		name: "everything",
		ring: "io_uring",
		flags: LEAST | SUBMIT_ALL | SINGLE_ISSUER | DEFER_TASKRUN,
		isTagged: true,
	},
	{
		name: "without DEFER_TASKRUN and SINGLE_ISSUER",
		env: { VLANE_REFUSED_FLAGS: `${SINGLE_ISSUER | DEFER_TASKRUN}` },
		ring: "io_uring",
		flags: LEAST | SUBMIT_ALL,
	},
	{
		name: "without SUBMIT_ALL as well",
		env: { VLANE_REFUSED_FLAGS: `${SUBMIT_ALL | SINGLE_ISSUER | DEFER_TASKRUN}` },
		ring: "io_uring",
		flags: LEAST,
	},
	{
		name: "without registered rings",
		env: { VLANE_REFUSED_REGISTER: `${REGISTER_RING_FDS}` },
		ring: "io_uring",
		flags: LEAST | SUBMIT_ALL | SINGLE_ISSUER | DEFER_TASKRUN,
	},
	{ name: "without NO_MMAP", env: { VLANE_REFUSED_FLAGS: `${NO_MMAP}` }, ring: "poll" },
	{ name: "io_uring_setup: EPERM", prefix: forbidding(1), ring: "poll", isTagged: true },
	{ name: "io_uring_setup: ENOSYS", prefix: forbidding(38), ring: "poll" },
];

const ladder = suite("ladder");
const need = { root: true, tun: true, tools: ["ip", "ping", "cc", "perl"] };
const directory = mkdtempSync(join(tmpdir(), "vlane-ladder-"));
onCleanup(() => rmSync(directory, { recursive: true, force: true }));
const shim = join(directory, "oldkernel.so");
if (!needs(need)) {
	const source = fileURLToPath(new URL("../../../test/support/oldkernel.c", import.meta.url));
	must(["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-o", shim, source, "-ldl"]);
}

RUNGS.forEach(({ name, env = {}, prefix = [], ring, flags, isTagged }, index) => {
	testOrSkip(ladder, `${name}: frames${isTagged ? ", untagged and tagged" : ""}`, need, async () => {
		const log = join(directory, `rings${index}`);
		const settings = { LD_PRELOAD: shim, VLANE_RING_LOG: log, ...env };
		const lan = await makeLan({ vlans: isTagged ? [50] : [] });
		lan.station(undefined, ["10.1.0.254/24"]);
		const around = ["env", ...Object.entries(settings).map(([key, value]) => `${key}=${value}`), ...prefix];
		const vlane = await startVlaneBehind(around, lan.host);
		const site = new Site(lan, vlane);
		try {
			site.create("plain", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
			const [one, two] = [await site.join("plain"), await site.join("plain")];
			assert.is(((await site.ask("GET", "/info")) as { Datapath: string }).Datapath, ring);
			if (flags !== undefined) {
				const rings = new Set(readFileSync(log, "utf8").trim().split("\n").map(Number)); // one for each worker
				assert.equal([...rings], [flags]);
			}
			assert.is(two.ping("10.1.0.1"), 1);
			await transfer(lan.far, one, "10.1.0.1", 4 * MIB);
			await transfer(one, two, "10.1.0.2", 16 * MIB);
			if (!isTagged) return;
			lan.station(50, ["10.50.0.254/24"]);
			site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
			const tagged = await site.join("v50");
			assert.is(tagged.ping("10.50.0.254"), 1);
			await transfer(tagged, lan.far, "10.50.0.254", 4 * MIB);
		} finally {
			await site.close();
		}
	});
});

ladder.run();
