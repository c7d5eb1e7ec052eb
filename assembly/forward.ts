/**
 * A frame's way through the core, top to bottom: a batch of received descriptors becomes a queue of transmit descriptors.
 *
 *   RX queue --> sane? --> which segment? (outer tag, table) --> endpoint: bridge rules --> TX queue
 *                                                            --> uplink:   station or group
 *                                                            --> host TAP: the wire, nothing else
 *
 * The rules are those of the kernel's macvlan in bridge mode (drivers/net/macvlan.c: macvlan_handle_frame, macvlan_multicast_rx,
 * macvlan_queue_xmit), with 802.1Q in front of them:
 *   - endpoints of one network reach each other directly; whatever else they send leaves on the wire, even for the parent's own
 *     MAC, which is why a container can not talk to its host;
 *   - a group frame from an endpoint goes to its siblings and to the wire; a group frame from the wire goes to all, except to the
 *     siblings of the station that sent it, if that is one of ours: they saw it on its way out;
 *   - pause frames are never flooded to endpoints.
 * Where vlane is stricter than the kernel: an endpoint on an untagged parent can not send tagged frames (it would reach into any
 * VLAN), and frames from a group source address are dropped (802.3: a source address is an individual one).
 *
 * A slot's reference count is the number of its transmit descriptors: a flood is one buffer and many descriptors, never a copy.
 */
import {
  DROP_GIANT, DROP_HAIRPIN, DROP_OFFLOAD, DROP_PORT_DOWN, DROP_RUNT, DROP_SOURCE, DROP_UNKNOWN, DROP_VLAN, ETHERTYPE_PAUSE,
  FLAG_CLOSING, HEADER, HEADER_BATCHES, HEADER_FREE, HEADER_REFS, HEADER_RX, HEADER_RX_MAX, HEADER_SLOTS, HEADER_SLOTS_MAX,
  HEADER_TX, HEADER_TX_MAX, KIND_ENDPOINT, KIND_HOST, KIND_NONE, KIND_UPLINK, PORT_FLAGS, PORT_FRAME_BYTES_MAX, PORT_KIND,
  PORT_NETWORK, PORT_NEXT, PORT_RX_BYTES, PORT_RX_FRAMES, PORT_SEGMENT, PORT_TABLE, RX_BYTES, RX_LENGTH, RX_PORT, RX_SLOT,
  RX_TAG, SEGMENT_HEAD, SEGMENT_TAG0, SEGMENT_TAG1, SEGMENT_TAGS, SEGMENT_UPLINK, SLOT_BYTES, SLOT_FRAME, SLOT_HEAD,
  TABLE_STACKED, TX_BODY, TX_BODY_LENGTH, TX_BYTES, TX_HEAD, TX_HEAD_LENGTH, TX_PORT, TX_SLOT, VID_MAX, VNET_BYTES,
  VNET_GSO_TYPE,
} from "./abi";
import { destination, ETHERNET_BYTES, isGroup, isOffloadValid, isTpid, source, typeOf, vnetOf } from "./frame";
import { fdbLookup } from "./macfdb";
import { countDrop, portAt, portsLive, segmentAt, tableLookup } from "./ports";
import { buildHead, pop, push, TAG_BYTES, tagAt, vidOf } from "./vlan";

let slots: usize = 0;
let free: usize = 0;
let freeCount: u32 = 0;
let refs: usize = 0;
let rx: usize = 0;
let rxMask: u32 = 0;
let rxHead: u32 = 0;
let rxTail: u32 = 0;
let tx: usize = 0;
let txMask: u32 = 0;
let txHead: u32 = 0;
let txTail: u32 = 0;

export function forwardInit(): void {
  slots = load<u32>(HEADER, HEADER_SLOTS);
  free = load<u32>(HEADER, HEADER_FREE);
  refs = load<u32>(HEADER, HEADER_REFS);
  rx = load<u32>(HEADER, HEADER_RX);
  rxMask = load<u32>(HEADER, HEADER_RX_MAX) - 1;
  tx = load<u32>(HEADER, HEADER_TX);
  txMask = load<u32>(HEADER, HEADER_TX_MAX) - 1;
  const count = load<u32>(HEADER, HEADER_SLOTS_MAX);
  freeCount = 0;
  rxHead = rxTail = txHead = txTail = 0;
  // The last slot freed is the next one taken: its lines are still in the cache.
  for (let slot = count; slot > 0; slot--) slotFree(slot - 1);
}

// ---- Slots.

// @ts-ignore: decorator
@inline
export function slotAt(slot: u32): usize {
  return slots + <usize>(slot * SLOT_BYTES);
}

export function slotsFree(): u32 {
  return freeCount;
}

/** A free slot; the caller has looked at `slotsFree` before. */
// @ts-ignore: decorator
@inline
export function slotTake(): u32 {
  freeCount--;
  return load<u32>(free + (<usize>freeCount << 2));
}

// @ts-ignore: decorator
@inline
export function slotFree(slot: u32): void {
  store<u32>(free + (<usize>freeCount << 2), slot);
  freeCount++;
}

/** One transmission of the slot is over. */
// @ts-ignore: decorator
@inline
export function slotRelease(slot: u32): void {
  const at = refs + (<usize>slot << 2);
  const left = load<u32>(at) - 1;
  store<u32>(at, left);
  if (left == 0) slotFree(slot);
}

// ---- Queues.

export function rxPending(): u32 {
  return rxTail - rxHead;
}

export function rxRoom(): u32 {
  return rxMask + 1 - (rxTail - rxHead);
}

/** Enters a received frame; `bytes` without the vnet header, `tag` = tpid << 16 | tci of a stripped outer tag, or 0. */
// @ts-ignore: decorator
@inline
export function rxPush(port: u32, slot: u32, bytes: u32, tag: u32): void {
  const at = rx + <usize>((rxTail & rxMask) * RX_BYTES);
  store<u16>(at, port, RX_PORT);
  store<u16>(at, slot, RX_SLOT);
  store<u32>(at, bytes, RX_LENGTH);
  store<u32>(at, tag, RX_TAG);
  rxTail++;
}

export function txPending(): u32 {
  return txTail - txHead;
}

/** The oldest transmit descriptor; it stays valid until the queue is written again. */
// @ts-ignore: decorator
@inline
export function txShift(): usize {
  return tx + <usize>((txHead++ & txMask) * TX_BYTES);
}

// ---- The batch interface, for hosts that move frames by themselves (no io_uring in the core): three calls for each batch.

let prepared: u32 = 0;

/** Puts a free slot into each of the first `count` RX descriptors; answers how many there were. The host reads frames into them. */
export function batchPrepare(count: u32): u32 {
  prepared = min(count, min(freeCount, rxMask + 1));
  for (let i: u32 = 0; i < prepared; i++) store<u16>(rx + <usize>(i * RX_BYTES), slotTake(), RX_SLOT);
  rxHead = rxTail = txHead = txTail = 0;
  return prepared;
}

/**
 * Forwards the first `count` RX descriptors, whose port, length and tag the host has filled in, and takes the other slots back.
 * Answers the number of TX descriptors. With more copies than the TX queue holds, `rxPending` is not 0: send these, `batchDone`,
 * and call again with `count` 0.
 */
export function batchForward(count: u32): u32 {
  if (count) {
    for (let i = count; i < prepared; i++) slotFree(<u32>load<u16>(rx + <usize>(i * RX_BYTES), RX_SLOT));
    rxTail = count;
  }
  forwardBatch();
  return txTail;
}

/** The host has sent what the TX descriptors said: their slots are free again. */
export function batchDone(): void {
  while (txHead != txTail) slotRelease(<u32>load<u16>(txShift(), TX_SLOT));
  txHead = txTail = 0;
}

// ---- Forwarding.

/**
 * Forwards what waits in the RX queue. A frame can have as many copies as there are ports: it stops early when the TX queue could
 * not take them all, and goes on when it has been drained. Nothing is lost for lack of room.
 */
export function forwardBatch(): void {
  if (rxHead == rxTail) return;
  store<u64>(HEADER, load<u64>(HEADER, HEADER_BATCHES) + 1, HEADER_BATCHES);
  const room = txMask - portsLive;
  while (rxHead != rxTail && txTail - txHead <= room) {
    const at = rx + <usize>((rxHead++ & rxMask) * RX_BYTES);
    const slot = <u32>load<u16>(at, RX_SLOT);
    const before = txTail;
    const port = portAt(<u32>load<u16>(at, RX_PORT));
    const reason = receive(port, slot, load<u32>(at, RX_LENGTH), load<u32>(at, RX_TAG));
    if (reason >= 0) countDrop(port, reason);
    const copies = txTail - before;
    if (copies) store<u32>(refs + (<usize>slot << 2), copies);
    else slotFree(slot);
  }
}

/** Classifies one frame and hands it on; answers a drop reason, or -1. */
// @ts-ignore: decorator
@inline
function receive(port: usize, slot: u32, length: u32, strippedTag: u32): i32 {
  let frame = slotAt(slot) + SLOT_FRAME;
  let bytes = length;
  const kind = <u32>load<u8>(port, PORT_KIND);
  if (kind == KIND_NONE || load<u16>(port, PORT_FLAGS) & FLAG_CLOSING) return DROP_PORT_DOWN;
  store<u64>(port, load<u64>(port, PORT_RX_FRAMES) + 1, PORT_RX_FRAMES);
  store<u64>(port, load<u64>(port, PORT_RX_BYTES) + bytes, PORT_RX_BYTES);

  if (bytes < ETHERNET_BYTES) return DROP_RUNT;
  let inBand = isTpid(typeOf(frame));
  if (inBand && bytes < ETHERNET_BYTES + TAG_BYTES) return DROP_RUNT;
  if (load<u16>(vnetOf(frame)) && !isOffloadValid(vnetOf(frame), bytes)) return DROP_OFFLOAD;
  const src = source(frame);
  if (isGroup(src) || src == 0) return DROP_SOURCE;

  let priority: u32 = 0; // PCP and DEI of a priority tag
  if (kind == KIND_UPLINK) {
    let tag = strippedTag;
    if (tag == 0 && inBand) {
      tag = tagAt(frame);
      frame = pop(frame);
      bytes -= TAG_BYTES;
      inBand = bytes >= ETHERNET_BYTES + TAG_BYTES && isTpid(typeOf(frame));
    }
    const table = <u32>load<u16>(port, PORT_TABLE);
    if (vidOf(tag) > <u32>VID_MAX) return DROP_VLAN;
    let segment = tableLookup(table, vidOf(tag) ? tag : 0);
    if (segment & TABLE_STACKED) {
      const below = segment & ~TABLE_STACKED;
      segment = 0;
      if (inBand && vidOf(tagAt(frame)) && vidOf(tagAt(frame)) <= <u32>VID_MAX) segment = tableLookup(below, tagAt(frame));
      if (segment) {
        frame = pop(frame);
        bytes -= TAG_BYTES;
        inBand = bytes >= ETHERNET_BYTES + TAG_BYTES && isTpid(typeOf(frame));
      } else {
        segment = tableLookup(below, 0);
      }
    }
    if (segment == 0) return DROP_VLAN;
    return fromUplink(segment, slot, frame, bytes, src, inBand);
  }

  const segment = <u32>load<u16>(port, PORT_SEGMENT);
  const owner = segmentAt(segment);
  if (inBand) {
    const tag = tagAt(frame);
    if (vidOf(tag) == 0) {
      priority = tag & 0xf000;
      frame = pop(frame);
      bytes -= TAG_BYTES;
      inBand = bytes >= ETHERNET_BYTES + TAG_BYTES && isTpid(typeOf(frame));
    } else if (load<u16>(owner, SEGMENT_UPLINK) && load<u8>(owner, SEGMENT_TAGS) == 0) {
      return DROP_VLAN;
    }
  }
  if (kind == KIND_HOST) {
    return toWire(owner, slot, frame, bytes, priority, inBand, false) ? -1 : DROP_UNKNOWN;
  }
  return fromEndpoint(port, segment, slot, frame, bytes, priority, inBand);
}

/** macvlan_queue_xmit, bridge mode. */
// @ts-ignore: decorator
@inline
function fromEndpoint(
  port: usize, segment: u32, slot: u32, frame: usize, bytes: u32, priority: u32, inBand: bool,
): i32 {
  const owner = segmentAt(segment);
  const network = load<u16>(port, PORT_NETWORK);
  const dst = destination(frame);
  if (isGroup(dst)) {
    let shared = false;
    if (typeOf(frame) != ETHERTYPE_PAUSE) {
      for (let next = <u32>load<u16>(owner, SEGMENT_HEAD); next; ) {
        const sibling = portAt(next);
        if (sibling != port && isMember(sibling, network)) {
          emit(next, slot, frame, bytes, inBand);
          shared = true;
        }
        next = <u32>load<u16>(sibling, PORT_NEXT);
      }
    }
    return toWire(owner, slot, frame, bytes, priority, inBand, shared) || shared ? -1 : DROP_UNKNOWN;
  }
  const target = fdbLookup(segment, dst);
  if (target) {
    const sibling = portAt(target);
    if (isMember(sibling, network)) {
      if (sibling == port) return DROP_HAIRPIN;
      emit(target, slot, frame, bytes, inBand);
      return -1;
    }
  }
  return toWire(owner, slot, frame, bytes, priority, inBand, false) ? -1 : DROP_UNKNOWN;
}

/** macvlan_handle_frame and macvlan_multicast_rx. */
// @ts-ignore: decorator
@inline
function fromUplink(segment: u32, slot: u32, frame: usize, bytes: u32, src: u64, inBand: bool): i32 {
  const dst = destination(frame);
  if (!isGroup(dst)) {
    const target = fdbLookup(segment, dst);
    if (target == 0) return DROP_UNKNOWN;
    emit(target, slot, frame, bytes, inBand);
    return -1;
  }
  if (typeOf(frame) == ETHERTYPE_PAUSE) return DROP_UNKNOWN;
  let echoNetwork: u32 = 0; // network of the endpoint whose own frame comes back
  const station = fdbLookup(segment, src);
  if (station && load<u8>(portAt(station), PORT_KIND) == KIND_ENDPOINT) {
    echoNetwork = <u32>load<u16>(portAt(station), PORT_NETWORK);
  }
  let delivered = false;
  for (let next = <u32>load<u16>(segmentAt(segment), SEGMENT_HEAD); next; ) {
    const member = portAt(next);
    if (echoNetwork == 0 || !isMember(member, echoNetwork)) {
      emit(next, slot, frame, bytes, inBand);
      delivered = true;
    }
    next = <u32>load<u16>(member, PORT_NEXT);
  }
  return delivered ? -1 : DROP_UNKNOWN;
}

// @ts-ignore: decorator
@inline
function isMember(port: usize, network: u32): bool {
  return <u32>load<u16>(port, PORT_NETWORK) == network && load<u8>(port, PORT_KIND) == KIND_ENDPOINT;
}

/** Frame without GSO longer than the egress port takes. A customer tag in the payload does not count against the MTU. */
// @ts-ignore: decorator
@inline
function isGiant(egress: usize, frame: usize, bytes: u32, inBand: bool): bool {
  if (bytes <= load<u32>(egress, PORT_FRAME_BYTES_MAX)) return false;
  if (load<u8>(vnetOf(frame), VNET_GSO_TYPE)) return false;
  return bytes > load<u32>(egress, PORT_FRAME_BYTES_MAX) + (inBand ? TAG_BYTES : 0);
}

// @ts-ignore: decorator
@inline
function queueTx(port: u32, slot: u32, body: usize, bodyBytes: u32, head: usize, headBytes: u32): void {
  const at = tx + <usize>((txTail++ & txMask) * TX_BYTES);
  store<u16>(at, port, TX_PORT);
  store<u16>(at, slot, TX_SLOT);
  store<u32>(at, <u32>body, TX_BODY);
  store<u32>(at, bodyBytes, TX_BODY_LENGTH);
  store<u32>(at, <u32>head, TX_HEAD);
  store<u32>(at, headBytes, TX_HEAD_LENGTH);
}

/** To an endpoint or host TAP, without tags of ours. */
// @ts-ignore: decorator
@inline
function emit(port: u32, slot: u32, frame: usize, bytes: u32, inBand: bool): void {
  const egress = portAt(port);
  if (isGiant(egress, frame, bytes, inBand)) countDrop(egress, DROP_GIANT);
  else queueTx(port, slot, vnetOf(frame), bytes + VNET_BYTES, 0, 0);
}

/**
 * To the segment's uplink, with the segment's tags; answers false when it has none. `shared`: the same bytes go to others untagged,
 * so the tags get a head of their own; else they are pushed in place.
 */
// @ts-ignore: decorator
@inline
function toWire(owner: usize, slot: u32, frame: usize, bytes: u32, priority: u32, inBand: bool, shared: bool): bool {
  const uplink = <u32>load<u16>(owner, SEGMENT_UPLINK);
  if (uplink == 0) return false;
  const egress = portAt(uplink);
  if (isGiant(egress, frame, bytes, inBand)) {
    countDrop(egress, DROP_GIANT);
    return true;
  }
  const tags = <u32>load<u8>(owner, SEGMENT_TAGS);
  if (tags == 0) {
    queueTx(uplink, slot, vnetOf(frame), bytes + VNET_BYTES, 0, 0);
    return true;
  }
  const outer = load<u32>(owner, SEGMENT_TAG0) | priority;
  const inner = load<u32>(owner, SEGMENT_TAG1);
  if (shared) {
    const head = slotAt(slot) + SLOT_HEAD;
    queueTx(uplink, slot, frame + 12, bytes - 12, head, buildHead(head, frame, outer, inner));
    return true;
  }
  let tagged = inner ? push(frame, inner) : frame;
  tagged = push(tagged, outer);
  queueTx(uplink, slot, vnetOf(tagged), bytes + VNET_BYTES + tags * TAG_BYTES, 0, 0);
  return true;
}
