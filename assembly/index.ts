/**
 * The packet core's exports. It imports one thing, its memory (the build `standalone` brings it along), knows no other,
 * and keeps no state but in it and in a few addresses computed once by `init`. Numbers only cross the boundary, at most
 * one call per batch.
 */
import {
  ABI_VERSION, CQ_ENTRIES, FDB_ENTRY_BYTES, HEADER, HEADER_ABI_VERSION, HEADER_ACTIVE, HEADER_BYTES, HEADER_BYTES_TOTAL,
  HEADER_FDB, HEADER_FDB_CAPACITY, HEADER_FLOWS, HEADER_FREE, HEADER_IPS, HEADER_IPS_CAPACITY, HEADER_PORTS,
  HEADER_PORTS_MAX, HEADER_REFS, HEADER_RING, HEADER_RX, HEADER_RX_MAX, HEADER_SEGMENTS, HEADER_SEGMENTS_MAX,
  HEADER_SLOTS, HEADER_SLOTS_MAX, HEADER_SQES, HEADER_TABLES, HEADER_TABLES_MAX, HEADER_TX, HEADER_TX_MAX,
  IP_ENTRY_BYTES, PORT_BYTES, RING_BYTES, RX_BYTES, SEGMENT_BYTES, SLOT_BYTES, SQES_BYTES, TABLE_BYTES, TX_BYTES,
} from "./abi";
import { coalesceInit, FLOW_BYTES, FLOWS_MAX } from "./coalesce";
import { ipdbInit } from "./ipdb";
import { fdbInit } from "./macfdb";
import { portsInit } from "./ports";
import { queuesInit } from "./queues";

export { parse } from "./frame";
export { buildHead, pop, push, rewriteVid } from "./vlan";
export { ipAdd } from "./ipdb";
export { fdbAdd, fdbLookup, fdbRemove } from "./macfdb";
export {
  portAdd, portClose, portFree, portOffload, portSecure, portSetMtu, segmentAdd, segmentRemove, sourceAdd, sourceRemove,
  stationPort,
} from "./ports";
export { batchDone, batchForward, batchPrepare } from "./batch";
export { captureInit } from "./capture";
export { rxPending, slotsFree, txPending } from "./queues";
export { controlArm, portStart, pump, ringInit } from "./ring";
export { xskAdd } from "./xsk";

const PAGE: u32 = 4096;
const LINE: u32 = 64;
/** Twice the deepest flood must fit in the TX queue, so that a batch always moves on. */
const TX_MIN: u32 = 4096;
const RX_MAX: u32 = 1024;
/** A quarter of the IP database can be learned, half of it filled: two assigned addresses for each port always fit. */
const IPS_PER_PORT: u32 = 8;

let cursor: u32 = 0;

function region(field: usize, bytes: u32, align: u32): void {
  cursor = (cursor + align - 1) & ~(align - 1);
  store<u32>(<usize>HEADER + field, cursor);
  cursor += bytes;
}

/**
 * Writes the memory map to the header; answers the bytes that it takes. `portsMax` and `fdbCapacity` are powers of two.
 * Needs nothing but the first page, so a throw-away instance can tell how large the memory must be.
 */
export function layout(portsMax: u32, segmentsMax: u32, tablesMax: u32, fdbCapacity: u32, slotsMax: u32): u32 {
  const txMax = max(TX_MIN, portsMax * 2);
  cursor = HEADER + HEADER_BYTES;
  store<u32>(HEADER, ABI_VERSION, HEADER_ABI_VERSION);
  store<u32>(HEADER, portsMax, HEADER_PORTS_MAX);
  store<u32>(HEADER, segmentsMax, HEADER_SEGMENTS_MAX);
  store<u32>(HEADER, tablesMax, HEADER_TABLES_MAX);
  store<u32>(HEADER, fdbCapacity, HEADER_FDB_CAPACITY);
  store<u32>(HEADER, slotsMax, HEADER_SLOTS_MAX);
  store<u32>(HEADER, portsMax * IPS_PER_PORT, HEADER_IPS_CAPACITY);
  store<u32>(HEADER, RX_MAX, HEADER_RX_MAX);
  store<u32>(HEADER, txMax, HEADER_TX_MAX);
  region(HEADER_RING, RING_BYTES, PAGE);
  region(HEADER_SQES, SQES_BYTES, PAGE);
  region(HEADER_PORTS, portsMax * PORT_BYTES, LINE);
  region(HEADER_SEGMENTS, segmentsMax * SEGMENT_BYTES, LINE);
  region(HEADER_TABLES, tablesMax * TABLE_BYTES, LINE);
  region(HEADER_FDB, fdbCapacity * FDB_ENTRY_BYTES, PAGE);
  region(HEADER_IPS, portsMax * IPS_PER_PORT * IP_ENTRY_BYTES, PAGE);
  region(HEADER_FREE, slotsMax * 4, LINE);
  region(HEADER_REFS, slotsMax * 4, LINE);
  region(HEADER_ACTIVE, portsMax * 4, LINE);
  region(HEADER_FLOWS, FLOWS_MAX * FLOW_BYTES, LINE);
  region(HEADER_RX, RX_MAX * RX_BYTES, LINE);
  region(HEADER_TX, txMax * TX_BYTES, LINE);
  region(HEADER_SLOTS, slotsMax * SLOT_BYTES, PAGE);
  cursor = (cursor + PAGE - 1) & ~(PAGE - 1);
  store<u32>(HEADER, cursor, HEADER_BYTES_TOTAL);
  return cursor;
}

/**
 * Makes the memory ready, once, on fresh (zero) memory. One that is too small for the map that `layout` wrote is grown;
 * answers false if that can not be.
 */
export function init(): bool {
  assert(CQ_ENTRIES * 16 + 8192 <= RING_BYTES);
  const missing = <i32>((<u64>load<u32>(HEADER, HEADER_BYTES_TOTAL) + 0xffff) >> 16) - memory.size();
  if (missing > 0 && memory.grow(missing) < 0) return false;
  portsInit();
  fdbInit(load<u32>(HEADER, HEADER_FDB), load<u32>(HEADER, HEADER_FDB_CAPACITY));
  ipdbInit(load<u32>(HEADER, HEADER_IPS), load<u32>(HEADER, HEADER_IPS_CAPACITY));
  queuesInit();
  coalesceInit();
  return true;
}
