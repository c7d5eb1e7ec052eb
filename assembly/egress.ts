/**
 * How a copy of a frame leaves: as one TX descriptor for an endpoint, a host TAP or the wire, with the segment's tags,
 * within the MTU of the egress port, and as far finished as the port needs it.
 */
import {
  DROP_GIANT, PORT_COALESCE, PORT_FRAME_BYTES_MAX, PORT_NEXT, SEGMENT_HEAD, SEGMENT_TAG0, SEGMENT_TAG1, SEGMENT_TAGS,
  SEGMENT_UPLINK, SLOT_HEAD, VNET_BYTES, VNET_GSO_TYPE,
} from "./abi";
import { vnetOf } from "./frame";
import { finish, lacksOffload } from "./offload";
import { countDrop, portAt } from "./ports";
import { slotAt, txPush } from "./queues";
import { buildHead, push, TAG_BYTES } from "./vlan";

/** Kind, mode and network in the first eight bytes of a port: alike for those that are siblings. */
export const SIBLING: u64 = 0xffff_0000_0000_ffff;

/** A copy could not leave by its egress port, and was counted there. */
export let wasRefused: bool = false;
/** What the copy that was queued last may become a part of (OFFLOAD_*): looked up while its egress port is at hand. */
export let coalesceInto: u32 = 0;

export function resetRefused(): void {
  wasRefused = false;
}

/**
 * Frame without GSO longer than the egress port takes. A customer tag in the payload does not count against the MTU.
 */
// @ts-ignore: decorator
@inline
function isGiant(egress: usize, frame: usize, bytes: u32, inBand: bool): bool {
  if (bytes <= load<u32>(egress, PORT_FRAME_BYTES_MAX)) return false;
  if (load<u8>(vnetOf(frame), VNET_GSO_TYPE)) return false;
  return bytes > load<u32>(egress, PORT_FRAME_BYTES_MAX) + (inBand ? TAG_BYTES : 0);
}

/** To an endpoint or host TAP, without tags of ours. */
export function emit(port: u32, slot: u32, frame: usize, bytes: u32, inBand: bool): void {
  const egress = portAt(port);
  if (isGiant(egress, frame, bytes, inBand)) {
    countDrop(egress, DROP_GIANT);
    wasRefused = true;
  } else send(port, egress, slot, vnetOf(frame), bytes + VNET_BYTES, 0, 0);
}

/**
 * To every member of a segment whose kind, mode and network (SIBLING bits of a port's first eight bytes) are those of
 * `like`, except to the port `self`; answers whether there was one.
 */
export function flood(owner: usize, like: u64, self: usize, slot: u32, frame: usize, bytes: u32, inBand: bool): bool {
  const offload = load<u16>(vnetOf(frame));
  let found = false;
  for (let next = <u32>load<u16>(owner, SEGMENT_HEAD); next; ) {
    const egress = portAt(next);
    if (egress != self && ((load<u64>(egress) ^ like) & SIBLING) == 0) {
      found = true;
      if (offload || bytes > load<u32>(egress, PORT_FRAME_BYTES_MAX)) emit(next, slot, frame, bytes, inBand);
      else {
        txPush(next, slot, vnetOf(frame), bytes + VNET_BYTES, 0, 0);
        coalesceInto = <u32>load<u8>(egress, PORT_COALESCE);
      }
    }
    next = <u32>load<u16>(egress, PORT_NEXT);
  }
  return found;
}

/** Queues one copy, `head` (if there is one) and `body`, as far finished as the egress port needs it. */
// @ts-ignore: decorator
@inline
function send(port: u32, egress: usize, slot: u32, body: usize, bodyBytes: u32, head: usize, headBytes: u32): void {
  const vnet = head ? head : body;
  if (load<u16>(vnet) && lacksOffload(egress, vnet)) {
    if (!finish(port, body, bodyBytes, head, headBytes)) wasRefused = true;
    return;
  }
  txPush(port, slot, body, bodyBytes, head, headBytes);
  coalesceInto = head ? 0 : <u32>load<u8>(egress, PORT_COALESCE);
}

/**
 * To the segment's uplink, with the segment's tags; answers false when it has none. `shared`: the same bytes go to
 * others untagged, so the tags get a head of their own; else they are pushed in place.
 */
export function toWire(
  owner: usize, slot: u32, frame: usize, bytes: u32, priority: u32, inBand: bool, shared: bool,
): bool {
  const uplink = <u32>load<u16>(owner, SEGMENT_UPLINK);
  if (uplink == 0) return false;
  const egress = portAt(uplink);
  if (isGiant(egress, frame, bytes, inBand)) {
    countDrop(egress, DROP_GIANT);
    return true;
  }
  const tags = <u32>load<u8>(owner, SEGMENT_TAGS);
  let body = frame;
  let rest = bytes;
  let head: usize = 0;
  let headBytes: u32 = 0;
  if (tags) {
    const outer = load<u32>(owner, SEGMENT_TAG0) | priority;
    const inner = load<u32>(owner, SEGMENT_TAG1);
    if (shared) {
      head = slotAt(slot) + SLOT_HEAD;
      headBytes = buildHead(head, frame, outer, inner);
      send(uplink, egress, slot, frame + 12, bytes - 12, head, headBytes);
      return true;
    }
    if (inner) body = push(body, inner);
    body = push(body, outer);
    rest += tags * TAG_BYTES;
  }
  send(uplink, egress, slot, vnetOf(body), rest + VNET_BYTES, 0, 0);
  return true;
}
