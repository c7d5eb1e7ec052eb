/** Reading and writing of addresses and blocks. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
	contains,
	formatCidr,
	formatCidrAddress,
	formatIp,
	hasHostBits,
	mustParseCidr,
	mustParseIp,
	overlaps,
	parseCidr,
	parseIp,
} from "../../src/control/address/cidr.js";
import { VlaneError } from "../../src/control/errors.js";

const cidr = suite("cidr");

for (const [text, canonical] of [
	["10.0.0.1", "10.0.0.1"],
	["0.0.0.0", "0.0.0.0"],
	["255.255.255.255", "255.255.255.255"],
	["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
	["2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"],
	["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
	["::", "::"],
	["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
] as const) {
	cidr(`reads ${text}`, () => {
		const ip = mustParseIp(text);
		assert.is(formatIp(ip.family, ip.value), canonical);
	});
}

for (const text of [
	"",
	" 10.0.0.1",
	"10.0.0.1 ",
	"10.0.0",
	"10.0.0.256",
	"010.0.0.1",
	"10.0.0.01",
	"0x0a.0.0.1",
	"167772161",
	"10.0.0.1/24",
	"fe80::1%eth0",
	"::ffff:10.0.0.1",
	"::ffff:0a00:0001",
	"1::2::3",
	"2001:db8::10000",
	":::",
	"[::1]",
	"eth0",
]) {
	cidr(`refuses the address ${JSON.stringify(text)}`, () => {
		assert.is(parseIp(text), undefined);
		assert.throws(
			() => mustParseIp(text),
			(error: unknown) => error instanceof VlaneError && error.kind === "internal",
		);
	});
}

for (const text of [
	"",
	"10.0.0.1",
	"10.0.0.0/",
	"10.0.0.0/33",
	"10.0.0.0/-1",
	"10.0.0.0/+8",
	"10.0.0.0/08",
	"10.0.0.0/ 8",
	"10.0.0.0/8 ",
	"10.0.0.0/8/8",
	"10.0.0.0/255.0.0.0",
	"/8",
	"2001:db8::/129",
	"::ffff:10.0.0.0/120",
	"010.0.0.0/8",
	"fe80::%eth0/64",
]) {
	cidr(`refuses the block ${JSON.stringify(text)}`, () => {
		assert.is(parseCidr(text), undefined);
		assert.throws(() => mustParseCidr(text), /^invalid CIDR address: /);
	});
}

cidr("keeps host bits apart", () => {
	const block = mustParseCidr("172.16.86.250/24");
	assert.ok(hasHostBits(block));
	assert.is(formatCidr(block), "172.16.86.0/24");
	assert.is(formatCidrAddress(block), "172.16.86.250/24");
	assert.not.ok(hasHostBits(mustParseCidr("172.16.86.0/24")));
	assert.is(formatCidr(mustParseCidr("2001:DB8::1/64")), "2001:db8::/64");
	assert.is(formatCidr(mustParseCidr("0.0.0.0/0")), "0.0.0.0/0");
});

cidr("compares blocks", () => {
	const subnet = mustParseCidr("10.1.0.0/16");
	for (const [other, isOverlapping, isContained] of [
		["10.1.0.0/16", true, true],
		["10.1.255.0/24", true, true],
		["10.0.0.0/8", true, false],
		["10.2.0.0/16", false, false],
		["10.0.0.0/16", false, false],
		["::/0", false, false],
	] as const) {
		assert.is(overlaps(subnet, mustParseCidr(other)), isOverlapping, other);
		assert.is(overlaps(mustParseCidr(other), subnet), isOverlapping, other);
		assert.is(contains(subnet, mustParseCidr(other)), isContained, other);
	}
	assert.ok(contains(subnet, mustParseIp("10.1.255.255")));
	assert.not.ok(contains(subnet, mustParseIp("10.2.0.0")));
	assert.not.ok(contains(subnet, mustParseIp("::1")));
});

cidr.run();
