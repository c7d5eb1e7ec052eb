/**
 * Random switches, frames and changes for comparing the core with the model. Few values on purpose: that is how frames
 * meet ports, and addresses their owners.
 */
import fc from "fast-check";
import * as abi from "../../assembly/abi.js";
import type { ForwardingMode, PortSecurity } from "../../src/host/types.js";
import { BROADCAST, macBytes, type Tag, tagBytes } from "../support/frames.js";
import { arp, ipv4, ipv6, type PacketBytes } from "./packets.js";
import type { Offload } from "./switch.js";

export const PARENT_MAC = "02:00:00:00:00:99";
/** In a frame: the address of the port that it arrives on; when it is aimed at a segment: of a station there. */
const OWN = "own";
const STATIONS = [1, 2, 3, 4, 5].map((n) => `02:00:00:00:00:0${n}`);
const SHARED_MACS = ["02:00:00:00:01:00", "02:00:00:00:01:00", "02:00:00:00:01:00", STATIONS[0]!];
const GROUPS = [BROADCAST, "01:00:5e:00:00:01", "33:33:00:00:00:01", "01:80:c2:00:00:01"];
const ODD_SOURCES = ["00:00:00:00:00:00", BROADCAST, "03:00:00:00:00:01"];
const MACVLAN_MODES: ForwardingMode[] = ["bridge", "private", "vepa", "passthru", "source"];
const IPVLAN_MODES: ForwardingMode[] = ["ipvlan-bridge", "ipvlan-private", "ipvlan-vepa"];
const HOSTS_V4 = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "223.255.255.255"];
const HOSTS_V6 = ["fe80::1", "2001:db8::2", "2001:db8::3", "::e000:1"];
/** As they follow from the MAC addresses of STATIONS. */
const LINK_LOCALS = ["fe80::ff:fe00:1", "fe80::ff:fe00:2", "fe80::ff:fe00:3"];
const NOBODY_V4 = ["0.0.0.0", "224.0.0.1", "255.255.255.255"];
const NOBODY_V6 = ["::", "ff02::1", "ff02::1:ff00:2"];

// ---- Switches.

const tpid = fc.oneof(
	{ weight: 3, arbitrary: fc.constant(abi.TPID_CTAG) },
	{ weight: 1, arbitrary: fc.constant(abi.TPID_STAG) },
);
const knownVid = fc.oneof(
	{ weight: 6, arbitrary: fc.constantFrom(50, 60) },
	{ weight: 1, arbitrary: fc.constantFrom(1, abi.VID_MAX) },
);
const tag = fc.record({ tpid, vid: knownVid });
const mtu = fc.constantFrom(68, 100, 576, 1500, 1500, 1500, 1500, 1500, 1500);
const segmentSpec = fc.record({ uplink: fc.constantFrom(0, 1, 1, 1, 2), tags: fc.array(tag, { maxLength: 2 }) });
/** `segment` counts through those that there are. A network is one of macvlan (1, 2) or of ipvlan (3, 4). */
const place = { segment: fc.nat(), mtuBytes: mtu };

function endpointSpec(modes: ForwardingMode[]) {
	const kind = fc.constant("endpoint" as const);
	const isIpvlan = (mode: ForwardingMode): boolean => IPVLAN_MODES.includes(mode);
	return fc.constantFrom(...modes).chain((mode) =>
		fc.record({
			...place,
			kind,
			mode: fc.constant(mode),
			security: fc.constantFrom<PortSecurity>("none", "none", "mac", "mac,ip"),
			network: isIpvlan(mode) ? fc.constantFrom(3, 3, 3, 4) : fc.constantFrom(1, 1, 1, 2),
			mac: fc.constantFrom(...(isIpvlan(mode) ? SHARED_MACS : STATIONS)),
		}),
	);
}

const hostSpec = fc.record({
	...place,
	security: fc.constant("none" as const),
	kind: fc.constant("host" as const),
	mode: fc.constant("bridge" as const),
	network: fc.constant(0),
	mac: fc.constantFrom(...STATIONS),
});

// ---- Packets: what ipvlan looks into.

const addressV4 = fc.oneof(
	{ weight: 6, arbitrary: fc.constantFrom(...HOSTS_V4) },
	{ weight: 1, arbitrary: fc.constantFrom(...NOBODY_V4) },
);
const addressV6 = fc.oneof(
	{ weight: 6, arbitrary: fc.constantFrom(...HOSTS_V6) },
	{ weight: 2, arbitrary: fc.constantFrom(...LINK_LOCALS) },
	{ weight: 1, arbitrary: fc.constantFrom(...NOBODY_V6) },
	{ weight: 1, arbitrary: fc.constant("::") },
);
const ports = fc.option(fc.constantFrom<[number, number]>([68, 67], [68, 67], [67, 68], [1000, 53]), {
	nil: undefined,
});
const packetV4 = fc.tuple(addressV4, addressV4, ports).map((parts) => ipv4(...parts));
const packetArp = fc.tuple(addressV4, addressV4).map((addresses) => arp(...addresses));
const packetV6 = fc
	.record({
		source: addressV6,
		destination: addressV6,
		nextHeader: fc.constantFrom(58, 58, 58, 58, 58, 17, 0),
		icmpType: fc.constantFrom(135, 135, 135, 136, 136, 128, 131, 133, 134, 137, 143),
		target: addressV6,
		extensions: fc.oneof(
			{ weight: 6, arbitrary: fc.constant<number[]>([]) },
			{ weight: 1, arbitrary: fc.array(fc.constantFrom<number>(0, 43, 44, 60), { maxLength: 9 }) },
		),
		option: fc.constantFrom(undefined, 1, 2, 3),
	})
	.map(({ source, destination, ...rest }) => ipv6(source, destination, rest));
const packetOther = fc
	.constantFrom(0x0800, 0x0806, 0x86dd, abi.ETHERTYPE_PAUSE, abi.ETHERTYPE_PAUSE, 0x88b5, 0x0026)
	.map((ethertype): PacketBytes => ({ ethertype, bytes: [] }));

// ---- Frames.

const noOffload: Offload = { flags: 0, gsoType: 0, headerBytes: 0, gsoSize: 0, csumStart: 0, csumOffset: 0 };
const goodChecksum: Offload = { ...noOffload, flags: 1, csumStart: 34, csumOffset: 16 };
const offload = fc.oneof(
	{ weight: 12, arbitrary: fc.constant(noOffload) },
	{ weight: 3, arbitrary: fc.constant(goodChecksum) },
	{
		weight: 4,
		arbitrary: fc
			.constantFrom(1, 4, 5, 0x81)
			.map((gsoType) => ({ ...goodChecksum, gsoType, headerBytes: 54, gsoSize: 1448 })),
	},
	{
		weight: 1,
		arbitrary: fc.record({
			flags: fc.integer({ min: 0, max: 3 }),
			gsoType: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 0x80, 0x81, 0xff),
			headerBytes: fc.integer({ min: 0, max: 200 }),
			gsoSize: fc.constantFrom(0, 1, 1448),
			csumStart: fc.integer({ min: 0, max: 120 }),
			csumOffset: fc.constantFrom(0, 6, 16, 0xffff),
		}),
	},
);
const tci = fc.record({
	vid: fc.oneof({ weight: 3, arbitrary: knownVid }, { weight: 1, arbitrary: fc.constantFrom(0, 0, 0, 2, 4095) }),
	pcp: fc.integer({ min: 0, max: 7 }),
	dei: fc.integer({ min: 0, max: 1 }),
});
const frameTag = fc.tuple(tpid, tci).map(([type, rest]) => ({ tpid: type, ...rest }));
const payloadBytes = fc.oneof(
	{ weight: 24, arbitrary: fc.integer({ min: 46, max: 110 }) },
	{ weight: 4, arbitrary: fc.constantFrom(46, 54, 58, 68, 72, 76, 100, 104, 108, 1500, 1504, 1508, 9000) },
	{ weight: 1, arbitrary: fc.integer({ min: 0, max: abi.SLOT_CAPACITY - 40 }) },
);
const frameSpec = fc.record({
	/** Counts through the ports that there are, and one more. */
	ingress: fc.nat(),
	/** Comes from the wire to a segment, which this counts through, with its tags; `ingress` says nothing then. */
	aim: fc.option(fc.nat(), { nil: undefined, freq: 2 }),
	tags: fc.oneof(
		{ weight: 1, arbitrary: fc.constant([] as Tag[]) },
		{ weight: 1, arbitrary: fc.array(frameTag, { maxLength: 3 }) },
	),
	stripped: fc.option(frameTag, { nil: undefined, freq: 2 }),
	dst: fc.oneof(
		{ weight: 4, arbitrary: fc.constantFrom(...STATIONS) },
		{ weight: 3, arbitrary: fc.constantFrom(SHARED_MACS[0]!, OWN) },
		{ weight: 4, arbitrary: fc.constantFrom(...GROUPS, PARENT_MAC) },
	),
	src: fc.oneof(
		{ weight: 6, arbitrary: fc.constantFrom(OWN) },
		{ weight: 6, arbitrary: fc.constantFrom(...STATIONS, ...SHARED_MACS, "02:00:00:00:00:77") },
		{ weight: 1, arbitrary: fc.constantFrom(...ODD_SOURCES) },
	),
	packet: fc.oneof(packetV4, packetArp, packetV6, packetV6, packetOther),
	payloadBytes,
	/** Where the frame is cut off, if it is: at the ends of headers, and anywhere in the first. */
	cut: fc.oneof(
		{ weight: 20, arbitrary: fc.constant(undefined) },
		{ weight: 1, arbitrary: fc.integer({ min: 0, max: 30 }) },
		{ weight: 2, arbitrary: fc.constantFrom(33, 34, 41, 42, 53, 54, 77, 78) },
	),
	offload,
	filler: fc.integer({ min: 0, max: 255 }),
	/** Names itself where the packet has a place for its sender's MAC. */
	isHonest: fc.boolean(),
	/** Counts through the stations of the segment that the frame is aimed at: one is `OWN`. */
	station: fc.nat(),
});
export type FrameSpec = typeof frameSpec extends fc.Arbitrary<infer T> ? T : never;

/** A frame from `dst` on; `own` is the MAC for `OWN`. */
export function frameBytes(spec: FrameSpec, tags: Tag[], own: string): number[] {
	const { ethertype, linkAddressAt } = spec.packet;
	const bytes = [...spec.packet.bytes];
	if (spec.isHonest && linkAddressAt !== undefined) bytes.splice(linkAddressAt, 6, ...macBytes(own));
	const macs = [spec.dst, spec.src].flatMap((mac) => [...macBytes(mac === OWN ? own : mac)]);
	const filler = Array.from(
		{ length: Math.max(0, spec.payloadBytes - bytes.length) },
		(_, i) => (spec.filler + i) & 0xff,
	);
	return [...macs, ...tags.flatMap(tagBytes), ethertype >> 8, ethertype & 0xff, ...bytes, ...filler].slice(0, spec.cut);
}

// ---- Whole stories.

const address = fc.constantFrom(...HOSTS_V4, ...HOSTS_V6);
const allowed = fc.record({
	segment: fc.nat(),
	network: fc.integer({ min: 1, max: 2 }),
	mac: fc.constantFrom(...STATIONS, "02:00:00:00:00:77"),
});
const assigned = fc.record({ port: fc.nat(), address });

/**
 * A switch and what becomes of it. Ports and segments count through those that there are; the stations of one story
 * are of few modes, so that they meet.
 */
export const story = fc
	.record({
		macvlan: fc.subarray(MACVLAN_MODES, { minLength: 2, maxLength: 3 }),
		ipvlan: fc.subarray(IPVLAN_MODES, { minLength: 1, maxLength: 2 }),
		drivers: fc.constantFrom("macvlan", "macvlan", "ipvlan", "both"),
	})
	.chain(({ macvlan, ipvlan, drivers }) => {
		const modes = [...(drivers === "ipvlan" ? [] : macvlan), ...(drivers === "macvlan" ? [] : ipvlan)];
		const endpoint = endpointSpec(modes);
		const station = fc.oneof({ weight: 5, arbitrary: endpoint }, { weight: 1, arbitrary: hostSpec });
		const step = fc.oneof(
			{
				weight: 12,
				arbitrary: fc.record({ frames: fc.array(frameSpec, { minLength: 1, maxLength: 24, size: "max" }) }),
			},
			{ weight: 1, arbitrary: fc.record({ close: fc.nat(), isFreed: fc.boolean() }) },
			{ weight: 1, arbitrary: fc.record({ open: station }) },
			{ weight: 1, arbitrary: fc.record({ resize: fc.nat(), mtuBytes: mtu }) },
			{ weight: 1, arbitrary: fc.record({ assign: assigned }) },
			{ weight: 1, arbitrary: fc.record({ allow: allowed }) },
			{ weight: 1, arbitrary: fc.record({ disallow: allowed }) },
		);
		return fc.record({
			uplinkMtus: fc.tuple(mtu, mtu),
			segments: fc.array(segmentSpec, { minLength: 1, maxLength: 3 }),
			stations: fc.array(station, { minLength: 3, maxLength: 12, size: "max" }),
			allowed: fc.array(allowed, { maxLength: 6 }),
			assigned: fc.array(assigned, { maxLength: 6 }),
			steps: fc.array(step, { minLength: 1, maxLength: 8 }),
		});
	});
export type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;
