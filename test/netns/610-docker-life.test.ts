/** Containers come, go and move between networks; what Docker asks is answered, and nothing is left behind. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type DockerSite, ENGINE, makeDockerSite, PLUGIN_DIRECTORY } from "../support/engine.js";
import { testOrSkip } from "../support/needs.js";
import { eventually, linesOf } from "../support/site.js";

const docker = suite("docker: life");
const need = ENGINE;
const SUBNET = ["--subnet=172.16.86.0/24", "--gateway=172.16.86.1"];

let site: DockerSite;

docker.before(async () => {
	site = await makeDockerSite({ vlans: [50] });
	site.lan.station(undefined, ["172.16.86.1/24"]);
	site.lan.station(50, ["192.168.50.1/24"]);
	site.engine.must("network", "create", "-d", "vlane", ...SUBNET, "-o", "parent=eth0", "pub_net");
});

docker.after(async () => {
	await site?.cleanup();
});

docker.after.each(() => {
	site.engine.removeAll();
});

function run(name: string, ...flags: string[]): void {
	site.engine.must("run", "-d", "--name", name, ...flags, "alpine", "sleep", "1000000");
}

function macOf(container: string, ifname = "eth0"): string {
	const { stdout } = site.inside(container, "ip", "-j", "link", "show", ifname);
	return JSON.parse(stdout)[0].address;
}

function reaches(container: string, address: string): boolean {
	return site.engine.docker("exec", container, "ping", "-c", "1", "-W", "2", address).status === 0;
}

testOrSkip(
	docker,
	"stop, start, restart and kill: address and MAC stay, neighbours need to learn nothing",
	need,
	() => {
		run("c1", "--net=pub_net", "--ip=172.16.86.10");
		run("c2", "--net=pub_net", "--ip=172.16.86.20");
		assert.ok(reaches("c1", "172.16.86.20"));
		assert.is(site.lan.far.ping("172.16.86.20"), 1);
		const mac = macOf("c2");
		for (const step of ["stop -t 0", "restart -t 0", "kill"]) {
			site.engine.must(...step.split(" "), "c2");
			if (!step.startsWith("restart")) site.engine.must("start", "c2");
			assert.is(macOf("c2"), mac, step);
			assert.ok(reaches("c1", "172.16.86.20"), step);
			assert.is(site.lan.far.ping("172.16.86.20"), 1, step);
		}
		site.engine.must("rm", "-f", "c1", "c2");
		assert.equal(site.links(), ["lo", "eth0"]);
	},
);

testOrSkip(docker, "a MAC address that is given is used, and refused where it is taken", need, () => {
	run("c1", "--net=pub_net", "--mac-address=02:42:aa:bb:cc:01");
	assert.is(macOf("c1"), "02:42:aa:bb:cc:01");
	const said = site.engine.refusal("run", "--rm", "--net=pub_net", "--mac-address=02:42:aa:bb:cc:01", "alpine", "true");
	assert.match(said, /remote: MAC address 02:42:aa:bb:cc:01 is already in use by endpoint \w{12} of network docker-/);
	site.engine.must("rm", "-f", "c1");
});

testOrSkip(docker, "a second network: connected, routed by the first, disconnected, connected again", need, () => {
	const flags = ["--subnet=192.168.50.0/24", "--gateway=192.168.50.1", "-o", "parent=eth0.50"];
	site.engine.must("network", "create", "-d", "vlane", ...flags, "macvlan50");
	run("c1", "--net=pub_net");
	site.engine.must("network", "connect", "--ip", "192.168.50.9", "macvlan50", "c1");
	assert.ok(reaches("c1", "192.168.50.1"));
	assert.ok(reaches("c1", "172.16.86.1"));
	const routes = linesOf(site.inside("c1", "ip", "route", "show", "default").stdout);
	assert.is(routes.length, 1);
	site.engine.must("network", "disconnect", "macvlan50", "c1");
	assert.not.match(site.inside("c1", "ip", "address").stdout, "192.168.50.");
	site.engine.must("network", "connect", "macvlan50", "c1");
	assert.ok(reaches("c1", "192.168.50.1"));
	site.engine.must("network", "disconnect", "pub_net", "c1");
	assert.ok(reaches("c1", "192.168.50.1"));
	site.engine.must("rm", "-f", "c1");
	// Made with both.
	site.engine.must("create", "--name", "c2", "--net=pub_net", "alpine", "sleep", "1000000");
	site.engine.must("network", "connect", "macvlan50", "c2");
	site.engine.must("start", "c2");
	assert.ok(reaches("c2", "192.168.50.1"));
	assert.ok(reaches("c2", "172.16.86.1"));
	site.engine.must("rm", "-f", "c2");
	site.engine.must("network", "rm", "macvlan50");
	assert.equal(site.links(), ["lo", "eth0"]);
});

testOrSkip(docker, "containers find each other by name and alias", need, () => {
	run("web", "--net=pub_net", "--network-alias=www");
	run("db", "--net=pub_net");
	assert.ok(reaches("web", "db"));
	assert.ok(reaches("db", "web"));
	assert.ok(reaches("db", "www"));
	assert.not.ok(reaches("db", "nobody"));
	site.engine.must("rm", "-f", "web", "db");
});

testOrSkip(docker, "published ports do nothing; the container is there without them", need, async () => {
	const serve = "while :; do hostname | nc -l -p 80; done";
	const flags = ["-h", "web", "--net=pub_net", "--ip=172.16.86.30", "-p", "8080:80"];
	site.engine.must("run", "-d", "--name", "web", ...flags, "alpine", "sh", "-c", serve);
	// The container runs before its shell has come as far as to listen.
	const answer = () => site.lan.far.run(["busybox", "nc", "-w", "5", "172.16.86.30", "80"]).stdout;
	await eventually("it answers", () => answer() === "web\n");
	assert.is(site.engine.must("port", "web"), "");
	site.engine.must("rm", "-f", "web");
});

testOrSkip(docker, "an internal network has no way out; a network without addresses has frames only", need, () => {
	site.engine.must("network", "create", "-d", "vlane", "--internal", "--subnet=10.9.0.0/24", "inside");
	run("c1", "--net=inside");
	assert.is(site.inside("c1", "ip", "route", "show", "default").stdout, "");
	site.engine.must("rm", "-f", "c1");
	site.engine.must("network", "create", "-d", "vlane", "--ipam-driver=null", "-o", "parent=eth0.50", "frames");
	run("c1", "--net=frames");
	assert.is(site.inside("c1", "ip", "-4", "address", "show", "eth0").stdout, "");
	site.inside("c1", "ip", "address", "add", "192.168.50.77/24", "dev", "eth0");
	assert.ok(reaches("c1", "192.168.50.1"));
	site.engine.must("rm", "-f", "c1");
	site.engine.must("network", "rm", "inside", "frames");
});

testOrSkip(docker, "the MTU of a network is the container's", need, () => {
	const mtu = ["-o", "com.docker.network.driver.mtu=1400"];
	site.engine.must("network", "create", "-d", "vlane", "--subnet=10.9.0.0/24", ...mtu, "small");
	run("c1", "--net=small");
	assert.match(site.inside("c1", "ip", "link", "show", "eth0").stdout, /mtu 1400 /);
	site.engine.must("rm", "-f", "c1");
	site.engine.must("network", "rm", "small");
});

testOrSkip(docker, "what is wrong is said behind Docker's own words, and leaves nothing behind", need, () => {
	const wrong: [flags: string[], said: string][] = [
		[["-o", "parnet=eth0"], 'unknown driver option "parnet"; did you mean "parent"?'],
		[["-o", "parent=eth9"], "invalid subinterface vlan name eth9, example formatting is eth0.10"],
		[["-o", "parent=eth0.4095"], "vlan id must be between 1-4094, received: 4095"],
		[["-o", "parent=eth9.5"], "-o parent interface was not found on the host: eth9"],
		[["-o", "macvlan_mode=brigde"], "requested macvlan mode 'brigde' is not valid"],
		[["-o", "ipvlan_mode=l9"], "requested ipvlan mode 'l9' is not valid"],
		[["-o", "parent=eth0"], "is already using parent interface eth0"],
	];
	for (const [flags, said] of wrong) {
		const refused = site.engine.refusal("network", "create", "-d", "vlane", "--subnet=10.8.0.0/24", ...flags, "wrong");
		assert.ok(refused.startsWith("Error response from daemon: remote: "), refused);
		assert.ok(refused.includes(said), refused);
	}
	run("c1", "--net=none");
	site.engine.must("network", "disconnect", "none", "c1");
	const option = site.engine.refusal("network", "connect", "--driver-opt", "colour=red", "pub_net", "c1");
	assert.match(option, /remote: unknown endpoint option "colour"/);
	site.engine.must("rm", "-f", "c1");
	assert.is(linesOf(site.vlane.must("network", "ls", "-q")).length, 1);
	assert.equal(site.links(), ["lo", "eth0"]);
});

testOrSkip(
	docker,
	"ipvlan: containers share the parent's address, and no address that is made of it",
	need,
	async () => {
		const subnets = ["--subnet=192.168.50.0/24", "--ipv6", "--subnet=2001:db8:50::/64"];
		site.engine.must(
			"network",
			"create",
			"-d",
			"vlane",
			...subnets,
			"-o",
			"parent=eth0.50",
			"-o",
			"ipvlan_mode=l2",
			"ip50",
		);
		site.lan.station(50, ["2001:db8:50::ff/64"]);
		run("c1", "--net=ip50");
		run("c2", "--net=ip50");
		const linkLocal = (container: string): string | undefined =>
			/inet6 (fe80::\S+)\/64 scope link(?! tentative)/.exec(
				site.inside(container, "ip", "-o", "address", "show", "eth0").stdout,
			)?.[1];
		await eventually("both have a link-local address", () => ["c1", "c2"].every((name) => linkLocal(name)));
		for (const name of ["c1", "c2"]) {
			assert.is(macOf(name), site.lan.parentMac);
			const found = site.inside(name, "ip", "-o", "-6", "address", "show", "eth0", "scope", "link").stdout;
			assert.is(linesOf(found).length, 1, found);
		}
		assert.is.not(linkLocal("c1"), linkLocal("c2"));
		const before = linkLocal("c1");
		await site.vlane.stopDaemon("SIGKILL");
		await site.vlane.startDaemon("--docker-plugin-dir", PLUGIN_DIRECTORY);
		await eventually("the LAN is back", () => reaches("c1", "192.168.50.1"));
		assert.is(linkLocal("c1"), before);
		assert.ok(reaches("c1", `${linkLocal("c2")}%eth0`));
		assert.ok(reaches("c2", "2001:db8:50::ff"));
		site.engine.must("rm", "-f", "c1", "c2");
		site.engine.must("network", "rm", "ip50");
	},
);

testOrSkip(docker, "vlane shows Docker's networks, and leaves them to Docker", need, () => {
	const id = site.engine.must("network", "inspect", "-f", "{{.Id}}", "pub_net");
	const name = `docker-${id.slice(0, 12)}`;
	run("c1", "--net=pub_net", "--ip=172.16.86.10");
	const [shown] = JSON.parse(site.vlane.must("network", "inspect", name));
	assert.is(shown.Id, id);
	assert.is(shown.IPAM.Driver, "docker");
	assert.equal(shown.IPAM.Config, [{ Subnet: "172.16.86.0/24", Gateway: "172.16.86.1" }]);
	assert.equal(
		Object.values<{ IPv4Address: string }>(shown.Containers).map(({ IPv4Address }) => IPv4Address),
		["172.16.86.10/24"],
	);
	for (const argv of [
		["network", "rm", name],
		["network", "connect", name, `pid:${site.engine.pid("c1")}`],
	]) {
		const { status, stderr } = site.vlane.vlane(...argv);
		assert.is(status, 1);
		assert.match(stderr, /belongs to Docker; use docker network (rm|connect)/);
	}
	site.vlane.must("network", "prune", "-f");
	assert.ok(reaches("c1", "172.16.86.1"));
	site.engine.must("rm", "-f", "c1");
	// Docker's data is lost: the way out.
	site.vlane.must("network", "rm", "--force", name);
	assert.match(
		site.engine.refusal("run", "--rm", "--net=pub_net", "alpine", "true"),
		/is not known to vlane; remove it/,
	);
	site.engine.must("network", "rm", "pub_net");
});

docker.run();
