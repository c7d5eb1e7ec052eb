/**
 * Go templates, elastic tab stops, natural order and times: the results were taken from docker's own command line.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compareNatural } from "../../src/cli/natural.js";
import { alignTabs } from "../../src/cli/tabwriter.js";
import { Template } from "../../src/cli/template.js";
import { goTime, humanDuration } from "../../src/cli/time.js";

const Templates = suite("template");

const DATA = {
	Name: "pub_net",
	Count: 3,
	On: true,
	Off: false,
	IPAM: { Driver: "default", Config: [{ Subnet: "10.0.0.0/24" }, { Subnet: "10.1.0.0/24" }] },
	Labels: new Map([
		["b", "2"],
		["a", "1"],
	]),
	Empty: [],
	Label: (name: unknown) => `<${String(name)}>`,
};

const RESULTS: [template: string, output: string][] = [
	["plain", "plain"],
	["{{.Name}}", "pub_net"],
	["{{ .Name }}|{{.IPAM.Driver}}", "pub_net|default"],
	["{{.IPAM}}", "{default [{10.0.0.0/24} {10.1.0.0/24}]}"],
	["{{.Labels}} {{.Labels.a}} {{.Labels.zz}}", "map[a:1 b:2] 1 <no value>"],
	[
		"{{json .Labels}} {{json .Name}} {{json .IPAM.Config}}",
		'{"b":"2","a":"1"} "pub_net" [{"Subnet":"10.0.0.0/24"},{"Subnet":"10.1.0.0/24"}]',
	],
	['{{.Label "x"}}', "<x>"],
	["{{range .IPAM.Config}}{{.Subnet}};{{end}}", "10.0.0.0/24;10.1.0.0/24;"],
	["{{range $i, $c := .IPAM.Config}}{{$i}}={{$c.Subnet}} {{end}}", "0=10.0.0.0/24 1=10.1.0.0/24 "],
	["{{range $c := .IPAM.Config}}{{$c.Subnet}}{{$.Count}} {{end}}", "10.0.0.0/243 10.1.0.0/243 "],
	["{{range $k,$v := .Labels}}{{$k}}:{{$v}},{{end}}", "a:1,b:2,"],
	["{{range .Empty}}x{{else}}none{{end}}", "none"],
	["{{if .On}}a{{else}}b{{end}}{{if .Off}}a{{else}}b{{end}}{{if .Empty}}a{{end}}", "ab"],
	["{{if .Off}}a{{else if .On}}b{{else}}c{{end}}", "b"],
	["{{if .Off}}a{{else if .Off}}b{{else}}c{{end}}", "c"],
	["{{with .IPAM}}{{.Driver}}{{end}}{{with .Empty}}x{{else}}{{.Name}}{{end}}", "defaultpub_net"],
	["{{with $n := .Name}}{{$n}}{{end}}", "pub_net"],
	["{{$x := .Name}}{{$x}}{{$x | upper}}", "pub_netPUB_NET"],
	['{{index .Labels "a"}} {{index .Labels "zz"}}|{{(index .IPAM.Config 1).Subnet}}', "1 |10.1.0.0/24"],
	['{{split .Name "_"}} {{join (split .Name "_") "-"}} {{index (split .Name "_") 0}}', "[pub net] pub-net pub"],
	[
		"{{upper .Name}} {{lower .Name}} {{title .Name}} {{truncate .Name 3}} {{pad .Name 1 2}}|",
		"PUB_NET pub_net Pub_net pub  pub_net  |",
	],
	["{{truncate .Name 99}}", "pub_net"],
	["{{println .Name .Count}}", "pub_net 3\n"],
	['{{print 1 2 "a" "b" 3}}', "1 2ab3"],
	[
		'{{printf "%s-%5s|%-5s|%03d|%q|%v|%t|%%" .Name "x" "y" 4 "q" .Labels .On}}',
		'pub_net-    x|y    |004|"q"|map[a:1 b:2]|true|%',
	],
	["{{len .Name}} {{len .Labels}} {{len .IPAM.Config}}", "7 2 2"],
	[
		'{{eq .Name "a" "pub_net"}} {{ne .Count 3}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge .Count 3}}',
		"true false true true false true",
	],
	['{{and 1 0}} {{or "" "z"}} {{not true}} {{and .On .Count}}', "0 z false 3"],
	["a {{- .Name -}} \n b", "apub_netb"],
	["{{/* c */}}x", "x"],
	['{{"q\\t\\"}}\\u0041"}}{{`r\\t`}}', 'q\t"}}Ar\\t'],
	["{{json nil}} {{true}} {{1.5}} {{-3}}", "null true 1.5 -3"],
];

for (const [template, output] of RESULTS) {
	Templates(template, () => {
		assert.is(new Template(template).execute(DATA), output);
	});
}

const ERRORS: [template: string, message: string][] = [
	["{{.Nope}}", ':1:2: executing "" at <.Nope>: map has no entry for key "Nope"'],
	["{{.IPAM.Nope}}", ':1:7: executing "" at <.IPAM.Nope>: map has no entry for key "Nope"'],
	["{{.Name.Foo}}", ':1:7: executing "" at <.Name.Foo>: can\'t evaluate field Foo in type interface {}'],
	[
		"{{index .IPAM.Config 5}}",
		':1:2: executing "" at <index .IPAM.Config 5>: error calling index: index out of range: 5',
	],
	["{{range .Name}}{{end}}", ':1:8: executing "" at <.Name>: range can\'t iterate over pub_net'],
	["{{upper 3}}", ':1:2: executing "" at <upper 3>: error calling upper: expected string; found 3'],
	["{{.Name 1}}", ':1:2: executing "" at <.Name>: can\'t give argument to non-function .Name'],
	["{{.Foo", ":1: unclosed action"],
	["{{end}}", ":1: unexpected {{end}}"],
	["{{else}}", ":1: unexpected {{else}}"],
	["{{if .On}}", ":1: unexpected EOF"],
	["{{range .Empty}}{{else}}{{else}}{{end}}", ":1: unexpected {{else}}"],
	["{{}}", ":1: missing value for command"],
	["{{.Name |}}", ":1: missing value for command"],
	["{{$x}}", ':1: undefined variable "$x"'],
	["{{with $x := .Name}}{{end}}{{$x}}", ':1: undefined variable "$x"'],
	['{{"a}}', ":1: unterminated quoted string"],
	["{{`a}}", ":1: unterminated raw quoted string"],
	["{{foo .Name}}", ':1: function "foo" not defined'],
	["{{constructor .Name}}", ':1: function "constructor" not defined'],
	["{{(.Name}}", ":1: unclosed left paren"],
	["{{.Name)}}", ':1: unexpected ")" in command'],
	["{{.Name ~}}", ':1: unexpected "~" in command'],
	["{{$a, $b := .Name}}", ":1: bad declaration in pipeline"],
	["a\nb{{end}}", ":2: unexpected {{end}}"],
];

for (const [template, message] of ERRORS) {
	Templates(`error: ${template}`, () => {
		assert.throws(
			() => new Template(template).execute(DATA),
			(error: Error) => error.message === `template parsing error: template: ${message}`,
		);
	});
}

Templates("prototype members are no fields", () => {
	for (const field of ["constructor", "__proto__", "toString"]) {
		assert.throws(() => new Template(`{{.${field}}}`).execute(DATA), /map has no entry/);
	}
});

Templates("tab stops: at least 10 wide, 3 blanks between, wide letters count once", () => {
	assert.is(alignTabs("A\tB\tC\n1\t2\t3\n"), "A         B         C\n1         2         3\n");
	assert.is(alignTabs("long name here\tx\n…\ty\n"), "long name here   x\n…                y\n");
});

Templates("tab stops: a column ends at the first line without it", () => {
	assert.is(alignTabs("aaaaaaaaaaaa\tb\nno tab\nc\td\n"), "aaaaaaaaaaaa   b\nno tab\nc         d\n");
	assert.is(alignTabs("a\tbbbbbbbbbbbb\tc\na\tb\n"), "a         bbbbbbbbbbbb   c\na         b\n");
});

Templates("natural order", () => {
	const names = ["net10", "net9", "b", "a10b2", "a10b10", "net", "a2", "net09"];
	assert.equal(names.sort(compareNatural), ["a2", "a10b2", "a10b10", "b", "net", "net09", "net9", "net10"]);
});

Templates("durations", () => {
	const second = 1000;
	const hour = 3600 * second;
	const day = 24 * hour;
	const cases: [number, string][] = [
		[0, "Less than a second"],
		[second, "1 second"],
		[59 * second, "59 seconds"],
		[60 * second, "About a minute"],
		[120 * second, "2 minutes"],
		[59 * 60 * second, "59 minutes"],
		[hour, "About an hour"],
		[2 * hour, "2 hours"],
		[47 * hour, "47 hours"],
		[2 * day, "2 days"],
		[14 * day, "2 weeks"],
		[60 * day, "2 months"],
		[800 * day, "2 years"],
	];
	for (const [milliseconds, text] of cases) assert.is(humanDuration(milliseconds), text);
});

Templates("times", () => {
	assert.is(goTime("2026-05-01T10:00:00Z"), "2026-05-01 10:00:00 +0000 UTC");
	assert.is(goTime("2026-05-01T10:00:00.000Z"), "2026-05-01 10:00:00 +0000 UTC");
	assert.is(goTime("2026-05-01T10:00:00.120Z"), "2026-05-01 10:00:00.12 +0000 UTC");
});

Templates.run();
