/** What a program says about switches, segments and ports. */
import type { ForwardingMode, PortSecurity, VlanTag } from "../host/types.js";
import type { CapturedFrame } from "../pcap/format.js";
import type { CaptureFormat } from "../pcap/write.js";
import type { Port, Segment } from "./handles.js";

/** What kind of switch `createSwitch` makes. */
export interface SwitchOptions {
	/**
	 * false (default): a *live* switch, with a thread that moves frames between descriptors. true: an *offline* one,
	 * which forwards in this thread what `send` and `run` bring; memory and pcap ports only, and no privileges needed.
	 */
	offline?: boolean;
	/** Live: the kernel interface. Default `auto`: io_uring, or poll(2) where there is none. */
	ring?: "auto" | "io_uring" | "poll";
	/**
	 * Live: put neighbouring frames of a TCP or UDP flow together before they leave, as a network card's GRO does.
	 * Default true.
	 */
	coalesce?: boolean;
	/**
	 * Live: threads that move frames, 1 to 64. An uplink with all its segments is on one of them, as is a segment
	 * without uplink; each new one goes to the thread that has the fewest. Default 1.
	 */
	workers?: number;
	/** Live: called when an error has ended thread `worker` (from 1); another one goes on with its ports and counters. */
	onRevived?: (error: Error, worker: number) => void;
	/** Live: called once when a thread dies again and again. Its ports forward nothing any more. */
	onFatal?: (error: Error) => void;
	/** Live: called when a port's device or namespace is gone; `errnoName` is like `EBADFD`. The port is still there. */
	onPortError?: (port: Port, errnoName: string) => void;
}

/** One broadcast domain. */
export interface SegmentOptions {
	/** The port whose VLAN it is. Absent: it has no way out of the switch. */
	uplink?: Port;
	/** Up to two tags that its frames wear on the uplink, outermost first; a number is the VID of an 802.1Q tag. */
	tags?: (number | VlanTag)[];
	/**
	 * Offline: learn which station is behind which port, and flood what is for unknown ones, like an IEEE 802.1D bridge.
	 * Entries do not age; once 8,192 stations are known, others are flooded. Default false: macvlan's rules, where each
	 * port has the one address that it was added with.
	 */
	learning?: boolean;
}

interface PortBase {
	/** For statistics and errors. Default: the device, the file, or the type. */
	name?: string;
	/** `aa:bb:cc:dd:ee:ff`. Default: a locally administered one, 02:76:6c:..., different for each port of a process. */
	mac?: string;
	/**
	 * Largest layer-3 packet in bytes that the port takes, tags not counted: 68..65535, for `fd` what its device has.
	 * Default: the link's for `raw`, 1500 for `tap` and `fd`, and 65535 for `memory` and `pcap`, because captures have
	 * super-frames.
	 */
	mtuBytes?: number;
	/** Where the port belongs. Absent: it is an uplink, which carries the segments that name it. */
	segment?: Segment;
	/** In a segment: ports talk to each other only within one network, 1..65535. Default 1. */
	network?: number;
	/** In a segment: how its frames are forwarded. Default `bridge`. */
	mode?: ForwardingMode;
	/** In a segment, with mode `ipvlan-*` or security `mac,ip`: its IP addresses, without prefix length. */
	addresses?: string[];
	/** In a segment: which source addresses it may send from. Others are dropped as `spoofed`. Default `none`: any. */
	security?: PortSecurity;
	/** In a segment: true for the host's own port, which talks to the uplink only. */
	host?: boolean;
}

/** A port whose frames come from and go to this program. */
export interface MemoryPortOptions extends PortBase {
	type: "memory";
	/** Called with each frame that leaves through the port. An offline switch calls it before `send` returns. */
	onFrame?: (frame: CapturedFrame) => void;
}

/** A port whose frames come from and go to capture files: classic pcap or pcapng, link type Ethernet. */
export interface PcapPortOptions extends PortBase, CaptureFormat {
	type: "pcap";
	/** File whose frames enter through the port when the switch runs. */
	read?: string;
	/** File that the frames that leave through the port are written to, with the times of the frames that they were. */
	write?: string;
}

/** A TAP device, made for the port and gone with it, up and without addresses. Live only; needs CAP_NET_ADMIN. */
export interface TapPortOptions extends PortBase {
	type: "tap";
	/** Name of the device, 1 to 15 bytes. */
	ifname: string;
	/** Path of the network namespace that it is in, `/run/netns/NAME`. Default: the program's own. */
	netns?: string;
}

/** A raw socket on an Ethernet link, always an uplink. Live only; needs CAP_NET_RAW. */
export interface RawPortOptions
	extends Omit<PortBase, "segment" | "network" | "mode" | "addresses" | "security" | "host" | "mac"> {
	type: "raw";
	/** Name of the link. */
	ifname: string;
	/** Path of the network namespace that the link is in. Default: the program's own. */
	netns?: string;
	/** Receive frames to every address, which tagged segments need. Default true. */
	promiscuous?: boolean;
}

/**
 * A descriptor that the program has opened: a TAP with IFF_VNET_HDR, a packet socket with PACKET_VNET_HDR and
 * PACKET_AUXDATA, or a socket whose messages are frames behind a `struct virtio_net_hdr` of 10 bytes. It does not
 * block. Live only. The switch owns it once it has the port, and closes it with the port.
 */
export interface FdPortOptions extends PortBase {
	type: "fd";
	/** The descriptor. */
	fd: number;
}

/** What `addPort` takes; `type` tells them apart. */
export type PortOptions = MemoryPortOptions | PcapPortOptions | TapPortOptions | RawPortOptions | FdPortOptions;
