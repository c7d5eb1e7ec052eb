/** Declarations: what a file says, and what is wrong with it, by line. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readDeclaration } from "../../src/cli/declare/declaration.js";
import { interpolate } from "../../src/cli/declare/interpolate.js";

const declare = suite("declarations");

/** A dollar sign stands as `@`. */
const dollars = (text: string) => text.replaceAll("@", "$");

/** What `text` declares, in a file of a directory `My.Lab`. */
const read = (text: string, project?: string) => readDeclaration("/srv/My.Lab/compose.yaml", dollars(text), project);

/** Without what is undefined, as it goes to the daemon. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

const COMPOSE = `
version: "2.4"
x-parent: &lan { parent: eth0.50 }
services:
  web: { image: "@{NOT_SET}", networks: { lan50: { ipv4_address: 192.168.50.10 } } }
networks:
  lan50:
    driver: vlane
    driver_opts:
      <<: *lan
      macvlan_mode: bridge
    labels: [a=b, c]
    x-note: mine
    ipam:
      config:
        - { subnet: 192.168.50.0/24, gateway: 192.168.50.1, aux_addresses: { printer: 192.168.50.9 } }
  back:
  ip: { driver: vlane, driver_opts: { ipvlan_mode: l2 } }
  outside: { external: true }
endpoints:
  lab:
    target: netns:/run/netns/lab
    networks: [back]
  web:
    target: web
    networks:
      lan50: { ipv4_address: 192.168.50.30, gw_priority: 2 }
`;

declare("a Compose file's networks, with merges and extensions, and endpoints beside them", () => {
	const { project, networks, endpoints } = read(COMPOSE);
	assert.is(project, "mylab");
	assert.equal(
		networks.map(({ name, isExternal, body }) => [name, isExternal, body.Driver]),
		[
			["mylab_lan50", false, "macvlan"],
			["mylab_back", false, "macvlan"],
			["mylab_ip", false, "ipvlan"],
			["outside", true, "macvlan"],
		],
	);
	assert.equal(plain(networks[0]?.body), {
		Name: "mylab_lan50",
		Driver: "macvlan",
		Options: { macvlan_mode: "bridge", parent: "eth0.50" },
		Labels: { a: "b", c: "" },
		IPAM: {
			Config: [{ Subnet: "192.168.50.0/24", Gateway: "192.168.50.1", AuxiliaryAddresses: { printer: "192.168.50.9" } }],
		},
	});
	assert.equal(plain(endpoints), [
		{ key: "lab", network: "mylab_back", body: { Target: "netns:/run/netns/lab", Name: "lab" } },
		{ key: "web", network: "mylab_lan50", body: { Target: "web", IPv4Address: "192.168.50.30", GwPriority: 2 } },
	]);
});

declare("the project's name: given, the file's, the directory's", () => {
	assert.is(read("name: mine\n").project, "mine");
	assert.is(read("name: mine\n", "other").project, "other");
	assert.throws(() => read("", "No"), 'invalid project name "No": must be small letters, digits, - and _');
});

const WRONG: [text: string, message: string][] = [
	["networks:\n  a:\n    drivr: macvlan\n", '3: unknown key "drivr" in networks.a'],
	["networks:\n  a: {}\n\nnetwroks: {}\n", '4: unknown key "netwroks"'],
	["networks:\n  a:\n    driver: bridge\n", "3: networks.a.driver: expected macvlan, ipvlan or vlane"],
	[
		"networks:\n  a:\n    ipam:\n      config:\n        - subnt: x\n",
		'5: unknown key "subnt" in networks.a.ipam.config.0',
	],
	["networks:\n  a: { internal: maybe }\n", "2: networks.a.internal: expected boolean, received string"],
	["networks:\n  a:\n  a:\n", "2: Map keys must be unique"],
	["networks: [\n", "2: Flow sequence in block collection must be sufficiently indented and end with a ]"],
	[
		"endpoints:\n  e:\n    target: x\n    networks: [b]\n",
		"4: endpoints.e: network b is not among the networks of this file",
	],
	["networks:\n  a: { name: n }\n  b: { name: n }\n", "3: networks.b: another network of this file is called n, too"],
	[
		"networks:\n  a:\n    name: @VLANE_NOT_SET\n",
		"3: variable VLANE_NOT_SET is not set; write @{VLANE_NOT_SET:-DEFAULT} to do without it",
	],
	["networks:\n  a:\n    name: @{\n", '3: invalid variable reference in "@{"; write @$ for a dollar sign'],
];

for (const [text, message] of WRONG) {
	declare(`line ${message}`, () => {
		try {
			read(text);
		} catch (error) {
			assert.ok(
				(error as Error).message.startsWith(dollars(`/srv/My.Lab/compose.yaml:${message}`)),
				(error as Error).message,
			);
			return;
		}
		assert.unreachable(text);
	});
}

declare("every problem is named at once", () => {
	assert.throws(
		() => read("networks:\n  a:\n    x: 1\n    y: 2\n"),
		(error: Error) => error.message.split("; ").length === 2,
	);
});

const VARIABLES = { FULL: "eth1", EMPTY: "" };
const TEXTS: [text: string, result: string][] = [
	["@FULL.50", "eth1.50"],
	["@{FULL}", "eth1"],
	["@{EMPTY:-eth0}", "eth0"],
	["@{EMPTY-eth0}", ""],
	["@{NONE-eth0}", "eth0"],
	["@{FULL:+other}@{NONE:+other}", "other"],
	["@@FULL", "@FULL"],
	["plain", "plain"],
];
declare("variables", () => {
	for (const [text, result] of TEXTS) assert.is(interpolate(dollars(text), VARIABLES), dollars(result), text);
	assert.throws(() => interpolate(dollars("@{NONE:?say it}"), VARIABLES), "variable NONE is not set: say it");
});

declare.run();
