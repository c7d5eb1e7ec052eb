/**
 * Receive coalescing: frames of one TCP or UDP flow that come in the same batch and leave by the same port become one
 * offload frame, so that the kernel is crossed once for all of them. What GRO does in a NIC driver's poll
 * (net/ipv4/tcp_offload.c:tcp_gro_receive, net/ipv4/udp_offload.c:udp_gro_receive_segment), with the same rules: the
 * receiver can cut the frame into exactly what was sent.
 *
 *   TX queue   | ... | head, payload 1 | frame of another flow |          payload 2 arrives
 *              | ... | head, payload 1, payload 2 | ... |                 appended, its own descriptor taken back
 *
 * A flow is open from its first frame to the end of the batch: nothing waits for frames that may come, so there is no
 * timer and no added latency. Whatever can not be appended to its flow closes it, so a flow keeps its order. A flow is
 * found by a hash and compared in full: two flows of one hash close each other.
 *
 * Checksums: a frame whose checksum its sender's kernel has left open, or a NIC has verified, is appended as it is; all
 * others are summed up first, and a wrong one stays alone, for its receiver to drop.
 */
import {
  HEADER, HEADER_FLOWS, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, PORT_MERGED, TX_BODY, TX_BODY_LENGTH, TX_PORT,
  VNET_BYTES, VNET_CSUM_OFFSET, VNET_CSUM_START, VNET_F_DATA_VALID, VNET_F_NEEDS_CSUM, VNET_GSO_SIZE, VNET_GSO_TCPV4,
  VNET_GSO_TCPV6, VNET_GSO_TYPE, VNET_GSO_UDP, VNET_HDR_LEN,
} from "./abi";
import { finishIpv4, fold, pseudoSum, sum } from "./checksum";
import {
  ETHERNET_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, isTpid, loadBe16, PROTOCOL_TCP, PROTOCOL_UDP, typeOf,
} from "./frame";
import { portAt } from "./ports";
import { TAG_BYTES } from "./vlan";

/** Flows that can be open at once; a power of two. */
export const FLOWS_MAX: u32 = 16;
export const FLOW_BYTES: u32 = 32;

// A flow that is open. Offsets in its frame are from the start of the frame.
const FLOW_TX = 0; // u32, its TX descriptor; 0: not open
const FLOW_FRAME = 4; // u32, address of its frame
const FLOW_L3 = 8; // u8, offset of the IP header
const FLOW_L4 = 9; // u8, offset of the TCP or UDP header
const FLOW_PAYLOAD = 10; // u8, offset of the payload
const FLOW_PROTOCOL = 11; // u8
const FLOW_BYTES_NOW = 12; // u32, bytes of the frame
const FLOW_COUNT = 16; // u16, frames in it
const FLOW_SIZE = 18; // u16, bytes of payload of each but the last
const FLOW_SEQUENCE = 20; // u32, TCP: of the next byte
const FLOW_VERIFIED = 24; // u8, the checksum of its first frame is known to be right

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const FRAMES_MAX: u32 = 64; // as many as the kernel's own GRO puts into one (UDP_GRO_CNT_MAX)
const IP_BYTES_MAX: u32 = 65535;
const TCP_ACK: u32 = 0x10;
const TCP_PSH: u32 = 0x08;
const IPV4_FRAGMENT: u32 = 0xff3f; // more fragments, or an offset; as loaded
const IPV4_DF: u32 = 0x40;
const UDP_BYTES: u32 = 8;

let flows: usize = 0;
let opened: u32 = 0; // a bit for each open flow

// The frame at hand, as `classify` found it.
let frame: usize = 0;
let l3: u32 = 0;
let l4: u32 = 0;
let protocol: u32 = 0;
let end: u32 = 0; // where the IP packet ends; padding is not part of it
let isIpv6: bool = false;
let hash: u32 = 0;

export function coalesceInit(): void {
  flows = load<u32>(HEADER, HEADER_FLOWS);
  opened = 0;
}

// @ts-ignore: decorator
@inline
function flowAt(index: u32): usize {
  return flows + <usize>(index * FLOW_BYTES);
}

/**
 * Appends the frame of a TX descriptor without a head, the only copy of its slot, to an open flow; `wanted`: what the
 * egress port takes (OFFLOAD_*). Answers true when its bytes were taken over: then descriptor and slot are free again.
 */
export function coalesce(tx: usize, wanted: u32): bool {
  frame = <usize>load<u32>(tx, TX_BODY) + VNET_BYTES;
  const bytes = load<u32>(tx, TX_BODY_LENGTH) - VNET_BYTES;
  if (!classify(bytes, <u32>load<u16>(tx, TX_PORT))) return false;
  const flow = flowAt(hash);
  const payload = payloadOffset(bytes, wanted);
  if (opened & (1 << hash)) {
    if (payload && belongs(flow, payload) && isVerified(flow)) {
      append(flow, payload);
      const egress = portAt(<u32>load<u16>(tx, TX_PORT));
      store<u64>(egress, load<u64>(egress, PORT_MERGED) + 1, PORT_MERGED);
      return true;
    }
    close(hash);
  }
  if (payload) open(flow, tx, payload);
  return false;
}

/** Ends all flows: their frames go out as they are now. */
// @ts-ignore: decorator
@inline
export function coalesceFlush(): void {
  if (opened) closeAll();
}

function closeAll(): void {
  while (opened) close(ctz(opened));
}

/** Finds the layers and the flow of a frame; answers false when it is of no TCP or UDP flow. */
// @ts-ignore: decorator
@inline
function classify(bytes: u32, port: u32): bool {
  l3 = ETHERNET_BYTES;
  let type = typeOf(frame);
  while (isTpid(type) && l3 < ETHERNET_BYTES + 2 * TAG_BYTES) {
    l3 += TAG_BYTES;
    type = loadBe16(frame + l3 - 2);
  }
  const ip = frame + l3;
  let key: u64;
  if (type == ETHERTYPE_IPV4) {
    if (bytes < l3 + 28) return false;
    protocol = <u32>load<u8>(ip, 9);
    // Fragments have no ports, options move them: they may be of any flow.
    if (load<u8>(ip) != 0x45 || load<u16>(ip, 6) & IPV4_FRAGMENT) return unknown();
    isIpv6 = false;
    l4 = l3 + 20;
    end = l3 + loadBe16(ip + 2);
    key = load<u64>(ip, 12);
  } else if (type == ETHERTYPE_IPV6) {
    if (bytes < l3 + 48) return false;
    protocol = <u32>load<u8>(ip, 6);
    if (protocol == 0 || protocol == 43 || protocol == 44 || protocol == 60) return unknown(); // extension headers
    isIpv6 = true;
    l4 = l3 + 40;
    end = l4 + loadBe16(ip + 4);
    key = load<u64>(ip, 8) ^ load<u64>(ip, 16) ^ load<u64>(ip, 24) ^ load<u64>(ip, 32);
  } else {
    return false;
  }
  if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) return false;
  key ^= (<u64>load<u32>(frame + l4) << 16) ^ <u64>port ^ <u64>protocol;
  hash = <u32>((key * GOLDEN) >> 60);
  return true;
}

function unknown(): bool {
  closeAll();
  return false;
}

/** Where the payload begins of a frame that may be put together with others; 0 when it may not. */
// @ts-ignore: decorator
@inline
function payloadOffset(bytes: u32, wanted: u32): u32 {
  const vnet = frame - VNET_BYTES;
  if (load<u8>(vnet, VNET_GSO_TYPE) || end > bytes) return 0;
  const header = frame + l4;
  if (protocol == PROTOCOL_UDP) {
    const payload = l4 + UDP_BYTES;
    if (!(wanted & OFFLOAD_USO) || end <= payload || loadBe16(header + 4) != end - l4) return 0;
    if (isDhcp(loadBe16(header)) || isDhcp(loadBe16(header + 2))) return 0;
    return payload;
  }
  const payload = l4 + (<u32>(load<u8>(header, 12) >> 4) << 2);
  if (!(wanted & (isIpv6 ? OFFLOAD_TSO6 : OFFLOAD_TSO4)) || payload < l4 + 20 || end <= payload) return 0;
  // Only plain data: SYN, FIN, RST, URG, ECE, CWR and AE mean something about their own segment.
  const flags = loadBe16(header + 12) & 0x0fff;
  return (flags & ~TCP_PSH) == TCP_ACK ? payload : 0;
}

/** DHCP clients read whole packets from raw sockets: they would see the merged datagram. */
// @ts-ignore: decorator
@inline
function isDhcp(port: u32): bool {
  return port == 67 || port == 68 || port == 546 || port == 547;
}

/** Whether the frame at hand continues the flow, so that nothing is lost when it is appended. */
// @ts-ignore: decorator
@inline
function belongs(flow: usize, payload: u32): bool {
  if (load<u8>(flow, FLOW_L4) != <u8>l4 || load<u8>(flow, FLOW_PAYLOAD) != <u8>payload) return false;
  if (load<u8>(flow, FLOW_L3) != <u8>l3 || load<u8>(flow, FLOW_PROTOCOL) != <u8>protocol) return false;
  const count = <u32>load<u16>(flow, FLOW_COUNT);
  const size = end - payload;
  if (count >= FRAMES_MAX || size > <u32>load<u16>(flow, FLOW_SIZE)) return false;
  if (load<u32>(flow, FLOW_BYTES_NOW) + size - l3 > IP_BYTES_MAX) return false;
  const other = <usize>load<u32>(flow, FLOW_FRAME);
  if (load<u64>(other) != load<u64>(frame) || load<u64>(other, 6) != load<u64>(frame, 6)) return false;
  if (l3 > ETHERNET_BYTES && load<u64>(other + l3 - 8) != load<u64>(frame + l3 - 8)) return false; // tags
  return sameIp(other + l3, frame + l3, count) && sameLayer4(flow, other + l4, frame + l4, payload - l4);
}

// @ts-ignore: decorator
@inline
function sameIp(a: usize, b: usize, count: u32): bool {
  if (isIpv6) {
    // Version, class and flow label; next header and hop limit; addresses.
    if (load<u32>(a) != load<u32>(b) || load<u16>(a, 6) != load<u16>(b, 6)) return false;
    return v6Same(a + 8, b + 8) && v6Same(a + 24, b + 24);
  }
  if (load<u16>(a) != load<u16>(b) || load<u64>(a, 12) != load<u64>(b, 12)) return false; // type of service, addresses
  if (load<u16>(a, 6) != load<u16>(b, 6) || load<u16>(a, 8) != load<u16>(b, 8)) return false; // DF, time to live
  // Identifications count on in the segments; they mean nothing where a packet can not be fragmented (RFC 6864 4.1).
  return (load<u8>(a, 6) & IPV4_DF) != 0 || <u16>(loadBe16(a + 4) + count) == <u16>loadBe16(b + 4);
}

// @ts-ignore: decorator
@inline
function v6Same(a: usize, b: usize): bool {
  return load<u64>(a) == load<u64>(b) && load<u64>(a, 8) == load<u64>(b, 8);
}

// @ts-ignore: decorator
@inline
function sameLayer4(flow: usize, a: usize, b: usize, headerBytes: u32): bool {
  if (load<u32>(a) != load<u32>(b)) return false; // ports
  if (protocol == PROTOCOL_UDP) return true;
  if (bswap<u32>(load<u32>(b, 4)) != load<u32>(flow, FLOW_SEQUENCE)) return false;
  if (load<u32>(a, 8) != load<u32>(b, 8)) return false; // acknowledgement
  if ((load<u32>(a, 12) ^ load<u32>(b, 12)) & ~(TCP_PSH << 8)) return false; // flags, window
  for (let at: u32 = 20; at < headerBytes; at += 4) {
    if (load<u32>(a + at) != load<u32>(b + at)) return false;
  }
  return true;
}

/** Whether the checksums of the flow's first frame and of the frame at hand are right, or not yet computed. */
// @ts-ignore: decorator
@inline
function isVerified(flow: usize): bool {
  if (!hasGoodChecksum(frame, end)) return false;
  if (load<u8>(flow, FLOW_VERIFIED)) return true;
  if (!hasGoodChecksum(<usize>load<u32>(flow, FLOW_FRAME), load<u32>(flow, FLOW_BYTES_NOW))) return false;
  store<u8>(flow, 1, FLOW_VERIFIED);
  return true;
}

// @ts-ignore: decorator
@inline
function hasGoodChecksum(start: usize, stop: u32): bool {
  const vnet = start - VNET_BYTES;
  const flags = <u32>load<u8>(vnet);
  const field: u32 = protocol == PROTOCOL_TCP ? 16 : 6;
  if (flags & VNET_F_NEEDS_CSUM) {
    return <u32>load<u16>(vnet, VNET_CSUM_START) == l4 && <u32>load<u16>(vnet, VNET_CSUM_OFFSET) == field;
  }
  if (protocol == PROTOCOL_UDP && load<u16>(start + l4, 6) == 0) return false; // none, and it must stay so
  if (flags & VNET_F_DATA_VALID) return true;
  const bytes = stop - l4;
  return fold(pseudoSum(start + l3, isIpv6, protocol, bytes) + sum(start + l4, bytes)) == 0xffff;
}

function open(flow: usize, tx: usize, payload: u32): void {
  // A pushed segment ends its flow: nothing can follow it.
  if (protocol == PROTOCOL_TCP && load<u8>(frame + l4, 13) & <u8>TCP_PSH) return;
  store<u32>(flow, <u32>tx, FLOW_TX);
  store<u32>(flow, <u32>frame, FLOW_FRAME);
  store<u8>(flow, l3, FLOW_L3);
  store<u8>(flow, l4, FLOW_L4);
  store<u8>(flow, payload, FLOW_PAYLOAD);
  store<u8>(flow, protocol, FLOW_PROTOCOL);
  store<u32>(flow, end, FLOW_BYTES_NOW);
  store<u16>(flow, 1, FLOW_COUNT);
  store<u16>(flow, end - payload, FLOW_SIZE);
  store<u32>(flow, bswap<u32>(load<u32>(frame + l4, 4)) + (end - payload), FLOW_SEQUENCE);
  store<u8>(flow, 0, FLOW_VERIFIED);
  opened |= 1 << hash;
}

// @ts-ignore: decorator
@inline
function append(flow: usize, payload: u32): void {
  const size = end - payload;
  const bytes = load<u32>(flow, FLOW_BYTES_NOW);
  const target = <usize>load<u32>(flow, FLOW_FRAME);
  memory.copy(target + bytes, frame + payload, size);
  store<u32>(flow, bytes + size, FLOW_BYTES_NOW);
  store<u16>(flow, load<u16>(flow, FLOW_COUNT) + 1, FLOW_COUNT);
  store<u32>(flow, load<u32>(flow, FLOW_SEQUENCE) + size, FLOW_SEQUENCE);
  const pushed = protocol == PROTOCOL_TCP ? load<u8>(frame + l4, 13) & <u8>TCP_PSH : 0;
  if (pushed) store<u8>(target + l4, load<u8>(target + l4, 13) | <u8>TCP_PSH, 13);
  if (pushed || size < <u32>load<u16>(flow, FLOW_SIZE)) close(hash);
}

/** Ends a flow: with more than one frame in it, it gets the headers of an offload frame. */
function close(index: u32): void {
  opened &= ~(1 << index);
  const flow = flowAt(index);
  if (load<u16>(flow, FLOW_COUNT) == 1) return;
  const start = <usize>load<u32>(flow, FLOW_FRAME);
  const bytes = load<u32>(flow, FLOW_BYTES_NOW);
  const network = <u32>load<u8>(flow, FLOW_L3);
  const transport = <u32>load<u8>(flow, FLOW_L4);
  const isTcp = load<u8>(flow, FLOW_PROTOCOL) == PROTOCOL_TCP;
  const isSix = transport - network == 40;
  const ip = start + network;
  const header = start + transport;
  const length = bytes - transport;
  store<u32>(<usize>load<u32>(flow, FLOW_TX), bytes + VNET_BYTES, TX_BODY_LENGTH);
  if (isSix) {
    store<u16>(ip, bswap<u16>(<u16>length), 4);
  } else {
    store<u16>(ip, bswap<u16>(<u16>(bytes - network)), 2);
    finishIpv4(ip);
  }
  const pseudo = fold(pseudoSum(ip, isSix, isTcp ? PROTOCOL_TCP : PROTOCOL_UDP, length));
  if (isTcp) {
    store<u16>(header, pseudo, 16);
  } else {
    store<u16>(header, bswap<u16>(<u16>length), 4);
    store<u16>(header, pseudo, 6);
  }
  const vnet = start - VNET_BYTES;
  store<u8>(vnet, VNET_F_NEEDS_CSUM);
  store<u8>(vnet, isTcp ? (isSix ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4) : VNET_GSO_UDP, VNET_GSO_TYPE);
  store<u16>(vnet, load<u8>(flow, FLOW_PAYLOAD), VNET_HDR_LEN);
  store<u16>(vnet, load<u16>(flow, FLOW_SIZE), VNET_GSO_SIZE);
  store<u16>(vnet, transport, VNET_CSUM_START);
  store<u16>(vnet, isTcp ? 16 : 6, VNET_CSUM_OFFSET);
}
