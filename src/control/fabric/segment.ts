/** Segments and what is attached to them, as the fabric remembers them, and what `inspect` says about them. */
import type { Segment as Domain, Port } from "../../lib/index.js";
import type { Link } from "../../netlink/link.js";
import { isValidIfname } from "../namespace/interface.js";
import type { DriverOptions } from "../request/options.js";
import { parentKey, tagExcessBytes, vlanText } from "../request/parent.js";
import type { ApiNetwork, EndpointRecord, NetworkRecord, ParentRef } from "../types.js";
import { hasCarrier, type Uplink } from "./uplinks.js";

/** Layer-3 MTU where there is no parent to take it from (RFC 894). */
const MTU_BYTES_DEFAULT = 1500;

/** A descriptor that the switch owns, its port there, and what its device was told last. */
export interface OpenPort {
	readonly fd: number;
	readonly port: Port;
	mtuBytes: number;
	carrier: boolean;
}

/** One broadcast domain; networks that share a parent share it. */
export interface Segment {
	readonly parent: ParentRef | null;
	/** Name of the host's TAP on this VLAN; absent for existing links, and where the name does not fit. */
	readonly hostIfname?: string;
	/** Needs frames to every address from its uplink. */
	readonly promiscuous: boolean;
	/** By id. */
	readonly networks: Map<string, Joined>;
	readonly endpoints: Set<Attached>;
	/** Whether its devices outlive the daemon: not before the network is on disk. */
	persistent: boolean;
	/** Present while it is raised. */
	raised?: { domain: Domain; uplink: Uplink | undefined; host?: OpenPort };
	/** Why it does not reach the wire or the host; empty when it does. */
	problem: string;
}

/** A network on its segment. */
export interface Joined {
	readonly network: NetworkRecord;
	readonly options: DriverOptions;
	readonly segment: Segment;
}

/** An endpoint on its network. */
export interface Attached {
	readonly endpoint: EndpointRecord;
	readonly joined: Joined;
	persistent: boolean;
	open?: OpenPort;
	/** Without carrier, until Docker has moved its interface, see sandbox.ts. */
	waits: boolean;
	/** Why it has no working interface; empty when it has. */
	problem: string;
}

/** Networks with the same key are on the same wire: one segment, one address space. */
export function segmentKey(network: Pick<NetworkRecord, "id" | "parent">): string {
	return network.parent ? parentKey(network.parent) : `private/${network.id}`;
}

/** Untagged endpoints are known to the NIC's filter; for the others the parent is promiscuous anyway. */
export function usesFilter({ parent, promiscuous }: Segment): boolean {
	return parent !== null && !promiscuous;
}

/** Whether frames can pass between the segment and its wire; one without parent needs none. */
export function segmentCarrier({ parent, raised }: Segment): boolean {
	return parent === null || raised?.uplink?.carrier === true;
}

/** Largest packet in bytes that the segment's uplink sends with the segment's tags. */
export function segmentMtuBytes({ parent, raised }: Segment): number {
	const linkBytes = raised?.uplink?.mtuBytes ?? MTU_BYTES_DEFAULT;
	return parent ? linkBytes - tagExcessBytes(parent) : linkBytes;
}

/** Layer-3 MTU of the network's endpoints: what the user asked for, but never more than the parent takes. */
export function networkMtuBytes({ options, segment }: Joined): number {
	const linkBytes = segment.raised?.uplink?.mtuBytes ?? Number.POSITIVE_INFINITY;
	return options.mtuBytes === undefined ? segmentMtuBytes(segment) : Math.min(options.mtuBytes, linkBytes);
}

/** Why the parent can not be used as it is now; empty when it can. */
function parentProblem({ parent, problem }: Segment, link: Link | undefined): string {
	if (!parent) return "";
	const name = `parent interface ${parent.link}`;
	if (!link) return `${name} was not found on the host`;
	if (!link.up) return `${name} is down`;
	return problem || (hasCarrier(link) ? "" : `${name} has no carrier`);
}

/** What is not as usual, without being wrong. */
function notes({ options, segment }: Joined): string[] {
	const { parent, hostIfname } = segment;
	const found: string[] = [];
	const fast = options.uplink === "xdp" ? segment.raised?.uplink?.fast : undefined;
	if (fast) found.push(uplinkWarning({ options, segment }) || `frames come in by ${fast.kind}`);
	if (!parent || parent.vlans.length === 0) return found;
	if (!hostIfname) {
		const reason = isValidIfname(parent.name) ? "is another VLAN's host interface" : "is too long for a host interface";
		found.push(`${parent.name} ${reason}: none was made`);
	}
	const excess = tagExcessBytes(parent);
	const warning = mtuWarning({ options, segment });
	if (warning) found.push(warning);
	if (excess > 0 && options.mtuBytes === undefined) {
		const tags = `${parent.vlans.length === 1 ? "this tag needs" : "these tags need"} ${excess} more on ${parent.link}`;
		found.push(`MTU ${segmentMtuBytes(segment)}: ${tags}, which the kernel does not allow beyond its MTU`);
	}
	return found;
}

/**
 * What is lost when a given MTU does not fit behind the tags; empty when it does. It is taken nevertheless, as the
 * kernel's VLAN interfaces take one: with a longer parent it would fit.
 */
export function mtuWarning({ options, segment }: Pick<Joined, "options" | "segment">): string {
	const fitBytes = segmentMtuBytes(segment);
	if (!segment.raised?.uplink || options.mtuBytes === undefined || options.mtuBytes <= fitBytes) return "";
	const remedy = `give ${fitBytes} or less, or ${segment.parent?.link} a larger MTU`;
	return `packets of more than ${fitBytes} bytes do not fit behind the tags and are lost; ${remedy}`;
}

/** Why frames do not come in as `-o uplink=xdp` asks for; empty when they do. */
export function uplinkWarning({ options, segment }: Pick<Joined, "options" | "segment">): string {
	const problem = options.uplink === "xdp" ? (segment.raised?.uplink?.fast.problem ?? "") : "";
	return problem && `uplink=xdp is not possible, frames come in by the raw socket: ${problem}`;
}

/** @param link the parent's link, as it is now */
export function statusOf(joined: Joined, link: Link | undefined): ApiNetwork["Status"] {
	const { network, segment } = joined;
	const problems = [parentProblem(segment, link)];
	for (const { endpoint, joined: other, problem } of segment.endpoints) {
		if (other === joined && problem) problems.push(`endpoint ${endpoint.name}: ${problem}`);
	}
	const details = problems.filter((problem) => problem !== "");
	const { name = "", link: linkName = "", vlans = [] } = network.parent ?? {};
	return {
		Parent: name,
		Link: linkName,
		Vlans: vlans.map(vlanText),
		HostInterface: vlans.length === 0 ? linkName : segment.raised?.host ? (segment.hostIfname ?? "") : "",
		State: details.length > 0 ? "degraded" : "up",
		Detail: [...details, ...notes(joined)].join("; "),
	};
}
