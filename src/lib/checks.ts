/** What a program asks for, checked and completed, as the datapath takes it. */
import type { PortSpec, VlanTag } from "../host/types.js";
import type { PortOptions, SegmentOptions } from "./options.js";

const TPID_CTAG = 0x8100;
const TPID_STAG = 0x88a8;
const VID_MAX = 4094;
const TAGS_MAX = 2;
const MTU_BYTES_MIN = 68; // RFC 791
const MTU_BYTES_MAX = 65535;
const MTU_BYTES_DEFAULT = { memory: MTU_BYTES_MAX, pcap: MTU_BYTES_MAX, tap: 1500, raw: 1500, fd: 1500 };

/** What addresses made here begin with: locally administered, individual. */
const MAC_PREFIX = "02:76:6c";
let macs = 0;

/** @throws RangeError for tags that 802.1Q does not have. */
export function checkTags(tags: SegmentOptions["tags"] = []): VlanTag[] {
	if (tags.length > TAGS_MAX) throw new RangeError(`a segment has at most ${TAGS_MAX} tags, not ${tags.length}`);
	return tags.map((tag) => {
		const { tpid, vid } = typeof tag === "number" ? { tpid: TPID_CTAG, vid: tag } : tag;
		if (!Number.isInteger(vid) || vid < 1 || vid > VID_MAX) throw new RangeError(`VID ${vid} is not in 1..${VID_MAX}`);
		if (tpid !== TPID_CTAG && tpid !== TPID_STAG) throw new RangeError(`TPID ${tpid} is neither 0x8100 nor 0x88a8`);
		return { tpid, vid };
	});
}

/** What a port is called when its program has no name for it. */
export function nameOf(options: PortOptions): string {
	if (options.name !== undefined) return options.name;
	if (options.type === "memory" || options.type === "fd") return options.type;
	return options.type === "pcap" ? (options.read ?? options.write ?? options.type) : options.ifname;
}

/**
 * The port as the datapath takes it, without a descriptor that has still to be opened.
 * @throws RangeError, TypeError for what no port can have
 */
export function specOf(options: PortOptions): PortSpec {
	const name = nameOf(options);
	const mtuBytes = options.mtuBytes ?? MTU_BYTES_DEFAULT[options.type];
	if (mtuBytes === undefined) throw new TypeError(`port "${name}": type "${options.type}" is not known`);
	// What a device has, its kernel has allowed.
	if (options.type !== "fd" && !(Number.isInteger(mtuBytes) && mtuBytes >= MTU_BYTES_MIN && mtuBytes <= MTU_BYTES_MAX))
		throw new RangeError(`port "${name}": MTU ${mtuBytes} is not in ${MTU_BYTES_MIN}..${MTU_BYTES_MAX}`);
	if (options.type === "raw") return { kind: "uplink", name, fd: -1, mac: nextMac(), mtuBytes };
	const mac = options.mac?.toLowerCase() ?? nextMac();
	if (!/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(mac))
		throw new TypeError(`port "${name}": "${options.mac}" is not the MAC address of one station`);
	const base = { name, fd: options.type === "fd" ? options.fd : -1, mac, mtuBytes };
	const { segment, network = 1, mode = "bridge", addresses, security } = options;
	if (!segment) return { kind: "uplink", ...base };
	if (options.host) return { kind: "host", segment: segment.number, ...base };
	if (!Number.isInteger(network) || network < 1 || network > 65535)
		throw new RangeError(`port "${name}": network ${network} is not in 1..65535`);
	if (segment.learning && (mode !== "bridge" || network !== 1))
		throw new TypeError(`port "${name}": a segment that learns has one network, in mode bridge`);
	return { kind: "endpoint", segment: segment.number, network, mode, addresses, security, ...base };
}

function nextMac(): string {
	const number = (++macs & 0xffffff).toString(16).padStart(6, "0");
	return `${MAC_PREFIX}:${number.slice(0, 2)}:${number.slice(2, 4)}:${number.slice(4)}`;
}
