/** `vlane up`, `down` and `diff` against the real daemon. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addressesOf, linksOf, type Site, sharedSite } from "../support/site.js";

const tests = suite("declarations");
const test = sharedSite(tests, { vlans: [50] });

const FILE = (parent: string, more = "") => `
name: lab
networks:
  lan:
    driver_opts: { parent: ${parent} }
    ipam: { config: [{ subnet: 192.168.50.0/24, gateway: 192.168.50.1 }] }
  back:
    internal: true
    ipam: { config: [{ subnet: 10.9.0.0/24 }] }
${more}`;

/** `vlane COMMAND -f -` with the file on standard input: status, and its output whichever way it goes. */
function declare(site: Site, file: string, ...argv: string[]): [status: number, output: string] {
	const [command = "", ...rest] = argv;
	const { status, stdout, stderr } = site.vlane.run([command, "-f", "-", ...rest], { input: file });
	return [status, stdout + stderr];
}

const networksOf = (site: Site) =>
	site.vlane.must("network", "ls", "--format", "{{.Name}}").split("\n").filter(Boolean);

test("up makes, once; diff and a dry run only say; down takes away", (site) => {
	const before = site.hostView();
	const made = "+ network lab_lan\n+ network lab_back\n";
	assert.equal(declare(site, FILE("eth0.50"), "diff"), [1, made]);
	assert.equal(declare(site, FILE("eth0.50"), "up", "--dry-run"), [0, made]);
	assert.equal(networksOf(site), []);
	assert.equal(declare(site, FILE("eth0.50"), "up"), [0, made]);
	assert.equal(networksOf(site).sort(), ["lab_back", "lab_lan"]);
	assert.is(site.inspect("lab_lan").Labels["com.docker.compose.project"], "lab");
	assert.is(site.inspect("lab_lan").Labels["com.docker.compose.network"], "lan");
	const id = site.inspect("lab_lan").Id;
	assert.equal(declare(site, FILE("eth0.50"), "up"), [0, ""]);
	assert.equal(declare(site, FILE("eth0.50"), "diff"), [0, ""]);
	assert.is(site.inspect("lab_lan").Id, id, "the network is still the same one");
	assert.equal(declare(site, FILE("eth0.50"), "down"), [0, "- network lab_lan\n- network lab_back\n"]);
	assert.equal(networksOf(site), []);
	assert.is(site.hostView(), before);
	assert.equal(declare(site, "", "down", "-p", "lab"), [0, ""]);
});

test("what differs is made again, what is no longer named goes, what others made stays", (site) => {
	site.create("theirs", "--subnet=10.77.0.0/24");
	declare(site, FILE("eth0.50"), "up");
	const less = FILE("eth0").replace(/ {2}back:[\s\S]*$/, "");
	const changes = "- network lab_back\n~ network lab_lan: Options.parent eth0.50 -> eth0\n";
	assert.equal(declare(site, less, "diff"), [1, changes]);
	assert.equal(declare(site, less, "up"), [0, changes]);
	assert.equal(networksOf(site).sort(), ["lab_lan", "theirs"]);
	assert.is(site.inspect("lab_lan").Status.Parent, "eth0");
});

test("endpoints follow the file: namespaces and containers", (site) => {
	const ns = site.namespace("e");
	site.run("web", "--network=none");
	const endpoints = (address: string) => `
endpoints:
  desk:
    target: netns:${ns.path}
    networks:
      back: { ipv4_address: ${address}, interface_name: lan0, mac_address: "02:00:00:00:00:77" }
  web:
    target: web
    networks: [back]
`;
	const [status, output] = declare(site, FILE("eth0", endpoints("10.9.0.40")), "up");
	assert.is(status, 0, output);
	assert.match(output, "+ endpoint desk on lab_back\n+ endpoint web on lab_back\n");
	assert.equal(addressesOf(ns, "lan0"), ["10.9.0.40/24"]);
	site.exec("web", "ping", "-c", "1", "10.9.0.40");
	assert.equal(declare(site, FILE("eth0", endpoints("10.9.0.40")), "diff"), [0, ""]);
	assert.equal(declare(site, FILE("eth0", endpoints("10.9.0.41")), "up"), [
		0,
		"~ endpoint desk on lab_back: IPv4Address 10.9.0.40 -> 10.9.0.41\n",
	]);
	assert.equal(addressesOf(ns, "lan0"), ["10.9.0.41/24"]);
	const renumbered = FILE("eth0", endpoints("10.9.0.41")).replace("10.9.0.0/24", "10.9.0.0/16");
	const [, again] = declare(site, renumbered, "up");
	assert.match(again, "~ endpoint desk on lab_back: with its network\n");
	assert.equal(addressesOf(ns, "lan0"), ["10.9.0.41/16"]);
	assert.equal(declare(site, FILE("eth0"), "up")[0], 0);
	assert.equal(linksOf(ns), ["lo"]);
});

test("a network of others is refused, an external one has to be there, and nothing is changed", (site) => {
	site.create("lab_back", "--subnet=10.9.0.0/24");
	const [status, output] = declare(site, FILE("eth0"), "up");
	assert.is(status, 1);
	assert.is(
		output,
		"network lab_back was made not by vlane up; declare it as external, give yours another name, or remove it first\n",
	);
	assert.equal(networksOf(site), ["lab_back"]);
	assert.equal(declare(site, FILE("eth0").replace("name: lab", "name: other"), "up")[0], 0);
	const taken = "name: third\nnetworks:\n  a: { name: other_lan }\n";
	assert.match(declare(site, taken, "up")[1], "network other_lan was made by project other;");
	const missing = "networks:\n  a: { external: true }\n";
	assert.equal(declare(site, missing, "diff", "-p", "x"), [
		2,
		"network a declared as external, but could not be found; make it with vlane network create\n",
	]);
	assert.equal(declare(site, "networks:\n  lab_back: { external: true }\n", "diff", "-p", "x"), [0, ""]);
});

test("a network with endpoints of others is not made again", (site) => {
	declare(site, FILE("eth0"), "up");
	site.run("guest", "--network=lab_back");
	const [status, output] = declare(site, FILE("eth0").replace("10.9.0.0/24", "10.8.0.0/24"), "up");
	assert.equal(
		[status, output],
		[1, "network lab_back has to be removed, and has active endpoints: guest; disconnect them first\n"],
	);
	assert.equal(declare(site, FILE("eth0"), "diff"), [0, ""]);
});

test("when a step fails, those before it are taken back", async (site) => {
	const ns = await Promise.resolve(site.namespace("r"));
	const endpoint = `
endpoints:
  desk: { target: "netns:${ns.path}", networks: { back: { ipv4_address: 10.9.0.40 } } }
`;
	declare(site, FILE("eth0", endpoint), "up");
	const broken = FILE("nosuch0", endpoint.replace("10.9.0.40", "10.9.0.41"));
	const [status, output] = declare(site, broken, "up");
	assert.is(status, 1);
	assert.match(output, /^Error response from daemon: .*nosuch0.*; nothing was changed\n$/);
	assert.equal(addressesOf(ns), ["10.9.0.40/24"]);
	assert.equal(declare(site, FILE("eth0", endpoint), "diff"), [0, ""]);
});

test("files that can not be read, and mistakes in them, change nothing", (site) => {
	assert.equal(
		site.vlane.vlane("up", "-f", "/nonexistent.yaml").stderr,
		"cannot read /nonexistent.yaml: ENOENT: no such file or directory, open '/nonexistent.yaml'\n",
	);
	const [status, output] = declare(site, "networks:\n  a:\n    drivr: macvlan\n", "up");
	assert.equal([status, output], [1, 'stdin:3: unknown key "drivr" in networks.a\n']);
	assert.equal(networksOf(site), []);
});

tests.run();
