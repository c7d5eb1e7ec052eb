/**
 * What an ipvlan switch knows of IP, as one would explain it: which address a frame is from or for
 * (drivers/net/ipvlan/ipvlan_core.c: ipvlan_get_L3_hdr, ipvlan_addr_lookup), and who has which address.
 *
 * An address is 32 hexadecimal digits; IPv4 stands as IPv4-mapped IPv6 (RFC 4291 2.5.5.2).
 */
import ipaddr from "ipaddr.js";

const MAPPED = "00000000000000000000ffff";
const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;
/** How many addresses an endpoint can have by using them. */
const LEARNED_MAX = 16;
const ETHERNET_BYTES = 14;

/** What a frame carries, by its address fields; absent when it is neither IP nor ARP, or too short to tell. */
export interface Packet {
	source: string;
	/** ARP: the target protocol address. */
	destination: string;
	/** The address that an IPv6 neighbour solicitation asks for. */
	solicited?: string;
}

const hexOf = (bytes: number[]): string => bytes.map((octet) => octet.toString(16).padStart(2, "0")).join("");

/** An address as people write it. */
export function addressOf(text: string): string {
	const bytes = ipaddr.parse(text).toByteArray();
	return (bytes.length === 4 ? MAPPED : "") + hexOf(bytes);
}

/** Reads the packet behind an untagged Ethernet header. */
export function packetOf(bytes: number[]): Packet | undefined {
	const type = hexOf(bytes.slice(12, 14));
	const packet = bytes.slice(ETHERNET_BYTES);
	const v4 = (at: number): string => MAPPED + hexOf(packet.slice(at, at + 4));
	const v6 = (at: number): string => hexOf(packet.slice(at, at + 16));
	if (type === "0800" && packet.length >= 20) return { source: v4(12), destination: v4(16) };
	if (type === "0806" && packet.length >= 28) return { source: v4(14), destination: v4(24) };
	if (type !== "86dd" || packet.length < 40) return undefined;
	const asks = packet.length >= 64 && packet[6] === ICMPV6 && packet[40] === NEIGHBOUR_SOLICITATION;
	return { source: v6(8), destination: v6(24), ...(asks ? { solicited: v6(48) } : {}) };
}

/** Unspecified and multicast addresses (and 255.255.255.255) are nobody's own. */
function isOwnable(address: string): boolean {
	if (address.startsWith(MAPPED)) {
		return address !== `${MAPPED}00000000` && Number.parseInt(address.slice(24, 26), 16) < 224;
	}
	return address !== "0".repeat(32) && !address.startsWith("ff");
}

/** Who has which address, segment by segment. */
export class AddressBook {
	readonly #owners = new Map<string, { port: number; isAssigned: boolean }>();
	/** Addresses that a port has learned so far, whatever became of them. */
	readonly #learned = new Map<number, number>();

	owner(segment: number, address: string): number | undefined {
		return this.#owners.get(`${segment} ${address}`)?.port;
	}

	/** The control plane's word: it wins over what was learned, and answers false when it was given before. */
	assign(segment: number, address: string, port: number): boolean {
		if (this.#owners.get(`${segment} ${address}`)?.isAssigned) return false;
		this.#owners.set(`${segment} ${address}`, { port, isAssigned: true });
		return true;
	}

	/** The first one to send from an address has it. */
	learn(segment: number, address: string, port: number): void {
		const count = this.#learned.get(port) ?? 0;
		if (!isOwnable(address) || this.owner(segment, address) !== undefined || count === LEARNED_MAX) return;
		this.#owners.set(`${segment} ${address}`, { port, isAssigned: false });
		this.#learned.set(port, count + 1);
	}

	forget(port: number): void {
		for (const [key, owner] of this.#owners) if (owner.port === port) this.#owners.delete(key);
		this.#learned.delete(port);
	}
}
