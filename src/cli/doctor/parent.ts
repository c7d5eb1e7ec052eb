/** What one parent, `eth0` or `eth0.50`, is good for. Looks only; what is sent on the wire is in probe.ts. */
import { parseParent, tagExcessBytes, vlanText } from "../../control/request/parent.js";
import type { ParentRef } from "../../control/types.js";
import { GenericNetlink } from "../../netlink/generic.js";
import type { Link } from "../../netlink/link.js";
import { Rtnetlink } from "../../netlink/rtnetlink.js";
import { type LinkDriver, linkDriver } from "../../raw/linkdriver.js";
import { openPacketSocket } from "../../raw/packet.js";
import { checkXdpLink } from "../../raw/xdp.js";
import { isErrno } from "../../sys/errno.js";
import { close } from "../../sys/libc.js";
import { messageOf } from "../errors.js";
import { Check, errnoOf, type Finding } from "./finding.js";

const TAG_BYTES = 4;
/** Link kinds of the kernel that stand on another link and take frames to addresses that they know. */
const UPPER_KINDS = ["macvlan", "macvtap", "ipvlan", "ipvtap", "vlan"];
/** Drivers of virtual cards, and where their hypervisor is told to let other addresses pass. */
const HYPERVISORS: Record<string, string> = {
	vmxnet3: "VMware: allow forged transmits and promiscuous mode, or MAC learning, on the port group",
	hv_netvsc: "Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On",
	virtio_net: "KVM: no clean-traffic or no-mac-spoofing filter on the interface, port security off in OpenStack",
	ena: "EC2 carries no other MAC addresses than its own: use a network without a parent, and route",
	gve: "Google Cloud carries no other MAC addresses than its own: use a network without a parent, and route",
	mana: "Azure carries no other MAC addresses than its own: use a network without a parent, and route",
};

/** A parent that there is. */
export interface FoundParent {
	parent: ParentRef;
	link: Link;
	/** What the hypervisor's owner has to do when other MAC addresses do not pass; empty: no hypervisor is known. */
	hypervisor: string;
	/** Gateways of routes over the link, IPv4. */
	gateways: string[];
}

/** Findings about a parent; without `found` nothing more can be asked of it. */
export interface ParentReport {
	findings: Finding[];
	found?: FoundParent;
}

export function checkParent(text: string): ParentReport {
	const netlink = new Rtnetlink();
	const check = new Check("parent");
	try {
		let parent: ParentRef;
		const unusable = (why: string) => check.fail(why, "networks on it can not be made", "see 'ip link'");
		if (!text.includes(".") && netlink.link(text) === undefined)
			return { findings: [unusable(`no link named ${text} exists on this host`)] };
		try {
			parent = parseParent(text, { linkExists: (name) => isLinkToBuildOn(netlink, name) });
		} catch (error) {
			return { findings: [unusable(messageOf(error))] };
		}
		const link = netlink.link(parent.link);
		if (!link?.ethernet) {
			const is = `${parent.link} carries no Ethernet frames`;
			return { findings: [check.fail(is, "it can be no parent", "use an Ethernet interface")] };
		}
		const tags = parent.vlans.map(vlanText).join(" inside ");
		const exists = check.ok(`${link.name} exists${tags && `, VLAN ${tags} is made when a network needs it`}`);
		const driver = linkDriver(link.name);
		const gateways = netlink
			.routes(4)
			.flatMap(({ index, gateway }) => (index === link.index && gateway ? gateway : []));
		const found = { parent, link, hypervisor: HYPERVISORS[driver.name] ?? "", gateways };
		const findings = [
			exists,
			carrier(link),
			kind(link, netlink),
			otherUsers(link, netlink),
			promiscuous(link, parent),
			mtu(link, parent),
			offloads(driver),
			xdpOf(link),
			hostAddress(link, netlink),
		];
		return { findings, found };
	} finally {
		netlink.close();
	}
}

/** `eth0.50` may be vlane's own interface on the VLAN: a TAP named after the link that it belongs to. */
function isLinkToBuildOn(netlink: Rtnetlink, name: string): boolean {
	const link = netlink.link(name);
	const isOurs = link?.kind === "tun" && netlink.link(name.replace(/(\.\d+){1,2}$/, "")) !== undefined;
	return link !== undefined && !(isOurs && /\.\d+$/.test(name));
}

function carrier({ name, up, carrier: hasCarrier, operstate }: Link): Finding {
	const check = new Check("carrier");
	const silent = "networks can be made, their endpoints say NO-CARRIER and nothing is forwarded";
	if (!up) return check.fail(`${name} is down`, silent, `ip link set ${name} up`);
	if (!hasCarrier) return check.fail(`${name} is up without carrier (${operstate})`, silent, "plug it in");
	return check.ok(`${name} is up, with carrier`);
}

function kind(link: Link, netlink: Rtnetlink): Finding {
	const check = new Check("kind");
	const master = link.masterIndex === 0 ? undefined : netlink.link(link.masterIndex);
	if (isWireless(link.index))
		return check.fail(
			"a wireless station",
			"access points (802.11) take frames from its own MAC address only, so macvlan does not work",
			"vlane network create -d ipvlan, or use a wired interface",
		);
	if (master?.kind === "bridge")
		return check.warn(
			`port of the bridge ${master.name}`,
			"endpoints reach what is behind this port, not the bridge's other ports",
			`-o parent=${master.name}`,
		);
	if (master !== undefined)
		return check.warn(
			`port of ${master.name} (${master.kind})`,
			"frames may come in and have to leave through its other ports",
			`-o parent=${master.name}`,
		);
	if (link.kind === "macvlan" || link.kind === "macvtap")
		return check.warn(link.kind, "unless in passthru mode, it gets no frames for endpoints", "use the link below it");
	if (link.kind === "ipvlan" || link.kind === "ipvtap")
		return check.fail(link.kind, "it gets no frames for endpoints", "use the link below it");
	if (link.kind === "bond" || link.kind === "team")
		return check.warn(
			link.kind,
			"a change of the active port is not announced for endpoints, so switches may send to the old one for a while",
			"after a change, let endpoints send something (vlane ping --in CONTAINER HOST)",
		);
	return check.ok(link.kind === "" ? "hardware, or a virtual machine's card" : link.kind);
}

function isWireless(index: number): boolean {
	const generic = new GenericNetlink();
	try {
		return generic.isWirelessStation(index);
	} finally {
		generic.close();
	}
}

function otherUsers(link: Link, netlink: Rtnetlink): Finding {
	const check = new Check("other users");
	const users = netlink
		.links()
		.filter(({ linkIndex, kind: upper, index }) => linkIndex === link.index && index !== link.index && isUpper(upper));
	if (users.length === 0) return check.ok("no kernel macvlan, ipvlan or VLAN interface stands on it here");
	const names = users.map(({ name, kind: upper }) => `${name} (${upper})`).join(", ");
	if (users.every(({ kind: upper }) => upper === "vlan"))
		return check.ok(`${names} on it`, "a VLAN of theirs as a parent is used through them");
	return check.warn(
		`${names} on it`,
		"they and vlane's endpoints do not reach each other on this host",
		"use one of the two on a parent",
	);
}

function isUpper(kindOfLink: string): boolean {
	return UPPER_KINDS.includes(kindOfLink);
}

/** Opens the uplink's socket as a network would, for a moment. */
function promiscuous({ name }: Link, { vlans }: ParentRef): Finding {
	const check = new Check("promiscuous");
	try {
		close(openPacketSocket({ link: name, promiscuous: true }).fd);
	} catch (error) {
		const code = errnoOf(error);
		if (isErrno(error, "EPERM")) return check.skip(`${name}: ${code}`, "run as root");
		return check.fail(`${name}: ${code}`, "no network can be made on it", "use another interface");
	}
	return check.ok(`${name} can receive for every address`, vlans.length > 0 ? "as a tagged network wants it" : "");
}

function mtu({ name, mtuBytes, mtuBytesMax }: Link, parent: ParentRef): Finding {
	const check = new Check("mtu");
	const excess = tagExcessBytes(parent);
	if (parent.vlans.length === 0 || excess <= 0) {
		const tagged = parent.vlans.length > 0 ? "with the tag on top" : "one 802.1Q tag fits on top";
		return check.ok(`endpoints get ${mtuBytes} bytes, ${tagged}`);
	}
	const wanted = mtuBytes + parent.vlans.length * TAG_BYTES - TAG_BYTES;
	const can = mtuBytesMax === 0 || mtuBytesMax >= wanted;
	return check.warn(
		`endpoints get ${mtuBytes - excess} bytes: ${name} has ${mtuBytes}, and one 802.1Q tag fits on top`,
		"stations of the VLAN that send longer packets are not understood",
		can ? `ip link set ${name} mtu ${mtuBytes + excess}` : `${name} can not do more than ${mtuBytesMax}`,
	);
}

function offloads({ name, txChecksum, tso, lro }: LinkDriver): Finding {
	const check = new Check("offloads");
	const by = name === "" ? "" : `, driver ${name}`;
	if (lro)
		return check.warn(
			`LRO is on${by}`,
			"segments that it has put together can not be forwarded as they were",
			"ethtool -K LINK lro off",
		);
	const missing = [txChecksum ? "" : "checksums", tso ? "" : "TCP segmentation"].filter(Boolean);
	if (missing.length === 0) return check.ok(`checksums, TCP segmentation${by}`);
	return check.ok(`without ${missing.join(" and ")}${by}`, "the kernel does that in software, which costs CPU time");
}

/** Looks only: a program that is attached, if only for a moment, changes offloads of some drivers and resets others. */
function xdpOf(link: Link): Finding {
	const check = new Check("parent xdp");
	const generic = new GenericNetlink();
	try {
		const features = generic.xdpFeatures(link.index);
		if (features === undefined) return check.skip("the kernel does not tell (before Linux 6.3)", "");
		const fallsBack = "-o uplink=xdp falls back to the packet socket";
		if (!features.includes("basic")) return check.ok("not in the driver, generic XDP only", fallsBack);
		const found = `in the driver: ${features.join(", ")}`;
		try {
			const queues = checkXdpLink(link);
			return check.ok(found, `-o uplink=xdp can use it, with ${queues === 1 ? "one queue" : `${queues} queues`}`);
		} catch (error) {
			return check.ok(found, `${fallsBack}: ${messageOf(error)}`);
		}
	} finally {
		generic.close();
	}
}

function hostAddress({ index, name }: Link, netlink: Rtnetlink): Finding {
	const check = new Check("host address");
	const own = netlink.addresses(index).filter(({ scope }) => scope === 0);
	if (own.length === 0) return check.ok(`${name} has none`);
	return check.ok(
		own.map(({ cidr }) => cidr).join(", "),
		"containers on untagged networks and this host do not reach each other by it, as with any macvlan",
	);
}
