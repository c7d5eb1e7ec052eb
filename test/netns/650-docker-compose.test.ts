/** The example for Compose as it stands, and what helps to install: `vlane docker status|install`. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type DockerSite, ENGINE, makeDockerSite, PLUGIN_DIRECTORY } from "../support/engine.js";
import { testOrSkip } from "../support/needs.js";

const EXAMPLE = fileURLToPath(new URL("../../../examples/docker/docker-compose.yml", import.meta.url));
const NEED = { ...ENGINE, tools: [...(ENGINE.tools ?? []), "docker-compose", "wget"] };

const compose = suite("docker: compose and install");
let site: DockerSite | undefined;

compose.after(async () => {
	await site?.cleanup();
});

testOrSkip(compose, "examples/docker/docker-compose.yml serves the LAN on VLAN 50", NEED, async () => {
	site = await makeDockerSite({ vlans: [50] });
	const { host, lan, engine } = site;
	lan.station(50, ["192.168.50.1/24"]);
	const command = ["docker-compose", "-H", `unix://${engine.socket}`, "-p", "example", "-f", EXAMPLE];
	host.must([...command, "up", "-d"]);
	const page = lan.far.must(["wget", "-q", "-O", "-", "-T", "5", "http://192.168.50.10/hostname"]);
	assert.match(page, /^[0-9a-f]{12}\n$/, "the container's own name, from its own address");
	assert.is(lan.far.ping("192.168.50.2"), 1, "the other service has the lowest free address");
	assert.ok(site.links().includes("eth0.50"));
	host.must([...command, "down"]);
	assert.equal(site.links(), ["lo", "eth0"]);
});

testOrSkip(compose, "docker status says what is there and what is not", NEED, async () => {
	assert.ok(site);
	const flags = ["docker", "status", "--docker-plugin-dir", PLUGIN_DIRECTORY, "--docker-socket", site.engine.socket];
	const good = site.vlane.vlane(...flags);
	assert.is(good.status, 0, good.stdout);
	assert.match(
		good.stdout,
		/^ok\tthe driver answers on .*vlane\.sock\nok\tDocker Engine \S+ answers on .*\nok\tthe engine /,
	);
	const bad = site.vlane.vlane("docker", "status", "--docker-plugin-dir", "/none", "--docker-socket", "/none/sock");
	assert.is(bad.status, 1);
	assert.is(
		bad.stdout,
		"failed\tthe driver does not answer on /none/vlane.sock: ENOENT; start the daemon, see vlane docker install\n" +
			"failed\tDocker Engine does not answer on /none/sock: ENOENT; start it, or name its socket with --docker-socket\n",
	);
});

testOrSkip(compose, "docker install writes the unit once, and starts nothing", NEED, async () => {
	assert.ok(site);
	const directory = mkdtempSync(join(tmpdir(), "vlane-unit-"));
	mkdirSync(directory, { recursive: true });
	const install = (...flags: string[]) => site!.vlane.vlane("docker", "install", "--unit-dir", directory, ...flags);
	const dry = install("--dry-run");
	assert.match(dry.stdout, /^# \S+\/vlane\.service\n\[Unit\]\n/);
	assert.match(install().stdout, /^wrote \S+vlane\.service\nnothing was started; do so with: systemctl daemon-reload/);
	const unit = readFileSync(join(directory, "vlane.service"), "utf8");
	assert.is(dry.stdout.slice(dry.stdout.indexOf("\n") + 1), unit);
	assert.match(unit, /^Before=docker\.service$/m);
	assert.match(
		unit,
		/^ExecStart=\S*node\S* --\S+ \S+\/bin\/vlane\.js daemon --docker-plugin-dir \/run\/docker\/plugins$/m,
	);
	assert.match(install().stdout, /is as it should be\n/);
	const refused = site.vlane.vlane("docker", "install", "--unit-dir", `${directory}/none`);
	assert.is(refused.status, 1);
	assert.match(refused.stderr, /^cannot write \S+: ENOENT.*; run it as root, on a host with systemd\n$/);
	rmSync(directory, { recursive: true });
});

compose.run();
