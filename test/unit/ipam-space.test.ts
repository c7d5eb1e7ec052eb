/** Address spaces: which address is handed out, which is refused, and how fast. */

import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { AddressSet } from "../../src/control/address/addressset.js";
import type { Family } from "../../src/control/address/cidr.js";
import { AddressSpace } from "../../src/control/address/ipam.js";
import { type ErrorKind, VlaneError } from "../../src/control/errors.js";
import type { IpamConfig } from "../../src/control/types.js";

const ipam = suite("ipam");

function spaceWith(...configs: IpamConfig[]): AddressSpace {
	const space = new AddressSpace();
	for (const config of configs) space.addPool("id1", config, "net1");
	return space;
}

function take(space: AddressSpace, count: number, family: Family = 4, networkId = "id1"): string[] {
	return Array.from({ length: count }, () => space.allocate(networkId, { family }).address);
}

function refuses(fn: () => unknown, kind: ErrorKind, message: string | RegExp): void {
	assert.throws(fn, (error: unknown) => {
		if (!(error instanceof VlaneError)) return false;
		assert.is(error.kind, kind);
		if (typeof message === "string") assert.is(error.message, message);
		else assert.match(error.message, message);
		return true;
	});
}

// Subnet, what is configured, first addresses handed out, addresses in all (undefined: too many to count).
const FIRST: [string, Partial<IpamConfig>, string[], number?][] = [
	["172.16.86.0/24", { gateway: "172.16.86.1" }, ["172.16.86.2", "172.16.86.3"], 253],
	["172.16.86.0/24", {}, ["172.16.86.1", "172.16.86.2"], 254],
	[
		"192.168.32.0/24",
		{ ipRange: "192.168.32.128/25", gateway: "192.168.32.254" },
		["192.168.32.128", "192.168.32.129"],
		126,
	],
	["192.168.32.0/24", { ipRange: "192.168.32.0/25" }, ["192.168.32.1"], 127],
	["10.0.0.0/30", {}, ["10.0.0.1", "10.0.0.2"], 2],
	["10.0.0.0/31", {}, ["10.0.0.0", "10.0.0.1"], 2],
	["10.0.0.7/32", {}, ["10.0.0.7"], 1],
	["10.0.0.0/29", { gateway: "10.0.0.2", auxAddresses: { a: "10.0.0.1", b: "10.0.0.6" } }, ["10.0.0.3"], 3],
	["2001:db8:abc8::/64", { gateway: "2001:db8:abc8::10" }, ["2001:db8:abc8::1", "2001:db8:abc8::2"]],
	["2001:db8::/126", {}, ["2001:db8::1", "2001:db8::2", "2001:db8::3"], 3],
	["2001:db8::/127", {}, ["2001:db8::", "2001:db8::1"], 2],
	["2001:db8::5/128", {}, ["2001:db8::5"], 1],
	["2001:db8::/64", { ipRange: "2001:db8::8000/113" }, ["2001:db8::8000"]],
];
for (const [subnet, config, first, count] of FIRST) {
	ipam(`hands out ${first.join(", ")} of ${subnet} ${JSON.stringify(config)}`, () => {
		const family = subnet.includes(":") ? 6 : 4;
		const space = spaceWith({ subnet, ...config });
		assert.equal(take(space, first.length, family), first);
		if (count === undefined) return;
		take(space, count - first.length, family);
		refuses(
			() => space.allocate("id1", { family }),
			"unavailable",
			`no available IPv${family} addresses on this network's address pools: net1 (id1)`,
		);
	});
}

ipam("answers prefix length and configuration with the address", () => {
	const config = { subnet: "172.16.86.0/24", gateway: "172.16.86.1" };
	const space = spaceWith(config);
	assert.equal(space.allocate("id1", { family: 4 }), { address: "172.16.86.2", prefixLength: 24, pool: config });
});

ipam("skips the IPv6 gateway in its turn", () => {
	const space = spaceWith({ subnet: "2001:db8:abc8::/64", gateway: "2001:db8:abc8::2" });
	assert.equal(take(space, 2, 6), ["2001:db8:abc8::1", "2001:db8:abc8::3"]);
});

ipam("never hands out an auxiliary address, even as the last one", () => {
	const space = spaceWith({
		subnet: "172.16.86.0/24",
		gateway: "172.16.86.1",
		auxAddresses: { exclude_host: "172.16.86.250" },
	});
	assert.not.ok(take(space, 252).includes("172.16.86.250"));
	refuses(() => space.allocate("id1", { family: 4 }), "unavailable", /no available IPv4 addresses/);
	refuses(
		() => space.allocate("id1", { family: 4, requested: "172.16.86.250" }),
		"conflict",
		"Address already in use: 172.16.86.250",
	);
});

ipam("reuses a released address at once, lowest first", () => {
	const space = spaceWith({ subnet: "10.0.0.0/24" });
	take(space, 5);
	assert.ok(space.release("id1", "10.0.0.4"));
	assert.ok(space.release("id1", "10.0.0.2"));
	assert.equal(take(space, 3), ["10.0.0.2", "10.0.0.4", "10.0.0.6"]);
});

ipam("releases only what the network's endpoints hold", () => {
	const space = spaceWith({ subnet: "10.0.0.0/24", gateway: "10.0.0.1", ipRange: "10.0.0.0/25" });
	space.addPool("id2", { subnet: "10.0.0.0/24", ipRange: "10.0.0.128/25" }, "net2");
	take(space, 1);
	for (const [networkId, address] of [
		["id1", "10.0.0.0"],
		["id1", "10.0.0.1"],
		["id1", "10.0.0.3"],
		["id2", "10.0.0.2"],
		["id3", "10.0.0.2"],
		["id1", "192.168.0.1"],
		["id1", "2001:db8::1"],
	] as const) {
		assert.is(space.release(networkId, address), false, `${networkId} ${address}`);
	}
	assert.is(space.release("id1", "10.0.0.2"), true);
	assert.is(space.release("id1", "10.0.0.2"), false);
});

ipam("gives requested addresses outside the ip-range", () => {
	const space = spaceWith({ subnet: "192.168.32.0/24", ipRange: "192.168.32.128/25" });
	assert.is(space.allocate("id1", { family: 4, requested: "192.168.32.5" }).address, "192.168.32.5");
	assert.is(space.allocate("id1", { family: 4, requested: "192.168.32.129" }).address, "192.168.32.129");
	assert.equal(take(space, 2), ["192.168.32.128", "192.168.32.130"]);
});

for (const [requested, kind, message] of [
	["10.0.0.0", "conflict", "Address already in use: 10.0.0.0"],
	["10.0.0.255", "conflict", "Address already in use: 10.0.0.255"],
	["10.0.0.1", "conflict", "Address already in use: 10.0.0.1"],
	["10.0.0.2", "conflict", "Address already in use: 10.0.0.2"],
	["10.0.1.1", "invalid", "requested address is out of range: 10.0.1.1"],
	["2001:db8::1", "invalid", "requested address is out of range: 2001:db8::1"],
	["nonsense", "invalid", "requested address is out of range: nonsense"],
] as const) {
	ipam(`refuses the request for ${requested}`, () => {
		const space = spaceWith({ subnet: "10.0.0.0/24", gateway: "10.0.0.1" }, { subnet: "2001:db8::/64" });
		space.allocate("id1", { family: 4, requested: "10.0.0.2" });
		refuses(() => space.allocate("id1", { family: 4, requested }), kind, message);
	});
}

ipam("tries several subnets in order, and lets the address choose", () => {
	const low = { subnet: "192.168.210.0/30", gateway: "192.168.210.1" };
	const high = { subnet: "192.168.200.0/30", gateway: "192.168.200.2" };
	const space = spaceWith(low, high, { subnet: "2001:db8::/64" });
	assert.equal(take(space, 1), ["192.168.210.2"]);
	assert.equal(space.allocate("id1", { family: 4 }), { address: "192.168.200.1", prefixLength: 30, pool: high });
	refuses(() => space.allocate("id1", { family: 4 }), "unavailable", /no available IPv4 .*: net1 \(id1\)$/);
	space.release("id1", "192.168.210.2");
	assert.is(space.allocate("id1", { family: 4, requested: "192.168.210.2" }).pool, low);
	assert.is(space.allocate("id1", { family: 6 }).address, "2001:db8::1");
});

ipam("says that a network without the family has no addresses of it", () => {
	const space = spaceWith({ subnet: "10.0.0.0/24" });
	const message = "no available IPv6 addresses on this network's address pools: net1 (id1)";
	refuses(() => space.allocate("id1", { family: 6 }), "unavailable", message);
});

const OVERLAP = /^invalid pool request: Pool overlaps with other one on this address space: /;
for (const [first, second, isAllowed] of [
	[{ subnet: "10.0.0.0/24" }, { subnet: "10.0.1.0/24" }, true],
	[{ subnet: "10.0.0.0/24" }, { subnet: "10.0.0.0/24" }, false],
	[{ subnet: "10.0.0.0/24", ipRange: "10.0.0.0/25" }, { subnet: "10.0.0.0/24" }, false],
	[{ subnet: "10.0.0.0/24" }, { subnet: "10.0.0.0/24", ipRange: "10.0.0.128/25" }, true],
	[{ subnet: "10.0.0.0/24" }, { subnet: "10.0.0.0/24", ipRange: "10.0.0.0/24" }, false],
	[{ subnet: "10.0.0.0/24", ipRange: "10.0.0.0/25" }, { subnet: "10.0.0.0/24", ipRange: "10.0.0.0/25" }, false],
	[{ subnet: "10.0.0.0/24", ipRange: "10.0.0.0/25" }, { subnet: "10.0.0.0/24", ipRange: "10.0.0.0/26" }, true],
	[{ subnet: "10.0.0.0/8", ipRange: "10.9.0.0/16" }, { subnet: "10.1.0.0/16", ipRange: "10.1.1.0/24" }, false],
	[{ subnet: "10.1.0.0/16" }, { subnet: "10.0.0.0/8", ipRange: "10.9.0.0/16" }, false],
	[{ subnet: "2001:db8::/64" }, { subnet: "2001:db8::/48" }, false],
	[{ subnet: "2001:db8::/64" }, { subnet: "2001:db8:0:1::/64" }, true],
] as [IpamConfig, IpamConfig, boolean][]) {
	ipam(`${isAllowed ? "allows" : "refuses"} ${JSON.stringify(second)} beside ${JSON.stringify(first)}`, () => {
		const space = spaceWith(first);
		const add = () => space.addPool("id2", second, "net2");
		if (isAllowed) add();
		else {
			refuses(add, "conflict", OVERLAP);
			assert.equal(space.usage("id2"), []);
			space.removeNetwork("id1");
			add();
		}
		// In a space of its own anything goes.
		new AddressSpace().addPool("id2", second, "net2");
	});
}

ipam("names the network that has the overlapping subnet", () => {
	const space = spaceWith({ subnet: "10.0.0.0/8" });
	refuses(
		() => space.addPool("id2", { subnet: "10.1.0.0/16" }, "net2"),
		"conflict",
		"invalid pool request: Pool overlaps with other one on this address space: 10.1.0.0/16, " +
			"network net1 has 10.0.0.0/8; " +
			"use the same subnet with an --ip-range, or another subnet",
	);
});

ipam("refuses the same subnet twice in one network", () => {
	const space = spaceWith({ subnet: "10.0.0.0/24" });
	refuses(() => space.addPool("id1", { subnet: "10.0.0.0/24", ipRange: "10.0.0.0/25" }, "net1"), "conflict", OVERLAP);
});

ipam("shares one pool between networks with the same subnet, and their router", () => {
	const space = spaceWith({ subnet: "10.0.0.0/24", ipRange: "10.0.0.0/29", gateway: "10.0.0.1" });
	const second = {
		subnet: "10.0.0.0/24",
		ipRange: "10.0.0.0/28",
		gateway: "10.0.0.1",
		auxAddresses: { x: "10.0.0.3" },
	};
	space.addPool("id2", second, "net2");
	assert.equal(take(space, 2), ["10.0.0.2", "10.0.0.4"]);
	assert.equal(take(space, 2, 4, "id2"), ["10.0.0.5", "10.0.0.6"]);
	refuses(() => space.allocate("id2", { family: 4, requested: "10.0.0.2" }), "conflict", /^Address already in use/);
	assert.equal(space.usage("id1"), [{ subnet: "10.0.0.0/24", size: 256n, inUse: 8n, available: 1n }]);
	assert.equal(space.usage("id2"), [{ subnet: "10.0.0.0/24", size: 256n, inUse: 8n, available: 9n }]);

	space.removeNetwork("id2");
	assert.equal(take(space, 3), ["10.0.0.3", "10.0.0.5", "10.0.0.6"]);
	refuses(() => space.allocate("id1", { family: 4, requested: "10.0.0.1" }), "conflict", /^Address already in use/);
	space.removeNetwork("id1");
	space.addPool("id3", { subnet: "10.0.0.0/24" }, "net3");
	assert.equal(take(space, 1, 4, "id3"), ["10.0.0.1"]);
});

for (const [config, message] of [
	[{ gateway: "10.0.0.0" }, "failed to allocate gateway (10.0.0.0): Address already in use"],
	[{ gateway: "10.0.0.255" }, "failed to allocate gateway (10.0.0.255): Address already in use"],
	[{ gateway: "10.0.0.9" }, "failed to allocate gateway (10.0.0.9): Address already in use"],
	[
		{ auxAddresses: { a: "10.0.0.255" } },
		"failed to allocate secondary ip address (a:10.0.0.255): Address already in use",
	],
	[
		{ gateway: "10.0.0.1", auxAddresses: { a: "10.0.0.1" } },
		"failed to allocate secondary ip address (a:10.0.0.1): Address already in use",
	],
	[
		{ auxAddresses: { a: "10.0.0.5", b: "10.0.0.5" } },
		"failed to allocate secondary ip address (b:10.0.0.5): Address already in use",
	],
] as const) {
	ipam(`refuses to reserve ${JSON.stringify(config)} and changes nothing`, () => {
		const space = spaceWith({ subnet: "10.0.0.0/24", ipRange: "10.0.0.0/26" });
		space.allocate("id1", { family: 4, requested: "10.0.0.9" });
		const add = () => space.addPool("id2", { subnet: "10.0.0.0/24", ipRange: "10.0.0.128/25", ...config }, "net2");
		refuses(add, "conflict", message);
		assert.equal(space.usage("id2"), []);
		assert.equal(take(space, 5), ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]);
	});
}

ipam("counts per subnet what is in use, and what is left", () => {
	const space = spaceWith({ subnet: "10.0.0.0/24", gateway: "10.0.0.1" }, { subnet: "2001:db8::/64" });
	take(space, 3);
	take(space, 1, 6);
	space.release("id1", "10.0.0.3");
	assert.equal(space.usage("id1"), [
		{ subnet: "10.0.0.0/24", size: 256n, inUse: 5n, available: 251n },
		{ subnet: "2001:db8::/64", size: 1n << 64n, inUse: 2n, available: (1n << 64n) - 2n },
	]);
	space.removeNetwork("id1");
	space.removeNetwork("id1");
	assert.equal(space.usage("id1"), []);
});

ipam("serial allocation goes on behind the last address, and comes round", () => {
	const space = new AddressSpace();
	space.addPool("id1", { subnet: "10.0.0.0/29", gateway: "10.0.0.1" }, "net1", { serial: true });
	assert.equal(take(space, 2), ["10.0.0.2", "10.0.0.3"]);
	space.release("id1", "10.0.0.2");
	assert.equal(take(space, 3), ["10.0.0.4", "10.0.0.5", "10.0.0.6"]);
	assert.equal(take(space, 1), ["10.0.0.2"]);
	refuses(() => take(space, 1), "unavailable", /^no available IPv4 addresses/);
});

ipam("fills a /16 to the last address, each once", () => {
	const space = spaceWith({ subnet: "10.1.0.0/16" });
	const addresses = take(space, 65534);
	assert.is(new Set(addresses).size, 65534);
	assert.is(addresses.at(-1), "10.1.255.254");
	refuses(() => space.allocate("id1", { family: 4 }), "unavailable", /no available/);
	// Every other address free: the most runs that a /16 can have.
	for (let index = 0; index < addresses.length; index += 2) space.release("id1", addresses[index] ?? "");
	assert.equal(take(space, 3), ["10.1.0.1", "10.1.0.3", "10.1.0.5"]);
});

ipam("address set behaves as a set", () => {
	const value = fc.integer({ min: 0, max: 40 });
	const operation = fc.tuple(fc.constantFrom("add", "delete"), value);
	fc.assert(
		fc.property(fc.array(operation, { maxLength: 200 }), value, value, (operations, first, last) => {
			const runs = new AddressSet();
			const model = new Set<number>();
			for (const [verb, number] of operations) {
				const isChanged = verb === "add" ? !model.has(number) : model.has(number);
				if (verb === "add") model.add(number);
				else model.delete(number);
				assert.is(verb === "add" ? runs.add(BigInt(number)) : runs.delete(BigInt(number)), isChanged);
			}
			for (let number = 0; number <= 41; number++) assert.is(runs.has(BigInt(number)), model.has(number));
			let free: number | undefined = first;
			while (model.has(free)) free++;
			assert.is(runs.lowestFree(BigInt(first), BigInt(last)), free <= last ? BigInt(free) : undefined);
		}),
	);
});

ipam("never hands out an address twice, whatever happens", () => {
	const step = fc.record({
		networkId: fc.constantFrom("id1", "id2"),
		release: fc.boolean(),
		requested: fc.option(fc.integer({ min: 0, max: 31 }), { nil: undefined }),
	});
	fc.assert(
		fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
			const space = spaceWith({ subnet: "10.0.0.0/27", gateway: "10.0.0.1", ipRange: "10.0.0.0/28" });
			space.addPool("id2", { subnet: "10.0.0.0/27", ipRange: "10.0.0.8/29", auxAddresses: { a: "10.0.0.9" } }, "net2");
			const held = new Map<string, string>();
			for (const { networkId, release, requested } of steps) {
				const address = requested === undefined ? undefined : `10.0.0.${requested}`;
				if (release) {
					const isHeld = address !== undefined && held.get(address) === networkId;
					assert.is(space.release(networkId, address ?? "10.0.0.31"), isHeld);
					if (isHeld) held.delete(address);
					continue;
				}
				try {
					const given = space.allocate(networkId, { family: 4, requested: address }).address;
					assert.not.ok(held.has(given), given);
					assert.not.ok(["10.0.0.0", "10.0.0.1", "10.0.0.9", "10.0.0.31"].includes(given), given);
					held.set(given, networkId);
				} catch (error) {
					if (!(error instanceof VlaneError)) throw error;
				}
			}
		}),
	);
});

ipam.run();
