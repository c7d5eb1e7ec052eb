/**
 * The contract between the control plane and the datapath: what a port and a segment are.
 *
 * A *segment* is one broadcast domain: a parent's untagged traffic, or one VLAN of it, or (without an uplink)
 * a domain that never leaves this host. 802.1Q calls its number the FID (filtering identifier, IEEE 802.1Q-2022 8.8.8):
 * the forwarding database is keyed by (fid, MAC). A *port* is one file descriptor that frames come from and go to.
 */

/** Threads that move frames, at most: more than any machine needs for what one host's containers send. */
export const WORKERS_MAX = 64;

/** One VLAN tag of an encapsulation, outermost first. `tpid` is 0x8100 (802.1Q) or 0x88a8 (802.1ad); `vid` 1..4094. */
export interface VlanTag {
	tpid: number;
	vid: number;
}

/**
 * How an endpoint's frames are forwarded: the kernel's macvlan modes (include/uapi/linux/if_link.h), and layer-2 ipvlan
 * with its flags, where all endpoints of the network wear one MAC and are told apart by IP address.
 */
export type ForwardingMode =
	| "bridge"
	| "private"
	| "vepa"
	| "passthru"
	| "source"
	| "ipvlan-bridge"
	| "ipvlan-private"
	| "ipvlan-vepa";

/**
 * What an endpoint may send from: anything, its own MAC address only, or its own MAC and IP addresses only
 * (assembly/security.ts). Absent means "none", as with the kernel's drivers.
 */
export type PortSecurity = "none" | "mac" | "mac,ip";

export interface SegmentSpec {
	/** Port number of the uplink, or null when the segment never leaves the host. */
	uplink: number | null;
	/** Tags that the segment wears on the uplink, outermost first; none for untagged traffic. */
	tags: VlanTag[];
}

interface PortSpecBase {
	/** Open file descriptor; the datapath owns it from here on and closes it when the port is removed. */
	fd: number;
	/** For people: shows up in statistics and errors. */
	name: string;
	/** `aa:bb:cc:dd:ee:ff`. */
	mac: string;
	/** Largest layer-3 packet in bytes that this port takes, VLAN tags not counted. */
	mtuBytes: number;
	/** false: behind it is no kernel. What leaves by it has its checksum and is cut into segments. Default true. */
	offloads?: boolean;
}

/** The raw socket on a parent. */
export interface UplinkSpec extends PortSpecBase {
	kind: "uplink";
}

/** A container's TAP. Endpoints of one segment talk to each other only when `network` is the same. */
export interface EndpointPortSpec extends PortSpecBase {
	kind: "endpoint";
	segment: number;
	/** Small number of the network (1..65535); isolates networks that share a parent. */
	network: number;
	mode: ForwardingMode;
	/**
	 * The addresses assigned to it, without prefix length: for ipvlan, where others are learned from what it sends, if
	 * nobody has them; and for port security "mac,ip".
	 */
	addresses?: string[];
	security?: PortSecurity;
}

/** The host's own TAP on a VLAN (`eth0.50`): talks to the wire only, never to endpoints. */
export interface HostPortSpec extends PortSpecBase {
	kind: "host";
	segment: number;
}

export type PortSpec = UplinkSpec | EndpointPortSpec | HostPortSpec;

/** An AF_XDP socket of an uplink. */
export interface XskSpec {
	/** Port number: what the socket brings is as if this one had. */
	uplink: number;
	/** A socket without memory (src/raw/xsk.ts:openXsk); the datapath gives it some, and owns it from then on. */
	fd: number;
	/** The link is no hardware: frames can come with checksums that nobody has computed. */
	isVirtual: boolean;
}

/** Counters of one port since it was added. `drops` holds the non-zero reasons only (names: assembly/abi.ts DROP_*). */
export interface PortStats {
	port: number;
	name: string;
	kind: "uplink" | "endpoint" | "host";
	/** Frames that came in through the port, and their bytes. */
	rxFrames: number;
	rxBytes: number;
	/** Frames that left through it, and their bytes. */
	txFrames: number;
	txBytes: number;
	/** Frames that came in whole though they have to leave in segments (TCP or UDP of up to 64 KiB). */
	rxOffloads: number;
	/** Frames that left as a part of another one, put together from neighbours of a flow; not in `txFrames`. */
	txMerged: number;
	/** Frames among `txFrames` that were cut or got their checksum here. */
	txFinished: number;
	drops: Record<string, number>;
}

/** The datapath as the control plane sees it. Every promise settles once the worker has done it. */
export interface Datapath {
	addPort(spec: PortSpec): Promise<number>;
	/** Stops all I/O on the port, waits for what the kernel still holds, closes its descriptor. */
	removePort(port: number): Promise<void>;
	setMtu(port: number, mtuBytes: number): Promise<void>;
	addSegment(spec: SegmentSpec): Promise<number>;
	/** The segment must have no ports left. */
	removeSegment(segment: number): Promise<void>;
	/**
	 * Source mode: endpoints of the network get what comes from this MAC. At most one network of a segment can allow a
	 * MAC.
	 */
	allowSource(segment: number, network: number, mac: string): Promise<void>;
	disallowSource(segment: number, mac: string): Promise<void>;
	stats(): PortStats[];
	/** Called when a port's descriptor fails for good (its device or namespace is gone); the port is still there. */
	onPortError(listener: (port: number, errnoName: string) => void): void;
	close(): Promise<void>;
}
