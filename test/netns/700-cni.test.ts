/** `vlane-cni` against the specification: every command in every version, every error code, and what is left behind. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type CniCall, type CniSaid, callCni, PLUGINS } from "../support/cni.js";
import { type Lan, makeLan } from "../support/lan.js";
import { needs, testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { addressesOf, eventually, linksOf, macOf } from "../support/site.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const cni = suite("cni");
const need = { root: true, tun: true, tools: ["ip", "ping"], files: [`${PLUGINS}/host-local`] };

let lan: Lan;
let vlane: Vlane;
let pods: Namespace[] = [];

cni.before(async () => {
	if (needs(need)) return;
	lan = await makeLan({ vlans: [50] });
	lan.station(undefined, ["10.1.0.1/24", "fd00:1::1/64"]);
	lan.station(50, ["10.50.0.1/24"]);
	vlane = await startVlane(lan.host);
});

cni.after.each(() => {
	if (needs(need)) return;
	for (const pod of pods.splice(0)) pod.close();
	rmSync(join(vlane.directory, "leases"), { recursive: true, force: true });
});

cni.after(async () => {
	await vlane?.cleanup();
	lan?.close();
});

function pod(): Namespace {
	const ns = new Namespace("pod");
	pods.push(ns);
	return ns;
}

/** A configuration on eth0 whose addresses are the daemon's. */
function config(changes: object = {}): Record<string, unknown> {
	return {
		...{ cniVersion: "1.1.0", name: "net", type: "vlane-cni", master: "eth0" },
		ipam: { type: "vlane", subnets: [{ subnet: "10.1.0.0/24", gateway: "10.1.0.1" }] },
		...changes,
	};
}

/** As `config`, with addresses of the reference plugin that keeps them in files. */
function hostLocal(changes: object = {}): Record<string, unknown> {
	const ranges = [[{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.100", gateway: "10.1.0.1" }]];
	const routes = [{ dst: "0.0.0.0/0" }];
	return config({ ipam: { type: "host-local", dataDir: leaseDirectory(), ranges, routes }, ...changes });
}

function leaseDirectory(): string {
	return join(vlane.directory, "leases");
}

/** Addresses that host-local has given and not got back. */
function leases(name = "net"): string[] {
	const directory = join(leaseDirectory(), name);
	return existsSync(directory) ? readdirSync(directory).filter((file) => /^\d/.test(file)) : [];
}

function call(command: string, changes: CniCall = {}): CniSaid {
	const env = { VLANE_HOST: `unix://${vlane.socket}`, ...changes.env };
	return callCni({ command, config: config(), ...changes, env });
}

/** A call about a pod's eth0. */
function about(command: string, ns: Namespace, changes: CniCall = {}): CniSaid {
	return call(command, { containerId: ns.name, netns: ns.path, ifname: "eth0", ...changes });
}

function must(said: CniSaid): CniSaid["answer"] {
	assert.is(said.status, 0, JSON.stringify(said));
	return said.answer;
}

/** An error as a runtime needs it: status, code, one line. */
function refused(said: CniSaid, code: number, message: RegExp): void {
	assert.is(said.status, 1, JSON.stringify(said));
	assert.is(said.answer.code, code, JSON.stringify(said.answer));
	assert.is(said.answer.cniVersion, "1.1.0");
	assert.match(said.answer.msg, message);
	assert.not.match(said.answer.msg, /\n/);
	assert.is(said.stderr, "");
}

function nothingIsLeft(): void {
	assert.is(vlane.must("network", "ls", "-q"), "");
	assert.equal(linksOf(lan.host).sort(), ["eth0", "lo"]);
}

testOrSkip(cni, "VERSION needs neither daemon nor configuration", need, () => {
	const env = { VLANE_HOST: "unix:///nowhere" };
	assert.equal(must(call("VERSION", { config: "", env })), { cniVersion: "1.1.0", supportedVersions: VERSIONS });
	const said = must(call("VERSION", { config: { cniVersion: "0.4.0" }, env }));
	assert.equal(said, { cniVersion: "0.4.0", supportedVersions: VERSIONS });
});

for (const cniVersion of VERSIONS) {
	testOrSkip(cni, `a life in version ${cniVersion}: ADD, CHECK, DEL, DEL again`, need, () => {
		for (const base of [config({ cniVersion }), hostLocal({ cniVersion })]) {
			const ns = pod();
			const result = must(about("ADD", ns, { config: base }));
			const [address] = addressesOf(ns);
			const isOld = cniVersion < "1.0.0";
			assert.equal(result, {
				cniVersion,
				interfaces: [
					{ name: "eth0", mac: macOf(ns), ...(cniVersion === "1.1.0" ? { mtu: 1500 } : {}), sandbox: ns.path },
				],
				ips: [{ ...(isOld ? { version: "4" } : {}), address, gateway: "10.1.0.1", interface: 0 }],
				routes: result.routes,
				dns: {},
			});
			assert.is(result.routes[0].dst, "0.0.0.0/0");
			assert.is(ns.ping("10.1.0.1"), 1);
			assert.match(ns.must(["ip", "route"]), /^default via 10\.1\.0\.1 dev eth0/);
			const checked = about("CHECK", ns, { config: { ...base, prevResult: result } });
			if (cniVersion === "0.3.1") refused(checked, 1, /config version does not allow CHECK/);
			else assert.is(must(checked), undefined);
			assert.is(must(about("DEL", ns, { config: { ...base, prevResult: result } })), undefined);
			assert.equal(linksOf(ns), ["lo"]);
			assert.is(must(about("DEL", ns, { config: base })), undefined);
			assert.equal(leases(), []);
		}
		nothingIsLeft();
	});
}

testOrSkip(cni, "what a version does not have is refused", need, () => {
	for (const cniVersion of ["0.3.1", "0.4.0", "1.0.0"]) {
		for (const command of ["GC", "STATUS"]) {
			refused(call(command, { config: config({ cniVersion }) }), 1, new RegExp(`does not allow ${command}`));
		}
	}
	for (const cniVersion of [undefined, "0.1.0", "0.2.0", "0.3.0", "2.0.0", 7]) {
		refused(call("ADD", { config: config({ cniVersion }) }), 1, /incompatible CNI versions; config is/);
	}
});

testOrSkip(cni, "every error has its code, and nothing is left", need, () => {
	const ns = pod();
	const dead = "/run/netns/vlane-no-such-namespace";
	const cases: [number, RegExp, CniSaid][] = [
		[4, /CNI_COMMAND/, callCni({ config: config() })],
		[4, /unknown CNI_COMMAND: NONE/, call("NONE")],
		[4, /\[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME\] missing/, call("ADD")],
		[4, /\[CNI_CONTAINERID,CNI_IFNAME\] missing/, call("DEL")],
		[4, /CNI_CONTAINERID/, about("ADD", ns, { containerId: "../x" })],
		[4, /CNI_IFNAME/, about("ADD", ns, { ifname: "a/b" })],
		[4, /CNI_IFNAME/, about("ADD", ns, { ifname: "sixteen-letters-" })],
		[4, /CNI_NETNS/, about("ADD", ns, { netns: "run/netns/x" })],
		[4, /CNI_NETNS: .* host/, about("ADD", ns, { netns: lan.host.path })],
		[4, /CNI_NETNS/, about("ADD", ns, { netns: "/etc/hostname" })],
		[4, /CNI_ARGS: invalid pair/, about("ADD", ns, { args: "MAC" })],
		[4, /CNI_ARGS: unknown args \["COLOUR"\]/, about("ADD", ns, { args: "COLOUR=red" })],
		[3, /not found/, about("ADD", ns, { netns: dead })],
		[3, /not found/, about("ADD", ns, { netns: "/proc/4194304/ns/net" })],
		[3, /ADD comes first/, about("CHECK", ns, { config: config({ prevResult: prevResult(ns) }) })],
		[6, /JSON/, about("ADD", ns, { config: "{" })],
		[6, /JSON/, about("ADD", ns, { config: "" })],
		[6, /JSON object/, about("ADD", ns, { config: "[]" })],
		[7, /missing network name/, about("ADD", ns, { config: config({ name: undefined }) })],
		[7, /invalid characters found in network name/, about("ADD", ns, { config: config({ name: "a b" }) })],
		[7, /prevResult missing/, about("CHECK", ns)],
		[7, /valid-attachments/, call("GC")],
		[7, /host/, about("ADD", ns, { config: config({ host: "tcp://x" }) })],
		[7, /mode/, about("ADD", ns, { config: config({ mode: "source" }) })],
		[7, /invalid MTU 9000, must be \[0, master MTU\(1500\)\]/, about("ADD", ns, { config: config({ mtu: 9000 }) })],
		[7, /between 1 and 4094/, about("ADD", ns, { config: config({ vlanId: 4095 }) })],
		[7, /between 1 and 4094/, about("ADD", ns, { config: config({ vlanId: 0 }) })],
		[7, /eth9/, about("ADD", ns, { config: config({ master: "eth9" }) })],
		[7, /no default route interface found/, about("ADD", ns, { config: config({ master: undefined }) })],
		[7, /hardware|MAC/i, about("ADD", ns, { config: config({ mac: "x" }) })],
		[7, /ipam.subnets/, about("ADD", ns, { config: config({ ipam: { type: "vlane", subnets: [{}] } }) })],
		[7, /failed to find plugin "none"/, about("ADD", ns, { config: config({ ipam: { type: "none" } }) })],
		[7, /failed to find plugin/, about("ADD", ns, { config: config({ ipam: { type: "../cni/static" } }) })],
		[
			7,
			/network missing not found/,
			about("ADD", ns, { config: config({ network: "missing", master: undefined, ipam: undefined }) }),
		],
		[7, /decides about master itself/, about("ADD", ns, { config: config({ network: "missing" }) })],
		[2, /unsupported field "bcqueuelen": 7/, about("ADD", ns, { config: config({ bcqueuelen: 7 }) })],
		[2, /"linkInContainer": true/, about("ADD", ns, { config: config({ linkInContainer: true }) })],
		[11, /vlane daemon/, about("ADD", ns, { env: { VLANE_HOST: "unix:///nowhere" } })],
		[999, /no IP ranges specified|host-local/, about("ADD", ns, { config: config({ ipam: { type: "host-local" } }) })],
	];
	for (const [code, message, said] of cases) refused(said, code, message);
	const closed = lan.host.run(["sh", "-c", `exec "$0" "$1" < /`, process.execPath, "bin/vlane-cni.cjs"], {
		env: { CNI_COMMAND: "ADD" },
	});
	assert.is(JSON.parse(closed.stdout).code, 5, closed.stdout);
	assert.equal(linksOf(ns), ["lo"]);
	nothingIsLeft();
});

/** A result as an ADD of `ns` would have it. */
function prevResult(ns: Namespace): object {
	return { interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: ns.path }], ips: [], routes: [] };
}

testOrSkip(cni, "DEL without namespace, with a dead one, without parent, without daemon", need, async () => {
	const [gone, unnamed, orphan] = [pod(), pod(), pod()];
	must(about("ADD", gone, { config: hostLocal() }));
	must(about("ADD", unnamed, { config: hostLocal() }));
	pods = pods.filter((ns) => ns !== gone);
	gone.close();
	must(about("DEL", gone, { config: hostLocal() }));
	must(about("DEL", unnamed, { config: hostLocal(), netns: undefined }));
	assert.equal(linksOf(unnamed), ["lo"]);
	assert.equal(leases(), []);
	nothingIsLeft();
	must(call("DEL", { containerId: "never-seen", ifname: "eth0" }));

	lan.host.must(["ip", "link", "add", "eth7", "type", "veth", "peer", "name", "far7", "netns", lan.far.name]);
	lan.far.must(["ip", "link", "set", "far7", "up"]);
	lan.host.must(["ip", "link", "set", "eth7", "up"]);
	const onEth7 = hostLocal({ master: "eth7" });
	const result = must(about("ADD", orphan, { config: onEth7 }));
	lan.host.must(["ip", "link", "del", "eth7"]);
	refused(about("CHECK", orphan, { config: { ...onEth7, prevResult: result } }), 102, /eth7 was not found/);
	must(about("DEL", orphan, { config: onEth7 }));
	assert.equal(linksOf(orphan), ["lo"]);
	nothingIsLeft();

	const [left, kept] = [pod(), pod()];
	must(about("ADD", left, { config: hostLocal() }));
	must(about("ADD", kept, { config: hostLocal() }));
	await vlane.stopDaemon();
	refused(about("DEL", kept, { config: hostLocal() }), 11, /is vlane daemon running/);
	pods = pods.filter((ns) => ns !== left);
	left.close();
	must(about("DEL", left, { config: hostLocal() }));
	await vlane.startDaemon();
	must(about("DEL", kept, { config: hostLocal() }));
	assert.equal(leases(), []);
	nothingIsLeft();
});

testOrSkip(cni, "ADD on a name that is there, and ADD twice", need, () => {
	const ns = pod();
	ns.must(["ip", "tuntap", "add", "eth0", "mode", "tap"]);
	refused(about("ADD", ns, { config: hostLocal() }), 100, /interface eth0 already exists/);
	assert.equal(leases(), []);
	ns.must(["ip", "link", "del", "eth0"]);
	const result = must(about("ADD", ns, { config: hostLocal() }));
	refused(about("ADD", ns, { config: hostLocal() }), 100, /DEL comes first/);
	assert.is(leases().length, 1);
	assert.is(macOf(ns), result.interfaces[0].mac);
	must(about("DEL", ns, { config: hostLocal() }));
	// One container twice on a network, under two names.
	must(about("ADD", ns));
	must(about("ADD", ns, { ifname: "net1", config: config({ ipam: {}, name: "net2" }) }));
	assert.equal(linksOf(ns).sort(), ["eth0", "lo", "net1"]);
	must(about("DEL", ns));
	must(about("DEL", ns, { ifname: "net1", config: config({ name: "net2" }) }));
	nothingIsLeft();
});

testOrSkip(cni, "mode, mtu, mac, addresses and VLAN are as asked for", need, () => {
	const [a, b, c] = [pod(), pod(), pod()];
	const tagged = config({
		...{ name: "vlan", vlanId: 50, mtu: 1400, mac: "02:00:00:00:50:01", mode: "private" },
		ipam: { type: "vlane", subnets: [{ subnet: "10.50.0.0/24", gateway: "10.50.0.1" }, { subnet: "fd00:50::/64" }] },
	});
	const result = must(about("ADD", a, { config: tagged }));
	assert.is(result.interfaces[0].mac, "02:00:00:00:50:01");
	assert.is(result.interfaces[0].mtu, 1400);
	assert.is(a.ip("link", "show", "eth0")[0].mtu, 1400);
	assert.equal(
		addressesOf(a),
		result.ips.map(({ address }: { address: string }) => address),
	);
	assert.is(a.ping("10.50.0.1"), 1);
	const args = "IgnoreUnknown=1;K8S_POD_NAME=x;MAC=02:00:00:00:50:02;IP=10.50.0.77";
	must(about("ADD", b, { config: { ...tagged, master: "eth0" }, args }));
	assert.is(macOf(b), "02:00:00:00:50:02");
	assert.ok(addressesOf(b).includes("10.50.0.77/24"));
	assert.is(b.ping("10.50.0.1"), 1);
	assert.is(a.run(["ping", "-c1", "-W1", "10.50.0.77"]).status, 1, "mode private");
	const runtimeConfig = { mac: "02:00:00:00:50:03", ips: ["10.50.0.78/24", "fd00:50::78"] };
	must(about("ADD", c, { config: { ...tagged, runtimeConfig }, args }));
	assert.is(macOf(c), "02:00:00:00:50:03");
	assert.equal(addressesOf(c), ["10.50.0.78/24", "fd00:50::78/64"]);
	refused(about("ADD", pod(), { config: { ...tagged, runtimeConfig: { ips: ["10.50.0.78"] } } }), 100, /in use/);
	refused(about("ADD", pod(), { config: { ...tagged, mode: "bridge" } }), 100, /in use with another configuration/);
	for (const ns of [a, b, c]) must(about("DEL", ns, { config: tagged }));
	nothingIsLeft();
});

testOrSkip(cni, "addresses of the reference plugin static, several of a family, and routes", need, () => {
	const ns = pod();
	const addresses = [
		{ address: "10.1.0.9/24", gateway: "10.1.0.1" },
		{ address: "10.2.0.9/24" },
		{ address: "fd00:1::9/64" },
	];
	const routes = [
		{ dst: "10.99.0.0/16", gw: "10.1.0.1" },
		{ dst: "::/0", gw: "fd00:1::1" },
	];
	const dns = { nameservers: ["10.1.0.53"] };
	const base = config({ cniVersion: "1.0.0", ipam: { type: "static", addresses, routes, dns } });
	const result = must(about("ADD", ns, { config: base }));
	assert.equal(addressesOf(ns).sort(), ["10.1.0.9/24", "10.2.0.9/24", "fd00:1::9/64"]);
	assert.match(ns.must(["ip", "route"]), /10\.99\.0\.0\/16 via 10\.1\.0\.1 dev eth0/);
	assert.match(ns.must(["ip", "-6", "route"]), /default via fd00:1::1 dev eth0/);
	assert.equal(result.dns, dns);
	assert.is(ns.ping("fd00:1::1"), 1);
	must(about("CHECK", ns, { config: { ...base, prevResult: result } }));
	// The daemon repairs what somebody takes away, so results differ from what is there by what was never there.
	const differs = (change: object, message: RegExp) => {
		const prevResult = { ...result, ...change };
		refused(about("CHECK", ns, { config: { ...base, prevResult } }), 102, message);
	};
	differs({ routes: [...result.routes, { dst: "10.98.0.0/16", gw: "10.1.0.1" }] }, /no route to 10\.98\.0\.0\/16/);
	differs(
		{ ips: [...result.ips, { address: "10.3.0.9/24", interface: 0 }] },
		/does not have the address 10\.3\.0\.9\/24/,
	);
	differs({ interfaces: [{ ...result.interfaces[0], mac: "02:00:00:00:00:01" }] }, /doesn't match container Mac/);
	must(about("DEL", ns, { config: base }));
	nothingIsLeft();
});

testOrSkip(cni, "a network of the command line's, a chain of plugins, no addresses at all", need, () => {
	const ns = pod();
	vlane.must("network", "create", "--subnet=10.1.0.0/24", "--gateway=10.1.0.1", "-o", "parent=eth0", "pub_net");
	const named = { cniVersion: "1.1.0", name: "named", type: "vlane-cni", network: "pub_net", dns: { domain: "lan" } };
	const before = { interfaces: [{ name: "veth1" }], ips: [{ address: "10.8.0.1/24", interface: 0 }], routes: [] };
	const result = must(about("ADD", ns, { config: { ...named, prevResult: before } }));
	assert.is(result.interfaces[0].name, "veth1");
	assert.is(result.interfaces[1].name, "eth0");
	assert.equal(
		result.ips.map((ip: { interface: number }) => ip.interface),
		[0, 1],
	);
	assert.equal(result.dns, { domain: "lan" });
	must(about("CHECK", ns, { config: { ...named, prevResult: result } }));
	assert.is(ns.ping("10.1.0.1"), 1);
	must(about("DEL", ns, { config: named }));
	assert.is(vlane.must("network", "ls", "--format", "{{.Name}}"), "pub_net");
	vlane.must("network", "rm", "pub_net");
	const bare = config({ ipam: undefined });
	assert.equal(must(about("ADD", ns, { config: bare })).ips, []);
	assert.equal(addressesOf(ns), []);
	must(about("DEL", ns, { config: bare }));
	nothingIsLeft();
});

testOrSkip(cni, "GC releases what the runtime does not name, whether its namespace lives or not", need, () => {
	const [live, stale, dead, foreign] = [pod(), pod(), pod(), pod()];
	for (const ns of [live, stale, dead]) must(about("ADD", ns, { config: hostLocal() }));
	must(about("ADD", foreign, { config: hostLocal({ name: "other" }) }));
	pods = pods.filter((ns) => ns !== dead);
	dead.close();
	assert.is(leases().length, 3);
	const valid = [{ containerID: live.name, ifname: "eth0" }];
	must(call("GC", { config: hostLocal({ "cni.dev/valid-attachments": valid }) }));
	assert.is(leases().length, 1);
	assert.is(leases("other").length, 1);
	assert.equal(
		[live, stale, foreign].map((ns) => linksOf(ns).includes("eth0")),
		[true, false, true],
	);
	assert.is(live.ping("10.1.0.1"), 1);
	must(call("GC", { config: hostLocal({ "cni.dev/valid-attachments": [] }) }));
	must(call("GC", { config: hostLocal({ name: "other", "cni.dev/valid-attachments": [] }) }));
	assert.is(leases().length + leases("other").length, 0);
	nothingIsLeft();
});

testOrSkip(cni, "STATUS: daemon, parent, addresses, and the plugin of addresses", need, () => {
	const ns = pod();
	must(call("STATUS"));
	must(call("STATUS", { config: hostLocal() }));
	refused(call("STATUS", { env: { VLANE_HOST: "unix:///nowhere" } }), 51, /vlane daemon/);
	refused(call("STATUS", { config: config({ master: "eth9" }) }), 50, /eth9/);
	refused(call("STATUS", { config: config({ ipam: { type: "none" } }) }), 50, /failed to find plugin/);
	refused(call("STATUS", { config: config({ network: "missing", master: undefined, ipam: {} }) }), 50, /missing/);
	const small = config({ ipam: { type: "vlane", subnets: [{ subnet: "10.1.0.0/30", gateway: "10.1.0.1" }] } });
	must(about("ADD", ns, { config: small }));
	refused(call("STATUS", { config: small }), 50, /no addresses left/);
	refused(about("ADD", pod(), { config: small }), 11, /no available IPv4 addresses/);
	lan.host.must(["ip", "link", "set", "eth0", "down"]);
	refused(call("STATUS", { config: small }), 51, /eth0 is down/);
	must(about("DEL", ns, { config: small }));
	refused(call("STATUS", { config: small }), 50, /eth0 is down/);
	lan.host.must(["ip", "link", "set", "eth0", "up"]);
	must(call("STATUS", { config: small }));
	nothingIsLeft();
});

testOrSkip(cni, "attachments outlive the daemon", need, async () => {
	const [a, b] = [pod(), pod()];
	const result = must(about("ADD", a, { config: hostLocal() }));
	must(about("ADD", b, { config: hostLocal() }));
	await vlane.stopDaemon("SIGKILL");
	pods = pods.filter((ns) => ns !== b);
	b.close();
	await vlane.startDaemon();
	must(about("CHECK", a, { config: { ...hostLocal(), prevResult: result } }));
	assert.is(a.ping("10.1.0.1"), 1);
	assert.is(leases().length, 2);
	must(call("GC", { config: hostLocal({ "cni.dev/valid-attachments": [{ containerID: a.name, ifname: "eth0" }] }) }));
	assert.is(leases().length, 1);
	must(about("DEL", a, { config: hostLocal() }));
	nothingIsLeft();
});

testOrSkip(cni, "a plugin of addresses that fails, or talks nonsense, leaves nothing", need, () => {
	const ns = pod();
	const plugins = join(vlane.directory, "plugins");
	mkdirSync(plugins, { recursive: true });
	const bad: [string, string, number, RegExp][] = [
		["silent", "exit 3", 101, /silent: exit status 3/],
		["noisy", "echo broken >&2; exit 1", 101, /noisy: broken/],
		["nonsense", "echo nonsense", 101, /not JSON/],
		["empty", "echo '{}'", 101, /returned missing IP config/],
		["busy", `echo '{"code": 11, "msg": "later", "details": "d"}'; exit 1`, 11, /busy: later/],
	];
	for (const [type, body, code, message] of bad) {
		writeFileSync(join(plugins, type), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
		const said = about("ADD", ns, { config: config({ ipam: { type } }), env: { CNI_PATH: `${PLUGINS}:${plugins}` } });
		refused(said, code, message);
		assert.equal(linksOf(ns), ["lo"]);
	}
	nothingIsLeft();
});

const dhcpNeed = { ...need, tools: [...need.tools, "busybox"], files: [`${PLUGINS}/dhcp`] };

testOrSkip(cni, "addresses of a DHCP server on the LAN, by the reference plugin dhcp", dhcpNeed, async () => {
	const ns = pod();
	const [socket, settings] = ["dhcp.sock", "udhcpd.conf"].map((name) => join(vlane.directory, name)) as [
		string,
		string,
	];
	const leaseFile = join(vlane.directory, "udhcpd.leases");
	const range = ["start 10.1.0.200", "end 10.1.0.210", "interface lan0", `lease_file ${leaseFile}`];
	writeFileSync(settings, [...range, "option subnet 255.255.255.0", "option router 10.1.0.1", ""].join("\n"));
	writeFileSync(leaseFile, "");
	const server = lan.far.start(["busybox", "udhcpd", "-f", settings]);
	const daemon = lan.host.start([`${PLUGINS}/dhcp`, "daemon", "-socketpath", socket]);
	await eventually("the plugin's daemon listens", () => existsSync(socket));
	const base = config({ cniVersion: "1.0.0", ipam: { type: "dhcp", daemonSocketPath: socket } });
	const result = must(about("ADD", ns, { config: base }));
	assert.match(result.ips[0].address, /^10\.1\.0\.2(0\d|10)\/24$/);
	assert.equal(addressesOf(ns), [result.ips[0].address]);
	assert.is(ns.ping("10.1.0.1"), 1);
	must(about("DEL", ns, { config: base }));
	await Promise.all([server.stop(), daemon.stop()]);
	nothingIsLeft();
});

cni.run();
