/**
 * Who has which IP address, and which sources are allowed: the tables behind ipvlan and source mode, seen from outside,
 * by where frames go. Debug and release build alike.
 */
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import {
	CORE_DEBUG,
	CORE_RELEASE,
	compileCore,
	createMemory,
	Engine,
	ipNumbers,
	macNumbers,
} from "../../src/core/engine.js";
import { arp, ipv4, ipv6, type PacketBytes, solicitation } from "../model/packets.js";
import { BROADCAST, makeFrame } from "../support/frames.js";

const LIMITS = { portsMax: 16, segmentsMax: 16, tablesMax: 6, fdbCapacity: 64, slotsMax: 16 };
/** As assembly/index.ts lays it out: 8 for each port, half can be filled, half of that by learning. */
const IPS_MAX = (LIMITS.portsMax * 8) / 2;
const LEARNED_TOTAL_MAX = IPS_MAX / 2;
const NETWORK = 1;
const SHARED = "02:00:00:00:01:00";
const ROUTER = "02:00:00:00:00:77";
const ROUTER_V4 = "10.0.0.254";

/** One parent without VLANs; whatever else it has is added by the test. */
class Site {
	readonly core;
	readonly uplink: number;
	readonly segment: number;

	constructor(readonly engine: Engine) {
		this.core = engine.core;
		this.uplink = this.core.portAdd(abi.KIND_UPLINK, 0, 0, 0, 2, 0, 1500);
		this.segment = this.core.segmentAdd(this.uplink, 0, 0);
	}

	endpoint(mac = SHARED, mode = abi.MODE_IPVLAN, network = NETWORK, segment = this.segment): number {
		const { low, high } = macNumbers(mac);
		const port = this.core.portAdd(abi.KIND_ENDPOINT, mode, segment, network, low, high, 1500);
		assert.ok(port > 0);
		return port;
	}

	remove(port: number): void {
		this.core.portClose(port);
		assert.is(this.core.portFree(port), 1);
	}

	assign(port: number, address: string, segment = this.segment): boolean {
		const [a, b, c, d] = ipNumbers(address);
		return this.core.ipAdd(segment, a, b, c, d, port) === 1;
	}

	allow(mac: string, network = NETWORK, segment = this.segment): boolean {
		const { low, high } = macNumbers(mac);
		return this.core.sourceAdd(segment, network, low, high) === 1;
	}

	disallow(mac: string, segment = this.segment): boolean {
		const { low, high } = macNumbers(mac);
		return this.core.sourceRemove(segment, low, high) === 1;
	}

	/** Ports that a frame leaves on. */
	send(port: number, dst: string, src: string, packet: PacketBytes = ipv4(ROUTER_V4, "10.0.0.1")): number[] {
		const payload = Uint8Array.from(packet.bytes);
		const frame = makeFrame({ dst, src, ethertype: packet.ethertype, payload });
		const bytes = Uint8Array.from([...new Uint8Array(abi.VNET_BYTES), ...frame]);
		return this.engine
			.forward([{ port, bytes }])
			.map((out) => out.port)
			.sort((a, b) => a - b);
	}

	/** Lets an endpoint send an ARP request, an IPv4 or an IPv6 packet from an address. */
	use(port: number, address: string): void {
		const packet = address.includes(":") ? ipv6(address, "2001:db8::fe") : ipv4(address, ROUTER_V4);
		assert.equal(this.send(port, ROUTER, SHARED, packet), [this.uplink]);
	}

	/** Who has an address, asked from the wire; undefined: nobody. */
	owner(address: string, uplink = this.uplink): number | undefined {
		const packet = address.includes(":") ? ipv6("2001:db8::fe", address) : ipv4(ROUTER_V4, address);
		const targets = this.send(uplink, SHARED, ROUTER, packet);
		assert.ok(targets.length <= 1);
		return targets[0];
	}
}

/** Addresses without any order: those in a row do not even collide in the table. */
function nth(n: number): string {
	const bits = Math.imul(n + 1, 0x9e3779b1) >>> 8;
	return `10.${bits >> 16}.${(bits >> 8) & 0xff}.${bits & 0xff}`;
}

for (const [name, file] of [
	["debug", CORE_DEBUG],
	["release", CORE_RELEASE],
] as const) {
	const module = compileCore(file);
	const fresh = () => new Site(new Engine(module, createMemory(module, LIMITS), LIMITS));
	const test = suite(`core addresses (${name})`);

	test("an address is assigned once in a segment, and in every segment anew", () => {
		const site = fresh();
		const other = site.core.portAdd(abi.KIND_UPLINK, 0, 0, 0, 2, 0, 1500);
		const segment = site.core.segmentAdd(other, 0, 0);
		const [a, b, c] = [site.endpoint(), site.endpoint(), site.endpoint(SHARED, abi.MODE_IPVLAN, NETWORK, segment)];
		for (const address of ["10.0.0.1", "2001:db8::1"]) {
			assert.is(site.assign(a, address), true);
			assert.is(site.assign(b, address), false);
			assert.is(site.assign(a, address), false);
			assert.is(site.assign(c, address, segment), true);
			assert.is(site.owner(address), a);
			assert.is(site.owner(address, other), c);
		}
	});

	test("addresses go with their port and no others do, whatever the order, in two segments", () => {
		const address = fc.nat({ max: 30 });
		const step = fc.record({ port: fc.nat({ max: 7 }), address, isRemoval: fc.boolean() });
		fc.assert(
			fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
				const site = fresh();
				const uplinks = [site.uplink, site.core.portAdd(abi.KIND_UPLINK, 0, 0, 0, 2, 0, 1500)];
				const segments = [site.segment, site.core.segmentAdd(uplinks[1]!, 0, 0)];
				const segmentOf = (index: number) => segments[index % 2]!;
				const endpoint = (index: number) => site.endpoint(SHARED, abi.MODE_IPVLAN, NETWORK, segmentOf(index));
				const ports = [0, 1, 2, 3, 4, 5, 6, 7].map(endpoint);
				const owners = new Map<string, number>();
				for (const { port: index, address: n, isRemoval } of steps) {
					const port = ports[index]!;
					const key = `${index % 2} ${n}`;
					if (isRemoval && n % 10 === 0) {
						site.remove(port);
						for (const [known, owner] of owners) if (owner === port) owners.delete(known);
						assert.is(endpoint(index), port, "the number is used again, without what it had");
					} else {
						assert.is(site.assign(port, nth(n), segmentOf(index)), !owners.has(key));
						if (!owners.has(key)) owners.set(key, port);
					}
				}
				for (let n = 0; n <= 30; n++) {
					for (const i of [0, 1]) assert.is(site.owner(nth(n), uplinks[i]), owners.get(`${i} ${n}`));
				}
			}),
			{ numRuns: 60 },
		);
	});

	test("the database fills up to its half, and has room again when a port goes", () => {
		const site = fresh();
		const [a, b] = [site.endpoint(), site.endpoint()];
		let count = 0;
		while (site.assign(count % 2 ? b : a, nth(count))) count++;
		assert.is(count, IPS_MAX);
		for (let n = 0; n < count; n++) assert.is(site.owner(nth(n)), n % 2 ? b : a);
		site.remove(a);
		for (let n = 0; n < count; n++) assert.is(site.owner(nth(n)), n % 2 ? b : undefined);
		assert.is(site.assign(b, nth(count)), true);
	});

	test("an address is learned from its first user: IPv4, ARP, IPv6, solicitations", () => {
		const site = fresh();
		const [a, b] = [site.endpoint(), site.endpoint()];
		site.use(a, "10.0.0.1");
		site.use(b, "10.0.0.1");
		assert.is(site.owner("10.0.0.1"), a);
		site.send(b, BROADCAST, SHARED, arp("10.0.0.2", "10.0.0.9"));
		assert.is(site.owner("10.0.0.2"), b);
		assert.is(site.owner("10.0.0.9"), undefined, "the target is somebody else's");
		site.use(a, "fe80::1");
		assert.is(site.owner("fe80::1"), a);
		site.send(b, "33:33:ff:00:00:01", SHARED, solicitation("fe80::2", "fe80::9"));
		assert.is(site.owner("fe80::2"), b);
		assert.is(site.owner("fe80::9"), undefined, "so is what a solicitation asks for");
		site.use(b, "::e000:1");
		assert.is(site.owner("::e000:1"), b, "looks like a multicast address of IPv4, and is none");
	});

	test("nobody gets an address that is nobody's own", () => {
		const site = fresh();
		const port = site.endpoint();
		const addresses = ["0.0.0.0", "224.0.0.251", "240.0.0.1", "255.255.255.255", "::", "ff02::fb", "ff00::"];
		for (const address of addresses) site.use(port, address);
		site.send(port, BROADCAST, SHARED, arp("0.0.0.0", "10.0.0.1"));
		site.send(port, "33:33:ff:00:00:01", SHARED, solicitation("::", "fe80::1"));
		assert.is(site.engine.header(abi.HEADER_IPS_COUNT), 0, "no trace of a probe either");
		site.use(port, "223.255.255.255");
		assert.is(site.engine.header(abi.HEADER_IPS_COUNT), 1);
	});

	test("frames too short for their header say nothing", () => {
		const site = fresh();
		const port = site.endpoint();
		const packets = [ipv4("10.0.0.1", ROUTER_V4), arp("10.0.0.2", ROUTER_V4), ipv6("fe80::1", "fe80::fe")];
		const headerBytes = [20, 28, 40];
		packets.forEach(({ ethertype, bytes }, i) => {
			site.send(port, ROUTER, SHARED, { ethertype, bytes: bytes.slice(0, headerBytes[i]! - 1) });
			assert.is(site.engine.header(abi.HEADER_IPS_COUNT), i, "one byte is missing");
			site.send(port, ROUTER, SHARED, { ethertype, bytes: bytes.slice(0, headerBytes[i]) });
			assert.is(site.engine.header(abi.HEADER_IPS_COUNT), i + 1);
		});
		site.use(port, "fe80::100");
		const { ethertype, bytes } = solicitation("fe80::fe", "fe80::100");
		const short = { ethertype, bytes: bytes.slice(0, 63) };
		assert.equal(site.send(site.uplink, SHARED, ROUTER, short), [], "the last byte is missing, not 0");
		assert.equal(site.send(site.uplink, SHARED, ROUTER, { ethertype, bytes }), [port]);
	});

	test("a frame whose source is not the shared MAC is dropped, and nothing is learned from it", () => {
		const site = fresh();
		const port = site.endpoint();
		assert.equal(site.send(port, BROADCAST, ROUTER, arp("10.0.0.1", ROUTER_V4)), []);
		assert.is(site.engine.header(abi.HEADER_IPS_COUNT), 0);
	});

	test("an assigned address is taken from whoever used it, and never by use", () => {
		const site = fresh();
		const [a, b] = [site.endpoint(), site.endpoint()];
		site.use(a, "10.0.0.1");
		assert.is(site.assign(b, "10.0.0.1"), true);
		site.use(a, "10.0.0.1");
		assert.is(site.owner("10.0.0.1"), b);
		site.remove(a);
		assert.is(site.owner("10.0.0.1"), b, "it does not go with the one that lost it");
		site.remove(b);
		assert.is(site.owner("10.0.0.1"), undefined);
	});

	test("an endpoint learns 16 addresses, its successor 16 new ones", () => {
		const site = fresh();
		const port = site.endpoint();
		const known = () =>
			Array.from({ length: 40 }, (_, n) => site.owner(nth(n))).filter((owner) => owner === port).length;
		for (let n = 0; n < 20; n++) site.use(port, nth(n));
		assert.is(known(), abi.IP_LEARNED_MAX);
		for (let n = 0; n < 16; n++) site.use(port, nth(n));
		assert.is(known(), abi.IP_LEARNED_MAX, "use of a known one changes nothing");
		assert.is(site.assign(port, nth(39)), true, "assigned ones do not count");
		assert.is(known(), abi.IP_LEARNED_MAX + 1);
		site.remove(port);
		assert.is(known(), 0);
		assert.is(site.endpoint(), port);
		for (let n = 20; n < 40; n++) site.use(port, nth(n));
		assert.is(known(), abi.IP_LEARNED_MAX);
	});

	test("endpoints that invent addresses leave room for assigned ones", () => {
		const site = fresh();
		const ports = Array.from({ length: 6 }, () => site.endpoint());
		ports.forEach((port, i) => {
			for (let n = 0; n < 16; n++) site.use(port, nth(16 * i + n));
		});
		assert.is(site.engine.header(abi.HEADER_IPS_COUNT), LEARNED_TOTAL_MAX);
		for (let n = 0; n < LIMITS.portsMax * 2; n++) assert.is(site.assign(ports[0]!, `10.2.0.${n}`), true);
	});

	test("a source is allowed to one network of a segment, until it is taken back", () => {
		const site = fresh();
		const segment = site.core.segmentAdd(site.uplink, abi.TPID_CTAG * 0x10000 + 50, 0);
		const first = site.endpoint("02:00:00:00:00:01", abi.MODE_SOURCE, 1);
		const twin = site.endpoint("02:00:00:00:00:02", abi.MODE_SOURCE, 1);
		const second = site.endpoint("02:00:00:00:00:03", abi.MODE_SOURCE, 2);
		const heard = (dst: string) => site.send(site.uplink, dst, ROUTER);
		assert.equal(heard(BROADCAST), [], "closed until something is allowed");
		assert.equal(heard("02:00:00:00:00:01"), [], "also to its own MAC");
		assert.is(site.allow(ROUTER, 1), true);
		assert.is(site.allow(ROUTER, 1), false);
		assert.is(site.allow(ROUTER, 2), false);
		assert.is(site.allow(ROUTER, 2, segment), true, "another VLAN is another matter");
		for (const dst of [BROADCAST, "02:00:00:00:00:03", "02:00:00:00:00:55"]) assert.equal(heard(dst), [first, twin]);
		assert.is(site.disallow(ROUTER), true);
		assert.is(site.disallow(ROUTER), false);
		assert.equal(heard(BROADCAST), []);
		assert.is(site.allow(ROUTER, 2), true);
		assert.equal(heard("02:00:00:00:00:01"), [second]);
	});

	test("an allowed source and a station of the same address do not mix", () => {
		const site = fresh();
		const listener = site.endpoint("02:00:00:00:00:01", abi.MODE_SOURCE, 1);
		const station = site.endpoint("02:00:00:00:00:02", abi.MODE_BRIDGE, 2);
		assert.is(site.allow("02:00:00:00:00:02", 1), true);
		assert.equal(site.send(site.uplink, "02:00:00:00:00:02", "02:00:00:00:00:02"), [listener, station]);
		site.remove(station);
		assert.equal(site.send(site.uplink, BROADCAST, "02:00:00:00:00:02"), [listener]);
		assert.is(site.disallow("02:00:00:00:00:02"), true);
		const { low, high } = macNumbers("02:00:00:00:00:01");
		assert.is(site.core.stationPort(site.segment, low, high), listener);
	});

	test("a listener that may hear its own address hears a group frame once", () => {
		const site = fresh();
		const own = "02:00:00:00:00:01";
		const listener = site.endpoint(own, abi.MODE_SOURCE, 1);
		assert.equal(site.send(site.uplink, BROADCAST, own), [listener], "its echo, as the kernel does");
		assert.is(site.allow(own, 1), true);
		assert.equal(site.send(site.uplink, BROADCAST, own), [listener]);
	});

	test.run();
}
