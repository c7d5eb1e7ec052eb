/**
 * The wire that every peer is measured on: two containers and, where the peer has a LAN, one host on it.
 *
 *   one (10.9.0.1) --+
 *                    +-- host: eth0 ===== lan0 or station (10.9.0.254) in namespace lan
 *   two (10.9.0.2) --+
 *
 * On a tagged wire the LAN host is `station`, a TAP behind a small vlane switch that takes the tags off. It is the
 * same one for all peers, so it costs all of them the same; kernels without 8021q have nothing else.
 */
import { fileURLToPath } from "node:url";
import { Namespace } from "../../test/support/netns.js";
import { fork } from "./process.js";

const TAGGER = fileURLToPath(new URL("./tagger-tool.js", import.meta.url));
const TPID = 0x8100;

/** What containers' frames look like between host and LAN. */
export type WireKind = "untagged" | "tagged" | "qinq";

/** VLANs on the wire, outermost first; all of them 802.1Q. */
export const TAGS: Record<WireKind, number[]> = { untagged: [], tagged: [50], qinq: [20, 200] };

/** Where traffic comes from or goes to. */
export interface Place {
	ns: Namespace;
	address: string;
	ifname: string;
}

/** Everything that a case needs of a peer that runs. */
export interface Picture {
	one: Place;
	two: Place;
	/** Undefined for peers that only connect TAPs. */
	lan?: Place;
	/** Process that forwards, for its CPU time and memory; undefined when the kernel does. */
	pid?: number;
	/** What the switch has counted since it was started, where it counts that. */
	counts?(): Promise<SwitchCounts>;
	close(): Promise<void>;
}

/** What vlane counts of its batches (`vlane stats`). */
export interface SwitchCounts {
	batches: number;
	frames: number;
	/** Frames that went into others before they left. */
	merged: number;
}

/** What a peer is to build. */
export interface PictureOptions {
	wire: WireKind;
	/** Containers, `one` and `two` among them. */
	ports: number;
}

/** A way of connecting containers with each other and with a LAN. */
export interface Peer {
	name: string;
	/** Why it can not run here; undefined when it can. */
	missing: string | undefined;
	/** Only measured when named. */
	isExtra?: boolean;
	wires: WireKind[];
	/** The most containers that it is asked for. */
	portsMax: number;
	build(options: PictureOptions): Promise<Picture>;
}

export const ADDRESSES = { one: "10.9.0.1", two: "10.9.0.2", lan: "10.9.0.254" };
/** The subnet of all of them. */
export const SUBNET = "10.9.0.0/16";
const PREFIX_BITS = 16;
export const MTU_BYTES = 1500;

/** The wire without anything on it. */
export interface Wire {
	host: Namespace;
	one: Namespace;
	two: Namespace;
	lan: Place;
	/** The picture of what was built on the wire. */
	picture(pid?: number, close?: () => Promise<void>): Picture;
}

/** A namespace where nothing talks that was not asked to. */
function quietNamespace(label: string): Namespace {
	const ns = new Namespace(label);
	ns.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
	return ns;
}

/** Lays the wire; its far end expects the frames of `kind`, or others when `tags` says so. */
export async function layWire(kind: WireKind, tags = TAGS[kind]): Promise<Wire> {
	const [host, lan, one, two] = ["host", "lan", "one", "two"].map(quietNamespace) as [
		Namespace,
		Namespace,
		Namespace,
		Namespace,
	];
	host.must(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "lan0", "netns", lan.name]);
	// The kernel lets one tag pass beyond the MTU, not two.
	const mtuBytes = kind === "qinq" ? MTU_BYTES + 4 * TAGS.qinq.length : MTU_BYTES;
	host.must(["ip", "link", "set", "eth0", "mtu", `${mtuBytes}`, "up"]);
	lan.must(["ip", "link", "set", "lan0", "mtu", `${mtuBytes}`, "up"]);
	const tagger =
		kind === "untagged"
			? undefined
			: await fork(lan, TAGGER, ["lan0", "station", `${MTU_BYTES}`, ...tags.map((vid) => `${TPID}:${vid}`)]);
	const station = tagger ? "station" : "lan0";
	giveAddress(lan, station, ADDRESSES.lan);
	const place: Place = { ns: lan, address: ADDRESSES.lan, ifname: station };
	return {
		host,
		one,
		two,
		lan: place,
		picture(pid, close = async () => {}) {
			return {
				one: { ns: one, address: ADDRESSES.one, ifname: "eth0" },
				two: { ns: two, address: ADDRESSES.two, ifname: "eth0" },
				lan: place,
				pid,
				async close() {
					await close();
					await tagger?.stop();
					for (const ns of [one, two, lan, host]) ns.close();
				},
			};
		},
	};
}

/** Raises an interface and gives it its address. */
export function giveAddress(ns: Namespace, ifname: string, address: string): void {
	ns.must(["ip", "link", "set", ifname, "up"]);
	ns.must(["ip", "address", "add", `${address}/${PREFIX_BITS}`, "dev", ifname]);
}

/** Moves an interface of the host into a namespace, as its eth0 with an address. */
export function moveIn(wire: Wire, ifname: string, ns: Namespace, address: string): void {
	wire.host.must(["ip", "link", "set", ifname, "netns", ns.name, "name", "eth0"]);
	giveAddress(ns, "eth0", address);
}
