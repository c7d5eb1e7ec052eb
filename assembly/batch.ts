/**
 * The batch interface, for hosts that move frames by themselves (no io_uring in the core): three calls for each batch.
 *
 *   batchPrepare(n)  the first n RX descriptors get a slot each          host reads frames into them
 *   batchForward(m)  m of them were filled                               host sends what the TX descriptors say
 *   batchDone()      their slots are free again
 */
import { RX_SLOT, TX_SLOT } from "./abi";
import { forwardBatch } from "./forward";
import {
  queuesReset, rxDescriptor, rxFill, rxRoom, slotFree, slotRelease, slotsFree, slotTake, txPeek, txPending, txRewind,
} from "./queues";

let prepared: u32 = 0;

/** Puts a free slot into each of the first `count` RX descriptors; answers how many there were. */
export function batchPrepare(count: u32): u32 {
  queuesReset();
  prepared = min(count, min(slotsFree(), rxRoom()));
  for (let i: u32 = 0; i < prepared; i++) store<u16>(rxDescriptor(i), slotTake(), RX_SLOT);
  return prepared;
}

/**
 * Forwards the first `count` RX descriptors, whose port, length and tag the host has filled in, and takes the other
 * slots back. Answers the number of TX descriptors. With more copies than the TX queue holds, `rxPending` is not 0:
 * send these, `batchDone`, and call again with `count` 0.
 */
export function batchForward(count: u32): u32 {
  for (let i = count; i < prepared; i++) slotFree(<u32>load<u16>(rxDescriptor(i), RX_SLOT));
  prepared = 0;
  if (count) rxFill(count);
  forwardBatch();
  return txPending();
}

/** The host has sent what the TX descriptors said. */
export function batchDone(): void {
  const count = txPending();
  for (let i: u32 = 0; i < count; i++) slotRelease(<u32>load<u16>(txPeek(i), TX_SLOT));
  txRewind();
}
