/** Ethernet addresses of endpoints: reading what users typed, and making ones that survive restarts. */

import { createHash } from "node:crypto";
import { VlaneError } from "../errors.js";

/** The three spellings that Docker's parser knows: `02:42:ac:11:00:02`, `02-42-ac-11-00-02`, `0242.ac11.0002`. */
const SPELLINGS = /^([0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{2}(-[0-9a-f]{2}){5}|[0-9a-f]{4}(\.[0-9a-f]{4}){2})$/i;

/** First octet: bit 0 is I/G (group address), bit 1 is U/L (locally administered); IEEE 802-2014 clause 8.2. */
const GROUP_BIT = 0x01;
const LOCAL_BIT = 0x02;

/**
 * Reads an endpoint's MAC address: unicast, not zero.
 * @returns lower-case, colon-separated
 * @throws VlaneError invalid
 */
export function parseMac(text: string): string {
	if (!SPELLINGS.test(text)) throw new VlaneError("invalid", `${text} is not a valid mac address`);
	const mac = formatMac(Buffer.from(text.replace(/[:.-]/g, ""), "hex"));
	if (mac === "00:00:00:00:00:00")
		throw new VlaneError("invalid", `${text} is not a valid mac address: it is all zeros`);
	if ((Number.parseInt(mac.slice(0, 2), 16) & GROUP_BIT) !== 0) {
		throw new VlaneError(
			"invalid",
			`${text} is not a valid mac address: it is a multicast address, the first octet must be even`,
		);
	}
	return mac;
}

/** Six octets as lower-case, colon-separated text. */
function formatMac(octets: Uint8Array): string {
	return Array.from(octets.subarray(0, 6), (octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/**
 * The MAC address of an endpoint that was given none: the same for the same host, network and endpoint names, so that
 * DHCP reservations and neighbours' tables outlive a recreated container. Locally administered and unicast, from
 * SHA-256.
 * @param hostId tells hosts on one LAN apart
 * @param taken addresses in use on the segment; on a collision the next candidate is tried
 */
export function stableMac(
	hostId: string,
	networkName: string,
	endpointName: string,
	taken: { has(mac: string): boolean },
): string {
	for (let counter = 0; ; counter++) {
		const seed = JSON.stringify([hostId, networkName, endpointName, counter]);
		const octets = createHash("sha256").update(seed).digest().subarray(0, 6);
		octets[0] = ((octets[0] ?? 0) & ~GROUP_BIT) | LOCAL_BIT;
		const mac = formatMac(octets);
		if (!taken.has(mac)) return mac;
	}
}
