/**
 * `vlane network ls` and `inspect`: bytes as docker prints them for the same networks.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { vlane, withDaemon } from "./harness.js";
import { network } from "./samples.js";

const List = suite("network ls");

const NETWORKS = [
	network("pub_net", "7d86d31b1478e7", {
		Labels: { lab: "one", rack: "2" },
		Containers: {
			c1: {
				Name: "c1",
				EndpointID: "e1",
				MacAddress: "02:42:ac:10:56:02",
				IPv4Address: "172.16.86.2/24",
				IPv6Address: "",
			},
		},
	}),
	network("net10", "9e86d31b1478e7", { EnableIPv6: true, Internal: true, Created: "2026-05-01T10:00:00Z" }),
	network("net9", "ae86d31b1478e7", { Driver: "ipvlan", Labels: { lab: "two" } }),
];

const ROUTES = {
	"GET /networks": [200, NETWORKS] as [number, object],
	"GET /networks/pub_net": [200, NETWORKS[0]] as [number, object],
	"GET /networks/net10": [200, NETWORKS[1]] as [number, object],
	"GET /networks/nope": [404, { message: "network nope not found" }] as [number, object],
	"GET /networks/a%2Fb": [404, { message: "network a/b not found" }] as [number, object],
};

const PLAIN = [
	"NETWORK ID     NAME      DRIVER    SCOPE",
	"ae86d31b1478   net9      ipvlan    local",
	"9e86d31b1478   net10     macvlan   local",
	"7d86d31b1478   pub_net   macvlan   local",
].join("\n");

const SUCCESSES: [args: string[], stdout: string][] = [
	[["network", "ls"], PLAIN],
	[["network", "list"], PLAIN],
	[["network", "ls", "--format", "table"], PLAIN],
	[["network", "ls", "--format="], PLAIN],
	[["network", "ls", "-q"], "ae86d31b1478\n9e86d31b1478\n7d86d31b1478"],
	[["network", "ls", "-q", "--no-trunc", "-f", "name=pub"], "7d86d31b1478e7".padEnd(64, "0")],
	[
		["network", "ls", "--no-trunc", "-f", "name=pub"],
		`NETWORK ID${" ".repeat(57)}NAME      DRIVER    SCOPE\n` +
			`${"7d86d31b1478e7".padEnd(64, "0")}   pub_net   macvlan   local`,
	],
	[["network", "ls", "--format", "{{.ID}}\\t{{.Name}}", "-f", "name=net1"], "9e86d31b1478\tnet10"],
	[
		[
			"network",
			"ls",
			"--format",
			'table {{.Name}}\\t{{upper .Driver}}\\t{{json .Scope}}\\t{{.Label "lab"}}\\t{{.Labels}}',
		],
		[
			"NAME      DRIVER    SCOPE     lab       LABELS",
			'net9      IPVLAN    "local"   two       lab=two',
			'net10     MACVLAN   "local"             ',
			'pub_net   MACVLAN   "local"   one       lab=one,rack=2',
		].join("\n"),
	],
	[
		["network", "ls", "--format", "json", "-f", "name=pub"],
		'{"CreatedAt":"2026-05-01 10:00:00.12 +0000 UTC","Driver":"macvlan","ID":"7d86d31b1478","IPv4":"true",' +
			'"IPv6":"false","Internal":"false","Labels":"lab=one,rack=2","Name":"pub_net","Scope":"local"}',
	],
	[
		["network", "ls", "--format", "{{json .}}", "-f", "name=net10"],
		'{"CreatedAt":"2026-05-01 10:00:00 +0000 UTC","Driver":"macvlan","ID":"9e86d31b1478","IPv4":"true",' +
			'"IPv6":"true","Internal":"true","Labels":"","Name":"net10","Scope":"local"}',
	],
	[
		["network", "ls", "--format", "raw", "-f", "name=net10"],
		"network_id: 9e86d31b1478\nname: net10\ndriver: macvlan\nscope: local\n",
	],
	[["network", "ls", "-q", "-f", "driver=macvlan"], "9e86d31b1478\n7d86d31b1478"],
	[["network", "ls", "-q", "-f", "driver=macvlan", "-f", "driver=ipvlan"], "ae86d31b1478\n9e86d31b1478\n7d86d31b1478"],
	[["network", "ls", "-q", "-f", "driver=macvlan", "-f", "name=net1"], "9e86d31b1478"],
	[["network", "ls", "-q", "-f", "id=6d3"], "ae86d31b1478\n9e86d31b1478\n7d86d31b1478"],
	[["network", "ls", "-q", "-f", "label=rack"], "7d86d31b1478"],
	[["network", "ls", "-q", "-f", "label=lab=two"], "ae86d31b1478"],
	[["network", "ls", "-q", "-f", "scope=local", "-f", "type=custom", "-f", "dangling=false"], "7d86d31b1478"],
	[["network", "ls", "-q", "-f", "type=builtin"], ""],
	[["network", "ls", "-f", "scope=swarm"], "NETWORK ID   NAME      DRIVER    SCOPE"],
	[["network", "inspect", "pub_net"], JSON.stringify([NETWORKS[0]], undefined, 4)],
	[["network", "inspect", "net10", "pub_net", "-f", "json"], JSON.stringify([NETWORKS[1], NETWORKS[0]])],
	[["network", "inspect", "-f", "{{.Name}} {{.Options.parent}}", "pub_net", "net10"], "pub_net eth0\nnet10 eth0"],
	[
		["network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} [{{.IPRange}}]{{end}}", "pub_net"],
		"172.16.86.0/24 172.16.86.1 []",
	],
	[
		["network", "inspect", "-f", "{{json .IPAM.Config}}", "pub_net"],
		'[{"Subnet":"172.16.86.0/24","Gateway":"172.16.86.1"}]',
	],
	[
		[
			"network",
			"inspect",
			"-f",
			"{{range $id, $c := .Containers}}{{$id}}={{$c.IPv4Address}}{{else}}none{{end}}",
			"pub_net",
			"net10",
		],
		"c1=172.16.86.2/24\nnone",
	],
	[
		["network", "inspect", "-f", '{{.Labels.lab}} {{.Labels.nope}} {{index .Labels "rack"}}', "pub_net"],
		"one <no value> 2",
	],
	[["network", "inspect", "-f", "{{json .}}", "net10"], JSON.stringify(NETWORKS[1])],
	[["network", "inspect", "-f", "{{.Status.State}}", "net10"], "up"],
];

for (const [args, stdout] of SUCCESSES) {
	List(args.join(" "), async () => {
		await withDaemon(ROUTES, async ({ host }) => {
			const expected = stdout === "" ? "" : `${stdout}\n`;
			assert.equal(await vlane(args, { host }), { status: 0, stdout: expected, stderr: "" });
		});
	});
}

const FAILURES: [args: string[], stdout: string, stderr: string][] = [
	[["network", "inspect", "nope"], "[]\n", "Error response from daemon: network nope not found\n"],
	[["network", "inspect", "a/b"], "[]\n", "Error response from daemon: network a/b not found\n"],
	[
		["network", "inspect", "nope", "pub_net"],
		`${JSON.stringify([NETWORKS[0]], undefined, 4)}\n`,
		"Error response from daemon: network nope not found\n",
	],
	[
		["network", "inspect", "-f", "{{.Name}}", "pub_net", "nope"],
		"pub_net\n",
		"Error response from daemon: network nope not found\n",
	],
	[
		["network", "inspect", "-f", "{{.Nope}}", "pub_net"],
		"",
		'template parsing error: template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"\n',
	],
	[["network", "ls", "--format", "{{.ID"], "", "template parsing error: template: :1: unclosed action\n"],
	[
		["network", "ls", "--format", "{{foo .ID}}"],
		"",
		'template parsing error: template: :1: function "foo" not defined\n',
	],
	[
		["network", "ls", "-f", "foo=bar"],
		"",
		"invalid filter 'foo'; there are: dangling, driver, id, label, name, scope, type\n",
	],
];

for (const [args, stdout, stderr] of FAILURES) {
	List(`fails: ${args.join(" ")}`, async () => {
		await withDaemon(ROUTES, async ({ host }) => {
			assert.equal(await vlane(args, { host }), { status: 1, stdout, stderr });
		});
	});
}

List("a template that fits no row is wrong also where there is nothing to list", async () => {
	await withDaemon({ "GET /networks": [200, []], "GET /containers": [200, []] }, async ({ host }) => {
		for (const list of [["network", "ls"], ["ps"]]) {
			assert.equal(await vlane([...list, "--format", "{{.Nope}}"], { host }), {
				status: 1,
				stdout: "",
				stderr: 'template parsing error: template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"\n',
			});
			const fitting = '{{.ID}}{{.Label "a"}}{{range split .ID ","}}{{upper .}}{{end}}';
			const format = list[0] === "ps" ? "{{.Names}}{{upper .ID}}" : fitting;
			assert.equal(await vlane([...list, "--format", format], { host }), { status: 0, stdout: "", stderr: "" });
		}
	});
});

List("a bad template is refused before the daemon is asked", async () => {
	await withDaemon(ROUTES, async ({ host, asked }) => {
		const outcome = await vlane(["network", "inspect", "-f", "{{end}}", "pub_net"], { host });
		assert.equal(outcome, {
			status: 1,
			stdout: "",
			stderr: "template parsing error: template: :1: unexpected {{end}}\n",
		});
		assert.equal(asked, []);
	});
});

List.run();
