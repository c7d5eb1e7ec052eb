/**
 * Offloads in software: what an egress port can not take unfinished is finished here, the checksum that the sender's
 * kernel has left open, the TCP or UDP super-frame that it has left whole. Every frame that comes out has a slot of its
 * own; the frame that went in is not changed, so that its other copies still leave as they are.
 *
 *   super-frame   | Ethernet, tags | IP | TCP | payload ....................... |   gso_size = n
 *   segments      | Ethernet, tags | IP | TCP | n bytes |   | ... | n bytes |   | ... | the rest |
 *
 * Nothing is taken from the offload header that the frame itself does not confirm: where the headers end is read in
 * them. Segments are numbered as the kernel does (net/ipv4/tcp_offload.c:tcp_gso_segment, udp_offload.c).
 */
import {
  DROP_TX_ERROR, DROP_TX_FULL, OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, PORT_FINISHED, PORT_OFFLOADS,
  SLOT_FRAME, VNET_BYTES, VNET_CSUM_OFFSET, VNET_CSUM_START, VNET_F_NEEDS_CSUM, VNET_GSO_ECN, VNET_GSO_SIZE,
  VNET_GSO_TCPV4, VNET_GSO_TCPV6, VNET_GSO_TYPE, VNET_GSO_UDP,
} from "./abi";
import { finishIpv4, fold, pseudoSum, sum } from "./checksum";
import {
  ETHERNET_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, isTpid, loadBe16, PROTOCOL_TCP, PROTOCOL_UDP, typeOf,
} from "./frame";
import { countDrop, portAt, portsLive } from "./ports";
import { slotAt, slotFree, slotHold, slotsFree, slotTake, txPush, txRoom } from "./queues";
import { TAG_BYTES } from "./vlan";

const TCP_FIN_PSH: u32 = 0x09;
const TCP_CWR: u32 = 0x80;
const IPV4_BYTES: u32 = 20;
const IPV6_BYTES: u32 = 40;
const UDP_BYTES: u32 = 8;
const TCP_BYTES: u32 = 20;
const TCP_BYTES_MAX: u32 = 60;
export const UDP_CHECKSUM: u32 = 6;
export const TCP_CHECKSUM: u32 = 16;

// The frame at hand: VNET_BYTES at `vnet` and `firstBytes` of the frame behind them, then the others at `body`.
let vnet: usize = 0;
let firstBytes: u32 = 0;
let body: usize = 0;
let bytes: u32 = 0;
let l3: u32 = 0;
let isIpv6: bool = false;

/** Descriptors queued here since the caller last set it to 0: they belong to slots of their own. */
export let finishedCopies: u32 = 0;

export function resetFinishedCopies(): void {
  finishedCopies = 0;
}

/** Whether a frame with this offload header must be finished before it leaves by a port. */
// @ts-ignore: decorator
@inline
export function lacksOffload(egress: usize, vnet: usize): bool {
  const takes = <u32>load<u8>(egress, PORT_OFFLOADS);
  const type = <u32>load<u8>(vnet, VNET_GSO_TYPE);
  if (type) return !(takes & neededFor(type & ~VNET_GSO_ECN));
  return (load<u8>(vnet) & VNET_F_NEEDS_CSUM) != 0 && !(takes & OFFLOAD_CSUM);
}

// @ts-ignore: decorator
@inline
function neededFor(type: u32): u32 {
  if (type == VNET_GSO_TCPV4) return OFFLOAD_TSO4;
  return type == VNET_GSO_TCPV6 ? OFFLOAD_TSO6 : OFFLOAD_USO;
}

/**
 * Queues a frame for `port`, finished: whole, or in as many segments as it takes. Its bytes are those of `head` (if
 * there is one) and of `rest`, the first VNET_BYTES of them the offload header. Answers false when that could not be
 * done, which is counted at the egress port.
 */
export function finish(port: u32, rest: usize, restBytes: u32, head: usize, headBytes: u32): bool {
  vnet = head ? head : rest;
  firstBytes = head ? headBytes - VNET_BYTES : 0;
  body = head ? rest : rest + VNET_BYTES;
  bytes = headBytes + restBytes - VNET_BYTES;
  const reason = load<u8>(vnet, VNET_GSO_TYPE) ? cut(port) : summed(port);
  if (reason >= 0) countDrop(portAt(port), reason);
  return reason < 0;
}

/** Copies `count` bytes of the frame at hand, from its byte `offset` on. */
// @ts-ignore: decorator
@inline
function gather(target: usize, offset: u32, count: u32): void {
  const fromHead = offset < firstBytes ? min(firstBytes - offset, count) : 0;
  if (fromHead) memory.copy(target, vnet + VNET_BYTES + offset, fromHead);
  memory.copy(target + fromHead, body + (offset + fromHead - firstBytes), count - fromHead);
}

/** Queues a frame of its own slot. */
// @ts-ignore: decorator
@inline
function queue(port: u32, slot: u32, frame: usize, count: u32): void {
  store<u64>(frame - VNET_BYTES, 0);
  store<u16>(frame - VNET_BYTES, 0, 8);
  slotHold(slot, 1);
  txPush(port, slot, frame - VNET_BYTES, count + VNET_BYTES, 0, 0);
  finishedCopies++;
  const egress = portAt(port);
  store<u64>(egress, load<u64>(egress, PORT_FINISHED) + 1, PORT_FINISHED);
}

/** UDP keeps 0 for "no checksum" (RFC 768). */
// @ts-ignore: decorator
@inline
function storeSum(at: usize, total: u64, isUdp: bool): void {
  const checksum = ~fold(total) & 0xffff;
  store<u16>(at, checksum == 0 && isUdp ? 0xffff : checksum);
}

/** The frame with its checksum; answers a drop reason, or -1. */
function summed(port: u32): i32 {
  if (slotsFree() == 0) return DROP_TX_FULL;
  const slot = slotTake();
  const frame = slotAt(slot) + SLOT_FRAME;
  gather(frame, 0, bytes);
  const start = <u32>load<u16>(vnet, VNET_CSUM_START);
  const offset = <u32>load<u16>(vnet, VNET_CSUM_OFFSET);
  storeSum(frame + start + offset, sum(frame + start, bytes - start), offset == UDP_CHECKSUM);
  queue(port, slot, frame, bytes);
  return -1;
}

/** The segments of a super-frame; answers a drop reason, or -1. */
function cut(port: u32): i32 {
  if (slotsFree() == 0) return DROP_TX_FULL;
  const first = slotTake();
  const pattern = slotAt(first) + SLOT_FRAME;
  const l4 = <u32>load<u16>(vnet, VNET_CSUM_START);
  gather(pattern, 0, min(bytes, l4 + TCP_BYTES_MAX));
  const headerBytes = headersOf(pattern, l4);
  const size = <u32>load<u16>(vnet, VNET_GSO_SIZE);
  const count = headerBytes ? (bytes - headerBytes + size - 1) / size : 0;
  // Behind them, there must still be room for a flood of the next frame.
  const hasRoom = slotsFree() + 1 >= count && txRoom() > count + portsLive;
  if (count == 0 || !hasRoom) {
    slotFree(first);
    return count ? DROP_TX_FULL : DROP_TX_ERROR;
  }
  const isUdp = (load<u8>(vnet, VNET_GSO_TYPE) & ~VNET_GSO_ECN) == VNET_GSO_UDP;
  const id = loadBe16(pattern + l3 + 4);
  const sequence = bswap<u32>(load<u32>(pattern + l4, 4));
  const flags = <u32>load<u8>(pattern + l4, 13);
  for (let i: u32 = 0; i < count; i++) {
    const slot = i == 0 ? first : slotTake();
    const frame = slotAt(slot) + SLOT_FRAME;
    const from = headerBytes + i * size;
    const payload = min(size, bytes - from);
    if (i) memory.copy(frame, pattern, headerBytes);
    gather(frame + headerBytes, from, payload);
    finishNetwork(frame + l3, headerBytes + payload - l3, id + i);
    const header = frame + l4;
    const length = headerBytes + payload - l4;
    if (isUdp) {
      store<u16>(header, bswap<u16>(<u16>length), 4);
    } else {
      store<u32>(header, bswap<u32>(sequence + i * size), 4);
      const notFirst = i ? TCP_CWR : 0;
      const notLast = i + 1 < count ? TCP_FIN_PSH : 0;
      store<u8>(header, flags & ~(notFirst | notLast), 13);
    }
    const field = header + (isUdp ? UDP_CHECKSUM : TCP_CHECKSUM);
    store<u16>(field, 0);
    const pseudo = pseudoSum(frame + l3, isIpv6, isUdp ? PROTOCOL_UDP : PROTOCOL_TCP, length);
    storeSum(field, pseudo + sum(header, length), isUdp);
    queue(port, slot, frame, headerBytes + payload);
  }
  return -1;
}

/**
 * Bytes of all headers of the super-frame whose beginning is at `frame`, 0 when they are not what its offload header
 * says; finds `l3` and `isIpv6`.
 */
function headersOf(frame: usize, l4: u32): u32 {
  l3 = ETHERNET_BYTES;
  let ethertype = typeOf(frame);
  while (isTpid(ethertype) && l3 < ETHERNET_BYTES + 2 * TAG_BYTES) {
    l3 += TAG_BYTES;
    ethertype = loadBe16(frame + l3 - 2);
  }
  isIpv6 = ethertype == ETHERTYPE_IPV6;
  const type = <u32>load<u8>(vnet, VNET_GSO_TYPE) & ~VNET_GSO_ECN;
  const ipBytes = l4 - l3; // wraps around, and is too large, when l4 lies in front of it
  if (isIpv6) {
    if (type == VNET_GSO_TCPV4 || ipBytes < IPV6_BYTES || l4 > bytes) return 0;
  } else {
    if (ethertype != ETHERTYPE_IPV4 || type == VNET_GSO_TCPV6) return 0;
    if (ipBytes < IPV4_BYTES || ipBytes != (<u32>load<u8>(frame + l3) & 15) << 2) return 0;
  }
  // UDP fragments (3), which no kernel makes any more, are left out.
  if (type != VNET_GSO_UDP && type != VNET_GSO_TCPV4 && type != VNET_GSO_TCPV6) return 0;
  const headerBytes = l4 + (type == VNET_GSO_UDP ? UDP_BYTES : (<u32>load<u8>(frame + l4, 12) >> 4) << 2);
  if (headerBytes < l4 + (type == VNET_GSO_UDP ? UDP_BYTES : TCP_BYTES) || headerBytes >= bytes) return 0;
  return headerBytes;
}

/** Length, and for IPv4 identification and checksum, of a packet of `count` bytes. */
// @ts-ignore: decorator
@inline
function finishNetwork(ip: usize, count: u32, id: u32): void {
  if (isIpv6) {
    store<u16>(ip, bswap<u16>(<u16>(count - IPV6_BYTES)), 4);
    return;
  }
  store<u16>(ip, bswap<u16>(<u16>count), 2);
  store<u16>(ip, bswap<u16>(<u16>id), 4);
  finishIpv4(ip);
}
