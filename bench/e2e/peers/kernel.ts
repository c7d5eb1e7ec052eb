/** What the kernel has itself: macvlan and the bridge. */
import { needs } from "../../../test/support/needs.js";
import { Namespace } from "../../../test/support/netns.js";
import { ADDRESSES, layWire, moveIn, type Peer, type Picture, type PictureOptions, TAGS, type Wire } from "../wire.js";

const HAS_VLAN = needs({ root: true, kernel: ["vlan"] }) === undefined;
/** The bridge has 1,024 ports, and one of them is the parent. */
const BRIDGE_PORTS_MAX = 1000;

/** Said where a kernel without 8021q is measured on a tagged wire. */
export const UNTAGGED_NOTE = "kernel peers on the tagged wire send untagged frames to the same far end: no 8021q here";
/** Whether that has to be said. */
export const sendsUntagged = !HAS_VLAN;

/** The wire, and the name of the host's interface on it. */
async function layKernelWire({ wire: kind }: PictureOptions): Promise<{ wire: Wire; parent: string }> {
	const wire = await layWire(kind, HAS_VLAN ? TAGS[kind] : []);
	let parent = "eth0";
	for (const vid of HAS_VLAN ? TAGS[kind] : []) {
		const name = `${parent}.${vid}`;
		wire.host.must(["ip", "link", "add", "link", parent, "name", name, "type", "vlan", "id", `${vid}`]);
		wire.host.must(["ip", "link", "set", name, "up"]);
		parent = name;
	}
	return { wire, parent };
}

/** Calls `add` for the namespace of every container: the two that speak, then the others together in one. */
function addContainers(wire: Wire, ports: number, add: (index: number, ns: Namespace) => void): Namespace | undefined {
	const others = ports > 2 ? new Namespace("others") : undefined;
	others?.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
	for (let index = 1; index <= ports; index++) add(index, index === 1 ? wire.one : index === 2 ? wire.two : others!);
	return others;
}

const addressOf = (index: number): string => (index === 1 ? ADDRESSES.one : ADDRESSES.two);

async function macvlan(options: PictureOptions): Promise<Picture> {
	const { wire, parent } = await layKernelWire(options);
	const others = addContainers(wire, options.ports, (index, ns) => {
		const name = `mv${index}`;
		wire.host.must(["ip", "link", "add", "link", parent, "name", name, "type", "macvlan", "mode", "bridge"]);
		if (index <= 2) moveIn(wire, name, ns, addressOf(index));
		else wire.host.must(["ip", "link", "set", name, "netns", ns.name, "up"]);
	});
	return wire.picture(undefined, async () => others?.close());
}

async function bridge(options: PictureOptions): Promise<Picture> {
	const { wire, parent } = await layKernelWire(options);
	wire.host.must(["ip", "link", "add", "br0", "type", "bridge"]);
	wire.host.must(["ip", "link", "set", "br0", "up"]);
	wire.host.must(["ip", "link", "set", parent, "master", "br0"]);
	const others = addContainers(wire, options.ports, (index, ns) => {
		const name = `v${index}`;
		wire.host.must(["ip", "link", "add", name, "type", "veth", "peer", "name", `c${index}`]);
		wire.host.must(["ip", "link", "set", name, "master", "br0", "up"]);
		if (index <= 2) moveIn(wire, `c${index}`, ns, addressOf(index));
		else wire.host.must(["ip", "link", "set", `c${index}`, "netns", ns.name, "up"]);
	});
	return wire.picture(undefined, async () => others?.close());
}

export const KERNEL_PEERS: Peer[] = [
	{
		name: "macvlan",
		missing: needs({ root: true, kernel: ["macvlan"] }),
		wires: HAS_VLAN ? ["untagged", "tagged", "qinq"] : ["untagged", "tagged"],
		portsMax: 1000,
		build: macvlan,
	},
	{
		name: "bridge",
		missing: needs({ root: true, kernel: ["bridge"] }),
		wires: HAS_VLAN ? ["untagged", "tagged", "qinq"] : ["untagged", "tagged"],
		portsMax: BRIDGE_PORTS_MAX,
		build: bridge,
	},
];
