/** `-d` and `-o`. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VlaneError } from "../../src/control/errors.js";
import { OPTION, parseDriver, parseDriverOptions } from "../../src/control/request/options.js";

const options = suite("options");

function refuses(fn: () => unknown, message: string): void {
	assert.throws(fn, (error: unknown) => {
		assert.instance(error, VlaneError);
		assert.is((error as VlaneError).message, message);
		assert.is((error as VlaneError).kind, "invalid");
		return true;
	});
}

options("knows macvlan and ipvlan", () => {
	for (const driver of [undefined, "", "macvlan"]) assert.is(parseDriver(driver), "macvlan");
	assert.is(parseDriver("ipvlan"), "ipvlan");
	refuses(() => parseDriver("bridge"), "network driver bridge is not known; use -d macvlan or -d ipvlan");
	refuses(() => parseDriver("MACVLAN"), "network driver MACVLAN is not known; use -d macvlan or -d ipvlan");
});

const DEFAULTS = { mode: "bridge", sources: [], shareParent: false, security: "none", uplink: "packet" };
for (const [given, expected] of [
	[{}, {}],
	[{ parent: "eth0.50" }, { parent: "eth0.50" }],
	[{ parent: "" }, { parent: "" }],
	[{ macvlan_mode: "bridge" }, {}],
	[{ macvlan_mode: "" }, {}],
	[{ macvlan_mode: "private" }, { mode: "private" }],
	[{ macvlan_mode: "vepa" }, { mode: "vepa" }],
	[{ macvlan_mode: "passthru" }, { mode: "passthru" }],
	[
		{ macvlan_mode: "source", source_macs: "02:00:00:00:00:01, 02-00-00-00-00-0A,0200.0000.0001" },
		{ mode: "source", sources: ["02:00:00:00:00:01", "02:00:00:00:00:0a"] },
	],
	[{ vlan_protocol: "802.1ad" }, { vlanProtocol: "802.1ad" }],
	[{ vlan_protocol: "802.1q" }, { vlanProtocol: "802.1Q" }],
	[{ port_security: "none" }, {}],
	[{ port_security: "mac" }, { security: "mac" }],
	[{ port_security: "mac,ip" }, { security: "mac,ip" }],
	[{ share_parent: "true" }, { shareParent: true }],
	[{ share_parent: "1" }, { shareParent: true }],
	[{ share_parent: "False" }, {}],
	[{ "com.docker.network.driver.mtu": "1400" }, { mtuBytes: 1400 }],
	[{ "com.docker.network.driver.mtu": "68" }, { mtuBytes: 68 }],
	[{ "com.docker.network.driver.mtu": "65535" }, { mtuBytes: 65535 }],
] as const) {
	options(`reads ${JSON.stringify(given)}`, () =>
		assert.equal(parseDriverOptions(given), { ...DEFAULTS, ...expected }),
	);
}

for (const [given, mode] of [
	[{}, "ipvlan-bridge"],
	[{ ipvlan_mode: "l2" }, "ipvlan-bridge"],
	[{ ipvlan_mode: "", ipvlan_flag: "" }, "ipvlan-bridge"],
	[{ ipvlan_flag: "bridge" }, "ipvlan-bridge"],
	[{ ipvlan_mode: "l2", ipvlan_flag: "private" }, "ipvlan-private"],
	[{ ipvlan_flag: "vepa" }, "ipvlan-vepa"],
] as [Record<string, string>, string][]) {
	options(`reads ${JSON.stringify(given)} of ipvlan`, () =>
		assert.equal(parseDriverOptions(given, "ipvlan"), { ...DEFAULTS, mode }),
	);
}

/** Those of the other driver are not offered. */
const KNOWN = `known options: ${Object.values(OPTION)
	.filter((name) => !name.startsWith("ipvlan"))
	.join(", ")}`;
const MTU = (value: string) =>
	`driver-opt "com.docker.network.driver.mtu" must be a whole number of bytes from 68 to 65535, received: "${value}"`;
const mtu = (value: string) => ({ "com.docker.network.driver.mtu": value });
const SOURCES =
	"driver-opt \"source_macs\" is for macvlan mode 'source' only; add -o macvlan_mode=source or leave it out";
const PROTOCOL = (value: string) => `driver-opt "vlan_protocol" must be 802.1Q or 802.1ad, received: "${value}"`;
for (const [given, message] of [
	[{ macvlan_mode: "l2" }, "requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default"],
	[
		{ macvlan_mode: "Bridge" },
		"requested macvlan mode 'Bridge' is not valid, 'bridge' mode is the macvlan driver default",
	],
	[
		{ macvlan_mode: "source" },
		"macvlan mode 'source' needs the addresses to receive from; add -o source_macs=aa:bb:cc:dd:ee:ff,...",
	],
	[{ source_macs: "02:00:00:00:00:01" }, SOURCES],
	[{ macvlan_mode: "vepa", source_macs: "02:00:00:00:00:01" }, SOURCES],
	[{ macvlan_mode: "source", source_macs: "" }, " is not a valid mac address"],
	[{ macvlan_mode: "source", source_macs: "02:00:00:00:00:01,eth0" }, "eth0 is not a valid mac address"],
	[{ vlan_protocol: "" }, PROTOCOL("")],
	[{ vlan_protocol: "802.1ac" }, PROTOCOL("802.1ac")],
	[{ ipvlan_mode: "l2" }, 'driver option "ipvlan_mode" is for -d ipvlan, not for -d macvlan'],
	[{ ipvlan_flag: "vepa" }, 'driver option "ipvlan_flag" is for -d ipvlan, not for -d macvlan'],
	[{ share_parent: "yes" }, 'driver-opt "share_parent" is not a valid bool: "yes"; use true or false'],
	[{ port_security: "ip" }, 'driver-opt "port_security" must be none, mac or mac,ip, received: "ip"'],
	[{ share_parent: "" }, 'driver-opt "share_parent" is not a valid bool: ""; use true or false'],
	[mtu("67"), MTU("67")],
	[mtu("65536"), MTU("65536")],
	[mtu("-1500"), MTU("-1500")],
	[mtu("01500"), MTU("01500")],
	[mtu("1500.5"), MTU("1500.5")],
	[mtu("1e3"), MTU("1e3")],
	[mtu(""), MTU("")],
	[{ parnet: "eth0" }, 'unknown driver option "parnet"; did you mean "parent"?'],
	[{ Parent: "eth0" }, 'unknown driver option "Parent"; did you mean "parent"?'],
	[{ "macvlan-mode": "bridge" }, 'unknown driver option "macvlan-mode"; did you mean "macvlan_mode"?'],
	[{ mode: "bridge" }, 'unknown driver option "mode"; did you mean "macvlan_mode"?'],
	[{ mtu: "1400" }, 'unknown driver option "mtu"; did you mean "com.docker.network.driver.mtu"?'],
	[{ shareparent: "1" }, 'unknown driver option "shareparent"; did you mean "share_parent"?'],
	[{ colour: "blue" }, `unknown driver option "colour"; ${KNOWN}`],
	[{ "": "x" }, `unknown driver option ""; ${KNOWN}`],
	[{ __proto__x: "x" }, `unknown driver option "__proto__x"; ${KNOWN}`],
] as [Record<string, string>, string][]) {
	options(`refuses ${JSON.stringify(given)}`, () => refuses(() => parseDriverOptions(given), message));
}

for (const [given, message] of [
	[{ ipvlan_mode: "l3" }, "ipvlan mode 'l3' is not in this version; use -o ipvlan_mode=l2 or leave it out"],
	[{ ipvlan_mode: "l3s" }, "ipvlan mode 'l3s' is not in this version; use -o ipvlan_mode=l2 or leave it out"],
	[{ ipvlan_mode: "l4" }, "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default"],
	[{ ipvlan_flag: "passthru" }, "requested ipvlan flag 'passthru' is not valid, 'bridge' is the ipvlan driver default"],
	[
		{ ipvlan_flag: "constructor" },
		"requested ipvlan flag 'constructor' is not valid, 'bridge' is the ipvlan driver default",
	],
	[{ macvlan_mode: "bridge" }, 'driver option "macvlan_mode" is for -d macvlan, not for -d ipvlan'],
	[{ share_parent: "true" }, 'driver option "share_parent" is for -d macvlan, not for -d ipvlan'],
	[{ ipvlan_mod: "l2" }, 'unknown driver option "ipvlan_mod"; did you mean "ipvlan_mode"?'],
] as [Record<string, string>, string][]) {
	options(`refuses ${JSON.stringify(given)} of ipvlan`, () =>
		refuses(() => parseDriverOptions(given, "ipvlan"), message),
	);
}

options.run();
