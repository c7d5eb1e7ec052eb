/**
 * VLAN tags: push, pop and rewrite, for 802.1Q (TPID 0x8100) and 802.1ad (0x88a8).
 *
 *   untagged   | vnet (10) | dst (6) | src (6) | type | ...
 *   tagged     | vnet (10) | dst (6) | src (6) | tpid (2) | tci (2) | type | ...
 *
 * tci = pcp (3 bits) . dei (1) . vid (12), 802.1Q-2022 9.6.
 *
 * A tag goes in front of the ethertype, so it is the short side, the addresses and the vnet header, that moves: 4 bytes
 * towards the slot's headroom for a push, 4 bytes back for a pop. The offload header counts from the start of the
 * frame: csum_start and hdr_len follow by 4 (virtio 1.2, 5.1.6.2), but only where they mean something.
 *
 * A frame that goes to a tagged uplink *and* to untagged siblings lies once in its slot: the tagged copy gets a head of
 * its own (`buildHead`) and shares the payload.
 */
import {
  TPID_STAG, VNET_BYTES, VNET_CSUM_START, VNET_F_NEEDS_CSUM, VNET_GSO_TYPE, VNET_HDR_LEN,
} from "./abi";
import { move22 } from "./features";
import { loadBe16 } from "./frame";

export const TAG_BYTES: u32 = 4;

/** `tpid << 16 | tci` as the four bytes on the wire, for a little-endian store. */
// @ts-ignore: decorator
@inline
function wire(tag: u32): u32 {
  return bswap<u32>(tag);
}

/** The tag at byte 12 of the frame as `tpid << 16 | tci`. */
// @ts-ignore: decorator
@inline
export function tagAt(frame: usize): u32 {
  return bswap<u32>(load<u32>(frame, 12));
}

// @ts-ignore: decorator
@inline
export function vidOf(tag: u32): u32 {
  return tag & 0xfff;
}

/** Index of the VLAN table's half for this tag's TPID. */
// @ts-ignore: decorator
@inline
export function tpidIndex(tag: u32): u32 {
  return tag >> 16 == TPID_STAG ? 1 : 0;
}

/** Moves the offload offsets by `delta` bytes (a multiple of 4, may be negative). */
// @ts-ignore: decorator
@inline
function shiftOffload(vnet: usize, delta: i32): void {
  if (load<u16>(vnet) == 0) return; // neither checksum nor GSO
  if (load<u8>(vnet) & VNET_F_NEEDS_CSUM) {
    store<u16>(vnet, <u32>load<u16>(vnet, VNET_CSUM_START) + delta, VNET_CSUM_START);
  }
  if (load<u8>(vnet, VNET_GSO_TYPE)) store<u16>(vnet, <u32>load<u16>(vnet, VNET_HDR_LEN) + delta, VNET_HDR_LEN);
}

/** Pushes `tag` in place; answers the new start of the frame, 4 bytes earlier. */
// @ts-ignore: decorator
@inline
export function push(frame: usize, tag: u32): usize {
  const vnet = frame - VNET_BYTES;
  move22(vnet - TAG_BYTES, vnet);
  shiftOffload(vnet - TAG_BYTES, 4);
  store<u32>(frame - TAG_BYTES, wire(tag), 12);
  return frame - TAG_BYTES;
}

/** Removes the tag at byte 12 in place; answers the new start of the frame, 4 bytes later. */
// @ts-ignore: decorator
@inline
export function pop(frame: usize): usize {
  const vnet = frame - VNET_BYTES;
  move22(vnet + TAG_BYTES, vnet);
  shiftOffload(vnet + TAG_BYTES, -4);
  return frame + TAG_BYTES;
}

/** Replaces the VID of the tag at byte 12; PCP and DEI stay. */
export function rewriteVid(frame: usize, vid: u32): void {
  const tci = (loadBe16(frame + 14) & 0xf000) | vid;
  store<u16>(frame, bswap<u16>(<u16>tci), 14);
}

/**
 * Writes the head of a tagged copy to `target`: vnet header, addresses and one or two tags (outer first; `inner` 0:
 * none). Answers its length in bytes. What follows on the wire is the frame from its byte 12 on.
 */
export function buildHead(target: usize, frame: usize, outer: u32, inner: u32): u32 {
  move22(target, frame - VNET_BYTES);
  store<u32>(target, wire(outer), VNET_BYTES + 12);
  if (inner == 0) {
    shiftOffload(target, 4);
    return VNET_BYTES + 16;
  }
  store<u32>(target, wire(inner), VNET_BYTES + 16);
  shiftOffload(target, 8);
  return VNET_BYTES + 20;
}
