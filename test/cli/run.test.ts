/**
 * `vlane run` and `vlane exec`: what is refused, what the daemon is asked, and what COMMAND finds around it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ApiContainer } from "../../src/control/types.js";
import { testOrSkip } from "../support/needs.js";
import { type Answer, type FakeDaemon, NO_DAEMON, vlane, withDaemon } from "./harness.js";
import { container } from "./samples.js";

const Run = suite("run");

const NOT_FOUND = "executable file not found in $PATH; there are no images, COMMAND is a program of this host";

const REFUSED: [args: string[], status: number, message: string][] = [
	[["no-such-program"], 127, `vlane: exec: "no-such-program": ${NOT_FOUND}`],
	[["-d", "no-such-program"], 127, `vlane: exec: "no-such-program": ${NOT_FOUND}`],
	[["./no-such-program"], 127, 'vlane: exec: "./no-such-program": no such file or directory'],
	[[""], 127, `vlane: exec: "": ${NOT_FOUND}`],
	[["/"], 126, 'vlane: exec: "/": permission denied'],
	[["/etc/passwd"], 126, 'vlane: exec: "/etc/passwd": permission denied'],
	[["-it", "true"], 1, "the input device is not a TTY"],
	[["--ip=172.16.86.10", "true"], 125, "vlane: --ip needs a network: add --network NETWORK"],
	[
		["--net=none", "--mac-address=02:42:ac:10:56:02", "true"],
		125,
		"vlane: --mac-address needs a network: add --network NETWORK",
	],
	[["--net=a", "--ip=foo", "true"], 125, "vlane: invalid IPv4 address: foo"],
	[["--net=a", "--ip6=foo", "true"], 125, "vlane: invalid IPv6 address: foo"],
	[["--net=a", "--mac-address=foo", "true"], 125, "vlane: foo is not a valid mac address"],
	[["--net=a", "--net=a", "true"], 125, 'vlane: network "a" is specified multiple times'],
	[
		["--net=name=a,ip=10.0.0.2", "--ip=10.0.0.3", "true"],
		125,
		"vlane: conflicting options: cannot specify both --ip and per-network IPv4 address",
	],
	[["--net=ip=10.0.0.2", "true"], 125, "vlane: --network ip=10.0.0.2 has no name=NETWORK"],
	[
		["--net=name=a,colour=red", "true"],
		125,
		"vlane: invalid field key colour in --network name=a,colour=red; there are: name, alias, driver-opt, gw-priority, ip, ip6, mac-address",
	],
	[["--net=name=a,gw-priority=x", "true"], 125, "vlane: invalid gw-priority (x): invalid syntax"],
	[["--net=name=a,driver-opt=x", "true"], 125, "vlane: invalid key value pair format in driver options"],
	[
		["--net=name=a,alias=x", "--network-alias=y", "true"],
		125,
		"vlane: conflicting options: cannot specify both --network-alias and per-network alias",
	],
	[["--net=name=a,ip", "true"], 125, "vlane: invalid field ip in --network name=a,ip: expected key=value"],
];

for (const [args, status, message] of REFUSED) {
	Run(`refused before the daemon is asked: ${args.join(" ")}`, async () => {
		await withDaemon({}, async ({ host, asked }) => {
			assert.equal(await vlane(["run", ...args], { host }), { status, stdout: "", stderr: `${message}\n` });
			assert.equal(asked, []);
		});
	});
}

const UNREACHABLE =
	`vlane: Cannot connect to the vlane daemon at ${NO_DAEMON}. ` +
	"Is the vlane daemon running? Start it with: vlane daemon\n";

const ROOT = { root: true };

/** A daemon that accepts every container and remembers it. */
async function withContainers(use: (daemon: FakeDaemon, list: ApiContainer[]) => Promise<void>): Promise<void> {
	const list: ApiContainer[] = [];
	const routes: Record<string, Answer | ((body: unknown) => Answer)> = {
		"GET /containers?all=1": () => [200, list],
		"POST /containers": (body) => {
			const { Pid, Name = "nameless", Command } = body as { Pid: number; Name?: string; Command: string[] };
			if (Name === "taken") return [409, { message: 'Conflict. The container name "/taken" is already in use.' }];
			const made = container(Name, `abc${list.length}`, { Pid, Command });
			routes[`GET /containers/${Name}`] = [200, made];
			list.push(made);
			return [201, made];
		},
	};
	await withDaemon(routes, async (daemon) => {
		routes["GET /info"] = [200, { StateDir: daemon.directory }];
		try {
			await use(daemon, list);
		} finally {
			for (const { Pid } of list) kill(Pid);
		}
	});
}

function kill(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch {
		// It has ended.
	}
}

/** Waits for something another process does; the runner's own limit ends a wait that is in vain. */
async function until(condition: () => boolean): Promise<void> {
	while (!condition()) await sleep(10);
}

testOrSkip(Run, "a dead daemon", ROOT, async () => {
	for (const args of [
		["run", "true"],
		["run", "-d", "true"],
		["exec", "c1", "true"],
	]) {
		assert.equal(await vlane(args), { status: 125, stdout: "", stderr: UNREACHABLE });
	}
});

testOrSkip(Run, "what the daemon is asked", ROOT, async () => {
	const lines: [args: string[], body: object][] = [
		[["true"], { Command: ["true"], AutoRemove: false, Networks: [] }],
		[["--network=none", "true"], { Command: ["true"], AutoRemove: false, Networks: [] }],
		[
			["--net=pub_net", "--ip=172.16.86.10", "--rm", "--name", "c1", "-i", "sh", "-c", "exit 0", "--rm"],
			{
				Name: "c1",
				Command: ["sh", "-c", "exit 0", "--rm"],
				AutoRemove: true,
				Networks: [{ Network: "pub_net", IPv4Address: "172.16.86.10" }],
			},
		],
		[
			["--network", "name=a,ip6=2001:db8::5", "--net", "b", "--mac-address", "0A:42:AC:10:56:02", "-hbox", "true"],
			{
				Hostname: "box",
				Command: ["true"],
				AutoRemove: false,
				Networks: [{ Network: "a", IPv6Address: "2001:db8::5", MacAddress: "0a:42:ac:10:56:02" }, { Network: "b" }],
			},
		],
		[
			[
				"--net",
				'name=a,"driver-opt=k=v,w",driver-opt=l=m,gw-priority=-1,alias=x,alias=y',
				...[
					"--add-host",
					"db=[2001:db8::1]",
					"--add-host=web:10.0.0.1",
					"--dns",
					"10.0.0.53",
					"--dns-search=.",
					"true",
				],
			],
			{
				Command: ["true"],
				AutoRemove: false,
				Networks: [{ Network: "a", Aliases: ["x", "y"], DriverOpts: { k: "v,w", l: "m" }, GwPriority: -1 }],
				ExtraHosts: ["db:2001:db8::1", "web:10.0.0.1"],
				Dns: ["10.0.0.53"],
				DnsSearch: ["."],
			},
		],
		[
			["--net=a", "--net=b", "--network-alias=x", "--driver-opt=k=v", "true"],
			{
				Command: ["true"],
				AutoRemove: false,
				Networks: [{ Network: "a", Aliases: ["x"], DriverOpts: { k: "v" } }, { Network: "b" }],
			},
		],
	];
	await withContainers(async ({ host, asked }) => {
		for (const [args, expected] of lines) {
			assert.equal(await vlane(["run", ...args], { host }), { status: 0, stdout: "", stderr: "" });
			const { Pid, ...rest } = asked[asked.length - 1]!.body as { Pid: number };
			assert.type(Pid, "number");
			assert.equal(rest, expected);
		}
	});
});

testOrSkip(Run, "the daemon's refusal", ROOT, async () => {
	await withContainers(async ({ host, directory }) => {
		const stderr = 'vlane: Error response from daemon: Conflict. The container name "/taken" is already in use.\n';
		for (const flags of [[], ["-d"], ["-itd"]]) {
			const outcome = await vlane(["run", ...flags, "--name", "taken", "true"], { host });
			assert.equal(outcome, { status: 125, stdout: "", stderr });
		}
		assert.equal(readdirSync(join(directory, "logs")), []);
	});
});

testOrSkip(Run, "COMMAND is in namespaces of its own, on the host's file system", ROOT, async () => {
	await withContainers(async ({ host }) => {
		const script =
			"for n in net mnt uts pid; do readlink /proc/self/ns/$n; done; " +
			"ls /sys/class/net; cat /proc/sys/kernel/hostname; pwd";
		const { stdout, status } = await vlane(["run", "sh", "-c", script], { host });
		const [net, mnt, uts, pid, ...rest] = stdout.trim().split("\n");
		assert.is(status, 0);
		for (const [name, value] of Object.entries({ net, mnt, uts })) {
			assert.is.not(value, readlinkSync(`/proc/self/ns/${name}`), name);
		}
		assert.is(pid, readlinkSync("/proc/self/ns/pid"));
		assert.equal(rest, ["lo", "abc000000000", process.cwd()]);
		const named = await vlane(["run", "--hostname=box", "cat", "/proc/sys/kernel/hostname"], { host });
		assert.is(named.stdout, "box\n");
	});
});

testOrSkip(Run, "mounts of COMMAND stay in the container", ROOT, async () => {
	await withContainers(async ({ host, directory }) => {
		const place = join(directory, "mnt");
		mkdirSync(place);
		const script = `mount -t tmpfs none ${place} && touch ${place}/inside && ls ${place}`;
		assert.is((await vlane(["run", "sh", "-c", script], { host })).stdout, "inside\n");
		assert.equal(readdirSync(place), []);
	});
});

testOrSkip(Run, "exit codes, arguments, environment and standard input are COMMAND's", ROOT, async () => {
	await withContainers(async ({ host }) => {
		assert.is((await vlane(["run", "sh", "-c", "exit 7"], { host })).status, 7);
		const verbatim = await vlane(["run", "--", "printf", "%s|", "a b", "--net", "", "*"], { host });
		assert.is(verbatim.stdout, "a b|--net||*|");
		assert.is((await vlane(["run", "sh", "-c", 'echo "$COLOUR"'], { host, env: { COLOUR: "red" } })).stdout, "red\n");
		assert.is((await vlane(["run", "cat"], { host, stdin: "not for you" })).stdout, "");
		assert.is((await vlane(["run", "-i", "cat"], { host, stdin: "for you" })).stdout, "for you");
	});
});

testOrSkip(Run, "-it: COMMAND has the terminal", { ...ROOT, tools: ["script"] }, async () => {
	await withContainers(async ({ host }) => {
		const prefix = ["sh", "-c", 'exec script --quiet --return --command "$*" /dev/null', "sh"];
		const { stdout, status } = await vlane(["run", "-it", "--rm", "tty"], { host, prefix });
		assert.is(status, 0);
		assert.match(stdout, /^\/dev\/pts\/\d+\r\n$/);
	});
});

testOrSkip(Run, "COMMAND inherits neither ignored signals nor Node's descriptors", ROOT, async () => {
	await withContainers(async ({ host }) => {
		const { stdout } = await vlane(["run", "sh", "-c", "grep SigIgn /proc/self/status; ls /proc/self/fd"], { host });
		const [ignored, ...descriptors] = stdout.trim().split("\n");
		const here = readdirSync("/proc/self/fd").map(Number);
		assert.is(ignored, "SigIgn:\t0000000000000000");
		// 3 is the directory that ls reads; what was inherited by this test, it inherits too.
		assert.equal(
			descriptors.map(Number).filter((fd) => fd > 3 && !here.includes(fd)),
			[],
		);
	});
});

testOrSkip(Run, "-d prints the id; the output goes to the log", ROOT, async () => {
	await withContainers(async ({ host, directory }, list) => {
		const script = "echo out; echo err >&2; env | grep -c VLANE_REPORT; exec sleep 1000";
		const { stdout, stderr, status } = await vlane(["run", "-d", "--name", "c1", "sh", "-c", script], { host });
		assert.equal([status, stdout, stderr], [0, `${list[0]?.Id}\n`, ""]);
		const log = join(directory, "logs", `${list[0]?.Id}.log`);
		await until(() => readFileSync(log, "utf8").endsWith("0\n"));
		assert.is((await vlane(["logs", "c1"], { host })).stdout, "out\nerr\n0\n");
		assert.ok(existsSync(`/proc/${list[0]?.Pid}`));
	});
});

testOrSkip(Run, "-d: standard input is empty, with -i or -t it never ends", ROOT, async () => {
	await withContainers(async ({ host, directory }, list) => {
		for (const [flags, ends] of [
			["-d", true],
			["-id", false],
			["-td", false],
			["-itd", false],
		] as const) {
			const script = "echo started; cat; echo ended";
			const { stdout } = await vlane(["run", flags, "sh", "-c", script], { host });
			const log = join(directory, "logs", `${stdout.trim()}.log`);
			const text = ends ? "started\nended\n" : "started\n";
			await until(() => readFileSync(log, "utf8") === text);
			if (ends) continue;
			const { Pid } = list.at(-1) as ApiContainer;
			// The shell's only child is cat, asleep in its read.
			const children = () => readFileSync(`/proc/${Pid}/task/${Pid}/children`, "utf8").trim();
			await until(() => children() !== "");
			await until(() => /^State:\s+S/m.test(readFileSync(`/proc/${children()}/status`, "utf8")));
			kill(Number(children()));
		}
	});
});

testOrSkip(Run, "-d leads a session of its own and sweeps the logs of containers that are gone", ROOT, async () => {
	await withContainers(async ({ host, directory }, list) => {
		mkdirSync(join(directory, "logs"));
		const gone = join(directory, "logs", `${"f".repeat(64)}.log`);
		writeFileSync(gone, "");
		await vlane(["run", "-d", "sleep", "1000"], { host });
		const { Pid } = list[0] as ApiContainer;
		const stat = readFileSync(`/proc/${Pid}/stat`, "utf8");
		const [, , , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		assert.is(Number(session), Pid);
		assert.not.ok(existsSync(gone));
	});
});

testOrSkip(Run, "exec runs in the container's namespaces", ROOT, async () => {
	await withContainers(async ({ host }, list) => {
		await vlane(["run", "-d", "--name", "c1", "sleep", "1000"], { host });
		const { Pid } = list[0] as ApiContainer;
		const script = "for n in net mnt uts; do readlink /proc/self/ns/$n; done; ls /sys/class/net; pwd";
		const { stdout, status } = await vlane(["exec", "c1", "sh", "-c", script], { host });
		const namespaces = ["net", "mnt", "uts"].map((name) => readlinkSync(`/proc/${Pid}/ns/${name}`));
		assert.equal([status, stdout], [0, `${[...namespaces, "lo", process.cwd()].join("\n")}\n`]);
		assert.is((await vlane(["exec", "c1", "sh", "-c", "exit 9"], { host })).status, 9);
		assert.is((await vlane(["exec", "c1", "cat"], { host, stdin: "no" })).stdout, "");
		assert.is((await vlane(["exec", "-i", "c1", "cat"], { host, stdin: "yes" })).stdout, "yes");
		assert.equal(await vlane(["exec", "c1", "no-such-program"], { host }), {
			status: 127,
			stdout: "",
			stderr: `vlane: exec: "no-such-program": ${NOT_FOUND}\n`,
		});
		assert.equal(await vlane(["exec", "c1", "/etc/passwd"], { host }), {
			status: 126,
			stdout: "",
			stderr: 'vlane: exec: "/etc/passwd": permission denied\n',
		});
	});
});

Run("exec in containers that do not run or do not exist", async () => {
	const routes: Record<string, Answer> = {
		"GET /containers/old": [200, container("old", "fedc", { State: "exited", Pid: 0 })],
		"GET /containers/nope": [404, { message: "No such container: nope" }],
	};
	await withDaemon(routes, async ({ host }) => {
		const exited = await vlane(["exec", "old", "true"], { host });
		assert.equal(exited, { status: 125, stdout: "", stderr: "vlane: container old is not running\n" });
		const stderr = "vlane: Error response from daemon: No such container: nope\n";
		assert.equal(await vlane(["exec", "nope", "true"], { host }), { status: 125, stdout: "", stderr });
		const tty = await vlane(["exec", "-it", "old", "true"], { host });
		assert.equal(tty, { status: 1, stdout: "", stderr: "the input device is not a TTY\n" });
	});
});

testOrSkip(Run, "without privileges: one line that says what is needed", ROOT, async () => {
	const outcome = await vlane(["run", "true"], { uid: 65534 });
	assert.equal(outcome, {
		status: 125,
		stdout: "",
		stderr: "vlane: unshare: EPERM (operation not permitted); needs CAP_SYS_ADMIN: run as root\n",
	});
});

Run.run();
