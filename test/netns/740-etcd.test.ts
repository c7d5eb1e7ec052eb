/** Hosts that share networks and addresses through one etcd: what each sees of others, and what nobody gets twice. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ETCD } from "../support/etcd.js";
import { type Group, type GroupHost, makeGroup } from "../support/group.js";
import { testOrSkip } from "../support/needs.js";
import { eventually } from "../support/site.js";

const SUBNET = ["--subnet", "172.16.50.0/24", "--gateway", "172.16.50.254"];
const AWAY = new RegExp(
	"^etcd at 10\\.99\\.0\\.11:2379 does not answer \\(.+\\); " +
		"new addresses can not be given out; running endpoints are not affected$",
);

const etcd = suite("etcd");
let group: Group;

/** Makes a network of the group, and waits until every host has it. */
async function create(name: string, ...flags: string[]): Promise<void> {
	group.host(0).must("network", "create", ...flags, name);
	for (const host of group.hosts) {
		await eventually(`${host.name} has ${name}`, () => host.must("network", "ls", "-q", "-f", `name=${name}`) !== "");
	}
}

function refusal(host: GroupHost, ...argv: string[]): string {
	const { status, stderr } = host.vlane.vlane(...argv);
	assert.is.not(status, 0);
	return stderr.replace(/^(vlane: )?Error response from daemon: /, "").trimEnd();
}

etcd.before(async () => {
	group = await makeGroup({ hosts: 2 });
});
etcd.after(() => group?.close());

testOrSkip(etcd, "a network of the group is on every host, and its containers meet on the wire", ETCD, async () => {
	const [a, b] = [group.host(0), group.host(1)];
	await create("vlan50", "-o", "parent=eth0.50", ...SUBNET);
	assert.is(a.inspect("vlan50").Scope, "global");
	assert.is(a.inspect("vlan50").Id, b.inspect("vlan50").Id);
	assert.is(a.run("web", "vlan50"), "172.16.50.1");
	assert.is(b.run("db", "vlan50"), "172.16.50.2");
	assert.is(a.ping("web", "172.16.50.2"), 1);
	await eventually("both hosts see both endpoints", () => {
		const views = [a, b].map((host) => Object.values(host.inspect("vlan50").Containers as object));
		return views.every((containers) => containers.length === 2);
	});
	const seen = Object.values(b.inspect("vlan50").Containers) as { Name: string; IPv4Address: string; Host?: string }[];
	assert.equal(
		seen.map(({ Name, IPv4Address, Host }) => ({ Name, IPv4Address, Host })),
		[
			{ Name: "db", IPv4Address: "172.16.50.2/24", Host: undefined },
			{ Name: "web", IPv4Address: "172.16.50.1/24", Host: "host0" },
		],
	);
	const rows = a.must("ps", "--all-hosts", "--format", "{{.Host}} {{.Networks}} {{.IPAddress}} {{.Names}}");
	assert.is(rows, "host0 vlan50 172.16.50.1 web\nhost1 vlan50 172.16.50.2 db");
	const hosts = [...a.hosts().values()].map(({ Name, State, Endpoints }) => ({ Name, State, Endpoints }));
	assert.equal(hosts, [
		{ Name: "host0", State: "alive", Endpoints: "1" },
		{ Name: "host1", State: "alive", Endpoints: "1" },
	]);
});

testOrSkip(etcd, "nobody gets an address or a MAC address that another host has", ETCD, async () => {
	const [a, b] = [group.host(0), group.host(1)];
	const address = refusal(b, "run", "-d", "--network", "vlan50", "--ip", "172.16.50.1", "sleep", "infinity");
	assert.is(address, "Address already in use: 172.16.50.1");
	a.run("fixed", "vlan50", "--mac-address", "02:00:00:00:50:01");
	await eventually("the other host knows", () => group.etcd.dump("/vlane/mac/").size === 3);
	const mac = ["--mac-address", "02:00:00:00:50:01"];
	const text = refusal(b, "run", "-d", "--network", "vlan50", ...mac, "sleep", "infinity");
	assert.match(text, /^MAC address 02:00:00:00:50:01 is already in use by endpoint fixed of host host0/);
	const active = refusal(b, "network", "rm", "vlan50");
	assert.match(active, /network vlan50 has active endpoints \(.*name:"db"/);
	// What ends gives its address back, and the other host may have it.
	a.must("rm", "-f", "fixed");
	await eventually("the address is given back", () => group.etcd.dump("/vlane/address/").size === 2);
	assert.is(b.run("next", "vlan50", ...mac), "172.16.50.3");
	b.must("rm", "-f", "next");
});

testOrSkip(etcd, "hosts that ask at the same time get different addresses", ETCD, async () => {
	const [a, b] = [group.host(0), group.host(1)];
	await create("busy", "-o", "parent=eth0.51", "--subnet", "172.16.51.0/24");
	const names = Array.from({ length: 8 }, (_, at) => `busy${at}`);
	const started = [a, b].flatMap((host) =>
		names.map((name) => host.vlane.start("run", "-d", "--name", name, "--network", "busy", "sleep", "infinity")),
	);
	for (const { ended } of started) {
		const { status, stderr } = await ended;
		assert.is(status, 0, stderr);
	}
	const addresses = [a, b].flatMap((host) => names.map((name) => host.addressOf(name)));
	assert.is(new Set(addresses).size, 16, addresses.join(" "));
	const keys = [...group.etcd.dump("/vlane/address/eth0.51/").keys()].map((key) => key.split("/").at(-1));
	assert.equal(keys.sort(), addresses.sort());
	for (const host of [a, b]) host.must("rm", "-f", ...names);
	await eventually("all are given back", () => group.etcd.dump("/vlane/address/eth0.51/").size === 0);
	b.must("network", "rm", "busy");
	await eventually("the network is gone everywhere", () => a.must("network", "ls", "-q", "-f", "name=busy") === "");
});

testOrSkip(etcd, "while etcd is down, frames flow, hosts restart, and nothing new is given out", ETCD, async () => {
	const [a, b] = [group.host(0), group.host(1)];
	const [member] = group.etcd.members;
	const ping = a.vlane.start("exec", "web", "ping", "-n", "-i", "0.05", "-c", "200", "172.16.50.2");
	await member?.stop("SIGKILL");
	const text = refusal(a, "run", "-d", "--network", "vlan50", "sleep", "infinity");
	assert.match(text, AWAY);
	assert.match(
		refusal(b, "network", "create", "-o", "parent=eth0.52", "late"),
		/^etcd at .* does not answer .*; networks/,
	);
	assert.is(b.must("network", "ls", "-q", "-f", "name=late"), "");
	const { stdout } = await ping.ended;
	assert.match(stdout, /200 packets transmitted, 200 (packets )?received/);
	// A host that starts now goes on with what it has; a container that ends is given back later.
	await b.stop();
	await b.start();
	assert.is(a.ping("web", "172.16.50.2"), 1);
	a.must("rm", "-f", "web");
	assert.match(refusal(b, "run", "-d", "--network", "vlan50", "sleep", "infinity"), AWAY);
	member?.start();
	await member?.ready();
	await eventually(
		"what ended meanwhile is given back",
		() => !group.etcd.dump().has("/vlane/address/eth0.50/172.16.50.1"),
	);
	await eventually("hosts are alive", () => [...b.hosts().values()].every(({ State }) => State === "alive"));
	assert.is(b.run("again", "vlan50"), "172.16.50.1");
	b.must("rm", "-f", "again");
});

testOrSkip(etcd, "what a killed daemon took, and did not write down, is given back", ETCD, async () => {
	const a = group.host(0);
	await a.stop("SIGKILL");
	const id = "f".repeat(64);
	const host = [...group.host(1).hosts().values()].find(({ Name }) => Name === a.name)?.ID ?? "";
	const network = group.host(1).inspect("vlan50").Id;
	const value = JSON.stringify({ network: "vlan50", name: "lost", wire: "eth0.50", addresses: ["172.16.50.77"] });
	group.etcd.ctl("put", `/vlane/endpoint/${network}/${host}/${id}`, value);
	group.etcd.ctl("put", "/vlane/address/eth0.50/172.16.50.77", `${host}/${id}`);
	await a.start();
	await eventually("it is given back", () => !group.etcd.dump().has("/vlane/address/eth0.50/172.16.50.77"));
	assert.is(group.etcd.dump(`/vlane/endpoint/${network}/${host}/`).size, 0);
});

etcd.run();
