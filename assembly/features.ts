/**
 * What small engines lack, each behind the one check that the compiler settles: the release build has SIMD and shared
 * memory, the baseline build for small runtimes has neither, and both come from the same sources. (Bulk memory needs
 * nothing here: without it the compiler puts loops of its own for `memory.fill` and `memory.copy`.)
 */

/** Copies 22 bytes (a vnet header and two addresses), all read before any is written: the places may overlap. */
// @ts-ignore: decorator
@inline
export function move22(target: usize, source: usize): void {
  if (ASC_FEATURE_SIMD) {
    const low = v128.load(source);
    const high = load<u64>(source, 14);
    v128.store(target, low);
    store<u64>(target, high, 14);
  } else {
    const low = load<u64>(source);
    const middle = load<u64>(source, 8);
    const high = load<u64>(source, 14);
    store<u64>(target, low);
    store<u64>(target, middle, 8);
    store<u64>(target, high, 14);
  }
}

/** Sum of the little-endian 16-bit words of `bytes` bytes, a multiple of 16 below 2^19: more could overflow a lane. */
export function sumBlocks(address: usize, bytes: u32): u64 {
  const end = address + bytes;
  if (ASC_FEATURE_SIMD) {
    let lanes = i32x4.splat(0);
    for (let at = address; at < end; at += 16) {
      lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    }
    const pairs = i64x2.add(i64x2.extend_low_i32x4_u(lanes), i64x2.extend_high_i32x4_u(lanes));
    return i64x2.extract_lane(pairs, 0) + i64x2.extract_lane(pairs, 1);
  }
  let total: u64 = 0;
  for (let at = address; at < end; at += 8) total += <u64>load<u32>(at) + <u64>load<u32>(at, 4);
  return total;
}

/** A u32 that another thread, or the kernel, writes. Memory that is not shared has one thread only. */
// @ts-ignore: decorator
@inline
export function loadShared(address: usize): u32 {
  if (ASC_FEATURE_THREADS) return atomic.load<u32>(address);
  return load<u32>(address);
}

/** A u32 that another thread, or the kernel, reads. */
// @ts-ignore: decorator
@inline
export function storeShared(address: usize, value: u32): void {
  if (ASC_FEATURE_THREADS) atomic.store<u32>(address, value);
  else store<u32>(address, value);
}
