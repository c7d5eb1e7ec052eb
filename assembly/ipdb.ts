/**
 * The IP database of ipvlan: (fid, IP address) -> port. All endpoints of an ipvlan network share one MAC, so frames are
 * told apart by what they carry (drivers/net/ipvlan/ipvlan_core.c: ipvlan_get_L3_hdr, ipvlan_addr_lookup):
 *
 *   ARP                      target (or sender) protocol address
 *   IPv4, IPv6               destination (or source) address
 *   neighbour solicitation   the address asked for, in both directions, so that duplicate address detection works
 *
 * Addresses that the control plane assigned are static. An endpoint may use others (SLAAC, link-local): the first one
 * to send from an address has it, IP_LEARNED_MAX for each port, and never one that is known already. Nothing is learned
 * into a table that is a quarter full, so that endpoints which invent addresses leave room for assigned ones.
 * The kernel's ipvlan hears of such addresses from the interface itself; a switch outside of the namespace can only
 * see them used.
 *
 * Open addressing as in macfdb.ts; 32-byte entries, IPv4 as IPv4-mapped IPv6 (RFC 4291 2.5.5.2).
 */
import {
  HEADER, HEADER_IPS_COUNT, IP_ENTRY_BYTES, IP_LEARNED, IP_LEARNED_MAX, PORT_LEARNED,
} from "./abi";
import { ETHERNET_BYTES, typeOf } from "./frame";

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
export const MAPPED: u64 = 0xffff_0000; // bytes 8..11 of an IPv4-mapped address, little endian
const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_ARP: u32 = 0x0806;
const ETHERTYPE_IPV6: u32 = 0x86dd;
const ICMPV6: u32 = 58;
const NEIGHBOUR_SOLICITATION: u32 = 135;

let base: usize = 0;
let mask: u32 = 0;
let shift: u64 = 0;
/** Bytes 0..7 and 8..15 of the address that `findAddress` found. */
let low: u64 = 0;
let high: u64 = 0;

export function ipdbInit(address: usize, capacity: u32): void {
  base = address;
  mask = capacity - 1;
  shift = 64 - <u64>ctz(capacity);
}

// @ts-ignore: decorator
@inline
function home(first: u64, second: u64, fid: u32): u32 {
  return <u32>((((first ^ <u64>fid) * GOLDEN ^ second) * GOLDEN) >> shift);
}

// @ts-ignore: decorator
@inline
function entry(index: u32): usize {
  return base + <usize>(index * IP_ENTRY_BYTES);
}

/** Index of the entry, or of the empty one where it would stand. */
function find(fid: u32, first: u64, second: u64): u32 {
  let index = home(first, second, fid);
  while (true) {
    const at = entry(index);
    const found = load<u32>(at, 16);
    if (found == 0 || (found == fid && load<u64>(at) == first && load<u64>(at, 8) == second)) return index;
    index = (index + 1) & mask;
  }
}

function add(fid: u32, first: u64, second: u64, value: u32): bool {
  const count = load<u32>(HEADER, HEADER_IPS_COUNT);
  if (count > mask >> (value & IP_LEARNED ? 2 : 1)) return false;
  const at = entry(find(fid, first, second));
  const exists = load<u32>(at, 16) != 0;
  if (exists && (value & IP_LEARNED || !(load<u32>(at, 20) & IP_LEARNED))) return false;
  store<u64>(at, first);
  store<u64>(at, second, 8);
  store<u32>(at, fid, 16);
  store<u32>(at, value, 20); // an assigned address wins over a learned one
  if (!exists) store<u32>(HEADER, count + 1, HEADER_IPS_COUNT);
  return true;
}

/**
 * Assigns an address to a port; the four numbers are its 16 bytes, little endian. Answers false when it is assigned
 * already or the table is half full.
 */
export function ipAdd(fid: u32, a: u32, b: u32, c: u32, d: u32, port: u32): bool {
  return add(fid, <u64>a | (<u64>b << 32), <u64>c | (<u64>d << 32), port);
}

/** Forgets every address of a port. A full walk: ports are removed rarely. */
export function ipRemovePort(port: u32): void {
  for (let index: u32 = 0; index <= mask; ) {
    const at = entry(index);
    if (load<u32>(at, 16) && (load<u32>(at, 20) & 0xffff) == port) removeAt(index);
    else index++; // what moved into the hole is looked at again
  }
}

function removeAt(start: u32): void {
  let hole = start;
  let index = hole;
  while (true) {
    index = (index + 1) & mask;
    const at = entry(index);
    if (load<u32>(at, 16) == 0) break;
    const wanted = home(load<u64>(at), load<u64>(at, 8), load<u32>(at, 16));
    if (((index - wanted) & mask) < ((index - hole) & mask)) continue;
    memory.copy(entry(hole), at, IP_ENTRY_BYTES);
    hole = index;
  }
  memory.fill(entry(hole), 0, IP_ENTRY_BYTES);
  store<u32>(HEADER, load<u32>(HEADER, HEADER_IPS_COUNT) - 1, HEADER_IPS_COUNT);
}

/** Port that has an address, given by its bytes 0..7 and 8..15; 0: nobody. */
export function ipOwner(fid: u32, first: u64, second: u64): u32 {
  const at = entry(find(fid, first, second));
  return load<u32>(at, 16) ? load<u32>(at, 20) & 0xffff : 0;
}

/** Port that has the destination (or source) address of a frame; 0: none, or not IP. */
export function ipLookup(fid: u32, frame: usize, bytes: u32, isSource: bool): u32 {
  return findAddress(frame, bytes, isSource) ? ipOwner(fid, low, high) : 0;
}

/** Remembers the source address of what an endpoint sends. */
export function ipLearn(fid: u32, frame: usize, bytes: u32, port: u32, record: usize): void {
  if (typeOf(frame) == ETHERTYPE_IPV6 && isSolicitation(frame, bytes)) {
    // Its source; findAddress would answer the target, which is somebody else's or only tentative.
    low = load<u64>(frame, 22);
    high = load<u64>(frame, 30);
  } else if (!findAddress(frame, bytes, true)) {
    return;
  }
  if (isUnusable()) return;
  if (load<u32>(record, PORT_LEARNED) >= <u32>IP_LEARNED_MAX) return;
  if (add(fid, low, high, port | IP_LEARNED)) store<u32>(record, load<u32>(record, PORT_LEARNED) + 1, PORT_LEARNED);
}

/** Unspecified or multicast: nobody's own address. */
function isUnusable(): bool {
  if (low == 0 && (high == 0 || high == MAPPED)) return true;
  if (low == 0 && <u32>high == <u32>MAPPED) return (<u32>(high >> 32) & 0xff) >= 0xe0;
  return (<u32>low & 0xff) == 0xff;
}

// @ts-ignore: decorator
@inline
function isSolicitation(frame: usize, bytes: u32): bool {
  return (
    bytes >= ETHERNET_BYTES + 64 && load<u8>(frame, 20) == ICMPV6 && load<u8>(frame, 54) == NEIGHBOUR_SOLICITATION
  );
}

function findAddress(frame: usize, bytes: u32, isSource: bool): bool {
  const type = typeOf(frame);
  if (type == ETHERTYPE_IPV4) {
    if (bytes < ETHERNET_BYTES + 20) return false;
    setMapped(isSource ? load<u32>(frame, 26) : load<u32>(frame, 30));
    return true;
  }
  if (type == ETHERTYPE_ARP) {
    if (bytes < ETHERNET_BYTES + 28) return false;
    setMapped(isSource ? load<u32>(frame, 28) : load<u32>(frame, 38));
    return true;
  }
  if (type != ETHERTYPE_IPV6 || bytes < ETHERNET_BYTES + 40) return false;
  const at: usize = isSolicitation(frame, bytes) ? 62 : isSource ? 22 : 38;
  low = load<u64>(frame + at);
  high = load<u64>(frame + at, 8);
  return true;
}

// @ts-ignore: decorator
@inline
function setMapped(address: u32): void {
  low = 0;
  high = MAPPED | (<u64>address << 32);
}
