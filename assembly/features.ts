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
