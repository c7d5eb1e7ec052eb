/** The systemd unit, below a real systemd: confined as far as it says, and everything works. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { testOrSkip } from "../support/needs.js";
import { must, run } from "../support/netns.js";
import { Systemd } from "../support/systemd.js";

const tests = suite("systemd");
const need = { root: true, tun: true, tools: ["ip", "nsenter", "ping", "systemctl", "systemd-analyze", "unshare"] };

const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
const RELIABILITY = fileURLToPath(new URL("../../../docs/reliability.md", import.meta.url));
/**
 * Of 10: the unit needs the host's network, root, and five capabilities, and little else. That two calls of @resources
 * are allowed, of the scheduler, counts as if all were.
 */
const EXPOSURE_MAX = 4.1;

const unitOf = (...flags: string[]): string =>
	must([process.execPath, VLANE, "docker", "install", "--dry-run", ...flags]).replace(/^# .*\n/, "");

let systemd: Systemd;

const vlane = (...argv: string[]): string => systemd.must(process.execPath, VLANE, ...argv);
const show = (property: string): string => systemd.must("systemctl", "show", "--value", "-p", property, "vlane");
const ping = (): string => vlane("exec", "one", "ping", "-c1", "-W5", "10.9.0.20");

testOrSkip(tests, "systemd takes the unit, and counts it as confined", need, () => {
	const directory = mkdtempSync(join(tmpdir(), "vlane-unit-"));
	const remove = onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	try {
		for (const flags of [[], ["--socket-group", "adm"], ["--docker-plugin-dir", "/srv/plug ins"]]) {
			const path = join(directory, "vlane.service");
			writeFileSync(path, unitOf(...flags));
			const { status, stdout, stderr } = run(["systemd-analyze", "verify", path]);
			// Other units of the machine may have lines that it complains about.
			const said = (stdout + stderr).split("\n").filter((line) => line.includes("vlane"));
			assert.equal([status, said], [0, []]);
			const security = must(["systemd-analyze", "security", "--offline=yes", "--no-pager", path]);
			const exposure = Number(/exposure level for vlane\.service: ([\d.]+)/.exec(security)?.[1]);
			assert.ok(exposure <= EXPOSURE_MAX, `${exposure}`);
		}
	} finally {
		remove();
		rmSync(directory, { recursive: true, force: true });
	}
});

/** Names of system calls by the sets that systemd knows; a set may name others. */
function systemCallSets(): Map<string, string[]> {
	const sets = new Map<string, string[]>();
	let set = "";
	for (const line of must(["systemd-analyze", "syscall-filter", "--no-pager"]).split("\n")) {
		if (line.startsWith("@")) {
			set = line;
			sets.set(set, []);
		} else if (/^ +[@\w-]+$/.test(line)) sets.get(set)?.push(line.trim());
	}
	return sets;
}

testOrSkip(tests, "every system call that the daemon was seen to make is allowed", need, () => {
	const sets = systemCallSets();
	const expand = (name: string): string[] => sets.get(name)?.flatMap(expand) ?? [name];
	// What is needed to run anything at all is always allowed.
	const allowed = new Set(expand("@default"));
	for (const [, not, names = ""] of unitOf().matchAll(/^SystemCallFilter=(~?)(.*)$/gm)) {
		for (const name of names.split(" ").flatMap(expand)) {
			if (not) allowed.delete(name);
			else allowed.add(name);
		}
	}
	const [, seen = ""] = /^### System calls$.*?^```text$(.*?)^```$/ms.exec(readFileSync(RELIABILITY, "utf8")) ?? [];
	const calls = seen.trim().split(/\s+/);
	assert.ok(calls.length > 50, "the document has a list");
	// The daemon joins a group by itself (--socket-group) only when nobody has put it there: the unit does.
	assert.equal(
		calls.filter((name) => !allowed.has(name)),
		["setgroups"],
	);
	// What CAP_SYS_PTRACE is not meant for.
	for (const name of ["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "mount"]) {
		assert.not.ok(allowed.has(name), name);
	}
});

testOrSkip(tests, "it starts, and connects containers and namespaces that come later", need, async () => {
	systemd = await Systemd.boot({ "vlane.service": unitOf("--socket-group", "adm") });
	systemd.must("systemctl", "start", "vlane");
	assert.is(show("ActiveState"), "active");
	const [, fields = ""] = /\) (.*)/.exec(systemd.must("cat", `/proc/${show("MainPID").trim()}/stat`)) ?? [];
	assert.is(fields.split(" ")[16], "-10", "nice value of the daemon");
	systemd.must("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "lan");
	for (const name of ["eth0", "lan"]) systemd.must("ip", "link", "set", name, "up");
	vlane("network", "create", "--subnet=10.9.0.0/24", "-o", "parent=eth0.50", "blue");
	vlane("run", "-d", "--net=blue", "--ip=10.9.0.10", "--name=one", "sleep", "infinity");
	// Its name is a mount that is made after the daemon has got mounts of its own.
	systemd.must("ip", "netns", "add", "later");
	vlane("network", "connect", "--ip=10.9.0.20", "blue", "netns:/run/netns/later");
	assert.match(ping(), "1 received");
});

testOrSkip(tests, "sysctls of interfaces can be set, others not", need, () => {
	vlane("network", "create", "--subnet=10.8.0.0/24", "-o", "parent=eth0.60", "red");
	systemd.must("ip", "netns", "add", "tuned");
	const option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
	vlane("network", "connect", "--driver-opt", option, "red", "netns:/run/netns/tuned");
	const interfaces = systemd.must("ip", "-n", "tuned", "-o", "link");
	const [, name = ""] = /: (\w+)(?:@\w+)?: .*ether/.exec(interfaces.replace(/^1:.*\n/, "")) ?? [];
	const path = `/proc/sys/net/ipv4/conf/${name}/log_martians`;
	assert.is(systemd.must("ip", "netns", "exec", "tuned", "cat", path), "1", interfaces);
	systemd.must("ip", "netns", "del", "tuned");
});

testOrSkip(tests, "the limits hold", need, () => {
	const status = systemd.must("cat", `/proc/${show("MainPID")}/status`);
	assert.match(status, /^CapBnd:\t0000000000283020$/m);
	assert.match(status, /^NoNewPrivs:\t1$/m);
	assert.match(status, /^Seccomp:\t2$/m);
	assert.is(systemd.must("stat", "-c", "%a %G", "/run/vlane/vlane.sock"), "660 adm");
	for (const kind of ["lib", "cache"]) assert.is(systemd.must("stat", "-c", "%a", `/var/${kind}/vlane`), "700");
	const mounts = systemd.must("cat", `/proc/${show("MainPID")}/mounts`);
	assert.match(mounts, /^\S+ \/ \S+ ro,/m);
});

testOrSkip(tests, "the thread that forwards may have short turns", { ...need, linux: "6.12" }, () => {
	const threads = systemd.must("sh", "-c", `cat /proc/${show("MainPID").trim()}/task/*/sched`);
	assert.is(threads.match(/^se\.slice +: +300000$/gm)?.length, 1);
});

testOrSkip(tests, "what V8 has compiled is kept for the next start", need, async () => {
	await systemd.until(["ls", "/var/cache/vlane"], ({ stdout }) => /\.code$/m.test(stdout));
});

testOrSkip(tests, "restarted, its descriptors wait with systemd", need, () => {
	const changes = () => vlane("exec", "one", "cat", "/sys/class/net/eth0/carrier_changes");
	const before = changes();
	systemd.must("systemctl", "restart", "vlane");
	assert.match(ping(), "1 received");
	assert.is(changes(), before);
});

testOrSkip(tests, "a reload is a restart that nobody notices: another process, the same interfaces", need, async () => {
	const pid = show("MainPID");
	const changes = () => vlane("exec", "one", "cat", "/sys/class/net/eth0/carrier_changes");
	const before = changes();
	systemd.must("systemctl", "reload", "vlane");
	await systemd.until(
		["systemctl", "show", "--value", "-p", "MainPID", "vlane"],
		({ stdout }) => stdout.trim() !== pid && stdout.trim() !== "0",
	);
	assert.match(ping(), "1 received");
	assert.is(show("ActiveState"), "active");
	assert.is(show("NRestarts"), "0");
	assert.is(changes(), before);
});

testOrSkip(tests, "restarted after a reload, its descriptors wait with systemd, too", need, () => {
	const changes = () => vlane("exec", "one", "cat", "/sys/class/net/eth0/carrier_changes");
	const before = changes();
	systemd.must("systemctl", "restart", "vlane");
	assert.match(ping(), "1 received");
	assert.is(changes(), before);
});

/** Stops one thread (PTRACE_SEIZE, PTRACE_INTERRUPT; ptrace(2)), and waits for its end (__WALL), as a tracer has to. */
const FREEZE = `my $tid = int $ARGV[0]; my $ptrace = ${process.arch === "x64" ? 101 : 117};
	for my $request (0x4206, 0x4207) { syscall($ptrace, $request, $tid, 0, 0) == 0 or die $! }
	1 while waitpid(-1, 0x40000000) > 0;`;

testOrSkip(tests, "hung, it is started again", need, async () => {
	const dropIn = "/run/systemd/system/vlane.service.d/watchdog.conf";
	const reload = (change: string) => systemd.must("sh", "-c", `${change} && systemctl daemon-reload`);
	reload(`mkdir -p ${dirname(dropIn)} && printf '[Service]\\nWatchdogSec=8\\n' > ${dropIn}`);
	systemd.must("systemctl", "restart", "vlane");
	/** All of it, then the thread that forwards, alone. */
	const ways: ((pid: string) => unknown)[] = [
		(pid) => systemd.must("kill", "-STOP", pid),
		(pid) => {
			const waiting = systemd.must("sh", "-c", `grep -l io_cqring_wait /proc/${pid}/task/*/wchan`);
			systemd.must("systemd-run", "perl", "-e", FREEZE, waiting.split("/").at(-2)!);
		},
	];
	for (const [times, hang] of ways.entries()) {
		const pid = show("MainPID");
		hang(pid);
		await systemd.until(
			["systemctl", "show", "--value", "-p", "NRestarts", "vlane"],
			({ stdout }) => stdout === `${times + 1}\n`,
		);
		await systemd.until([process.execPath, VLANE, "network", "ls"], ({ status }) => status === 0);
		assert.is.not(show("MainPID"), pid);
		assert.match(ping(), "1 received");
	}
	reload(`rm ${dropIn}`);
});

testOrSkip(tests, "restarted, killed and stopped, it leaves containers alone", need, async () => {
	systemd.must("systemctl", "restart", "vlane");
	assert.match(ping(), "1 received");
	const changes = () => vlane("exec", "one", "cat", "/sys/class/net/eth0/carrier_changes");
	const before = changes();
	systemd.must("systemctl", "kill", "-s", "KILL", "vlane");
	await systemd.until(["systemctl", "show", "--value", "-p", "NRestarts", "vlane"], ({ stdout }) => stdout === "1\n");
	await systemd.until([process.execPath, VLANE, "network", "ls"], ({ status }) => status === 0);
	assert.match(ping(), "1 received");
	assert.is(changes(), before, "its descriptors wait with systemd, however it ends");
	systemd.must("systemctl", "stop", "vlane");
	assert.is(show("Result"), "success");
	systemd.must("systemctl", "start", "vlane");
	assert.match(ping(), "1 received");
	// What it gives up is gone at once: systemd has no copy of it any more.
	vlane("network", "disconnect", "blue", "later");
	assert.is(systemd.must("ip", "netns", "exec", "later", "ls", "/sys/class/net").trim(), "lo");
	vlane("rm", "-f", "one");
});

tests.after(async () => {
	await systemd?.stop();
});

tests.run();
