/**
 * The ways of giving two containers and a LAN host an address on one wire that are compared: vlane, and what the
 * machine has of the kernel's own. Each peer builds the same picture in namespaces of its own:
 *
 *   one (10.9.0.1) --+
 *                    +-- host: eth0 ===== lan0 (10.9.0.254) in namespace lan
 *   two (10.9.0.2) --+
 */
import { needs } from "../../test/support/needs.js";
import { Namespace } from "../../test/support/netns.js";
import { startVlane } from "../../test/support/vlane.js";

export interface Place {
	ns: Namespace;
	address: string;
	ifname: string;
}

export interface Picture {
	one: Place;
	two: Place;
	lan: Place;
	/** Process that forwards, for its CPU time and memory; undefined when the kernel does. */
	pid?: number;
	close(): Promise<void>;
}

export interface Peer {
	name: string;
	/** Why it can not run here. */
	missing: string | undefined;
	build(): Promise<Picture>;
}

const ADDRESSES = { one: "10.9.0.1", two: "10.9.0.2", lan: "10.9.0.254" };

interface Wire {
	host: Namespace;
	lan: Place;
	one: Namespace;
	two: Namespace;
	close(): void;
}

/** The wire without anything on it. */
function layWire(): Wire {
	const [host, lan, one, two] = ["host", "lan", "one", "two"].map((label) => new Namespace(label)) as [
		Namespace,
		Namespace,
		Namespace,
		Namespace,
	];
	for (const ns of [host, lan, one, two]) ns.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
	host.must(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "lan0", "netns", lan.name]);
	host.must(["ip", "link", "set", "eth0", "up"]);
	lan.must(["ip", "link", "set", "lan0", "up"]);
	lan.must(["ip", "address", "add", `${ADDRESSES.lan}/24`, "dev", "lan0"]);
	const close = () => {
		for (const ns of [one, two, lan, host]) ns.close();
	};
	return { host, lan: { ns: lan, address: ADDRESSES.lan, ifname: "lan0" }, one, two, close };
}

function picture(wire: Wire, pid?: number, close: () => Promise<void> = async () => {}): Picture {
	const place = (ns: Namespace, address: string): Place => ({ ns, address, ifname: "eth0" });
	return {
		one: place(wire.one, ADDRESSES.one),
		two: place(wire.two, ADDRESSES.two),
		lan: wire.lan,
		pid,
		async close() {
			await close();
			wire.close();
		},
	};
}

async function vlane(): Promise<Picture> {
	const wire = layWire();
	const daemon = await startVlane(wire.host);
	daemon.must("network", "create", "--subnet=10.9.0.0/24", "-o", "parent=eth0", "bench");
	daemon.must("network", "connect", "--ip", ADDRESSES.one, "bench", `netns:${wire.one.path}`);
	daemon.must("network", "connect", "--ip", ADDRESSES.two, "bench", `netns:${wire.two.path}`);
	return picture(wire, daemon.pid, () => daemon.cleanup());
}

function giveAddress(ns: Namespace, address: string): void {
	ns.must(["ip", "link", "set", "eth0", "up"]);
	ns.must(["ip", "address", "add", `${address}/24`, "dev", "eth0"]);
}

async function macvlan(): Promise<Picture> {
	const wire = layWire();
	for (const [ns, address] of [
		[wire.one, ADDRESSES.one],
		[wire.two, ADDRESSES.two],
	] as const) {
		const device = ["name", "mv0", "type", "macvlan", "mode", "bridge"];
		wire.host.must(["ip", "link", "add", "link", "eth0", ...device]);
		wire.host.must(["ip", "link", "set", "mv0", "netns", ns.name, "name", "eth0"]);
		giveAddress(ns, address);
	}
	return picture(wire);
}

async function bridge(): Promise<Picture> {
	const wire = layWire();
	wire.host.must(["ip", "link", "add", "br0", "type", "bridge"]);
	wire.host.must(["ip", "link", "set", "br0", "up"]);
	wire.host.must(["ip", "link", "set", "eth0", "master", "br0"]);
	for (const [ns, address] of [
		[wire.one, ADDRESSES.one],
		[wire.two, ADDRESSES.two],
	] as const) {
		wire.host.must(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "eth0", "netns", ns.name]);
		wire.host.must(["ip", "link", "set", "v0", "name", `v${ns === wire.one ? 1 : 2}`, "master", "br0", "up"]);
		giveAddress(ns, address);
	}
	return picture(wire);
}

export const PEERS: Peer[] = [
	{ name: "vlane", missing: needs({ root: true, tun: true }), build: vlane },
	{ name: "kernel macvlan", missing: needs({ root: true, kernel: ["macvlan"] }), build: macvlan },
	{ name: "kernel bridge", missing: needs({ root: true, kernel: ["bridge"] }), build: bridge },
];
