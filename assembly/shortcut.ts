/**
 * The shortcut for nearly all frames: untagged in memory, from one station to one other, with nothing to look at but
 * the tables.
 *
 *   bridge endpoint without port security --> FDB --> sibling of its network, or the wire
 *   uplink --> table --> plain segment    --> FDB --> station
 *
 * It does what `receive` in forward.ts does for such a frame. Whatever it is not sure of goes the long way: it has
 * changed nothing then. Small, so that the compiler keeps everything in registers; the long way is five times as large.
 */
import {
  FLAG_CLOSING, FLAG_SECURE_IP, FLAG_SECURE_MAC, KIND_ENDPOINT, KIND_UPLINK, OFFLOAD_CSUM, PORT_COALESCE,
  PORT_FRAME_BYTES_MAX, PORT_OFFLOADS, PORT_RX_BYTES, PORT_RX_FRAMES, PORT_SEGMENT, PORT_TABLE, RX_LENGTH, RX_PORT,
  RX_SLOT, RX_TAG, SEGMENT_PASSTHRU, SEGMENT_TAG0, SEGMENT_TAG1, SEGMENT_UPLINK, SLOT_FRAME, TABLE_STACKED, VID_MAX,
  VNET_BYTES, VNET_CSUM_OFFSET, VNET_CSUM_START, VNET_F_NEEDS_CSUM,
} from "./abi";
import { coalesce } from "./coalesce";
import { coalesceInto, SIBLING } from "./egress";
import { destination, ETHERNET_BYTES, isGroup, isTpid, mayBeTagged, source, typeOf, vnetOf } from "./frame";
import { fdbLookup, fdbTouch } from "./macfdb";
import { finishedCopies } from "./offload";
import { portAt, segmentAt, tableLookup } from "./ports";
import { rxPeek, slotAt, slotFree, slotHold, txDescriptor, txPush, txTail, txTakeBack } from "./queues";
import { pop, push, TAG_BYTES, tagAt, vidOf } from "./vlan";

// The first eight bytes of a port: kind, mode, flags, segment, network. Mode 0 is MODE_BRIDGE.
const PLAIN: u64 = 0xffff | (<u64>(FLAG_CLOSING | FLAG_SECURE_MAC | FLAG_SECURE_IP) << 16);
/** SEGMENT_PASSTHRU, _SOURCES, _IPVLANS. */
const SPECIAL: u64 = 0xffff_ffff_ffff;

/** What `touch` has read, so that it is read. */
let sink: u64 = 0;

/**
 * Reads the table entries that the next `count` frames are going to need, one after the other without waiting for any:
 * the processor fetches them from memory all at the same time.
 */
export function touch(count: u32): void {
  let all: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const at = rxPeek(i);
    const port = portAt(<u32>load<u16>(at, RX_PORT));
    let segment = <u32>load<u16>(port, PORT_SEGMENT);
    if (segment == 0) segment = tableLookup(<u32>load<u16>(port, PORT_TABLE), load<u32>(at, RX_TAG));
    all ^= fdbTouch(segment, destination(slotAt(<u32>load<u16>(at, RX_SLOT)) + SLOT_FRAME));
  }
  sink = all;
}

/** Forwards the frame of a descriptor; answers false when it has to go the long way. */
// @ts-ignore: decorator
@inline
export function shortcut(at: usize): bool {
  const port = portAt(<u32>load<u16>(at, RX_PORT));
  const slot = <u32>load<u16>(at, RX_SLOT);
  const bytes = load<u32>(at, RX_LENGTH);
  let frame = slotAt(slot) + SLOT_FRAME;
  if (bytes < ETHERNET_BYTES + TAG_BYTES) return false;
  const src = source(frame);
  const dst = destination(frame);
  if (isGroup(src | dst)) return false;
  if (src == 0) return false;
  const offload = <u32>load<u16>(vnetOf(frame));
  if (offload) {
    // A checksum behind the addresses, two tags and a type, and nothing else: `isOffloadValid` for the long way.
    if (offload != VNET_F_NEEDS_CSUM) return false;
    const start = <u32>load<u16>(vnetOf(frame), VNET_CSUM_START);
    if (start < ETHERNET_BYTES + 2 * TAG_BYTES) return false;
    if (start + <u32>load<u16>(vnetOf(frame), VNET_CSUM_OFFSET) + 2 > bytes) return false;
  }
  const self = load<u64>(port);
  let target: u32 = 0;
  let egress: usize = 0;
  let owner: usize = 0; // of the tags that are to be pushed
  let length = bytes;
  if ((self & PLAIN) == KIND_ENDPOINT) {
    if (mayBeTagged(frame)) return false;
    const segment = <u32>(self >> 32) & 0xffff;
    target = fdbLookup(segment, dst);
    egress = portAt(target);
    // Port 0 is nobody's, and all zero.
    if ((load<u64>(egress) ^ self) & SIBLING) {
      owner = segmentAt(segment);
      target = <u32>load<u16>(owner, SEGMENT_UPLINK);
      if (target == 0) return false;
      egress = portAt(target);
    } else if (egress == port) return false;
  } else {
    if ((self & PLAIN) != KIND_UPLINK) return false;
    const tag = load<u32>(at, RX_TAG);
    if (tag == 0) {
      if (mayBeTagged(frame)) return false;
    }
    if (vidOf(tag) > <u32>VID_MAX) return false;
    let segment = tableLookup(<u32>load<u16>(port, PORT_TABLE), vidOf(tag) ? tag : 0);
    if (segment & TABLE_STACKED) {
      if (!isTpid(typeOf(frame))) return false;
      const inner = tagAt(frame);
      if (vidOf(inner) - 1 >= <u32>VID_MAX) return false;
      segment = tableLookup(segment & ~TABLE_STACKED, inner);
      length -= TAG_BYTES;
    }
    if (segment == 0) return false;
    if (load<u64>(segmentAt(segment), SEGMENT_PASSTHRU) & SPECIAL) return false;
    target = fdbLookup(segment, dst);
    if (target == 0) return false;
    egress = portAt(target);
  }
  if (length > load<u32>(egress, PORT_FRAME_BYTES_MAX)) return false;
  if (offload) {
    if (!(load<u8>(egress, PORT_OFFLOADS) & OFFLOAD_CSUM)) return false;
  }
  store<u64>(port, load<u64>(port, PORT_RX_FRAMES) + 1, PORT_RX_FRAMES);
  store<u64>(port, load<u64>(port, PORT_RX_BYTES) + bytes, PORT_RX_BYTES);
  if (owner) {
    const inner = load<u32>(owner, SEGMENT_TAG1);
    if (inner) {
      frame = push(frame, inner);
      length += TAG_BYTES;
    }
    const outer = load<u32>(owner, SEGMENT_TAG0);
    if (outer) {
      frame = push(frame, outer);
      length += TAG_BYTES;
    }
  } else if (length != bytes) frame = pop(frame);
  txPush(target, slot, vnetOf(frame), length + VNET_BYTES, 0, 0);
  const coalesceInto = <u32>load<u8>(egress, PORT_COALESCE);
  if (coalesceInto) join(slot, coalesceInto);
  else slotHold(slot, 1);
  return true;
}

/** The only descriptor of a slot has just been queued: its frame becomes a part of another one, if it can. */
function join(slot: u32, coalesceInto: u32): void {
  if (coalesce(txDescriptor(txTail - 1), coalesceInto)) {
    txTakeBack();
    slotFree(slot);
  } else slotHold(slot, 1);
}

/** A frame has been forwarded, with so many descriptors: its slot is held by those that are its own. */
export function settle(slot: u32, queued: u32): void {
  const copies = queued - finishedCopies;
  if (copies == 0) slotFree(slot);
  else if (copies == 1 && finishedCopies == 0 && coalesceInto) join(slot, coalesceInto);
  else slotHold(slot, copies);
}
