/** MAC addresses: what is read, what is refused, and what endpoints get. */

import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parseMac, stableMac } from "../../src/control/address/mac.js";
import { VlaneError } from "../../src/control/errors.js";

const mac = suite("mac");

for (const text of ["02:42:AC:11:00:0f", "02-42-ac-11-00-0f", "0242.ac11.000F"]) {
	mac(`reads ${text}`, () => assert.is(parseMac(text), "02:42:ac:11:00:0f"));
}

for (const [text, reason] of [
	["", ""],
	["junk", ""],
	["02:42:ac:11:00", ""],
	["02:42:ac:11:00:02:03", ""],
	["02:42:ac:11:00:0g", ""],
	["2:42:ac:11:0:2", ""],
	["0242ac110002", ""],
	["02:42-ac:11:00:02", ""],
	[" 02:42:ac:11:00:02", ""],
	["02:42:ac:11:00:02\n", ""],
	["00:00:00:00:00:00", ": it is all zeros"],
	["01:00:5e:00:00:01", ": it is a multicast address, the first octet must be even"],
	["33:33:00:00:00:01", ": it is a multicast address, the first octet must be even"],
	["FF:FF:FF:FF:FF:FF", ": it is a multicast address, the first octet must be even"],
] as const) {
	mac(`refuses ${JSON.stringify(text)}`, () => {
		assert.throws(
			() => parseMac(text),
			(error: unknown) =>
				error instanceof VlaneError &&
				error.kind === "invalid" &&
				error.message === new VlaneError("invalid", `${text} is not a valid mac address${reason}`).message,
		);
	});
}

mac("gives the same names the same address", () => {
	const none = new Set<string>();
	const first = stableMac("host", "net", "c1", none);
	assert.is(first, stableMac("host", "net", "c1", none));
	const others = [
		stableMac("host2", "net", "c1", none),
		stableMac("host", "net2", "c1", none),
		stableMac("host", "net", "c2", none),
		// The parts must not run into each other.
		stableMac("host", "netc", "1", none),
		stableMac("hostnet", "", "c1", none),
	];
	assert.is(new Set([first, ...others]).size, 6);
});

mac("avoids addresses that are taken, the same way each time", () => {
	const taken = new Set<string>();
	for (let count = 0; count < 5; count++) {
		const next = stableMac("host", "net", "c1", taken);
		assert.not.ok(taken.has(next));
		taken.add(next);
	}
	assert.is(stableMac("host", "net", "c1", new Set([...taken].slice(0, 1))), [...taken][1]);
});

mac("makes locally administered unicast addresses", () => {
	fc.assert(
		fc.property(fc.string(), fc.string(), fc.string(), (hostId, network, endpoint) => {
			const text = stableMac(hostId, network, endpoint, new Set());
			assert.is(parseMac(text), text);
			assert.is(Number.parseInt(text.slice(0, 2), 16) & 0x03, 0x02);
		}),
	);
});

mac.run();
