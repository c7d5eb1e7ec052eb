/** Hosts of a group that are away: for how long addresses stay theirs, and what they find when they come back. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ETCD } from "../support/etcd.js";
import { type Group, makeGroup } from "../support/group.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";
import { eventually } from "../support/site.js";

const hosts = suite("group hosts");
let group: Group;

hosts.before(async () => {
	group = await makeGroup({ hosts: 2, daemon: ["--lease-ttl", "3s"] });
});
hosts.after(() => group?.close());

testOrSkip(hosts, "an address is given away when its host is away for too long and nobody answers", ETCD, async () => {
	const [a, b] = [group.host(0), group.host(1)];
	a.must("network", "create", "-o", "parent=eth0", "--subnet", "172.16.60.0/30", "lan");
	await eventually("both have lan", () => b.must("network", "ls", "-q", "-f", "name=lan") !== "");
	assert.is(a.run("one", "lan"), "172.16.60.1");
	assert.is(b.run("two", "lan"), "172.16.60.2");
	const away = () => a.hosts().get("host1")?.State === "away";
	assert.is(a.must("host", "ls", "--format", "{{.Name}} {{.State}} {{.Endpoints}}"), "host0 alive 1\nhost1 alive 1");
	const station = new Namespace("station");
	group.trunk.plug(station, "lan0");
	station.must(["ip", "address", "add", "172.16.60.2/30", "dev", "lan0"]);
	await b.stop("SIGKILL");
	await eventually("host1 is away", away);

	const attempt = () => a.vlane.vlane("run", "-d", "--name", "three", "--network", "lan", "sleep", "infinity");
	// Within its time, and beyond it while somebody has the address.
	assert.match(attempt().stderr, /no available/i);
	await eventually("its time is over", () => group.etcd.dump("/vlane/grace/").size === 0);
	assert.match(attempt().stderr, /no available/i);
	station.close();
	await eventually("it is given away", () => attempt().status === 0);
	assert.is(a.addressOf("three"), "172.16.60.2");

	await b.start();
	await eventually("host1 is back", () => !away());
	const found = Object.values(b.inspect("lan").Containers) as { Name: string; IPv4Address: string }[];
	assert.equal(found.map(({ Name, IPv4Address }) => `${Name} ${IPv4Address}`).sort(), [
		"one 172.16.60.1/30",
		"three 172.16.60.2/30",
	]);
	assert.match(b.inspect("lan").Status.Detail, /endpoint two was disconnected: 172\.16\.60\.2 was given to/);
});

testOrSkip(hosts, "an operator gives back what a host has that will not come back", ETCD, async () => {
	const [a, b] = [group.host(0), group.host(1)];
	a.must("rm", "-f", "three");
	await eventually("it is given back", () => group.etcd.dump("/vlane/address/").size === 1);
	b.run("four", "lan");
	const { status, stderr } = a.vlane.vlane("host", "rm", "host1");
	assert.is(status, 1);
	assert.is(stderr.trimEnd(), "Error response from daemon: host host1 is alive; stop its daemon first, or use --force");
	await b.stop("SIGKILL");
	await eventually("host1 is away", () => a.hosts().get("host1")?.State === "away");
	assert.is(a.must("host", "rm", "host1"), "host1");
	assert.equal([...a.hosts().keys()], ["host0"]);
	assert.is(a.run("five", "lan"), "172.16.60.2");
});

hosts.run();
