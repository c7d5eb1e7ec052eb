/** Names in containers: their own files under /etc, and their neighbours in them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { eventually, linesOf, type Site, sharedSite } from "../support/site.js";

const names = suite("names");
const test = sharedSite(names);

function hosts(site: Site, container: string): string[] {
	return linesOf(site.exec(container, "cat", "/etc/hosts")).map((line) => line.replaceAll(/\s+/g, " "));
}

/** As a word: the id of a container, its hostname when it has no other, may have these letters in it. */
const namesC2 = (line: string): boolean => /\bc2\b/.test(line);

test("containers of a network know each other by name, while they are there", async (site) => {
	site.create("n", "--subnet=10.5.0.0/24", "--subnet=2001:db8:5::/64");
	site.create("other", "--subnet=10.6.0.0/24");
	const before = readFileSync("/etc/hosts", "utf8");
	const flags = ["--network=n", "--hostname=box", "--add-host=router:10.5.0.254", "--add-host", "six=[2001:db8::9]"];
	site.run("c1", ...flags);
	assert.equal(hosts(site, "c1").slice(6), [
		"10.5.0.1 box c1",
		"2001:db8:5::1 box c1",
		"10.5.0.254 router",
		"2001:db8::9 six",
	]);
	assert.is(site.exec("c1", "cat", "/etc/hostname"), "box");
	assert.is(site.exec("c1", "hostname"), "box");
	site.run("c2", "--network=n", "--network-alias=db", "--network=other");
	assert.ok(hosts(site, "c2").includes("10.5.0.1 c1"), "a newcomer knows who is there");
	await eventually("c1 hears of c2", () => hosts(site, "c1").includes("10.5.0.2 c2 db"));
	assert.match(site.exec("c1", "ping", "-c1", "-W5", "db"), / 1 received/);
	assert.not.ok(
		hosts(site, "c1").some((line) => line.startsWith("10.6.")),
		"not of other networks",
	);
	site.vlane.must("network", "connect", "--alias=late", "other", "c1");
	await eventually("c1 is on both", () => hosts(site, "c1").includes("10.6.0.1 c2"));
	await eventually("c2 hears of it", () => hosts(site, "c2").includes("10.6.0.2 c1 late"));
	site.vlane.must("network", "disconnect", "n", "c2");
	await eventually("c2 has left one", () => !hosts(site, "c1").includes("10.5.0.2 c2 db"));
	site.vlane.must("rm", "-f", "c2");
	await eventually("c2 has left", () => !hosts(site, "c1").some(namesC2));
	assert.is(readFileSync("/etc/hosts", "utf8"), before, "the host's own file is not touched");
});

test("name servers, search domains and options", async (site) => {
	site.create("n", "--subnet=10.5.0.0/24");
	const flags = ["--dns=10.5.0.53", "--dns", "2001:db8::53", "--dns-search=lab.example", "--dns-option=ndots:2"];
	site.run("c1", "--network=n", ...flags);
	assert.equal(linesOf(site.exec("c1", "cat", "/etc/resolv.conf")), [
		"nameserver 10.5.0.53",
		"nameserver 2001:db8::53",
		"search lab.example",
		"options ndots:2",
	]);
	site.run("c2", "--network=n", "--dns-search=.");
	assert.not.match(site.exec("c2", "cat", "/etc/resolv.conf"), /^(search|nameserver 127)/m);
});

test("files go with their container, and are there again after a restart of the daemon", async (site) => {
	site.create("n", "--subnet=10.5.0.0/24");
	site.run("c1", "--network=n");
	site.run("c2", "--network=n");
	await site.vlane.stopDaemon("SIGKILL");
	await site.vlane.startDaemon();
	site.vlane.must("rm", "-f", "c2");
	await eventually("c2 has left", () => !hosts(site, "c1").some(namesC2));
	site.vlane.must("rm", "-f", "c1");
	assert.equal(readdirSync(join(site.vlane.stateDirectory, "containers")), []);
});

names.run();
