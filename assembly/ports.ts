/**
 * Ports, segments and VLAN tables: what the control plane builds, and the packet path reads.
 *
 *   uplink --table--> [tpid][vid] -> segment (fid) --head--> endpoint -> endpoint -> host TAP
 *                                 -> 0x8000|table of inner tags -> segment           (QinQ)
 *
 * Every function that changes them runs between two batches on the datapath's thread, so the packet path needs no
 * locks. Functions answer 0 (or false) for a full table or a contradiction; the host turns that into an error that
 * names the object.
 */
import {
  FDB_SOURCE, FLAG_CLOSING, FLAG_QUEUED, FLAG_SECURE_IP, FLAG_SECURE_MAC, HEADER, HEADER_PORTS, HEADER_PORTS_MAX,
  HEADER_SEGMENTS, HEADER_SEGMENTS_MAX, HEADER_TABLES, HEADER_TABLES_MAX, KIND_NONE, KIND_UPLINK, MODE_IPVLAN,
  MODE_PASSTHRU, MODE_SOURCE, OFFLOADS_ALL, PORT_BYTES, PORT_COALESCE, PORT_DROPS, PORT_FLAGS, PORT_FRAME_BYTES_MAX,
  PORT_KIND, PORT_MAC, PORT_MODE, PORT_NETWORK, PORT_NEXT, PORT_OFFLOADS, PORT_SEGMENT, PORT_TABLE, SEGMENT_BYTES,
  SEGMENT_HEAD, SEGMENT_INNER, SEGMENT_IPVLANS, SEGMENT_MEMBERS, SEGMENT_PASSTHRU, SEGMENT_SOURCES, SEGMENT_TABLE,
  SEGMENT_TAG0, SEGMENT_TAG1, SEGMENT_TAGS, SEGMENT_UPLINK, SEGMENT_USED, TABLE_BYTES, TABLE_STACKED, VID_MAX,
} from "./abi";
import { ipRemovePort } from "./ipdb";
import { fdbAdd, fdbLookup, fdbRemove } from "./macfdb";
import { ETHERNET_BYTES, MAC_MASK } from "./frame";
import { tpidIndex, vidOf } from "./vlan";

let ports: usize = 0;
let segments: usize = 0;
let tables: usize = 0;
/** Ports in use: the most copies one frame can have. */
export let portsLive: u32 = 0;

export function portsInit(): void {
  ports = load<u32>(HEADER, HEADER_PORTS);
  segments = load<u32>(HEADER, HEADER_SEGMENTS);
  tables = load<u32>(HEADER, HEADER_TABLES);
}

// @ts-ignore: decorator
@inline
export function portAt(port: u32): usize {
  return ports + <usize>(port * PORT_BYTES);
}

// @ts-ignore: decorator
@inline
export function segmentAt(segment: u32): usize {
  return segments + <usize>(segment * SEGMENT_BYTES);
}

// @ts-ignore: decorator
@inline
export function countDrop(port: usize, reason: u32): void {
  const at = port + PORT_DROPS + (<usize>reason << 3);
  store<u64>(at, load<u64>(at) + 1);
}

// @ts-ignore: decorator
@inline
function tableEntry(table: u32, tpidHalf: u32, vid: u32): usize {
  return tables + <usize>(table * TABLE_BYTES) + <usize>(((tpidHalf << 12) | vid) << 1);
}

/** What a tag means on a table: 0, a segment, or TABLE_STACKED | table. `tag` 0 looks up untagged frames. */
// @ts-ignore: decorator
@inline
export function tableLookup(table: u32, tag: u32): u32 {
  return <u32>load<u16>(tableEntry(table, tpidIndex(tag), vidOf(tag)));
}

function setEntry(table: u32, tag: u32, value: u32): void {
  store<u16>(tableEntry(table, tpidIndex(tag), vidOf(tag)), value);
}

/** Tables are few and taken rarely: the owner is found by looking, no free list. Table 0 means "none". */
function takeTable(): u32 {
  const max = load<u32>(HEADER, HEADER_TABLES_MAX);
  for (let table: u32 = 1; table < max; table++) {
    const marker = tables + <usize>(table * TABLE_BYTES) + VID_ALL;
    if (load<u16>(marker) == 0) {
      memory.fill(tables + <usize>(table * TABLE_BYTES), 0, TABLE_BYTES);
      store<u16>(marker, 1);
      return table;
    }
  }
  return 0;
}

/**
 * VID 4095 is reserved (802.1Q-2022 table 9-2), so its entry can say that the table is taken; `classify` never looks it
 * up.
 */
const VID_ALL: usize = 4095 << 1;

function dropTable(table: u32): void {
  store<u16>(tables + <usize>(table * TABLE_BYTES) + VID_ALL, 0);
}

/** The lowest number that is free, its record empty; 0 when there is none. */
function unusedPort(): u32 {
  const max = load<u32>(HEADER, HEADER_PORTS_MAX);
  let port: u32 = 1;
  while (port < max && load<u8>(portAt(port), PORT_KIND) != KIND_NONE) port++;
  if (port >= max) return 0;
  memory.fill(portAt(port), 0, PORT_BYTES);
  return port;
}

/** Takes a number for what is no port of the switch, but has a file and requests; 0 when there is none. */
export function portTake(kind: u32): u32 {
  const port = unusedPort();
  if (port == 0) return 0;
  store<u8>(portAt(port), kind, PORT_KIND);
  portsLive++;
  return port;
}

/**
 * Adds a port; answers its number, 0 if there is no room or its MAC exists in the segment.
 * `macLow`/`macHigh`: the first four and last two bytes of the address as little-endian numbers.
 */
export function portAdd(
  kind: u32, mode: u32, segment: u32, network: u32, macLow: u32, macHigh: u32, mtuBytes: u32,
): u32 {
  const port = unusedPort();
  if (port == 0) return 0;
  const at = portAt(port);
  const mac = (<u64>macLow | (<u64>macHigh << 32)) & MAC_MASK;
  if (kind == KIND_UPLINK) {
    const table = takeTable();
    if (table == 0) return 0;
    store<u16>(at, table, PORT_TABLE);
  } else {
    const owner = segmentAt(segment);
    if (load<u8>(owner, SEGMENT_USED) == 0) return 0;
    // ipvlan endpoints all have the parent's address: they are found by IP address instead.
    if (mode < <u32>MODE_IPVLAN && !fdbAdd(segment, mac, port)) return 0;
    if (mode == MODE_PASSTHRU) store<u16>(owner, port, SEGMENT_PASSTHRU);
    countMode(owner, mode, 1);
    store<u16>(at, segment, PORT_SEGMENT);
    store<u16>(at, network, PORT_NETWORK);
    store<u16>(at, load<u16>(owner, SEGMENT_HEAD), PORT_NEXT);
    store<u16>(owner, port, SEGMENT_HEAD);
    store<u16>(owner, load<u16>(owner, SEGMENT_MEMBERS) + 1, SEGMENT_MEMBERS);
  }
  store<u8>(at, mode, PORT_MODE);
  store<u32>(at, mtuBytes + ETHERNET_BYTES, PORT_FRAME_BYTES_MAX);
  store<u64>(at, mac, PORT_MAC);
  store<u8>(at, OFFLOADS_ALL, PORT_OFFLOADS);
  store<u8>(at, kind, PORT_KIND);
  portsLive++;
  return port;
}

/** Lets the packet path skip rules that nobody in the segment needs. */
function countMode(owner: usize, mode: u32, change: i32): void {
  const field = mode == MODE_SOURCE ? SEGMENT_SOURCES : mode >= <u32>MODE_IPVLAN ? SEGMENT_IPVLANS : 0;
  if (field) store<u16>(owner + field, <u32>load<u16>(owner + field) + change);
}

/** Allows a source address to a network in source mode; false when a network of the segment has it already. */
export function sourceAdd(segment: u32, network: u32, macLow: u32, macHigh: u32): bool {
  return fdbAdd(segment | FDB_SOURCE, (<u64>macLow | (<u64>macHigh << 32)) & MAC_MASK, network);
}

export function sourceRemove(segment: u32, macLow: u32, macHigh: u32): bool {
  return fdbRemove(segment | FDB_SOURCE, (<u64>macLow | (<u64>macHigh << 32)) & MAC_MASK);
}

/** First half of removal: nothing is forwarded to or from the port any more, and nothing new is asked of the kernel. */
export function portClose(port: u32): void {
  const at = portAt(port);
  store<u16>(at, load<u16>(at, PORT_FLAGS) | FLAG_CLOSING, PORT_FLAGS);
  const segment = <u32>load<u16>(at, PORT_SEGMENT);
  if (segment == 0) return;
  const owner = segmentAt(segment);
  const mode = <u32>load<u8>(at, PORT_MODE);
  if (mode < <u32>MODE_IPVLAN) fdbRemove(segment, load<u64>(at, PORT_MAC));
  if (mode >= <u32>MODE_IPVLAN || load<u16>(at, PORT_FLAGS) & FLAG_SECURE_IP) ipRemovePort(port);
  if (load<u16>(owner, SEGMENT_PASSTHRU) == port) store<u16>(owner, 0, SEGMENT_PASSTHRU);
  countMode(owner, mode, -1);
  let link = owner + SEGMENT_HEAD;
  while (load<u16>(link) != port) link = portAt(<u32>load<u16>(link)) + PORT_NEXT;
  store<u16>(link, load<u16>(at, PORT_NEXT));
  store<u16>(owner, load<u16>(owner, SEGMENT_MEMBERS) - 1, SEGMENT_MEMBERS);
  store<u16>(at, 0, PORT_SEGMENT);
}

/**
 * Second half, once the kernel holds nothing of it: the number may be used again. Answers false while the port is
 * queued.
 */
export function portFree(port: u32): bool {
  const at = portAt(port);
  if (load<u16>(at, PORT_FLAGS) & FLAG_QUEUED) return false;
  if (load<u8>(at, PORT_KIND) == KIND_UPLINK) dropTable(<u32>load<u16>(at, PORT_TABLE));
  store<u8>(at, KIND_NONE, PORT_KIND);
  portsLive--;
  return true;
}

/** `flags`: FLAG_SECURE_*. Its addresses are assigned with `ipAdd` afterwards, whatever its mode. */
export function portSecure(port: u32, flags: u32): void {
  const at = portAt(port);
  store<u16>(at, load<u16>(at, PORT_FLAGS) | (flags & (FLAG_SECURE_MAC | FLAG_SECURE_IP)), PORT_FLAGS);
}

/**
 * `takes`: OFFLOAD_* that may leave by the port unfinished, all of them at first; what is missing is done in software.
 * `coalesce`: into which of these frames that leave by the port are put together, none at first.
 */
export function portOffload(port: u32, takes: u32, coalesce: u32): void {
  store<u8>(portAt(port), takes, PORT_OFFLOADS);
  store<u8>(portAt(port), coalesce & takes, PORT_COALESCE);
}

export function portSetMtu(port: u32, mtuBytes: u32): void {
  store<u32>(portAt(port), mtuBytes + ETHERNET_BYTES, PORT_FRAME_BYTES_MAX);
}

/** Port of a station, for tools and tests; 0: unknown. */
export function stationPort(segment: u32, macLow: u32, macHigh: u32): u32 {
  return fdbLookup(segment, (<u64>macLow | (<u64>macHigh << 32)) & MAC_MASK);
}

/**
 * Adds a segment; `uplink` 0: local only. `outer`/`inner`: tpid << 16 | vid, 0: none. Answers its fid, 0 if there is no
 * room or the tags are taken on that uplink.
 */
export function segmentAdd(uplink: u32, outer: u32, inner: u32): u32 {
  const max = load<u32>(HEADER, HEADER_SEGMENTS_MAX);
  let segment: u32 = 1;
  while (segment < max && load<u8>(segmentAt(segment), SEGMENT_USED)) segment++;
  if (segment >= max || vidOf(outer) > <u32>VID_MAX || vidOf(inner) > <u32>VID_MAX) return 0;
  const at = segmentAt(segment);
  memory.fill(at, 0, SEGMENT_BYTES);
  if (uplink) {
    const table = <u32>load<u16>(portAt(uplink), PORT_TABLE);
    if (!name(table, outer, inner, segment, at)) return 0;
  }
  store<u16>(at, uplink, SEGMENT_UPLINK);
  store<u8>(at, inner ? 2 : outer ? 1 : 0, SEGMENT_TAGS);
  store<u32>(at, outer, SEGMENT_TAG0);
  store<u32>(at, inner, SEGMENT_TAG1);
  store<u8>(at, 1, SEGMENT_USED);
  return segment;
}

/**
 * Enters the segment under its tags. An inner table is hung in on demand; what has no (known) inner tag keeps its old
 * meaning there.
 */
function name(table: u32, outer: u32, inner: u32, segment: u32, at: usize): bool {
  let found = tableLookup(table, outer);
  store<u16>(at, table, SEGMENT_TABLE);
  if (inner == 0) {
    if (found & TABLE_STACKED) {
      const below = found & ~TABLE_STACKED;
      if (tableLookup(below, 0)) return false;
      setEntry(below, 0, segment);
      return true;
    }
    if (found) return false;
    setEntry(table, outer, segment);
    return true;
  }
  if (!(found & TABLE_STACKED)) {
    const below = takeTable();
    if (below == 0) return false;
    setEntry(below, 0, found);
    found = TABLE_STACKED | below;
    setEntry(table, outer, found);
  }
  const below = found & ~TABLE_STACKED;
  if (tableLookup(below, inner)) return false;
  setEntry(below, inner, segment);
  store<u16>(at, below, SEGMENT_INNER);
  return true;
}

/** Removes a segment without members; answers false if it has some. */
export function segmentRemove(segment: u32): bool {
  const at = segmentAt(segment);
  if (load<u16>(at, SEGMENT_MEMBERS)) return false;
  if (load<u16>(at, SEGMENT_UPLINK)) {
    const table = <u32>load<u16>(at, SEGMENT_TABLE);
    const outer = load<u32>(at, SEGMENT_TAG0);
    const inner = load<u32>(at, SEGMENT_TAG1);
    const found = tableLookup(table, outer);
    if (found & TABLE_STACKED) {
      const below = found & ~TABLE_STACKED;
      setEntry(below, inner, 0);
      foldTable(table, outer, below);
    } else {
      setEntry(table, outer, 0);
    }
  }
  store<u8>(at, 0, SEGMENT_USED);
  return true;
}

/** Takes an inner table out again when only frames without a known inner tag are left in it. */
function foldTable(table: u32, outer: u32, below: u32): void {
  const first = tables + <usize>(below * TABLE_BYTES);
  for (let at = first + 2; at < first + TABLE_BYTES; at += 2) {
    if (load<u16>(at) && at != first + VID_ALL) return;
  }
  setEntry(table, outer, tableLookup(below, 0));
  dropTable(below);
}
