/** The tutorial's promise to the host: nothing of its network is moved, changed or interrupted: S69. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { PARENT } from "../support/lan.js";
import { linksOf, type Site, sharedSite } from "../support/site.js";

const nondisruption = suite("non-disruption");
const test = sharedSite(nondisruption, { vlans: [50], tools: ["iperf3"] });

/** The host as a server usually is: address, default route, a neighbour. */
function settle({ lan }: Site): void {
	lan.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", PARENT]);
	lan.host.must(["ip", "route", "add", "default", "via", "172.16.86.1"]);
	lan.station(undefined, ["172.16.86.1/24"]);
	assert.is(lan.host.ping("172.16.86.1"), 1);
}

/** Everything that the tutorial does to a parent, and back. */
async function useTheParent(site: Site): Promise<void> {
	const gateway = ["--subnet=172.16.86.0/24", "--gateway=172.16.86.1"];
	site.create("plain", ...gateway, "--aux-address=host=172.16.86.250", "-o", "parent=eth0");
	site.create("tagged", "--subnet=192.168.50.0/24", "--subnet=2001:db8:50::/64", "-o", "parent=eth0.50");
	for (const network of ["plain", "tagged"]) {
		site.run(network, `--net=${network}`);
		await site.join(network);
	}
	assert.match(site.exec("plain", "ping", "-c", "1", "172.16.86.1"), / 1 received/);
	await site.removeAll();
}

test("S69: addresses, routes and links of the host are the same before, in between, and after", async (site) => {
	settle(site);
	const before = site.hostView();
	site.create("plain", "--subnet=172.16.86.0/24", "-o", "parent=eth0");
	assert.is(site.hostView(), before);
	await site.removeAll();
	await useTheParent(site);
	assert.is(site.hostView(), before);
	assert.equal(linksOf(site.lan.host).sort(), [PARENT, "lo"]);
});

test("S69: a TCP flow and an endless ping of the host's own survive it all, and lose nothing", async (site) => {
	settle(site);
	const server = site.lan.far.start(["iperf3", "-s", "-1", "--forceflush"]);
	await server.waitFor(/listening/);
	const flow = ["iperf3", "-c", "172.16.86.1", "-b", "100M", "-t", "60", "--forceflush", "-i", "0.5"];
	const client = site.lan.host.start(flow);
	const ping = site.lan.host.start(["ping", "-n", "-i", "0.01", "172.16.86.1"]);
	await client.waitFor(/Mbits\/sec/);
	await useTheParent(site);
	await site.vlane.stopDaemon("SIGKILL");
	await site.vlane.startDaemon();
	const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec((await ping.stop("SIGINT")).stdout) ?? [];
	assert.ok(Number(sent) > 50);
	assert.is(received, sent);
	const { stdout } = await client.stop("SIGINT");
	await server.stop();
	// Whole intervals; the one that was interrupted and the sums come after them.
	const rates = [...stdout.matchAll(/ ([\d.]+) [KMG]?bits\/sec +\d+ +[\d.]+ [KM]Bytes/g)].map(([, rate]) =>
		Number(rate),
	);
	assert.ok(rates.length > 2 && rates.slice(0, -1).every((rate) => rate > 0), `it never stood still: ${rates}`);
});

nondisruption.run();
