/**
 * A small LAN in private namespaces:
 *
 *   host                         far
 *   eth0 (the trunk parent) ===== lan0 ---- untagged stations: addresses on lan0 itself
 *                                   \------ VLAN stations: lan50, lan60 ... (made by the VLAN peer process)
 *
 * `host` is where vlane runs; `far` is the switch port and everything behind it. The machine's own links are never
 * touched.
 */
import { fileURLToPath } from "node:url";
import type { Tag } from "./frames.js";
import { must, Namespace } from "./netns.js";

export interface LanOptions {
	/**
	 * Tag stacks of the stations on the far side, one interface each: `[50, 60]` or `[[{tpid: 0x88a8, vid: 7}, {...}]]`.
	 */
	vlans?: (number | Tag[])[];
	/** MTU of both ends of the wire, 1500 when absent. */
	mtuBytes?: number;
	/** Queues for each direction at both ends of the wire, 1 when absent. */
	queues?: number;
	/** Namespace of the parent; a new one when absent. */
	host?: Namespace;
}

export interface Station {
	ns: Namespace;
	ifname: string;
	mac: string;
}

export interface Lan {
	/** Namespace of the parent `eth0`. */
	host: Namespace;
	/** Namespace of the far end `lan0` and, unless moved, of all stations. */
	far: Namespace;
	/** MAC of the host's `eth0`. */
	parentMac: string;
	/**
	 * Gives the station of a VLAN (`undefined`: untagged, lan0 itself) its addresses, in CIDR form.
	 * @param ns Another namespace to move its interface to first: a LAN host of its own instead of one leg of a router.
	 */
	station(vlan: number | Tag[] | undefined, addresses: string[], ns?: Namespace): Station;
	/** Lets `far` route between its stations. */
	enableRouting(): void;
	/** Takes the LAN away before the test ends. */
	close(): void;
}

export const PARENT = "eth0";
export const FAR_END = "lan0";
const TOOL = fileURLToPath(new URL("./vlanpeer-tool.js", import.meta.url));

function stackOf(vlan: number | Tag[]): Tag[] {
	return typeof vlan === "number" ? [{ tpid: 0x8100, vid: vlan }] : vlan;
}

function stationName(vlan: number | Tag[] | undefined): string {
	return vlan === undefined
		? FAR_END
		: `lan${stackOf(vlan)
				.map(({ vid }) => vid)
				.join(".")}`;
}

/** A quiet interface: no IPv6 router solicitations and the like between the frames that a test looks for. */
function silence(ns: Namespace, ifname: string, isSilent: boolean): void {
	ns.sysctl(`net/ipv6/conf/${ifname}/disable_ipv6`, isSilent ? 1 : 0);
}

/** Makes `lanVID` interfaces on a link, one for each tag stack (`lan7.50` for two tags); they end with the test. */
export async function startVlanPeer(ns: Namespace, link: string, vlans: (number | Tag[])[]): Promise<void> {
	const stations = vlans.map((vlan) => {
		const tags = stackOf(vlan)
			.map(({ tpid, vid }) => `${tpid}:${vid}`)
			.join(",");
		return `${stationName(vlan)}=${tags}`;
	});
	await ns.start([process.execPath, TOOL, link, ...stations]).waitFor(/^ready$/);
}

/** Builds the LAN; resolves when its stations can be given addresses. */
export async function makeLan({ vlans = [], mtuBytes = 1500, queues = 1, ...given }: LanOptions = {}): Promise<Lan> {
	const host = given.host ?? new Namespace("host");
	const far = new Namespace("far");
	const counts = ["numtxqueues", `${queues}`, "numrxqueues", `${queues}`];
	const farEnd = ["peer", "name", FAR_END, "netns", far.name, ...counts];
	must(["ip", "-n", host.name, "link", "add", PARENT, ...counts, "type", "veth", ...farEnd]);
	const ends: [Namespace, string][] = [
		[host, PARENT],
		[far, FAR_END],
	];
	for (const [ns, ifname] of ends) {
		silence(ns, ifname, true);
		ns.must(["ip", "link", "set", ifname, "mtu", `${mtuBytes}`, "up"]);
	}
	// A station answers for its own addresses only, and says so only on its own link.
	far.sysctl("net/ipv4/conf/all/arp_ignore", 1);
	far.sysctl("net/ipv4/conf/all/arp_announce", 2);
	if (vlans.length > 0) {
		await startVlanPeer(far, FAR_END, vlans);
		for (const vlan of vlans) silence(far, stationName(vlan), true);
	}
	return {
		host,
		far,
		parentMac: host.ip("link", "show", PARENT)[0].address,
		station(vlan, addresses, ns = far) {
			const ifname = stationName(vlan);
			if (ns !== far) far.must(["ip", "link", "set", ifname, "netns", ns.name]);
			silence(ns, ifname, !addresses.some((address) => address.includes(":")));
			ns.must(["ip", "link", "set", ifname, "mtu", `${mtuBytes}`, "up"]);
			for (const address of addresses) {
				const nodad = address.includes(":") ? ["nodad"] : [];
				ns.must(["ip", "address", "add", address, "dev", ifname, ...nodad]);
			}
			return { ns, ifname, mac: ns.ip("link", "show", ifname)[0].address };
		},
		enableRouting() {
			far.sysctl("net/ipv4/ip_forward", 1);
			far.sysctl("net/ipv6/conf/all/forwarding", 1);
		},
		close() {
			far.close();
			host.close();
		},
	};
}
