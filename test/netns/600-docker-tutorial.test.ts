/** The tutorial, typed into the real docker command of a real engine, with `-d vlane`. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { documents, examples, readDocument } from "../support/docs.js";
import { type DockerSite, ENGINE, makeDockerSite } from "../support/engine.js";
import { TPID_CTAG } from "../support/frames.js";
import { testOrSkip } from "../support/needs.js";
import { decoded, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ipv4Of } from "../support/packets.js";
import { linesOf } from "../support/site.js";

const docker = suite("docker: the tutorial");
const need = { ...ENGINE, tools: [...(ENGINE.tools ?? []), "script", "ping"] };

let site: DockerSite;

docker.before(async () => {
	site = await makeDockerSite({ vlans: [50, 60, 218] });
	site.lan.station(undefined, ["172.16.86.1/24"]);
	site.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", "eth0"]);
	site.lan.station(50, ["192.168.50.1/24"]);
	site.lan.station(60, ["192.168.60.1/24"]);
	site.lan.station(218, ["192.168.216.1/24", "192.168.218.1/24", "2001:db8:abc8::10/64"]);
});

docker.after(async () => {
	await site?.cleanup();
});

/** `docker run` in words, as the tutorial has it. */
function type(line: string, ...typed: string[]): string {
	return site.engine.type(typed, ...line.split(" "));
}

function dockerRun(line: string): string {
	return site.engine.must(...line.split(" "));
}

function answers(from: string, address: string): boolean {
	return site.engine.docker("exec", from, "ping", "-c", "1", "-W", "1", address).status === 0;
}

testOrSkip(docker, "Docker's own driver fails on a kernel without 802.1Q, and vlane does not", need, () => {
	const flags = ["--subnet=192.168.50.0/24", "--gateway=192.168.50.1", "-o", "parent=eth0.50"];
	const said = site.engine.refusal("network", "create", "-d", "macvlan", ...flags, "macvlan50");
	assert.is(said, "Error response from daemon: failed to create eth0.50 vlan link: operation not supported");
	console.log(`docker network create -d macvlan: ${said}`);
	site.engine.must("network", "create", "-d", "vlane", ...flags, "macvlan50");
	assert.ok(site.links().includes("eth0.50"));
	site.engine.must("network", "rm", "macvlan50");
	assert.not(site.links().includes("eth0.50"));
});

testOrSkip(docker, "the documents' commands, as they stand there", need, () => {
	const typed = documents().flatMap((document) =>
		examples(readDocument(document), "bash").filter(({ script }) => script.startsWith("docker ")),
	);
	assert.ok(typed.length > 0);
	for (const { script } of typed) {
		for (const line of script.trim().split("\n")) dockerRun(line.replace(/^docker /, ""));
	}
	site.engine.must("rm", "-f", ...linesOf(site.engine.must("ps", "-aq")));
	for (const name of linesOf(site.engine.must("network", "ls", "-q", "-f", "driver=vlane")))
		site.engine.must("network", "rm", name);
});

testOrSkip(docker, "bridge mode: addresses, routes, siblings, the LAN, and not the host", need, async () => {
	dockerRun("network create -d vlane --subnet=172.16.86.0/24 --gateway=172.16.86.1 -o parent=eth0 pub_net");
	const first = dockerRun("run --net=pub_net --ip=172.16.86.10 -itd alpine /bin/sh");
	const wire = await capture(site.lan.far, "lan0");
	const shown = type(
		"run --net=pub_net -it --rm alpine /bin/sh",
		"ping -c 4 172.16.86.10",
		"ping -c 1 172.16.86.1",
		"ip a show eth0",
		"ip route",
		"ping -c 1 -W 1 172.16.86.250",
	);
	assert.match(shown, /4 packets transmitted, 4 packets received/);
	assert.match(shown, /1 packets transmitted, 1 packets received/);
	assert.match(shown, /inet 172\.16\.86\.2\/24 brd 172\.16\.86\.255 scope global eth0/);
	assert.match(shown, /eth0: <.*> mtu 1500/);
	assert.match(shown, /default via 172\.16\.86\.1 dev eth0/);
	assert.match(shown, /172\.16\.86\.0\/24 dev eth0 scope link {2}src 172\.16\.86\.2/);
	assert.match(shown, /1 packets transmitted, 0 packets received/);
	const frames = decoded(await wire.stop());
	const mac = /link\/ether (\S+)/.exec(shown)?.[1] ?? "";
	assert.is(Number.parseInt(mac.slice(0, 2), 16) & 3, 2, "locally administered, unicast");
	const own = frames.filter(({ src }) => src === mac);
	assert.ok(own.some((frame) => ipv4Of(frame)?.src === "172.16.86.2"));
	assert.ok(own.every(({ tags }) => tags.length === 0));
	// The siblings' talk stays inside.
	assert.not(frames.some((frame) => ipv4Of(frame)?.dst === "172.16.86.10"));
	assert.is(site.host.ping("172.16.86.10"), 0);
	assert.is(site.lan.far.ping("172.16.86.10"), 1);
	site.engine.must("rm", "-f", first);
	dockerRun("network rm pub_net");
});

testOrSkip(docker, "addresses that are kept, and a range to take them from", need, () => {
	dockerRun(
		"network create -d vlane --subnet=172.16.86.0/24 --gateway=172.16.86.1 --aux-address=exclude_host=172.16.86.250 -o parent=eth0 pub_net",
	);
	const said = site.engine.refusal("run", "--rm", "--net=pub_net", "--ip=172.16.86.250", "alpine", "ip", "a");
	assert.match(said, /Address already in use/);
	dockerRun("network rm pub_net");
	dockerRun(
		"network create -d vlane --subnet=192.168.32.0/24 --ip-range=192.168.32.128/25 --gateway=192.168.32.254 -o parent=eth0 macnet32",
	);
	assert.match(type("run --net=macnet32 -it --rm alpine /bin/sh", "ip a show eth0"), /inet 192\.168\.32\.128\/24/);
	const id = dockerRun("network inspect -f {{.Id}} macnet32");
	dockerRun(`network rm ${id.slice(0, 12)}`);
});

testOrSkip(docker, "802.1Q: two VLANs on one parent, tagged on the wire, apart from each other", need, async () => {
	dockerRun("network create -d vlane --subnet=192.168.50.0/24 --gateway=192.168.50.1 -o parent=eth0.50 macvlan50");
	dockerRun(
		"network create -d vlane --subnet=192.168.60.0/24 --gateway=192.168.60.1 -o parent=eth0.60 -o macvlan_mode=bridge macvlan60",
	);
	dockerRun("run --net=macvlan50 -itd --name macvlan_test5 --rm alpine /bin/sh");
	dockerRun("run --net=macvlan50 -itd --name macvlan_test6 --rm alpine /bin/sh");
	dockerRun("run --net=macvlan60 -itd --name macvlan_test7 --rm alpine /bin/sh");
	dockerRun("run --net=macvlan60 -itd --name macvlan_test8 --rm alpine /bin/sh");
	const wire = await capture(site.lan.far, "lan0");
	assert.ok(answers("macvlan_test5", "192.168.50.3"));
	assert.ok(answers("macvlan_test7", "192.168.60.3"));
	assert.ok(answers("macvlan_test5", "192.168.50.1"));
	assert.ok(answers("macvlan_test7", "192.168.60.1"));
	assert.not.ok(answers("macvlan_test5", "192.168.60.3"), "no router, no way");
	const frames = decoded(await wire.stop());
	for (const [vid, address] of [
		[50, "192.168.50.2"],
		[60, "192.168.60.2"],
	] as const) {
		const own = frames.filter((frame) => ipv4Of(frame)?.src === address);
		assert.ok(own.length > 0);
		for (const { tags } of own) assert.equal(tags, [{ tpid: TPID_CTAG, vid, pcp: 0, dei: 0 }]);
	}
	const ethertypes = [...new Set(frames.map(({ ethertype }) => ethertype))].sort();
	assert.equal(ethertypes, [ETHERTYPE_IPV4, ETHERTYPE_ARP].sort(), "nothing but what the containers said");
	// Docker's own name server in the container.
	assert.match(dockerRun("exec macvlan_test5 ping -c 1 macvlan_test6"), /PING macvlan_test6 \(192\.168\.50\.3\)/);
	dockerRun("rm -f macvlan_test5 macvlan_test6 macvlan_test7 macvlan_test8");
	dockerRun("network rm macvlan50 macvlan60");
	assert.equal(site.links(), ["lo", "eth0"]);
});

testOrSkip(docker, "several subnets without a parent: each talks within itself", need, () => {
	dockerRun(
		"network create -d vlane --subnet=192.168.210.0/24 --subnet=192.168.212.0/24 --gateway=192.168.210.254 --gateway=192.168.212.254 -o ipvlan_mode=l2 ipvlan210",
	);
	const pair = [
		dockerRun("run --net=ipvlan210 --ip=192.168.210.10 -itd alpine /bin/sh"),
		dockerRun("run --net=ipvlan210 --ip=192.168.212.10 -itd alpine /bin/sh"),
	];
	for (const subnet of ["192.168.210", "192.168.212"]) {
		const shown = dockerRun(`run --net=ipvlan210 --ip=${subnet}.9 --rm alpine ping -c 2 ${subnet}.10`);
		assert.match(shown, /2 packets transmitted, 2 packets received/);
	}
	const [network] = JSON.parse(site.vlane.must("network", "inspect", site.vlane.must("network", "ls", "-q")));
	assert.is(network.Driver, "ipvlan");
	site.engine.must("rm", "-f", ...pair);
	dockerRun("network rm ipvlan210");
});

testOrSkip(docker, "two stacks and two subnets on a VLAN", need, async () => {
	// This engine gives no IPv6 address to a network without --ipv6.
	dockerRun(
		"network create -d vlane --ipv6 --subnet=192.168.216.0/24 --subnet=192.168.218.0/24 --gateway=192.168.216.1 --gateway=192.168.218.1 --subnet=2001:db8:abc8::/64 --gateway=2001:db8:abc8::10 -o parent=eth0.218 -o macvlan_mode=bridge macvlan216",
	);
	dockerRun("run --net=macvlan216 --name=macnet216_test --ip=192.168.216.10 -itd alpine /bin/sh");
	dockerRun("run --net=macvlan216 --name=macnet218_test --ip=192.168.218.10 -itd alpine /bin/sh");
	const wire = await capture(site.lan.far, "lan0");
	const shown = type(
		"run --net=macvlan216 --ip=192.168.216.11 -it --rm alpine /bin/sh",
		"ping -c 2 192.168.216.10",
		"ip a show eth0",
		"ip route",
		"ip -6 route",
		"ping -c 1 2001:db8:abc8::1",
		"ping -c 1 2001:db8:abc8::10",
	);
	assert.match(shown, /2 packets transmitted, 2 packets received/);
	assert.is(shown.split("1 packets transmitted, 1 packets received").length, 3, shown);
	assert.match(shown, /inet 192\.168\.216\.11\/24/);
	assert.match(shown, /inet6 2001:db8:abc8::\S+\/64 scope global/);
	assert.match(shown, /default via 192\.168\.216\.1 dev eth0/);
	assert.match(shown, /2001:db8:abc8::\/64 dev eth0/);
	assert.match(shown, /default via 2001:db8:abc8::10 dev eth0 {2}metric 1024/);
	assert.match(
		type("run --net=macvlan216 --ip=192.168.218.11 -it --rm alpine /bin/sh", "ping -c 1 192.168.218.10", "ip route"),
		/1 packets received[\s\S]*default via 192\.168\.218\.1 dev eth0/,
	);
	const frames = decoded(await wire.stop());
	assert.ok(frames.some(({ ethertype }) => ethertype === ETHERTYPE_IPV6));
	for (const { tags } of frames) assert.equal(tags, [{ tpid: TPID_CTAG, vid: 218, pcp: 0, dei: 0 }]);
	dockerRun("rm -f macnet216_test macnet218_test");
	dockerRun("network rm macvlan216");
});

testOrSkip(docker, "nothing is left, and no bridge was ever made", need, () => {
	assert.equal(site.links(), ["lo", "eth0"]);
	assert.equal(linesOf(site.vlane.must("network", "ls", "-q")), []);
	assert.equal(linesOf(site.vlane.must("ports")).length, 1);
});

docker.run();
