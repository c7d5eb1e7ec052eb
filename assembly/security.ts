/**
 * Port security: what an endpoint may say that it is. With FLAG_SECURE_MAC it sends from its own MAC address only, with
 * FLAG_SECURE_IP also from its own IP addresses only, wherever a neighbour would believe the address in a frame:
 *
 *   Ethernet                  source
 *   ARP                       sender, both addresses; 0.0.0.0 is a probe (RFC 5227 2.1.1)
 *   IPv4                      source; 0.0.0.0 is for DHCP clients (RFC 2131 4.1)
 *   IPv6                      source; `::` is for duplicate address detection, router solicitations and MLD (RFC 4861
 *                             6.1.1, 7.1.1; RFC 3590 4)
 *   neighbour discovery       the target that is advertised, or asked for from `::`, and the link-layer address options
 *
 * Its own are the addresses that the control plane has assigned (ipdb.ts) and its link-local one: the one that follows
 * from its MAC (RFC 4291 appendix A), or for ipvlan, whose endpoints share a MAC, one that nobody else has.
 *
 * Headers are looked for behind tags and IPv6 extension headers, where receivers find them, too. What can not be looked
 * into, because it is cut off or nested too deep, is refused.
 */
import {
  FLAG_SECURE_IP, L3_ARP, L3_IPV4, L3_IPV6, L3_OTHER, MODE_IPVLAN, PARSED_ETHERTYPE, PARSED_F_TRUNCATED, PARSED_L3_KIND,
  PARSED_L3_LENGTH, PARSED_L3_OFFSET, PARSED_L4_OFFSET, PARSED_L4_PROTOCOL, PORT_BYTES, PORT_FLAGS, PORT_MAC, PORT_MODE,
} from "./abi";
import { isTpid, MAC_MASK, parse, source } from "./frame";
import { ipOwner, MAPPED } from "./ipdb";
import { portAt } from "./ports";

/** Hardware type 1, protocol 0x0800, lengths 6 and 4, as they are loaded. */
const ARP_ETHERNET_IPV4: u64 = 0x0406_0008_0100;
const UDP: u32 = 17;
const ICMPV6: u32 = 58;
/** Ports 68 and 67, as they are loaded. */
const DHCP_REQUEST: u32 = 0x4300_4400;
const LINK_LOCAL: u64 = 0x80fe; // fe80::/64, as it is loaded

const MLD_REPORT: u32 = 131;
const MLD_DONE: u32 = 132;
const ROUTER_SOLICITATION: u32 = 133;
const ROUTER_ADVERTISEMENT: u32 = 134;
const NEIGHBOUR_SOLICITATION: u32 = 135;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
const MLD_REPORT_V2: u32 = 143;
const SOURCE_LINK_ADDRESS: u32 = 1;
const TARGET_LINK_ADDRESS: u32 = 2;

/** Whether an endpoint claims to be somebody else. `scratch`: PARSED_BYTES that are free. */
export function isSpoofed(port: usize, segment: u32, frame: usize, bytes: u32, scratch: usize): bool {
  if (source(frame) != load<u64>(port, PORT_MAC)) return true;
  if (!(load<u16>(port, PORT_FLAGS) & FLAG_SECURE_IP)) return false;
  const flags = parse(frame, bytes, scratch);
  const kind = <u32>load<u8>(scratch, PARSED_L3_KIND);
  if (kind == L3_OTHER) return isTpid(<u32>load<u16>(scratch, PARSED_ETHERTYPE));
  const offset = <u32>load<u16>(scratch, PARSED_L3_OFFSET);
  const packet = frame + offset;
  const isCut = (flags & PARSED_F_TRUNCATED) != 0;
  if (kind == L3_ARP) return isCut || isArpSpoofed(port, segment, packet);
  if (kind == L3_IPV4) {
    if (offset + 20 > bytes) return true;
    const address = load<u32>(packet, 12);
    return address ? !ownsV4(port, segment, address) : isCut || !isDhcpRequest(frame, bytes, scratch);
  }
  return kind == L3_IPV6 && (isCut || isV6Spoofed(port, segment, frame, packet, bytes, scratch));
}

function isArpSpoofed(port: usize, segment: u32, packet: usize): bool {
  if ((load<u64>(packet) & MAC_MASK) != ARP_ETHERNET_IPV4) return true;
  if ((load<u64>(packet, 8) & MAC_MASK) != load<u64>(port, PORT_MAC)) return true;
  const address = load<u32>(packet, 14);
  return address != 0 && !ownsV4(port, segment, address);
}

function isDhcpRequest(frame: usize, bytes: u32, parsed: usize): bool {
  const at = <u32>load<u16>(parsed, PARSED_L4_OFFSET);
  if (at == 0 || at + 8 > bytes || load<u8>(parsed, PARSED_L4_PROTOCOL) != UDP) return false;
  return load<u32>(frame + at) == DHCP_REQUEST;
}

function isV6Spoofed(port: usize, segment: u32, frame: usize, packet: usize, bytes: u32, parsed: usize): bool {
  const low = load<u64>(packet, 8);
  const high = load<u64>(packet, 16);
  const isUnspecified = (low | high) == 0;
  if (!isUnspecified && !ownsV6(port, segment, low, high)) return true;
  const at = <u32>load<u16>(parsed, PARSED_L4_OFFSET);
  if (at == 0 || load<u8>(parsed, PARSED_L4_PROTOCOL) != ICMPV6) return isUnspecified;
  if (at + 8 > bytes) return true;
  const message = frame + at;
  const type = <u32>load<u8>(message);
  if (type == MLD_REPORT || type == MLD_DONE || type == MLD_REPORT_V2) return false;
  const asks = type == NEIGHBOUR_SOLICITATION;
  if (isUnspecified && !asks && type != ROUTER_SOLICITATION) return true;
  if (type < ROUTER_SOLICITATION || type > NEIGHBOUR_ADVERTISEMENT) return false;
  const head: u32 = type == ROUTER_SOLICITATION ? 8 : type == ROUTER_ADVERTISEMENT ? 16 : 24;
  const end = min(bytes, <u32>load<u16>(parsed, PARSED_L3_OFFSET) + <u32>load<u16>(parsed, PARSED_L3_LENGTH));
  if (at + head > end) return true;
  const namesOwn = type == NEIGHBOUR_ADVERTISEMENT || (asks && isUnspecified);
  if (namesOwn && !ownsV6(port, segment, load<u64>(message, 8), load<u64>(message, 16))) return true;
  return !hasOwnLinkAddress(port, message + head, frame + end);
}

/** Whether the options of a message (RFC 4861 4.6) name no other link-layer address. */
function hasOwnLinkAddress(port: usize, options: usize, end: usize): bool {
  for (let at = options; at + 8 <= end; ) {
    const type = <u32>load<u8>(at);
    const units = <usize>load<u8>(at, 1);
    if (units == 0) return false;
    const isAddress = type == SOURCE_LINK_ADDRESS || type == TARGET_LINK_ADDRESS;
    if (isAddress && load<u64>(at) >> 16 != load<u64>(port, PORT_MAC)) return false;
    at += units << 3;
  }
  return true;
}

function ownsV4(port: usize, segment: u32, address: u32): bool {
  return ipOwner(segment, 0, MAPPED | (<u64>address << 32)) == numberOf(port);
}

function ownsV6(port: usize, segment: u32, low: u64, high: u64): bool {
  const owner = ipOwner(segment, low, high);
  if (owner) return owner == numberOf(port);
  if (low != LINK_LOCAL) return false;
  if (load<u8>(port, PORT_MODE) >= <u8>MODE_IPVLAN) return true;
  const mac = load<u64>(port, PORT_MAC);
  return high == (((mac & 0xff_ffff) ^ 2) | 0xfe_ff00_0000 | ((mac >> 24) << 40));
}

function numberOf(port: usize): u32 {
  return <u32>(port - portAt(0)) / PORT_BYTES;
}
