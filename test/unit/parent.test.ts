/** `-o parent=`: existing links, sub-interfaces, and every way to get it wrong. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VlaneError } from "../../src/control/errors.js";
import { parentKey, parseParent, tagExcessBytes, vlanText } from "../../src/control/request/parent.js";

const parent = suite("parent");
const LINKS = new Set(["eth0", "eth0.99", "bond0", "br.lan", "lo", "foo", "enxb827eb1e62b3"]);
const context = { linkExists: (name: string) => LINKS.has(name) };

for (const name of ["eth0", "eth0.99", "bond0", "br.lan", "foo"]) {
	parent(`uses the existing link ${name} as it is`, () => {
		assert.equal(parseParent(name, context), { name, link: name, vlans: [] });
	});
}

for (const [name, link, vid] of [
	["eth0.1", "eth0", 1],
	["eth0.50", "eth0", 50],
	["eth0.4094", "eth0", 4094],
	["enxb827eb1e62b3.42", "enxb827eb1e62b3", 42],
] as const) {
	parent(`reads ${name} as VLAN ${vid} on ${link}`, () => {
		assert.equal(parseParent(name, context), { name, link, vlans: [{ tpid: 0x8100, vid }] });
	});
}

for (const [name, link, vlans] of [
	["eth0.20.200", "eth0", [20, 200]],
	["eth0.1.2", "eth0", [1, 2]],
	["eth0.99.5", "eth0.99", [5]],
	["eth0.99.5.6", "eth0.99", [5, 6]],
	["br.lan.50", "br.lan", [50]],
	["br.lan.50.60", "br.lan", [50, 60]],
] as const) {
	parent(`reads ${name} as VLAN ${vlans.join(" in ")} on the longest link that exists`, () => {
		const expected = vlans.map((vid) => ({ tpid: 0x8100, vid }));
		assert.equal(parseParent(name, context), { name, link, vlans: expected });
	});
}

parent("tags with 802.1ad when asked, the outer tag only", () => {
	const ad = { ...context, protocol: "802.1ad" as const };
	assert.equal(parseParent("eth0.50", ad).vlans, [{ tpid: 0x88a8, vid: 50 }]);
	assert.equal(parseParent("eth0.20.200", ad).vlans, [
		{ tpid: 0x88a8, vid: 20 },
		{ tpid: 0x8100, vid: 200 },
	]);
	assert.equal(parseParent("eth0.20.200", ad).vlans.map(vlanText), ["20 (802.1ad)", "200"]);
	const problem =
		/^driver-opt "vlan_protocol" is for sub-interfaces such as eth0.10; eth0.99 is used as it is, leave it/;
	assert.throws(() => parseParent("eth0.99", ad), problem);
});

parent("knows how much of a frame the kernel does not send beyond the MTU", () => {
	const excess = (name: string, protocol?: "802.1ad") => tagExcessBytes(parseParent(name, { ...context, protocol }));
	assert.is(excess("eth0"), 0);
	assert.is(excess("eth0.50"), 0);
	assert.is(excess("eth0.50", "802.1ad"), 4);
	assert.is(excess("eth0.20.200"), 4);
	assert.is(excess("eth0.20.200", "802.1ad"), 8);
});

parent("says which driver refuses the loopback interface", () => {
	const problem = "loopback interface is not a valid ipvlan parent link";
	assert.throws(
		() => parseParent("lo", { ...context, driver: "ipvlan" }),
		({ message }: Error) => message === problem,
	);
});

const PARSE = (text: string) => `unable to parse a valid vlan id from: ${text} (ex. eth0.10 for vlan 10)`;
const RANGE = (vid: string) => `vlan id must be between 1-4094, received: ${vid}`;
const FORMAT = (text: string) =>
	`required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received ${text}`;
const NAME = (text: string) =>
	`invalid subinterface vlan name ${text}, example formatting is eth0.10; no link named ${text} exists on this host`;
const MISSING = (link: string) => `-o parent interface was not found on the host: ${link}`;
const LOOPBACK = "loopback interface is not a valid macvlan parent link";

for (const [text, message] of [
	["", "-o parent needs an interface name; leave it out for a network that never leaves the host"],
	["lo", LOOPBACK],
	["lo.50", LOOPBACK],
	["eth9", NAME("eth9")],
	["eth0:10", NAME("eth0:10")],
	["eth0-10", NAME("eth0-10")],
	[".50", FORMAT(".50")],
	["eth0.1.2.3", FORMAT("eth0.1.2.3")],
	["br.wan.50", PARSE("wan")],
	["eth0.20.abc", PARSE("abc")],
	["eth0.20.", PARSE("eth0.20.")],
	["eth0.20.4095", RANGE("4095")],
	["eth0.0.200", RANGE("0")],
	["eth9.20.200", MISSING("eth9")],
	["eth0..5", PARSE("eth0..5")],
	["eth0.", PARSE("eth0.")],
	["eth0.abc", PARSE("abc")],
	["eth0.+5", PARSE("+5")],
	["eth0.-1", PARSE("-1")],
	["eth0.010", PARSE("010")],
	["eth0.00", PARSE("00")],
	["eth0. 5", PARSE(" 5")],
	["eth0.5 ", PARSE("5 ")],
	["eth0.0x10", PARSE("0x10")],
	["eth0.1e3", PARSE("1e3")],
	["eth0.٥", PARSE("٥")],
	["eth0.0", RANGE("0")],
	["eth0.4095", RANGE("4095")],
	["eth0.99999999999999999999", RANGE("99999999999999999999")],
	["eth9.5000", RANGE("5000")],
	["eth9.abc", PARSE("abc")],
	["eth9.50", MISSING("eth9")],
	["eth0 .50", MISSING("eth0 ")],
] as const) {
	parent(`refuses ${JSON.stringify(text)}`, () => {
		assert.throws(
			() => parseParent(text, context),
			(error: unknown) => {
				assert.instance(error, VlaneError);
				assert.is((error as VlaneError).message, message);
				assert.is((error as VlaneError).kind, message.startsWith("-o parent interface was") ? "notFound" : "invalid");
				return true;
			},
		);
	});
}

parent("has one key for each piece of wire", () => {
	const keys = ["eth0", "eth0.99", "eth0.50", "eth0.60", "bond0"].map((name) => parentKey(parseParent(name, context)));
	keys.push(parentKey(parseParent("eth0.50", { ...context, protocol: "802.1ad" })));
	assert.is(new Set(keys).size, keys.length);
	// An existing link and a sub-interface of ours may have the same name at different times; the wire is not the same.
	assert.is.not(parentKey(parseParent("eth0.99", { linkExists: (name) => name === "eth0" })), keys[1]);
});

parent.run();
