/** `-o parent=...`: which link carries a network's frames, and which VLAN tags they wear there. */

import { VlaneError } from "../errors.js";
import type { ParentRef } from "../types.js";

/** Tag protocol of a new sub-interface's outermost tag. */
export type VlanProtocol = "802.1Q" | "802.1ad";

/** EtherTypes that announce a VLAN tag; IEEE 802.1Q-2022 table 9-1. */
const TPID: Record<VlanProtocol, number> = { "802.1Q": 0x8100, "802.1ad": 0x88a8 };

/** VIDs 0 (priority tag) and 4095 (reserved) name no VLAN; IEEE 802.1Q-2022 table 9-2. */
const VID_MIN = 1;
const VID_MAX = 4094;

/** TPID and TCI. */
const TAG_BYTES = 4;

/** `link.vid`, or `link.outer.inner` (QinQ). */
const VLAN_TAGS_MAX = 2;

/** Where a parent is looked for. */
export interface ParentContext {
	/** Must answer false for sub-interfaces that vlane itself made: no links to build on. */
	linkExists(name: string): boolean;
	/** Of the outermost tag; 802.1Q when absent. Inner tags are always 802.1Q. */
	protocol?: VlanProtocol;
	/** For Docker's error texts; macvlan when absent. */
	driver?: "macvlan" | "ipvlan";
}

/**
 * Reads a parent. An existing link of any name is used as it is; anything else must be `link.vid` or `link.outer.inner`
 * with an existing link, the longest one that there is. Checked in this order: format, VID digits, VID range,
 * existence, so that a typing error is never reported as a missing link.
 * @param text what the user typed
 * @throws VlaneError invalid, or notFound when the link is missing; texts are Docker's where Docker has one
 */
export function parseParent(text: string, context: ParentContext): ParentRef {
	if (text === "") {
		throw new VlaneError(
			"invalid",
			"-o parent needs an interface name; leave it out for a network that never leaves the host",
		);
	}
	refuseLoopback(text, context);
	if (context.linkExists(text)) {
		if (context.protocol === undefined) return { name: text, link: text, vlans: [] };
		throw new VlaneError(
			"invalid",
			`driver-opt "vlan_protocol" is for sub-interfaces such as eth0.10; ${text} is used as it is, leave it out`,
		);
	}
	const { link, vidTexts } = split(text, context);
	if (vidTexts.length === 0) {
		const format = `invalid subinterface vlan name ${text}, example formatting is eth0.10`;
		throw new VlaneError("invalid", `${format}; no link named ${text} exists on this host`);
	}
	if (link === "" || vidTexts.length > VLAN_TAGS_MAX) {
		const format = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10";
		throw new VlaneError("invalid", `${format}, instead received ${text}`);
	}
	const vids = vidTexts.map((vidText) => parseVid(vidText, text));
	refuseLoopback(link, context);
	if (!context.linkExists(link)) {
		throw new VlaneError("notFound", `-o parent interface was not found on the host: ${link}`);
	}
	const outer = TPID[context.protocol ?? "802.1Q"];
	return { name: text, link, vlans: vids.map((vid, index) => ({ tpid: index === 0 ? outer : TPID["802.1Q"], vid })) };
}

/** Cuts a parent's name behind the longest link that exists, whose name may have dots itself; else at the first dot. */
function split(text: string, context: ParentContext): { link: string; vidTexts: string[] } {
	const parts = text.split(".");
	for (let tags = 1; tags <= VLAN_TAGS_MAX && tags < parts.length; tags++) {
		const link = parts.slice(0, -tags).join(".");
		if (context.linkExists(link)) return { link, vidTexts: parts.slice(-tags) };
	}
	return { link: parts[0] ?? "", vidTexts: parts.slice(1) };
}

/**
 * How much shorter packets must be than the parent's MTU, in bytes. A packet socket sends frames of MTU + 14 bytes, and
 * of 4 more when the outermost tag is 802.1Q (packet_extra_vlan_len_allowed() in net/packet/af_packet.c); it refuses
 * longer ones with EMSGSIZE, whatever the device could do.
 */
export function tagExcessBytes({ vlans }: ParentRef): number {
	const allowed = vlans[0]?.tpid === TPID["802.1Q"] ? TAG_BYTES : 0;
	return vlans.length * TAG_BYTES - allowed;
}

/** `50`, or `50 (802.1ad)`. */
export function vlanText({ tpid, vid }: ParentRef["vlans"][number]): string {
	return tpid === TPID["802.1ad"] ? `${vid} (802.1ad)` : String(vid);
}

/**
 * Names the piece of wire a network lives on: two networks with the same key share link and VLAN stack, hence address
 * space and (without `share_parent`) conflict.
 */
export function parentKey(parent: ParentRef): string {
	return [parent.link, ...parent.vlans.map(({ tpid, vid }) => `${tpid.toString(16)}.${vid}`)].join("/");
}

/**
 * Decimal digits only: Docker's parser also lets `+5` and `010` pass, which then name a VLAN other than the one
 * that was meant.
 */
function parseVid(vidText: string, text: string): number {
	if (!/^(0|[1-9][0-9]*)$/.test(vidText)) {
		throw new VlaneError(
			"invalid",
			`unable to parse a valid vlan id from: ${vidText || text} (ex. eth0.10 for vlan 10)`,
		);
	}
	const vid = Number(vidText);
	if (vid < VID_MIN || vid > VID_MAX) {
		throw new VlaneError("invalid", `vlan id must be between ${VID_MIN}-${VID_MAX}, received: ${vidText}`);
	}
	return vid;
}

function refuseLoopback(link: string, { driver = "macvlan" }: ParentContext): void {
	if (link === "lo") throw new VlaneError("invalid", `loopback interface is not a valid ${driver} parent link`);
}
