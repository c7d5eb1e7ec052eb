/**
 * The forwarding database: (fid, MAC) -> port.
 *
 * macvlan does not learn: the host knows every station behind it, so entries are written by the control plane and stay
 * until removed (drivers/net/macvlan.c keeps a hash of 256 chains; a chain walk grows with the number of stations, this
 * table does not). The FID (filtering identifier, IEEE 802.1Q-2022 8.8.8) is the number of the segment, one for each
 * (parent, VLAN), so one MAC may exist on every VLAN independently.
 *
 * Open addressing with linear probing over 16-byte entries, four to a cache line, at most half full: a hit costs one
 * line nearly always. Removal shifts the entries behind it back instead of leaving tombstones, so lookups never get
 * slower with age.
 *
 *   key   = fid << 48 | mac       never 0, as fids begin at 1; 0 marks an empty entry
 *   index = (mix(key) * 2^64/phi) >> (64 - log2 capacity)
 *
 * Addresses are handed out in sequences. Multiply-shift alone, as hash_64 in include/linux/hash.h, puts some of them
 * into long runs (50 entries on average for a million addresses that differ in bits 16 to 35), so the key is mixed
 * first (the first half of Stafford's mix 13,
 * https://zimbry.blogspot.com/2011/09/better-bit-mixing-improving-on.html).
 */
import { FDB_ENTRY_BYTES, HEADER, HEADER_FDB_COUNT } from "./abi";

const MIX: u64 = 0xbf58_476d_1ce4_e5b9;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

let base: usize = 0;
let mask: u32 = 0;
let shift: u64 = 0;

/** `capacity` is a power of two; the region at `address` is zero. */
export function fdbInit(address: usize, capacity: u32): void {
  base = address;
  mask = capacity - 1;
  shift = 64 - <u64>ctz(capacity);
}

// @ts-ignore: decorator
@inline
export function fdbKey(fid: u32, mac: u64): u64 {
  return mac | (<u64>fid << 48);
}

// @ts-ignore: decorator
@inline
function home(key: u64): u32 {
  const mixed = (key ^ (key >> 29)) * MIX;
  return <u32>(((mixed ^ (mixed >> 32)) * GOLDEN) >> shift);
}

// @ts-ignore: decorator
@inline
function entry(index: u32): usize {
  return base + <usize>(index * FDB_ENTRY_BYTES);
}

/** Port of a station, 0 if there is none. */
// @ts-ignore: decorator
@inline
export function fdbLookup(fid: u32, mac: u64): u32 {
  const key = fdbKey(fid, mac);
  let index = home(key);
  while (true) {
    const at = entry(index);
    const found = load<u64>(at);
    if (found == key) return load<u32>(at, 8);
    if (found == 0) return 0;
    index = (index + 1) & mask;
  }
}

/** Reads the entry that a lookup begins with. */
// @ts-ignore: decorator
@inline
export function fdbTouch(fid: u32, mac: u64): u64 {
  return load<u64>(entry(home(fdbKey(fid, mac))));
}

/** Adds a station; answers false when it exists already or the table is half full. */
export function fdbAdd(fid: u32, mac: u64, port: u32): bool {
  const count = load<u32>(HEADER, HEADER_FDB_COUNT);
  if (count > mask >> 1) return false;
  const key = fdbKey(fid, mac);
  let index = home(key);
  while (true) {
    const at = entry(index);
    const found = load<u64>(at);
    if (found == key) return false;
    if (found == 0) {
      store<u64>(at, key);
      store<u64>(at, port, 8);
      store<u32>(HEADER, count + 1, HEADER_FDB_COUNT);
      return true;
    }
    index = (index + 1) & mask;
  }
}

/** Removes a station; answers false when there is none. */
export function fdbRemove(fid: u32, mac: u64): bool {
  const key = fdbKey(fid, mac);
  let hole = home(key);
  while (true) {
    const found = load<u64>(entry(hole));
    if (found == 0) return false;
    if (found == key) break;
    hole = (hole + 1) & mask;
  }
  let index = hole;
  while (true) {
    index = (index + 1) & mask;
    const moved = load<u64>(entry(index));
    if (moved == 0) break;
    // An entry may move into the hole only if its home does not lie (cyclically) behind the hole.
    if (((index - home(moved)) & mask) < ((index - hole) & mask)) continue;
    store<u64>(entry(hole), moved);
    store<u64>(entry(hole), load<u64>(entry(index), 8), 8);
    hole = index;
  }
  store<u64>(entry(hole), 0);
  store<u64>(entry(hole), 0, 8);
  store<u32>(HEADER, load<u32>(HEADER, HEADER_FDB_COUNT) - 1, HEADER_FDB_COUNT);
  return true;
}
