/** `vlane doctor`: what it says, line by line, about parents and hosts that lack something. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { FAR_END, type Lan, makeLan, PARENT } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace, type Ran } from "../support/netns.js";
import { eventually } from "../support/site.js";
import { MAIN, startVlane } from "../support/vlane.js";

const NEED = { root: true, tun: true, tools: ["bridge", "perl", "prlimit", "setpriv", "unshare"] };
const GATEWAY = "172.16.86.1";
const HOST = "172.16.86.250";
const NOBODY = 65534;

const doctor = suite("doctor");
const directory = mkdtempSync(join(tmpdir(), "vlane-doctor-"));
onCleanup(() => rmSync(directory, { recursive: true, force: true }));
const socket = join(directory, "vlane.sock");
/** On a disk in one way or another, and the same for everybody. */
const state = join(directory, "state");

type Line = string | RegExp;

function line(status: string, check: string, text: string): string {
	return `${status.padEnd(6)}${check.padEnd(16)}${text}`;
}

const MODULES = ["macvlan", "ipvlan", "8021q"];
const loaded = MODULES.filter((name) => existsSync(`/sys/module/${name}`));
const drivers =
	loaded.length > 0 ? `modules loaded: ${loaded.join(", ")}` : `no module loaded of ${MODULES.join(", ")}`;

const RUNTIME = line("ok", "host", `Linux ${release()}, ${process.arch}, Node ${process.versions.node}`);
const TUN = line("ok", "tun", "/dev/net/tun: TUN, TAP, NAPI, MULTI_QUEUE, NO_PI, VNET_HDR");
const OFFLOADS = line("ok", "tap offloads", "checksums, TSO4, TSO6, USO4, USO6");
const RING = line("ok", "io_uring", "usable, with its queues in the core's memory; the datapath uses it");
const PACKET = line("ok", "packet socket", "PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING, PACKET_FANOUT");
const DRIVERS = line("ok", "kernel drivers", `${drivers}; vlane needs none of them`);
const MACHINE = [
	RUNTIME,
	TUN,
	OFFLOADS,
	RING,
	PACKET,
	/^ok {4}xdp {13}AF_XDP(: E[A-Z]+; parents are read through packet sockets, which need no XDP| and its program work)$/,
	DRIVERS,
	/^ok {4}clock {11}clock source \S+$/,
];
const ALL_CAPABILITIES = "CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_KILL";
const CAPABILITIES = line("ok", "capabilities", ALL_CAPABILITIES);
const USER = line("ok", "user namespace", "the machine's own");
const STATE = new RegExp(`^(ok {4}|warn {2})state {11}${state}, which does not exist yet`);
const DAEMON = line(
	"warn",
	"daemon",
	`Cannot connect to the vlane daemon at unix://${socket}. Is the vlane daemon running? Start it with: vlane daemon`,
);
const PROCESS = [CAPABILITIES, USER, STATE, DAEMON];
const ALONE = line("ok", "other users", "no kernel macvlan, ipvlan or VLAN interface stands on it here");
const VETH = [
	line("ok", "kind", "veth"),
	ALONE,
	line("ok", "promiscuous", "eth0 can receive for every address"),
	line("ok", "mtu", "endpoints get 1500 bytes, one 802.1Q tag fits on top"),
	line("ok", "offloads", "checksums, TCP segmentation, driver veth"),
	line(
		"ok",
		"parent xdp",
		"in the driver: basic, redirect; -o uplink=xdp falls back to the packet socket: eth0 takes VLAN tags out of frames " +
			"before AF_XDP sees them; turn that off: ethtool -K eth0 rxvlan off",
	),
];
const TAGGED = [
	...VETH.slice(0, 2),
	line("ok", "promiscuous", "eth0 can receive for every address; as a tagged network wants it"),
	line("ok", "mtu", "endpoints get 1500 bytes, with the tag on top"),
	...VETH.slice(4),
];
const UP = line("ok", "carrier", "eth0 is up, with carrier");
const ISOLATED = "containers on untagged networks and this host do not reach each other by it, as with any macvlan";
const ADDRESS = line("ok", "host address", `${HOST}/24; ${ISOLATED}`);
const NO_ADDRESS = line("ok", "host address", "eth0 has none");

function unprobed(command: string): string {
	const text = "whether other MAC addresses than the parent's pass is found by sending, which was not asked for";
	return line("skip", "foreign macs", `${text}; vlane doctor --probe ${command}`);
}

const COMMAND = [process.execPath, MAIN, "doctor", "--state-dir", state];
const ENV = { VLANE_HOST: `unix://${socket}` };

function ask(ns: Namespace, ...argv: string[]): Ran {
	return ns.run([...COMMAND, ...argv], { env: ENV });
}

/** What is behind the lines that every run begins with. */
function assertSaid({ status, stdout, stderr }: Ran, expectedStatus: number, expected: Line[]): void {
	const lines = stdout.trimEnd().split("\n");
	const differs = lines.findIndex((text, at) => {
		const wanted = expected[at];
		return wanted instanceof RegExp ? !wanted.test(text) : wanted !== text;
	});
	if (differs >= 0) assert.is(lines[differs], String(expected[differs]));
	assert.is(lines.length, expected.length, stdout);
	assert.is(stderr, "");
	assert.is(status, expectedStatus);
}

async function withLan(use: (lan: Lan) => void | Promise<void>, vlans: number[] = []): Promise<void> {
	const lan = await makeLan({ vlans });
	try {
		lan.station(undefined, [`${GATEWAY}/24`]);
		lan.host.must(["ip", "address", "add", `${HOST}/24`, "dev", PARENT]);
		lan.host.must(["ip", "route", "add", "default", "via", GATEWAY]);
		await use(lan);
	} finally {
		lan.close();
	}
}

function test(name: string, use: (lan: Lan) => void | Promise<void>, vlans?: number[]): void {
	testOrSkip(doctor, name, NEED, () => withLan(use, vlans));
}

test("a good machine and a good parent", ({ host }) => {
	const parent = [line("ok", "parent", "eth0 exists"), UP, ...VETH, ADDRESS];
	assertSaid(ask(host), 0, [...MACHINE, ...PROCESS]);
	assertSaid(ask(host, PARENT), 0, [...MACHINE, ...PROCESS, ...parent, unprobed(`${GATEWAY} eth0`)]);
});

test("the wire is asked only with --probe", ({ host, far }) => {
	const mac = far.ip("link", "show", FAR_END)[0].address;
	const parent = [line("ok", "parent", "eth0 exists"), UP, ...VETH, ADDRESS];
	const sent = () => Number(host.must(["cat", `/sys/class/net/${PARENT}/statistics/tx_packets`]));
	const before = sent();
	ask(host, PARENT);
	assert.is(sent(), before);
	assertSaid(ask(host, "--probe", GATEWAY, PARENT), 0, [
		...[...MACHINE, ...PROCESS, ...parent],
		line("ok", "neighbour", `${GATEWAY} is at ${mac}`),
		line("ok", "foreign macs", `${GATEWAY} answers a made-up MAC address, too`),
		line("ok", "echo", `${GATEWAY} answers the host's echo request`),
	]);
	assert.ok(sent() > before);
});

test("nobody is there", ({ host }) => {
	const said = ask(host, "--probe", "172.16.86.77", PARENT).stdout.trimEnd().split("\n").slice(-3);
	assert.equal(said, [
		line(
			"warn",
			"neighbour",
			"nobody answers for 172.16.86.77; containers will not reach it; is the address right, and the cable?",
		),
		line("skip", "foreign macs", "172.16.86.77 does not answer ARP; name another station of that LAN"),
		line(
			"warn",
			"echo",
			"172.16.86.77 does not answer the host's echo request; it may be set to that; a ping from a container shows no more",
		),
	]);
});

test(
	"a VLAN, with and without a station on it",
	(lan) => {
		const { mac } = lan.station(50, ["192.168.50.1/24"]);
		const parent = [
			line("ok", "parent", "eth0 exists, VLAN 50 is made when a network needs it"),
			UP,
			...TAGGED,
			ADDRESS,
		];
		assertSaid(ask(lan.host, "eth0.50"), 0, [...MACHINE, ...PROCESS, ...parent, unprobed("ADDRESS eth0.50")]);
		assertSaid(ask(lan.host, "--probe", "192.168.50.1", "eth0.50"), 0, [
			...[...MACHINE, ...PROCESS, ...parent],
			line("ok", "vlan", `192.168.50.1 is at ${mac} on VLAN 50`),
			line("ok", "foreign macs", "192.168.50.1 answers a made-up MAC address on VLAN 50, too"),
		]);
		// The station is on VLAN 50, and it does not answer on another one.
		const other = ask(lan.host, "--probe", "192.168.50.1", "eth0.51").stdout.trimEnd().split("\n").slice(-2);
		assert.equal(other, [
			line(
				"warn",
				"vlan",
				"nobody answers for 192.168.50.1 on VLAN 51; containers will not reach it; is the address right, and does the switch's port carry this VLAN tagged?",
			),
			line("skip", "foreign macs", "192.168.50.1 does not answer ARP on VLAN 51; name another station of that LAN"),
		]);
	},
	[50],
);

test("a hypervisor that drops foreign MAC addresses", ({ host, far }) => {
	// The host's wire ends in a bridge that lets its own address pass and no other, with the gateway behind it.
	const gateway = new Namespace("gw");
	far.must(["ip", "address", "flush", "dev", FAR_END]);
	far.must(["ip", "link", "add", "br0", "type", "bridge"]);
	far.must(["ip", "link", "add", "port", "type", "veth", "peer", "name", "gw0", "netns", gateway.name]);
	for (const port of [FAR_END, "port"]) far.must(["ip", "link", "set", port, "up", "master", "br0"]);
	far.must(["ip", "link", "set", "br0", "up"]);
	gateway.must(["ip", "address", "add", `${GATEWAY}/24`, "dev", "gw0"]);
	gateway.must(["ip", "link", "set", "gw0", "up"]);
	const mac = host.ip("link", "show", PARENT)[0].address;
	far.must(["bridge", "fdb", "add", mac, "dev", FAR_END, "master", "static"]);
	far.must(["bridge", "link", "set", "dev", FAR_END, "learning", "off"]);
	far.must(["bridge", "link", "set", "dev", FAR_END, "locked", "on"]);
	const { status, stdout } = ask(host, "--probe", GATEWAY, PARENT);
	const said = stdout.trimEnd().split("\n").slice(-3);
	assert.equal(said, [
		line("ok", "neighbour", `${GATEWAY} is at ${gateway.ip("link", "show", "gw0")[0].address}`),
		line(
			"fail",
			"foreign macs",
			`${GATEWAY} answers eth0's own MAC address, and no made-up one; a hypervisor or a switch drops frames of endpoints, so macvlan does not work; allow other MAC addresses there (forged transmits, MAC spoofing, port security); or vlane network create -d ipvlan`,
		),
		line("ok", "echo", `${GATEWAY} answers the host's echo request`),
	]);
	assert.is(status, 1);
	gateway.close();
});

test("parents that are down, without carrier, missing, or none", async ({ host, far }) => {
	const begin = [...MACHINE, ...PROCESS];
	const exists = line("ok", "parent", "eth0 exists");
	const silent = "networks can be made, their endpoints say NO-CARRIER and nothing is forwarded";
	host.must(["ip", "address", "flush", "dev", PARENT]);
	far.must(["ip", "link", "set", FAR_END, "down"]);
	await eventually("eth0 without carrier", () => host.ip("link", "show", PARENT)[0].operstate === "DOWN");
	assertSaid(ask(host, PARENT), 1, [
		...[...begin, exists],
		line("fail", "carrier", `eth0 is up without carrier (down); ${silent}; plug it in`),
		...[...VETH, NO_ADDRESS, unprobed("ADDRESS eth0")],
	]);
	host.must(["ip", "link", "set", PARENT, "down"]);
	assertSaid(ask(host, PARENT), 1, [
		...[...begin, exists],
		line("fail", "carrier", `eth0 is down; ${silent}; ip link set eth0 up`),
		...[...VETH, NO_ADDRESS, unprobed("ADDRESS eth0")],
	]);
	const last = (name: string) => ask(host, name).stdout.trimEnd().split("\n").at(-1);
	const unusable = "networks on it can not be made; see 'ip link'";
	assert.is(last("eth9"), line("fail", "parent", `no link named eth9 exists on this host; ${unusable}`));
	assert.is(last("eth9.5"), line("fail", "parent", `-o parent interface was not found on the host: eth9; ${unusable}`));
	const range = "vlan id must be between 1-4094, received: 4095";
	assert.is(last("eth0.4095"), line("fail", "parent", `${range}; ${unusable}`));
	const loopback = "loopback interface is not a valid macvlan parent link";
	assert.is(last("lo"), line("fail", "parent", `${loopback}; ${unusable}`));
});

test("two tags and the MTU, other users, a bridge's port", ({ host }) => {
	const line1 = (name: string, check: string) =>
		ask(host, name)
			.stdout.split("\n")
			.find((text) => text.slice(6).startsWith(check.padEnd(16)));
	const short = "endpoints get 1496 bytes: eth0 has 1500, and one 802.1Q tag fits on top";
	const unheard = "stations of the VLAN that send longer packets are not understood";
	assert.is(line1("eth0.7.50", "mtu"), line("warn", "mtu", `${short}; ${unheard}; ip link set eth0 mtu 1504`));
	host.must(["ip", "link", "set", PARENT, "mtu", "1504"]);
	assert.is(
		line1("eth0.7.50", "mtu"),
		line(
			"warn",
			"mtu",
			`${short.replace("1496", "1500").replace("has 1500", "has 1504")}; ${unheard}; ip link set eth0 mtu 1508`,
		),
	);
	host.must(["ip", "link", "add", "upper", "link", PARENT, "type", "macvlan", "mode", "bridge"]);
	const apart = "they and vlane's endpoints do not reach each other on this host; use one of the two on a parent";
	assert.is(line1(PARENT, "other users"), line("warn", "other users", `upper (macvlan) on it; ${apart}`));
	const deaf = "macvlan; unless in passthru mode, it gets no frames for endpoints; use the link below it";
	assert.is(line1("upper", "kind"), line("warn", "kind", deaf));
	host.must(["ip", "link", "del", "upper"]);
	host.must(["ip", "link", "add", "br0", "type", "bridge"]);
	host.must(["ip", "link", "set", PARENT, "master", "br0"]);
	const port = "port of the bridge br0; endpoints reach what is behind this port, not the bridge's other ports";
	assert.is(line1(PARENT, "kind"), line("warn", "kind", `${port}; -o parent=br0`));
	assert.is(line1("br0", "kind"), line("ok", "kind", "bridge"));
});

test("an ordinary user learns what could not be looked at", ({ host }) => {
	const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
	// Whoever the device is open to, this user has no capabilities.
	const { status, stdout, stderr } = host.run([...user, ...COMMAND, PARENT], { env: ENV });
	assert.is(stderr, "");
	assert.is(status, 1);
	const said = stdout.trimEnd().split("\n");
	const need = `${ALL_CAPABILITIES} missing`;
	for (const expected of [
		line("skip", "packet socket", "AF_PACKET: EPERM; run as root"),
		line("fail", "capabilities", `${need}; a daemon with these privileges does not start; run as root`),
		line("skip", "state", `${directory}: EACCES; run as root`),
		line("skip", "promiscuous", "eth0: EPERM; run as root"),
	]) {
		assert.ok(said.includes(expected), `${expected}\n${stdout}`);
	}
});

test("no /dev/net/tun", ({ host }) => {
	const empty = join(directory, "empty");
	mkdirSync(empty);
	const hide = `mount --bind ${empty} /dev/net && exec "$@"`;
	const said = host.run(["unshare", "--mount", "sh", "-c", hide, "sh", ...COMMAND], { env: ENV });
	assertSaid(said, 1, [
		RUNTIME,
		line(
			"fail",
			"tun",
			"/dev/net/tun: ENOENT; containers can get no interfaces; modprobe tun, and mkdir -p /dev/net && mknod /dev/net/tun c 10 200",
		),
		line("skip", "tap offloads", "not looked at without /dev/net/tun"),
		...[...MACHINE.slice(3), ...PROCESS],
	]);
});

/** exec below a seccomp filter that answers io_uring_setup with EPERM, as container runtimes do. */
const FORBID = [
	"require Config;",
	"my $prctl = $Config::Config{archname} =~ /aarch64/ ? 167 : 157;",
	"my $filter = pack('(SCCL)4', 0x20,0,0,0, 0x15,0,1,425, 0x06,0,0,0x50001, 0x06,0,0,0x7fff0000);",
	"my $program = pack('Sx6P', 4, $filter);",
	"syscall($prctl, 38, 1, 0, 0, 0) == 0 or die;",
	"syscall($prctl, 22, 2, $program) == 0 or die $!;",
	"exec @ARGV or die;",
].join(" ");

test("io_uring forbidden by seccomp, and by the kernel's parameter", ({ host }) => {
	const poll = "the datapath uses poll(2), plain reads and writes, which cost more CPU time per frame";
	const filtered = host.run(["perl", "-e", FORBID, ...COMMAND], { env: ENV });
	const remedy =
		"the kernel allows it, so a seccomp filter or a security module forbids it: allow io_uring_setup, io_uring_enter " +
		"and io_uring_register to this container or unit";
	const expected = [...MACHINE];
	expected[3] = line("warn", "io_uring", `io_uring_setup: EPERM; ${poll}; ${remedy}`);
	assertSaid(filtered, 0, [...expected, ...PROCESS]);
	// The parameter is the whole machine's, so here it only looks as if it were set.
	const file = join(directory, "disabled");
	const key = "/proc/sys/kernel/io_uring_disabled";
	if (!existsSync(key)) return;
	writeFileSync(file, "2\n");
	const pretend = `mount --bind ${file} ${key} && exec "$@"`;
	const switchedOff = ["unshare", "--mount", "sh", "-c", pretend, "sh", "perl", "-e", FORBID, ...COMMAND];
	expected[3] = line("warn", "io_uring", `io_uring_setup: EPERM; ${poll}; sysctl -w kernel.io_uring_disabled=0`);
	assertSaid(host.run(switchedOff, { env: ENV }), 0, [...expected, ...PROCESS]);
});

test("a running daemon is asked for its version and its directory", async ({ host }) => {
	const vlane = await startVlane(host);
	try {
		const { stdout } = vlane.vlane("doctor");
		const version = vlane.must("--version").replace("vlane version ", "");
		const [place, daemon] = stdout.trimEnd().split("\n").slice(-2);
		assert.match(place ?? "", new RegExp(`^(ok {4}|warn {2})state {11}${vlane.stateDirectory}(,|$)`));
		const text = `version ${version} answers on unix://${vlane.socket}, datapath io_uring`;
		assert.is(daemon, line("ok", "daemon", text));
	} finally {
		await vlane.cleanup();
	}
});

test("--json has the same findings", ({ host }) => {
	const { status, stdout } = ask(host, "--json", "eth9");
	const { ok, parent, findings } = JSON.parse(stdout);
	assert.equal([status, ok, parent], [1, false, "eth9"]);
	assert.equal(findings.at(-1), {
		status: "fail",
		check: "parent",
		text: "no link named eth9 exists on this host",
		consequence: "networks on it can not be made",
		remedy: "see 'ip link'",
	});
	const fields = ["status", "check", "text", "consequence", "remedy"];
	for (const finding of findings) assert.equal(Object.keys(finding), fields);
	const lines = ask(host, "eth9").stdout.trimEnd().split("\n");
	assert.equal(
		lines.map((text) => text.slice(6, 22).trim()),
		findings.map(({ check }: { check: string }) => check),
	);
});

test("bad command lines", ({ host }) => {
	const refused = (...argv: string[]) => {
		const { status, stdout, stderr } = ask(host, ...argv);
		assert.equal([status, stdout], [2, ""]);
		return stderr.split("\n")[0];
	};
	assert.is(refused("--probe", GATEWAY), '"--probe" needs a PARENT to send from');
	const wrong = 'invalid argument "gateway" for "--probe" flag: expected an IPv4 address';
	assert.is(refused("--probe", "gateway", PARENT), wrong);
});

doctor.run();
