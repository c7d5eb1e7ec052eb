/**
 * Frame buffers and the two descriptor queues between them and the packet path.
 *
 *   free stack --take--> slot --rxPush--> RX queue --forward--> TX queue (n descriptors of one slot)
 *        ^------------------------- n releases ---------------------------------/
 *
 * The last slot freed is the next one taken: its lines are still in the cache. Queues are circular; positions only ever
 * grow.
 */
import {
  HEADER, HEADER_FREE, HEADER_REFS, HEADER_RX, HEADER_RX_MAX, HEADER_SLOTS, HEADER_SLOTS_MAX, HEADER_TX,
  HEADER_TX_MAX, RX_BYTES, RX_LENGTH, RX_PORT, RX_SLOT, RX_TAG, SLOT_BYTES, TX_BODY, TX_BODY_LENGTH, TX_BYTES,
  TX_HEAD, TX_PORT,
} from "./abi";

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
/** Descriptors ever queued: how many a frame has got is the difference. */
export let txTail: u32 = 0;

export function queuesInit(): void {
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

/** The slot is free again after so many releases. */
// @ts-ignore: decorator
@inline
export function slotHold(slot: u32, count: u32): void {
  store<u32>(refs + (<usize>slot << 2), count);
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

/** The descriptor `index` behind the oldest one. */
// @ts-ignore: decorator
@inline
export function rxPeek(index: u32): usize {
  return rx + <usize>(((rxHead + index) & rxMask) * RX_BYTES);
}

/** The `count` oldest descriptors are done. */
// @ts-ignore: decorator
@inline
export function rxDrop(count: u32): void {
  rxHead += count;
}

export function txPending(): u32 {
  return txTail - txHead;
}

// @ts-ignore: decorator
@inline
export function txRoom(): u32 {
  return txMask + 1 - (txTail - txHead);
}

/** Queues one copy of a slot: the bytes of `head` (if there is one) and then those of `body`. */
// @ts-ignore: decorator
@inline
export function txPush(port: u32, slot: u32, body: usize, bodyBytes: u32, head: usize, headBytes: u32): void {
  const at = tx + <usize>((txTail++ & txMask) * TX_BYTES);
  store<u32>(at, port | (slot << 16), TX_PORT);
  store<u32>(at, <u32>body, TX_BODY);
  store<u32>(at, bodyBytes, TX_BODY_LENGTH);
  store<u64>(at, <u64>head | (<u64>headBytes << 32), TX_HEAD);
}

/** The oldest transmit descriptor; it stays valid until the queue is written again. */
// @ts-ignore: decorator
@inline
export function txShift(): usize {
  return tx + <usize>((txHead++ & txMask) * TX_BYTES);
}

/** The descriptor `index` behind the oldest one. */
// @ts-ignore: decorator
@inline
export function txPeek(index: u32): usize {
  return txDescriptor(txHead + index);
}

/** The descriptor that was queued as the `count`th, as `txTail` counts; it has not been shifted yet. */
// @ts-ignore: decorator
@inline
export function txDescriptor(count: u32): usize {
  return tx + <usize>((count & txMask) * TX_BYTES);
}

/** Takes the newest descriptor back. */
// @ts-ignore: decorator
@inline
export function txTakeBack(): void {
  txTail--;
}

// ---- For the batch interface, which uses the queues from their beginnings.

/** Both queues are empty: they begin at their first descriptor. */
export function queuesReset(): void {
  rxHead = rxTail = txHead = txTail = 0;
}

/** The TX queue is empty: it begins at its first descriptor. */
export function txRewind(): void {
  txHead = txTail = 0;
}

/** The first `count` RX descriptors have been written by the host. */
export function rxFill(count: u32): void {
  rxTail = count;
}

export function rxDescriptor(index: u32): usize {
  return rx + <usize>(index * RX_BYTES);
}
