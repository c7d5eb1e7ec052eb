/**
 * Reading frames: Ethernet II and 802.3, VLAN tags, ARP, IPv4, IPv6, and where layer 4 begins.
 *
 *        0           6           12    14
 *        | dst (6)   | src (6)   | type | payload ...            Ethernet II  (IEEE 802.3-2022 3.1.1, type >= 0x0600)
 *        | dst (6)   | src (6)   | len  | LLC ...                802.3        (length <= 1500)
 *        | dst (6)   | src (6)   | tpid tci | type | ...         802.1Q tag   (802.1Q-2022 9.3: TPID 0x8100, 0x88a8)
 *
 * Multi-byte fields on the wire are big endian, WASM loads are little endian. A MAC address is compared, never computed
 * with, so it is kept as the six bytes are loaded: bit 0 of the value is the I/G (group) bit, 802.3 3.2.3.
 *
 * `parse` never reads beyond `bytes`: a header that does not fit sets PARSED_F_TRUNCATED and ends the walk.
 */
import {
  L3_ARP, L3_IPV4, L3_IPV6, L3_LLC, L3_OTHER, PARSED_ETHERTYPE, PARSED_FLAGS, PARSED_F_BROADCAST, PARSED_F_FRAGMENT,
  PARSED_F_MULTICAST, PARSED_F_TRUNCATED, PARSED_INNER_TCI, PARSED_L3_KIND, PARSED_L3_LENGTH, PARSED_L3_OFFSET,
  PARSED_L4_OFFSET, PARSED_L4_PROTOCOL, PARSED_OUTER_TCI, PARSED_TAGS, TPID_CTAG, TPID_STAG, VNET_BYTES,
  VNET_CSUM_OFFSET, VNET_CSUM_START, VNET_F_NEEDS_CSUM, VNET_GSO_SIZE, VNET_HDR_LEN,
} from "./abi";

export const ETHERNET_BYTES: u32 = 14;
export const MAC_MASK: u64 = 0xffff_ffff_ffff;
const BROADCAST: u64 = 0xffff_ffff_ffff;
const TAGS_MAX: u32 = 4;

export const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_ARP: u32 = 0x0806;
export const ETHERTYPE_IPV6: u32 = 0x86dd;
const ETHERTYPE_MIN: u32 = 0x0600;

export const PROTOCOL_TCP: u32 = 6;
export const PROTOCOL_UDP: u32 = 17;

/** A big-endian u16. */
// @ts-ignore: decorator
@inline
export function loadBe16(address: usize): u32 {
  return <u32>bswap<u16>(load<u16>(address));
}

// @ts-ignore: decorator
@inline
export function destination(frame: usize): u64 {
  return load<u64>(frame) & MAC_MASK;
}

// @ts-ignore: decorator
@inline
export function source(frame: usize): u64 {
  return load<u64>(frame, 6) & MAC_MASK;
}

/** I/G bit: multicast or broadcast. */
// @ts-ignore: decorator
@inline
export function isGroup(mac: u64): bool {
  return (mac & 1) != 0;
}

/** Ethertype (or tpid, or 802.3 length) behind the addresses. */
// @ts-ignore: decorator
@inline
export function typeOf(frame: usize): u32 {
  return loadBe16(frame + 12);
}

// @ts-ignore: decorator
@inline
export function isTpid(type: u32): bool {
  return type == TPID_CTAG || type == TPID_STAG;
}

/**
 * False for a frame without a tag; true for one with, and for a few others: one comparison with the bits in which the
 * two TPIDs agree, as they stand on the wire.
 */
// @ts-ignore: decorator
@inline
export function mayBeTagged(frame: usize): bool {
  return (<u32>load<u16>(frame, 12) & 0x57f6) == 0x0080;
}

/** Bytes of the addresses, the first two tags and the type behind them: what lies in front of any checksum. */
function linkHeaderBytes(frame: usize, bytes: u32): u32 {
  if (!isTpid(typeOf(frame))) return ETHERNET_BYTES;
  return bytes >= ETHERNET_BYTES + 4 && isTpid(loadBe16(frame + 16)) ? ETHERNET_BYTES + 8 : ETHERNET_BYTES + 4;
}

/**
 * Whether the virtio_net_hdr of a frame of `bytes` bytes makes sense. The kernel at the egress would trust these
 * offsets, so nothing that points outside of the frame may pass (virtio 1.2, 5.1.6.2 and 5.1.6.4.1), nor into tags: the
 * offsets shrink with every tag that is taken off.
 */
export function isOffloadValid(frame: usize, bytes: u32): bool {
  const vnet = vnetOf(frame);
  const head = linkHeaderBytes(frame, bytes);
  const flags = <u32>load<u8>(vnet);
  const gsoType = <u32>load<u8>(vnet, 1) & 0x7f; // without the ECN bit
  if (flags & VNET_F_NEEDS_CSUM) {
    const start = <u32>load<u16>(vnet, VNET_CSUM_START);
    if (start < head || start + <u32>load<u16>(vnet, VNET_CSUM_OFFSET) + 2 > bytes) return false;
  }
  if (load<u8>(vnet, 1) == 0) return true;
  // 1 TCPv4, 3 UDP (fragments), 4 TCPv6, 5 UDP (datagrams)
  if (gsoType == 0 || gsoType == 2 || gsoType > 5) return false;
  if (!(flags & VNET_F_NEEDS_CSUM)) return false;
  const headerBytes = <u32>load<u16>(vnet, VNET_HDR_LEN);
  return load<u16>(vnet, VNET_GSO_SIZE) != 0 && headerBytes >= head && headerBytes <= bytes;
}

// @ts-ignore: decorator
@inline
export function vnetOf(frame: usize): usize {
  return frame - VNET_BYTES;
}

/** Parses the frame at `frame` into the PARSED_* record at `out`; answers PARSED_FLAGS. */
export function parse(frame: usize, bytes: u32, out: usize): u32 {
  memory.fill(out, 0, 24);
  if (bytes < ETHERNET_BYTES) return finish(out, PARSED_F_TRUNCATED);
  const dst = destination(frame);
  let flags: u32 = dst == BROADCAST ? PARSED_F_MULTICAST | PARSED_F_BROADCAST : isGroup(dst) ? PARSED_F_MULTICAST : 0;

  let offset: u32 = 12;
  let tags: u32 = 0;
  let type = typeOf(frame);
  while (isTpid(type) && tags < TAGS_MAX) {
    if (offset + 6 > bytes) return finish(out, flags | PARSED_F_TRUNCATED);
    const tci = loadBe16(frame + offset + 2);
    if (tags == 0) store<u16>(out, tci, PARSED_OUTER_TCI);
    else if (tags == 1) store<u16>(out, tci, PARSED_INNER_TCI);
    tags++;
    offset += 4;
    type = loadBe16(frame + offset);
    store<u8>(out, tags, PARSED_TAGS);
  }
  offset += 2;
  store<u16>(out, type, PARSED_ETHERTYPE);
  store<u16>(out, offset, PARSED_L3_OFFSET);
  if (type < ETHERTYPE_MIN) {
    store<u8>(out, L3_LLC, PARSED_L3_KIND);
    store<u16>(out, type, PARSED_L3_LENGTH);
    if (offset + type > bytes) flags |= PARSED_F_TRUNCATED;
  } else if (type == ETHERTYPE_IPV4) {
    flags |= parseIpv4(frame, offset, bytes, out);
  } else if (type == ETHERTYPE_IPV6) {
    flags |= parseIpv6(frame, offset, bytes, out);
  } else if (type == ETHERTYPE_ARP) {
    store<u8>(out, L3_ARP, PARSED_L3_KIND);
    store<u16>(out, 28, PARSED_L3_LENGTH); // RFC 826 for Ethernet and IPv4
    if (offset + 28 > bytes) flags |= PARSED_F_TRUNCATED;
  } else {
    store<u8>(out, L3_OTHER, PARSED_L3_KIND);
  }
  return finish(out, flags);
}

// @ts-ignore: decorator
@inline
function finish(out: usize, flags: u32): u32 {
  store<u8>(out, flags, PARSED_FLAGS);
  return flags;
}

/** RFC 791 3.1. */
function parseIpv4(frame: usize, offset: u32, bytes: u32, out: usize): u32 {
  store<u8>(out, L3_IPV4, PARSED_L3_KIND);
  if (offset + 20 > bytes) return PARSED_F_TRUNCATED;
  const ip = frame + offset;
  const headerBytes = (<u32>load<u8>(ip) & 15) << 2;
  const length = loadBe16(ip + 2);
  store<u16>(out, length, PARSED_L3_LENGTH);
  store<u8>(out, load<u8>(ip, 9), PARSED_L4_PROTOCOL);
  if (load<u8>(ip) >> 4 != 4 || headerBytes < 20 || length < headerBytes || offset + headerBytes > bytes) {
    return PARSED_F_TRUNCATED;
  }
  const isFragment = (loadBe16(ip + 6) & 0x3fff) != 0; // MF or an offset
  // Only the first fragment has the layer-4 header, and a rule that looks at ports must treat all fragments alike.
  if (!isFragment) store<u16>(out, offset + headerBytes, PARSED_L4_OFFSET);
  return (isFragment ? PARSED_F_FRAGMENT : 0) | (offset + length > bytes ? PARSED_F_TRUNCATED : 0);
}

/**
 * RFC 8200 3 and 4: hop-by-hop (0), routing (43), fragment (44), destination options (60) are walked, at most eight of
 * them.
 */
function parseIpv6(frame: usize, offset: u32, bytes: u32, out: usize): u32 {
  store<u8>(out, L3_IPV6, PARSED_L3_KIND);
  if (offset + 40 > bytes) return PARSED_F_TRUNCATED;
  const ip = frame + offset;
  const length = loadBe16(ip + 4) + 40;
  store<u16>(out, length, PARSED_L3_LENGTH);
  if (load<u8>(ip) >> 4 != 6) return PARSED_F_TRUNCATED;
  let flags: u32 = offset + length > bytes ? PARSED_F_TRUNCATED : 0;
  let next = <u32>load<u8>(ip, 6);
  let at = offset + 40;
  for (let i = 0; i < 8; i++) {
    store<u8>(out, next, PARSED_L4_PROTOCOL);
    if (next != 0 && next != 43 && next != 44 && next != 60) {
      if (!(flags & PARSED_F_FRAGMENT)) store<u16>(out, at, PARSED_L4_OFFSET);
      return flags;
    }
    if (at + 8 > bytes) return flags | PARSED_F_TRUNCATED;
    const header = frame + at;
    if (next == 44) {
      flags |= PARSED_F_FRAGMENT;
      at += 8;
    } else {
      at += (<u32>load<u8>(header, 1) + 1) << 3;
    }
    next = <u32>load<u8>(header);
    if (at > bytes) return flags | PARSED_F_TRUNCATED;
  }
  return flags | PARSED_F_TRUNCATED;
}
