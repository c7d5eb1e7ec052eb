/** `--ipam-driver vlane`: Docker's containers have their addresses from us, and get them again. */
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type DockerSite, ENGINE, makeDockerSite, PLUGIN_DIRECTORY } from "../support/engine.js";
import { testOrSkip } from "../support/needs.js";
import { askSocket } from "../support/plugin.js";
import { eventually } from "../support/site.js";

const docker = suite("docker: addresses");
const SUBNET = ["--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "--ip-range=172.16.86.128/28"];
const V6 = ["--ipv6", "--subnet=2001:db8:86::/64", "--gateway=2001:db8:86::1"];
const A = "--mac-address=02:42:aa:00:00:0a";
const B = "--mac-address=02:42:aa:00:00:0b";

let site: DockerSite;

docker.before(async () => {
	site = await makeDockerSite();
	site.lan.station(undefined, ["172.16.86.1/24", "2001:db8:86::1/64"]);
	create("pub_net", ...SUBNET, ...V6, "--aux-address=printer=172.16.86.129", "-o", "parent=eth0");
});

docker.after(async () => {
	await site?.cleanup();
});

docker.after.each(() => {
	site.engine.removeAll();
});

function create(name: string, ...flags: string[]): void {
	site.engine.must("network", "create", "-d", "vlane", "--ipam-driver", "vlane", ...flags, name);
}

/** What the engine says when it does not make a network. */
function refusal(...flags: string[]): string {
	return site.engine.refusal("network", "create", "-d", "vlane", "--ipam-driver", "vlane", ...flags, "refused");
}

/** Starts a container; answers its IPv4 and IPv6 address. */
function run(name: string, ...flags: string[]): string[] {
	site.engine.must("run", "-d", "--name", name, "--net=pub_net", ...flags, "alpine", "sleep", "1000000");
	return addresses(name);
}

function addresses(name: string): string[] {
	const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
	return site.engine.must("inspect", "-f", format, name).split(" ");
}

testOrSkip(docker, "a MAC address is known again, and its addresses are given to nobody else", ENGINE, async () => {
	const first = run("c1", A);
	assert.equal(first, ["172.16.86.128", "2001:db8:86::2"]);
	assert.is(site.lan.far.ping("172.16.86.128"), 1);
	assert.equal(run("c2", B), ["172.16.86.130", "2001:db8:86::3"], "the printer's address is the printer's");
	site.engine.must("restart", "-t", "0", "c1");
	assert.equal(addresses("c1"), first);
	site.engine.must("rm", "-f", "c1", "c2");
	assert.equal(run("c3"), ["172.16.86.131", "2001:db8:86::4"]);
	assert.equal(run("c1", A), first);
	const taken = (address: string) =>
		site.engine.refusal("run", "--rm", "--net=pub_net", `--ip=${address}`, "alpine", "true");
	for (const address of ["172.16.86.1", "172.16.86.128", "172.16.86.129", "172.16.86.255"]) {
		assert.match(taken(address), `Address already in use: ${address}`);
	}
	assert.equal(run("c4", "--ip=172.16.86.130")[0], "172.16.86.130", "a wish counts more than a memory");
	assert.is(site.lan.far.ping("172.16.86.130"), 1);
});

testOrSkip(docker, "a killed daemon and a killed engine forget no lease, and lose no address", ENGINE, async () => {
	const [address = ""] = run("c1", A);
	run("c2", "--ip=172.16.86.77");
	await site.vlane.stopDaemon("SIGKILL");
	await site.vlane.startDaemon("--docker-plugin-dir", PLUGIN_DIRECTORY);
	await eventually("it answers", () => site.lan.far.ping(address) === 1);
	assert.is.not(run("c3")[0], address);
	await site.engine.stopEngine("SIGKILL");
	await site.engine.startEngine();
	// Its MAC address is another one each time.
	site.engine.must("start", "c2");
	assert.is(addresses("c2")[0], "172.16.86.77");
	site.engine.must("start", "c1");
	assert.is(addresses("c1")[0], address);
	assert.is(site.lan.far.ping(address), 1);
});

testOrSkip(docker, "pools: predefined ones, no two that overlap, and none left behind", ENGINE, async () => {
	const overlap =
		/Pool overlaps with other one on this address space: 172\.16\.0\.0\/16, another network has 172\.16\.86/;
	assert.match(refusal("--subnet=172.16.0.0/16"), overlap);
	assert.match(refusal("--subnet=10.4.0.1/24"), /invalid subnet 10\.4\.0\.1\/24: it should be 10\.4\.0\.0\/24/);
	assert.match(refusal("--ipam-opt=colour=red"), /unknown ipam option "colour"; vlane has group only, leave it out/);
	assert.match(refusal("--subnet=10.4.0.0/24", "-o", "ipvlan_mode=l2"), /ipvlan endpoints share one; leave --ipam-dr/);
	create("open");
	const [{ IPAM }] = JSON.parse(site.engine.must("network", "inspect", "open"));
	assert.match(IPAM.Config[0].Subnet, /^172\.\d+\.0\.0\/16$/);
	site.engine.must("network", "rm", "open");
	for (let times = 0; times < 2; times++) {
		create("small", "--subnet=10.4.0.0/30");
		const flags = ["run", "-d", "--net=small", "alpine", "sleep", "1000000"];
		site.engine.must(...flags);
		assert.match(
			site.engine.refusal(...flags),
			/no available IPv4 addresses on this network's address pool 10\.4\.0\.0\/30/,
		);
		site.engine.removeAll();
		// The only address is remembered for somebody who may never come back.
		site.engine.must(...flags);
		site.engine.removeAll();
		site.engine.must("network", "rm", "small");
	}
});

testOrSkip(docker, "an engine that says names is answered by name", ENGINE, async () => {
	const { pid } = site.vlane;
	const socket = join(`/proc/${pid}/root`, PLUGIN_DIRECTORY, "vlane.sock");
	const ask = async (call: string, body: object) => (await askSocket(socket, `IpamDriver.${call}`, body)).answer;
	const space = { AddressSpace: "vlane", SubPool: "", Options: null, V6: false };
	const { PoolID, Pool } = await ask("RequestPool", { ...space, Pool: "10.5.0.0/24" });
	assert.is(Pool, "10.5.0.0/24");
	let count = 0;
	const lease = async (name: string) => {
		count += 1;
		const mac = `02:42:00:00:00:0${count}`;
		const Options = { "com.docker.network.endpoint.macaddress": mac, "com.docker.network.endpoint.name": name };
		return (await ask("RequestAddress", { PoolID, Address: "", Options })).Address;
	};
	assert.is(await lease("web"), "10.5.0.1/24");
	assert.is(await lease("db"), "10.5.0.2/24");
	assert.is(await lease("web"), "10.5.0.1/24");
	for (let times = 0; times < 2; times++) {
		assert.equal(await ask("ReleaseAddress", { PoolID, Address: "10.5.0.1" }), {});
	}
	assert.is(await lease("other"), "10.5.0.3/24");
	assert.is(await lease("web"), "10.5.0.1/24");
	for (let times = 0; times < 2; times++) assert.equal(await ask("ReleasePool", { PoolID }), {});
	const { Err } = await ask("RequestAddress", { PoolID, Address: "", Options: {} });
	assert.match(Err, /^address pool \w{12} is not known to vlane; remove the network/);
});

docker.run();
