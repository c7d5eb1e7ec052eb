/** What users say about addresses: validation texts, predefined subnets. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { contains, mustParseCidr, overlaps } from "../../src/control/address/cidr.js";
import { VlaneError } from "../../src/control/errors.js";
import { checkEndpointAddresses, type IpamRequest, resolveIpam } from "../../src/control/request/ipamconfig.js";
import type { ApiIpamConfig } from "../../src/control/request/schema.js";

const config = suite("ipam config");
const CONTEXT = { takenSubnets: () => [[]], hostId: "host" };

function refuses(fn: () => unknown, message: string): void {
	assert.throws(fn, (error: unknown) => {
		assert.instance(error, VlaneError);
		assert.is((error as VlaneError).message, message);
		assert.is((error as VlaneError).kind, message.startsWith("all predefined") ? "unavailable" : "invalid");
		return true;
	});
}

for (const [given, problems] of [
	[{ Subnet: "10.0.0.0" }, "invalid subnet 10.0.0.0: invalid CIDR block notation"],
	[{ Subnet: "10.0.0.1/24" }, "invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24"],
	[{ Subnet: "2001:DB8::1/64" }, "invalid subnet 2001:db8::1/64: it should be 2001:db8::/64"],
	[{ Gateway: "10.0.0.1" }, "every ip-range or gateway must have a corresponding subnet"],
	[{ Subnet: "10.0.0.0/24", IPRange: "junk" }, "invalid ip-range junk: invalid CIDR block notation"],
	[
		{ Subnet: "10.0.0.0/24", IPRange: "2001:db8::/64" },
		"invalid ip-range 2001:db8::/64: parent subnet is an IPv4 block",
	],
	[{ Subnet: "2001:db8::/64", IPRange: "10.0.0.0/24" }, "invalid ip-range 10.0.0.0/24: parent subnet is an IPv6 block"],
	[
		{ Subnet: "10.0.0.0/24", IPRange: "10.0.0.0/16" },
		"invalid ip-range 10.0.0.0/16: CIDR block is bigger than its parent subnet 10.0.0.0/24",
	],
	[{ Subnet: "10.0.0.0/24", IPRange: "10.0.0.129/25" }, "invalid ip-range 10.0.0.129/25: it should be 10.0.0.128/25"],
	[
		{ Subnet: "10.0.0.0/24", IPRange: "10.0.1.0/25" },
		"invalid ip-range 10.0.1.0/25: parent subnet 10.0.0.0/24 doesn't contain ip-range",
	],
	[{ Subnet: "10.0.0.0/24", Gateway: "junk" }, "invalid gateway junk: invalid address"],
	[{ Subnet: "10.0.0.0/24", Gateway: "fe80::1" }, "invalid gateway fe80::1: parent subnet is an IPv4 block"],
	[{ Subnet: "2001:db8::/64", Gateway: "10.0.0.1" }, "invalid gateway 10.0.0.1: parent subnet is an IPv6 block"],
	[
		{ Subnet: "10.0.0.0/24", Gateway: "10.0.1.1" },
		"invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address",
	],
	[
		{ Subnet: "10.0.0.0/24", AuxiliaryAddresses: { host: "10.0.1.1", v6: "::1", bad: "x" } },
		"invalid auxiliary address host: parent subnet 10.0.0.0/24 doesn't contain this address; " +
			"invalid auxiliary address v6: parent subnet is an IPv4 block; invalid auxiliary address bad: invalid address",
	],
	[
		{ Subnet: "10.0.0.1/24", IPRange: "10.0.1.1/16", Gateway: "x" },
		"invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24; " +
			"invalid ip-range 10.0.1.1/16: CIDR block is bigger than its parent subnet 10.0.0.0/24; " +
			"invalid ip-range 10.0.1.1/16: it should be 10.0.0.0/16; invalid gateway x: invalid address",
	],
	[
		{ Subnet: "0.0.0.0/24" },
		"invalid subnet 0.0.0.0/24: it is an unspecified block, leave it out to get a predefined subnet",
	],
	[
		{ Subnet: "0.0.0.0/0" },
		"invalid subnet 0.0.0.0/0: it is an unspecified block, leave it out to get a predefined subnet",
	],
	[{ Subnet: "::/64" }, "invalid subnet ::/64: it is an unspecified block, leave it out to get a predefined subnet"],
	[
		{ Subnet: "127.0.1.0/24" },
		"invalid subnet 127.0.1.0/24: it is a loopback block, leave it out to get a predefined subnet",
	],
	[
		{ Subnet: "224.0.0.0/8" },
		"invalid subnet 224.0.0.0/8: it is a multicast block, leave it out to get a predefined subnet",
	],
	[
		{ Subnet: "ff02::/64" },
		"invalid subnet ff02::/64: it is a multicast block, leave it out to get a predefined subnet",
	],
] as [ApiIpamConfig, string][]) {
	config(`daemon: ${problems}`, () => {
		refuses(() => resolveIpam({ config: [given] }, CONTEXT), `invalid network config: ${problems}`);
	});
}

config("collects the problems of all subnets", () => {
	refuses(
		() => resolveIpam({ config: [{ Subnet: "x" }, { Subnet: "10.0.0.0/24" }, { Subnet: "10.0.1.1/24" }] }, CONTEXT),
		"invalid network config: invalid subnet x: invalid CIDR block notation; " +
			"invalid subnet 10.0.1.1/24: it should be 10.0.1.0/24",
	);
});

for (const [request, message] of [
	[
		{ config: [{ Subnet: "10.0.0.0/24" }, { Subnet: "10.0.0.0/25" }] },
		"multiple overlapping subnet configuration is not supported",
	],
	[
		{ config: [{ Subnet: "2001:db8::/64" }], enableIPv6: false },
		"invalid network config: subnet 2001:db8::/64 is an IPv6 block, but IPv6 is disabled; " +
			"leave out the subnet or --ipv6=false",
	],
	[
		{ config: [{ Subnet: "10.0.0.0/24" }], enableIPv4: false, enableIPv6: true },
		"invalid network config: subnet 10.0.0.0/24 is an IPv4 block, but IPv4 is disabled; " +
			"leave out the subnet or --ipv4=false",
	],
	[{ enableIPv4: false }, "IPv4 or IPv6 must be enabled"],
	[{ enableIPv4: false, enableIPv6: false }, "IPv4 or IPv6 must be enabled"],
] as [IpamRequest, string][]) {
	config(`families: ${message}`, () => refuses(() => resolveIpam(request, CONTEXT), message));
}

config("decides the families, keeps the order and writes canonically", () => {
	const given = [
		{ Subnet: "192.168.218.0/24", Gateway: "192.168.218.1" },
		{
			Subnet: "2001:DB8:ABC8:0::/64",
			Gateway: "2001:DB8:ABC8::0010",
			AuxiliaryAddresses: { a: "2001:DB8:ABC8:0:0::9" },
		},
		{ Subnet: "192.168.216.0/24", IPRange: "192.168.216.128/25" },
	];
	assert.equal(resolveIpam({ config: given }, CONTEXT), {
		enableIPv4: true,
		enableIPv6: true,
		ipam: [
			{ subnet: "192.168.218.0/24", gateway: "192.168.218.1" },
			{ subnet: "2001:db8:abc8::/64", gateway: "2001:db8:abc8::10", auxAddresses: { a: "2001:db8:abc8::9" } },
			{ subnet: "192.168.216.0/24", ipRange: "192.168.216.128/25" },
		],
	});
	assert.equal(resolveIpam({ config: [{ Subnet: "2001:db8::/64" }], enableIPv4: false }, CONTEXT), {
		enableIPv4: false,
		enableIPv6: true,
		ipam: [{ subnet: "2001:db8::/64" }],
	});
});

for (const [takenSubnets, expected] of [
	[[], "172.17.0.0/16"],
	[["172.17.0.0/16", "172.18.5.0/24"], "172.19.0.0/16"],
	[["172.16.0.0/12"], "192.168.0.0/20"],
	[["172.16.0.0/12", "192.168.0.0/24", "192.168.31.0/24"], "192.168.32.0/20"],
	[["::/0"], "172.17.0.0/16"],
] as const) {
	config(`predefines ${expected} beside ${takenSubnets.join(", ") || "nothing"}`, () => {
		const resolved = resolveIpam({}, { takenSubnets: () => [takenSubnets], hostId: "host" });
		assert.equal(resolved, { enableIPv4: true, enableIPv6: false, ipam: [{ subnet: expected }] });
	});
}

config("says when no predefined subnet is left", () => {
	refuses(
		() => resolveIpam({}, { takenSubnets: () => [["172.16.0.0/12", "192.168.0.0/16"]], hostId: "host" }),
		"all predefined address pools have been fully subnetted; give the network a --subnet",
	);
});

config("predefines a unique local IPv6 /64 that depends on the host", () => {
	const subnetOf = (hostId: string, takenSubnets: string[] = []) =>
		resolveIpam({ enableIPv4: false, enableIPv6: true }, { takenSubnets: () => [takenSubnets], hostId }).ipam[0]
			?.subnet ?? "";
	const first = subnetOf("host");
	assert.match(first, /^fd[0-9a-f:]+::\/64$/);
	assert.is(subnetOf("host"), first);
	assert.is.not(subnetOf("other"), first);
	const second = mustParseCidr(subnetOf("host", [first]));
	assert.not.ok(overlaps(second, mustParseCidr(first)));
	assert.ok(contains(mustParseCidr("fd00::/8"), second));
});

config("checks an endpoint's addresses against its network", () => {
	const ipam = [{ subnet: "10.0.0.0/24" }, { subnet: "2001:db8::/64" }];
	checkEndpointAddresses(ipam, {});
	checkEndpointAddresses(ipam, { ipv4: "10.0.0.9", ipv6: "2001:db8::9" });
	for (const [settings, problem] of [
		[{ ipv4: "10.0.1.9" }, "no configured subnet contains IP address 10.0.1.9"],
		[{ ipv4: "10.0.0.09" }, "invalid IPv4 address: 10.0.0.09"],
		[{ ipv4: "2001:db8::9" }, "invalid IPv4 address: 2001:db8::9"],
		[{ ipv6: "10.0.0.9" }, "invalid IPv6 address: 10.0.0.9"],
		[{ ipv6: "2001:db9::1" }, "no configured subnet contains IP address 2001:db9::1"],
		[{ ipv4: "x", ipv6: "y" }, "invalid IPv4 address: x; invalid IPv6 address: y"],
	] as const) {
		refuses(() => checkEndpointAddresses(ipam, settings), `invalid endpoint settings: ${problem}`);
	}
});

config("takes a subnet that is free in its own address space when none is free everywhere", () => {
	const taken = [["172.16.0.0/12", "192.168.0.0/16"], ["172.17.0.0/16"]];
	assert.is(resolveIpam({}, { takenSubnets: () => taken, hostId: "host" }).ipam[0]?.subnet, "172.18.0.0/16");
});

config("leaves subnets open for a configuration network", () => {
	const request = { config: [{ Subnet: "2001:db8::/64" }], complete: false };
	assert.equal(resolveIpam(request, CONTEXT), {
		enableIPv4: true,
		enableIPv6: true,
		ipam: [{ subnet: "2001:db8::/64" }],
	});
});

config.run();
