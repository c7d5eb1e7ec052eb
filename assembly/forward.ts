/**
 * A frame's way through the core, top to bottom: a batch of received descriptors becomes a queue of transmit
 * descriptors.
 *
 *   RX queue --> sane? --> which segment? (outer tag, table) --> endpoint: bridge rules --> TX queue
 *                                                            --> uplink:   station or group
 *                                                            --> host TAP: the wire, nothing else
 *
 * The rules are those of the kernel's macvlan (drivers/net/macvlan.c: macvlan_handle_frame, macvlan_multicast_rx,
 * macvlan_queue_xmit) and layer-2 ipvlan (drivers/net/ipvlan/ipvlan_core.c), with 802.1Q in front of them. In bridge
 * mode:
 *   - endpoints of one network reach each other directly; whatever else they send leaves on the wire, even for the
 *     parent's own MAC, which is why a container can not talk to its host;
 *   - a group frame from an endpoint goes to its siblings and to the wire; a group frame from the wire goes to all,
 *     except to the siblings of the station that sent it, if that is one of ours: they saw it on its way out;
 *   - pause frames are never flooded to endpoints.
 * Where vlane is stricter than the kernel: an endpoint on an untagged parent can not send tagged frames (it would reach
 * into any VLAN), and frames from a group source address are dropped (802.3: a source address is an individual one).
 *
 * A slot's reference count is the number of its transmit descriptors: a flood is one buffer and many descriptors, never
 * a copy.
 */
import {
  DROP_HAIRPIN, DROP_OFFLOAD, DROP_PORT_DOWN, DROP_RUNT, DROP_SOURCE, DROP_SPOOFED, DROP_UNKNOWN, DROP_VLAN,
  ETHERTYPE_PAUSE, FDB_SOURCE, FLAG_CLOSING, FLAG_SECURE_IP, FLAG_SECURE_MAC, HEADER, HEADER_BATCHES,
  HEADER_BATCH_SIZES, HEADER_FDB_COUNT, KIND_ENDPOINT, KIND_HOST, KIND_NONE, KIND_UPLINK, MODE_BRIDGE, MODE_IPVLAN,
  MODE_IPVLAN_PRIVATE, MODE_IPVLAN_VEPA, MODE_SOURCE, MODE_VEPA, PORT_BYTES, PORT_FLAGS, PORT_KIND, PORT_MAC,
  PORT_MODE, PORT_NETWORK, PORT_NEXT, PORT_RX_BYTES, PORT_RX_FRAMES, PORT_RX_OFFLOADS, PORT_SEGMENT, PORT_TABLE,
  RX_LENGTH, RX_PORT, RX_SLOT, RX_TAG, SEGMENT_HEAD, SEGMENT_IPVLANS, SEGMENT_PASSTHRU, SEGMENT_SOURCES, SEGMENT_TAGS,
  SEGMENT_UPLINK, SLOT_FRAME, SLOT_HEAD, TABLE_STACKED, VID_MAX, VNET_GSO_TYPE,
} from "./abi";
import { captureForwarded, capturePublish, captureReceived, isCapturing } from "./capture";
import { coalesceFlush } from "./coalesce";
import { emit, flood, resetRefused, toWire, wasRefused } from "./egress";
import { destination, ETHERNET_BYTES, isGroup, isOffloadValid, isTpid, source, typeOf, vnetOf } from "./frame";
import { ipLearn, ipLookup } from "./ipdb";
import { fdbLookup } from "./macfdb";
import { resetFinishedCopies } from "./offload";
import { rxDrop, rxPeek, rxPending, slotAt, txRoom, txTail } from "./queues";
import { countDrop, portAt, portsLive, segmentAt, tableLookup } from "./ports";
import { isSpoofed } from "./security";
import { settle, shortcut, touch } from "./shortcut";
import { pop, TAG_BYTES, tagAt, vidOf } from "./vlan";

/** Stations from which on the database is too large for a processor's nearer caches, and `touch` saves time. */
const TOUCH_STATIONS: u32 = 32768;

/**
 * Forwards what waits in the RX queue. A frame can have as many copies as there are ports: it stops early when the TX
 * queue could not take them all, and goes on when it has been drained. Nothing is lost for lack of room.
 */
export function forwardBatch(): void {
  if (rxPending() == 0) return;
  store<u64>(HEADER, load<u64>(HEADER, HEADER_BATCHES) + 1, HEADER_BATCHES);
  countBatch(rxPending());
  const capturing = isCapturing();
  const count = rxPending();
  let done: u32 = 0;
  if (load<u32>(HEADER, HEADER_FDB_COUNT) > TOUCH_STATIONS) touch(count);
  while (done < count && txRoom() > portsLive) {
    if (!capturing) {
      const most = done + min(count - done, txRoom() - portsLive); // a descriptor for each
      while (done < most && shortcut(rxPeek(done))) done++;
      if (done == most) continue;
    }
    forward(rxPeek(done++), capturing);
  }
  rxDrop(done);
  if (capturing) capturePublish();
  coalesceFlush();
}

/** Forwards the frame of a descriptor, whatever it is. */
function forward(at: usize, isCaptured: bool): void {
  const number = <u32>load<u16>(at, RX_PORT);
  const port = portAt(number);
  const slot = <u32>load<u16>(at, RX_SLOT);
  const bytes = load<u32>(at, RX_LENGTH);
  const tag = load<u32>(at, RX_TAG);
  const before = txTail;
  const record = isCaptured ? captureReceived(number, slot, bytes, tag) : 0;
  resetFinishedCopies();
  const reason = receive(port, slot, bytes, tag);
  if (isCaptured) captureForwarded(record, reason, before);
  if (reason >= 0) countDrop(port, reason);
  settle(slot, txTail - before);
}

/** Counts a batch of `frames` by the power of two below. */
// @ts-ignore: decorator
@inline
function countBatch(frames: u32): void {
  const at = <usize>(HEADER + HEADER_BATCH_SIZES) + (<usize>(31 - clz(frames)) << 3);
  store<u64>(at, load<u64>(at) + 1);
}

/** Classifies one frame and hands it on; answers a drop reason, or -1. */
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
  if (load<u16>(vnetOf(frame))) {
    if (!isOffloadValid(frame, bytes)) return DROP_OFFLOAD;
    if (load<u8>(vnetOf(frame), VNET_GSO_TYPE)) {
      store<u64>(port, load<u64>(port, PORT_RX_OFFLOADS) + 1, PORT_RX_OFFLOADS);
    }
  }
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
      const innerVid = inBand ? vidOf(tagAt(frame)) : 0;
      if (innerVid && innerVid <= <u32>VID_MAX) segment = tableLookup(below, tagAt(frame));
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
    }
    // Also behind a priority tag, whole or half: on the wire it would be the VLAN of the frame.
    const isUntagged = load<u16>(owner, SEGMENT_UPLINK) && load<u8>(owner, SEGMENT_TAGS) == 0;
    if (isUntagged && isTpid(typeOf(frame))) return DROP_VLAN;
  }
  if (kind == KIND_HOST) {
    return toWire(owner, slot, frame, bytes, priority, inBand, false) ? -1 : DROP_UNKNOWN;
  }
  const isSecure = load<u16>(port, PORT_FLAGS) & (FLAG_SECURE_MAC | FLAG_SECURE_IP);
  if (isSecure && isSpoofed(port, segment, frame, bytes, slotAt(slot) + SLOT_HEAD)) return DROP_SPOOFED;
  if (load<u8>(port, PORT_MODE) >= <u8>MODE_IPVLAN) {
    return fromIpvlan(port, segment, slot, frame, bytes, priority, inBand);
  }
  return fromMacvlan(port, segment, slot, frame, bytes, priority, inBand);
}

/**
 * macvlan_queue_xmit: in bridge mode siblings are served here, in all other modes everything is the wire's business.
 */
// @ts-ignore: decorator
@inline
function fromMacvlan(
  port: usize, segment: u32, slot: u32, frame: usize, bytes: u32, priority: u32, inBand: bool,
): i32 {
  const owner = segmentAt(segment);
  const network = <u32>load<u16>(port, PORT_NETWORK);
  const dst = destination(frame);
  if (load<u8>(port, PORT_MODE) != MODE_BRIDGE) {
    return toWire(owner, slot, frame, bytes, priority, inBand, false) ? -1 : DROP_UNKNOWN;
  }
  if (isGroup(dst)) {
    let shared = false;
    if (typeOf(frame) != ETHERTYPE_PAUSE) shared = flood(owner, load<u64>(port), port, slot, frame, bytes, inBand);
    return toWire(owner, slot, frame, bytes, priority, inBand, shared) || shared ? -1 : DROP_UNKNOWN;
  }
  const target = fdbLookup(segment, dst);
  if (target) {
    const sibling = portAt(target);
    if (isBridged(sibling, network)) {
      if (sibling == port) return DROP_HAIRPIN;
      emit(target, slot, frame, bytes, inBand);
      return -1;
    }
  }
  return toWire(owner, slot, frame, bytes, priority, inBand, false) ? -1 : DROP_UNKNOWN;
}

/**
 * ipvlan_xmit_mode_l2 and ipvlan_process_multicast. A frame to the shared MAC is for a sibling, whose IP address says
 * which; the kernel would hand it to the host otherwise, which stays unreachable here. Private endpoints do not see
 * each other's group frames either.
 */
function fromIpvlan(
  port: usize, segment: u32, slot: u32, frame: usize, bytes: u32, priority: u32, inBand: bool,
): i32 {
  const owner = segmentAt(segment);
  const network = <u32>load<u16>(port, PORT_NETWORK);
  const mode = <u32>load<u8>(port, PORT_MODE);
  const dst = destination(frame);
  const self = load<u64>(port, PORT_MAC);
  if (source(frame) != self) return DROP_SOURCE; // the shared address is the only one: answers to another would be lost
  ipLearn(segment, frame, bytes, <u32>(port - portAt(0)) / PORT_BYTES, port);
  if (isGroup(dst)) {
    let shared = false;
    if (mode != MODE_IPVLAN_PRIVATE && typeOf(frame) != ETHERTYPE_PAUSE) {
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
  if (dst == self && mode != MODE_IPVLAN_VEPA) {
    const target = ipLookup(segment, frame, bytes, false);
    if (target == 0 || mode == MODE_IPVLAN_PRIVATE || !isMember(portAt(target), network)) return DROP_UNKNOWN;
    if (portAt(target) == port) return DROP_HAIRPIN;
    emit(target, slot, frame, bytes, inBand);
    return -1;
  }
  return toWire(owner, slot, frame, bytes, priority, inBand, false) ? -1 : DROP_UNKNOWN;
}

/** macvlan_handle_frame and ipvlan_handle_mode_l2. */
// @ts-ignore: decorator
@inline
function fromUplink(segment: u32, slot: u32, frame: usize, bytes: u32, src: u64, inBand: bool): i32 {
  const owner = segmentAt(segment);
  const before = txTail;
  const dst = destination(frame);
  resetRefused();
  if (isGroup(dst)) {
    if (typeOf(frame) != ETHERTYPE_PAUSE) floodFromUplink(segment, slot, frame, bytes, src, inBand);
  } else {
    if (load<u16>(owner, SEGMENT_SOURCES)) toAllowing(segment, slot, frame, bytes, src, inBand);
    let target = <u32>load<u16>(owner, SEGMENT_PASSTHRU);
    if (target == 0 && load<u16>(owner, SEGMENT_IPVLANS)) target = ipvlanTarget(segment, frame, bytes, dst);
    if (target == 0) target = fdbLookup(segment, dst);
    if (target && load<u8>(portAt(target), PORT_MODE) != MODE_SOURCE) emit(target, slot, frame, bytes, inBand);
  }
  return txTail == before && !wasRefused ? DROP_UNKNOWN : -1;
}

/** The ipvlan endpoint whose IP address the frame is for; its destination must be the MAC that they share. */
function ipvlanTarget(segment: u32, frame: usize, bytes: u32, dst: u64): u32 {
  const target = ipLookup(segment, frame, bytes, false);
  return target && load<u64>(portAt(target), PORT_MAC) == dst ? target : 0;
}

/**
 * macvlan_forward_source: endpoints in source mode get what comes from the addresses that their network allows, and
 * nothing else. (Group frames: floodFromUplink, so that nobody gets one twice.)
 */
function toAllowing(segment: u32, slot: u32, frame: usize, bytes: u32, src: u64, inBand: bool): void {
  const network = fdbLookup(segment | FDB_SOURCE, src);
  if (network == 0) return;
  for (let next = <u32>load<u16>(segmentAt(segment), SEGMENT_HEAD); next; ) {
    const member = portAt(next);
    if (isMember(member, network) && load<u8>(member, PORT_MODE) == MODE_SOURCE) emit(next, slot, frame, bytes, inBand);
    next = <u32>load<u16>(member, PORT_NEXT);
  }
}

/**
 * macvlan_multicast_rx: who gets a group frame from the wire depends on whether its sender is one of ours, whose frame
 * the wire sends back: then its bridge siblings saw it on the way out, VEPA siblings have waited for just this, and
 * private ones get nothing.
 */
function floodFromUplink(segment: u32, slot: u32, frame: usize, bytes: u32, src: u64, inBand: bool): void {
  const owner = segmentAt(segment);
  const allowedNetwork = load<u16>(owner, SEGMENT_SOURCES) ? fdbLookup(segment | FDB_SOURCE, src) : 0;
  let station = fdbLookup(segment, src);
  if (load<u16>(owner, SEGMENT_IPVLANS)) {
    const sender = ipLookup(segment, frame, bytes, true);
    if (sender && load<u64>(portAt(sender), PORT_MAC) == src) station = sender;
  }
  let echoNetwork: u32 = 0;
  let echoMode: u32 = 0;
  if (station && load<u8>(portAt(station), PORT_KIND) == KIND_ENDPOINT) {
    echoNetwork = <u32>load<u16>(portAt(station), PORT_NETWORK);
    echoMode = <u32>load<u8>(portAt(station), PORT_MODE);
  }
  for (let next = <u32>load<u16>(owner, SEGMENT_HEAD); next; ) {
    const member = portAt(next);
    const mode = <u32>load<u8>(member, PORT_MODE);
    const takes =
      (allowedNetwork != 0 && mode == MODE_SOURCE && isMember(member, allowedNetwork)) ||
      (echoNetwork != 0 && isMember(member, echoNetwork)
        ? takesEcho(mode, echoMode, next == station)
        : mode != MODE_SOURCE);
    if (takes) emit(next, slot, frame, bytes, inBand);
    next = <u32>load<u16>(member, PORT_NEXT);
  }
}

/** Whether an endpoint gets a group frame that one of its own network (in `echoMode`) sent and the wire sent back. */
// @ts-ignore: decorator
@inline
function takesEcho(mode: u32, echoMode: u32, isSender: bool): bool {
  if (echoMode == MODE_BRIDGE) return mode == MODE_VEPA && !isSender;
  if (echoMode == MODE_VEPA) return (mode == MODE_VEPA || mode == MODE_BRIDGE) && !isSender;
  if (echoMode >= <u32>MODE_IPVLAN) return false;
  return isSender; // private, passthru: back to where it came from, as the kernel does
}

// @ts-ignore: decorator
@inline
function isBridged(port: usize, network: u32): bool {
  return isMember(port, network) && load<u8>(port, PORT_MODE) == MODE_BRIDGE;
}

// @ts-ignore: decorator
@inline
function isMember(port: usize, network: u32): bool {
  return <u32>load<u16>(port, PORT_NETWORK) == network && load<u8>(port, PORT_KIND) == KIND_ENDPOINT;
}
