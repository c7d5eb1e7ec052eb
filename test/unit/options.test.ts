/** `-d` and `-o`. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VlaneError } from "../../src/control/errors.js";
import { parseDriver, parseDriverOptions } from "../../src/control/options.js";

const options = suite("options");

function refuses(fn: () => unknown, message: string): void {
	assert.throws(fn, (error: unknown) => {
		assert.instance(error, VlaneError);
		assert.is((error as VlaneError).message, message);
		assert.is((error as VlaneError).kind, "invalid");
		return true;
	});
}

options("knows macvlan only", () => {
	for (const driver of [undefined, "", "macvlan"]) assert.is(parseDriver(driver), "macvlan");
	refuses(() => parseDriver("ipvlan"), "network driver ipvlan is not in this version; use -d macvlan");
	refuses(() => parseDriver("bridge"), "network driver bridge is not known; use -d macvlan");
	refuses(() => parseDriver("MACVLAN"), "network driver MACVLAN is not known; use -d macvlan");
});

const DEFAULTS = { mode: "bridge", shareParent: false };
for (const [given, expected] of [
	[{}, {}],
	[{ parent: "eth0.50" }, { parent: "eth0.50" }],
	[{ parent: "" }, { parent: "" }],
	[{ macvlan_mode: "bridge" }, {}],
	[{ macvlan_mode: "" }, {}],
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

const KNOWN = "known options: parent, macvlan_mode, share_parent, com.docker.network.driver.mtu";
const MTU = (value: string) =>
	`driver-opt "com.docker.network.driver.mtu" must be a whole number of bytes from 68 to 65535, received: "${value}"`;
const mtu = (value: string) => ({ "com.docker.network.driver.mtu": value });
const MODE = (mode: string) =>
	`macvlan mode '${mode}' is not in this version; use -o macvlan_mode=bridge or leave it out`;
for (const [given, message] of [
	[{ macvlan_mode: "l2" }, "requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default"],
	[
		{ macvlan_mode: "Bridge" },
		"requested macvlan mode 'Bridge' is not valid, 'bridge' mode is the macvlan driver default",
	],
	[{ macvlan_mode: "private" }, MODE("private")],
	[{ macvlan_mode: "vepa" }, MODE("vepa")],
	[{ macvlan_mode: "passthru" }, MODE("passthru")],
	[{ macvlan_mode: "source" }, MODE("source")],
	[{ share_parent: "yes" }, 'driver-opt "share_parent" is not a valid bool: "yes"; use true or false'],
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
	[{ ipvlan_mode: "l2" }, 'unknown driver option "ipvlan_mode"; did you mean "macvlan_mode"?'],
	[{ colour: "blue" }, `unknown driver option "colour"; ${KNOWN}`],
	[{ "": "x" }, `unknown driver option ""; ${KNOWN}`],
	[{ __proto__x: "x" }, `unknown driver option "__proto__x"; ${KNOWN}`],
] as [Record<string, string>, string][]) {
	options(`refuses ${JSON.stringify(given)}`, () => refuses(() => parseDriverOptions(given), message));
}

options.run();
