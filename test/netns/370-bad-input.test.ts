/** What users get wrong: one line that says so, an exit code, and nothing half made left behind. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { PARENT } from "../support/lan.js";
import type { Ran } from "../support/netns.js";
import { addressesOf, eventually, linksOf, type Site, sharedSite, siteTest } from "../support/site.js";

const bad = suite("bad input");
const test = sharedSite(bad, { tools: ["prlimit", "setpriv", "unshare"] });

const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
const NET = ["--subnet=10.1.0.0/24", "--gateway=10.1.0.1", "-o", "parent=eth0"];
/** Docker's exit codes: failed, usage, and of `run` before, at and without COMMAND. */
const [FAILED, USAGE, BEFORE, NOT_EXECUTABLE, NOT_FOUND] = [1, 2, 125, 126, 127];

type Case = [line: string, status: number, said: RegExp];

/** Everything that a command could leave: links, addresses, routes, networks, containers, ports, processes. */
async function worldOf(site: Site): Promise<string> {
	const lists = await Promise.all(["/networks", "/containers?all=1"].map((path) => site.ask("GET", path)));
	const ports = ((await site.ask("GET", "/ports")) as { name: string }[]).map(({ name }) => name);
	const pids = site.lan.host.must(["ip", "netns", "pids", site.lan.host.name]).split("\n").length;
	return [site.hostView(), JSON.stringify([lists, ports, pids], undefined, "\t")].join("\n");
}

/** @throws AssertionError unless this is a failure that a person can read */
function assertClear({ status, stdout, stderr }: Ran, expected: number, said: RegExp, what: string): void {
	const [first = "", second, ...rest] = stderr.replace(/\n$/, "").split("\n");
	assert.is(status, expected, `${what}: status ${status}: ${stderr}`);
	assert.match(first, said, what);
	assert.ok(second === undefined || /^See 'vlane.* --help'\.$/.test(second), `${what}: ${stderr}`);
	assert.equal(rest, [], what);
	assert.ok(stdout === "" || stdout === "[]\n", `${what}: ${stdout}`);
}

/** `vlane ARGUMENT...` for a wrapper that takes something away from it. */
function commandLine(...argv: string[]): string[] {
	return [process.execPath, VLANE, ...argv];
}

/** A daemon of its own, whose state and socket shall never come to be. */
function daemonLine(stateDirectory: string, socket: string): string[] {
	return commandLine("daemon", "--state-dir", stateDirectory, "--socket", socket, "--docker-plugin-dir", "none");
}

/** Types each line; none may change anything. */
async function assertRefused(site: Site, cases: Case[]): Promise<void> {
	const before = await worldOf(site);
	for (const [line, status, said] of cases) {
		assertClear(site.vlane.vlane(...line.split(" ")), status, said, `vlane ${line}`);
	}
	assert.is(await worldOf(site), before);
}

test("malformed command lines are usage errors that point to the help", async (site) => {
	await assertRefused(site, [
		["frobnicate", USAGE, /^vlane: unknown command: vlane frobnicate$/],
		["network crate", USAGE, /^vlane: unknown command: vlane network crate$/],
		["network create", USAGE, /^vlane: 'vlane network create' requires 1 argument$/],
		["network create --subnt=10.1.0.0/24 x", USAGE, /^unknown flag: --subnt$/],
		["network create -x", USAGE, /^unknown shorthand flag: 'x' in -x$/],
		["network create --ipv6=maybe x", USAGE, /^invalid argument "maybe" for "--ipv6" flag: expected true or false$/],
		["network create -o parent x", USAGE, /^invalid argument "parent" for "-o, --opt" flag: expected key=value$/],
		["network create --aux-address=10.0.0.1 x", USAGE, /for "--aux-address" flag: expected key=value$/],
		["network connect net", USAGE, /^vlane: 'vlane network connect' requires 2 arguments$/],
		["stop -t soon c1", USAGE, /^invalid argument "soon" for "-t, --timeout" flag: expected a whole number$/],
		["run --net=net", BEFORE, /^vlane: 'vlane run' requires at least 1 argument$/],
		["run -p 80:80 true", BEFORE, /^unknown shorthand flag: 'p' in -p$/],
	]);
});

test("networks that can not be are refused with the reason", async (site) => {
	site.create("net", ...NET);
	const mtu = "com.docker.network.driver.mtu";
	const daemon = "^Error response from daemon: ";
	const create: Case[] = [
		["--subnet=10.0.0.0 x", FAILED, /^invalid subnet: invalid CIDR address: 10\.0\.0\.0$/],
		["--subnet=10.0.0.0/33 x", FAILED, /^invalid subnet: invalid CIDR address: 10\.0\.0\.0\/33$/],
		["--subnet=10.0.0.1/24 x", FAILED, /invalid subnet 10\.0\.0\.1\/24: it should be 10\.0\.0\.0\/24$/],
		["--subnet=127.0.0.0/8 x", FAILED, /invalid subnet 127\.0\.0\.0\/8: it is a loopback block/],
		[
			"--subnet=10.0.0.0/24 --subnet=10.0.0.0/25 x",
			FAILED,
			/^multiple overlapping subnet configuration is not supported$/,
		],
		["--gateway=10.0.0.1 x", FAILED, /^every ip-range or gateway must have a corresponding subnet$/],
		["--subnet=10.0.0.0/24 --gateway=10.0.1.1 x", FAILED, /^no matching subnet for gateway 10\.0\.1\.1$/],
		[
			"--subnet=10.0.0.0/24 --ip-range=10.0.0.0/16 x",
			FAILED,
			/ip-range 10\.0\.0\.0\/16: CIDR block is bigger than its parent/,
		],
		["--subnet=10.0.0.0/24 --aux-address=a=10.1.0.1 x", FAILED, /^no matching subnet for aux-address 10\.1\.0\.1$/],
		["../x", FAILED, /invalid name: \.\.\/x includes invalid characters/],
		[`${"x".repeat(300)}`, FAILED, /invalid name: it has 300 characters, the limit is 255$/],
		["net", FAILED, new RegExp(`${daemon}network with name net already exists$`)],
		["-o parent=eth9 x", FAILED, /^Error response from daemon: invalid subinterface vlan name eth9, /],
		["-o parent=eth9.50 x", FAILED, new RegExp(`${daemon}-o parent interface was not found on the host: eth9$`)],
		["-o parent=eth0.4095 x", FAILED, new RegExp(`${daemon}vlan id must be between 1-4094, received: 4095$`)],
		["-o parent=lo x", FAILED, new RegExp(`${daemon}loopback interface is not a valid macvlan parent link$`)],
		["-o parent= x", FAILED, new RegExp(`${daemon}-o parent needs an interface name; `)],
		["-o parrent=eth0 x", FAILED, new RegExp(`${daemon}unknown driver option "parrent"; did you mean "parent"\\?$`)],
		[
			"-o macvlan_mode=fast x",
			FAILED,
			/requested macvlan mode 'fast' is not valid, 'bridge' mode is the macvlan driver default$/,
		],
		[
			`-o ${mtu}=huge -o parent=eth0.5 x`,
			FAILED,
			/mtu" must be a whole number of bytes from \d+ to \d+, received: "huge"$/,
		],
		[`-o ${mtu}=9000 -o parent=eth0.5 x`, FAILED, /9000 is larger than the MTU 1500 of parent interface eth0$/],
		["-d weave x", FAILED, /network driver weave is not known; /],
		["--ipam-driver=dhcp x", FAILED, /ipam.* driver .*dhcp/i],
		[
			"--subnet=10.1.0.0/25 -o parent=eth0 -o share_parent=true x",
			FAILED,
			/Pool overlaps with other one on this address space/,
		],
	];
	await assertRefused(
		site,
		create.map(([line, ...rest]) => [`network create ${line}`, ...rest]),
	);
});

test("containers that can not be are refused, and their networks keep their addresses", async (site) => {
	site.create("net", ...NET);
	const missing = `netns:${site.lan.host.path}-missing`;
	await assertRefused(site, [
		["run --net=nope true", BEFORE, /^vlane: Error response from daemon: network nope not found$/],
		["run --net=net --ip=banana true", BEFORE, /^vlane: invalid IPv4 address: banana$/],
		["run --net=net --ip=10.2.0.1 true", BEFORE, /no configured subnet contains IP address 10\.2\.0\.1$/],
		["run --net=net --ip=10.1.0.1 true", BEFORE, /Address already in use: 10\.1\.0\.1$/],
		["run --net=net --ip6=2001:db8::1 true", BEFORE, /no configured subnet contains IP address 2001:db8::1$/],
		["run --net=net --mac-address=zz true", BEFORE, /^vlane: zz is not a valid mac address/],
		[
			"run --net=net --mac-address=01:00:5e:00:00:01 true",
			BEFORE,
			/is not a valid mac address: it is a multicast address/,
		],
		[`run --net=net --mac-address=${site.lan.parentMac} true`, BEFORE, /is already in use by parent interface eth0; /],
		["run --net=net --name=../x true", BEFORE, /Invalid container name \(\.\.\/x\), only /],
		["run --net=net --net=net true", BEFORE, /^vlane: network "net" is specified multiple times$/],
		["run --net=net --net=nope -d sleep 9", BEFORE, /^vlane: Error response from daemon: network nope not found$/],
		["run --net=net -d /nonexistent", NOT_FOUND, /^vlane: exec: "\/nonexistent": no such file or directory/],
		["run --net=net nonexistent", NOT_FOUND, /^vlane: exec: "nonexistent": executable file not found in \$PATH/],
		["run --net=net /etc/passwd", NOT_EXECUTABLE, /^vlane: exec: "\/etc\/passwd": permission denied/],
		["run --net=net -t true", FAILED, /^the input device is not a TTY$/],
		["exec nobody true", BEFORE, /^vlane: Error response from daemon: No such container: nobody$/],
		["stop nobody", FAILED, /^Error response from daemon: No such container: nobody$/],
		["rm nobody", FAILED, /^Error response from daemon: No such container: nobody$/],
		["network rm nope", FAILED, /^Error response from daemon: network nope not found$/],
		["network inspect nope", FAILED, /^Error response from daemon: network nope not found$/],
		["network connect net nobody", FAILED, /^Error response from daemon: No such container: nobody$/],
		["network connect net pid:0", FAILED, /invalid target pid:0: it should be pid:N or netns:\/run\/netns\/NAME$/],
		["network connect net netns:/etc/passwd", FAILED, /\/etc\/passwd.*it is not a network namespace$/],
		[`network connect net ${missing}`, FAILED, /network namespace .* not found; see 'ip netns list'$/],
		[`network connect net netns:${site.lan.host.path}`, FAILED, /is in the network namespace of the host/],
		[`network connect --interface=lan0 net netns:${site.lan.far.path}`, FAILED, /interface lan0 already exists in /],
	]);
	assert.equal(addressesOf(await site.join("net")), ["10.1.0.2/24"], "no address was lost");
});

test("without descriptors for a new network or container nothing of it is left", async (site) => {
	site.create("net", ...NET);
	const c1 = site.namespace("c1");
	const pid = site.vlane.pid;
	const setLimit = (files: number | string) => site.lan.host.must(["prlimit", "--pid", `${pid}`, `--nofile=${files}:`]);
	for (const command of [
		["network", "create", "--subnet=10.2.0.0/24", "-o", "parent=eth0.50", "more"],
		["network", "connect", "net", `netns:${c1.path}`],
	]) {
		const before = await worldOf(site);
		let failures = 0;
		// One descriptor more each time, until it succeeds: every step that needs one is made to fail.
		for (let files = readdirSync(`/proc/${pid}/fd`).length; ; files++) {
			setLimit(files);
			const ran = site.vlane.vlane(...command);
			setLimit(4096);
			if (ran.status === 0) break;
			failures++;
			assert.ok(failures < 30, ran.stderr);
			assertClear(ran, FAILED, /EMFILE|closed the connection/, command.join(" "));
			assert.is(await worldOf(site), before);
			assert.equal(linksOf(c1), ["lo"]);
		}
		assert.ok(failures > 0);
	}
});

siteTest(bad, "a dead daemon is named, with how to start it; containers do not begin", async (site) => {
	site.create("net", ...NET);
	const start =
		/^(vlane: )?Cannot connect to the vlane daemon at unix:.*Is the vlane daemon running\? Start it with: vlane daemon$/;
	const view = site.hostView();
	for (const signal of ["SIGKILL", "SIGTERM"] as const) {
		await site.vlane.stopDaemon(signal);
		assert.is(existsSync(site.vlane.socket), signal === "SIGKILL", "a stale socket, then none");
		for (const line of ["network ls", "network create x", "ps", "network rm net"]) {
			assertClear(site.vlane.vlane(...line.split(" ")), FAILED, start, line);
		}
		for (const line of ["run --net=net true", "run --net=net -d sleep 600"]) {
			assertClear(site.vlane.vlane(...line.split(" ")), BEFORE, start, line);
		}
		assert.is(site.hostView(), view);
		await site.vlane.startDaemon();
	}
	assert.is(site.vlane.must("ps", "-aq"), "");
});

test("what is not the daemon is not taken for it", async (site) => {
	const socket = join(site.vlane.directory, "other.sock");
	const listed = (...argv: string[]) => site.vlane.start("-H", `unix://${socket}`, "network", "ls", ...argv).ended;
	for (const [answer, said] of [
		[
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
			/does not answer as a vlane daemon does \(HTTP status 200\)$/,
		],
		["", /closed the connection before it answered$/],
		["SSH-2.0-OpenSSH_9.2\r\n", /^error during connect to unix:/],
	] as const) {
		const server = createServer((connection) => connection.resume().end(answer)).listen(socket);
		assertClear(await listed(), FAILED, said, answer);
		await new Promise((closed) => server.close(closed));
	}
	writeFileSync(socket, "");
	assertClear(await listed(), FAILED, /^Cannot connect to the vlane daemon at unix:/, "a file");
	for (const host of ["tcp://10.0.0.1:2375", "/run/vlane.sock", "unix://relative"]) {
		assertClear(site.vlane.vlane("-H", host, "ps"), FAILED, /^invalid host /, host);
	}
});

test("an ordinary user is told to be root", async (site) => {
	const before = await worldOf(site);
	const drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
	const env = { VLANE_HOST: `unix://${site.vlane.socket}` };
	for (const [line, status] of [
		["network ls", FAILED],
		["run --net=none true", BEFORE],
	] as const) {
		const ran = site.lan.host.run([...drop, ...commandLine(...line.split(" "))], { env });
		assertClear(ran, status, /(permission denied|EPERM|Operation not permitted).*root/i, line);
	}
	const daemon = daemonLine("/tmp/vlane-never", "/tmp/vlane-never.sock");
	const ran = site.lan.host.run([...drop, ...daemon]);
	assertClear(
		ran,
		FAILED,
		/^the daemon needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN and does not have them; run it as root$/,
		"daemon",
	);
	assert.not.ok(existsSync("/tmp/vlane-never") || existsSync("/tmp/vlane-never.sock"));
	assert.is(await worldOf(site), before);
});

test("a daemon without /dev/net/tun, or with another's directory or socket, does not start", async (site) => {
	const before = await worldOf(site);
	const { directory, socket, stateDirectory } = site.vlane;
	const [never, file] = [join(directory, "never"), join(directory, "file")];
	writeFileSync(file, "");
	mkdirSync(join(directory, "directory"));
	const hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"];
	const cases: [wrapper: string[], state: string, socket: string, said: RegExp][] = [
		[
			hide,
			never,
			`${never}.sock`,
			/^open on "\/dev\/net\/tun": ENOENT; load the module \(modprobe tun\) and make the node: /,
		],
		[[], never, socket, /^a vlane daemon is listening on unix:.* already; stop it or give another --socket$/],
		[[], never, file, /^cannot use socket .*: something else has that name; give another --socket$/],
		[[], stateDirectory, `${never}.sock`, /^state directory .* is in use by another vlane daemon; /],
		[[], file, `${never}.sock`, /^cannot use state directory /],
	];
	for (const [wrapper, state, path, said] of cases) {
		const command = daemonLine(state, path);
		assertClear(site.lan.host.run([...wrapper, ...command]), FAILED, said, said.source);
		assert.not.ok(existsSync(never) || existsSync(`${never}.sock`));
	}
	assert.is(await worldOf(site), before);
});

siteTest(bad, "a daemon that is killed in the middle leaves all of a network or nothing", async (site) => {
	for (const delayMs of [0, 2, 5, 10, 20, 40]) {
		const create = site.vlane.start("network", "create", "--subnet=10.1.0.0/24", "-o", "parent=eth0.50", "net");
		await eventually("the daemon works on it", () => linksOf(site.lan.host).includes("eth0.50"));
		await new Promise((resolve) => setTimeout(resolve, delayMs));
		await site.vlane.stopDaemon("SIGKILL");
		await create.ended;
		await site.vlane.startDaemon();
		const isThere = site.vlane.must("network", "ls", "-q") !== "";
		assert.equal(
			linksOf(site.lan.host).sort(),
			isThere ? [PARENT, "eth0.50", "lo"] : [PARENT, "lo"],
			`after ${delayMs} ms`,
		);
		if (isThere) site.vlane.must("network", "rm", "net");
		assert.equal(linksOf(site.lan.host).sort(), [PARENT, "lo"]);
	}
});

bad.run();
