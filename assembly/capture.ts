/**
 * Captures: copies of frames as they come in through a port and as they leave by it, in a ring that another thread
 * reads.
 *
 *   CAPTURE_HEAD (reader) --> | record | record | ... | <-- CAPTURE_TAIL (here)
 *
 * A ring that is full loses the capture's copy and counts it; the frame itself never waits. While no port is captured,
 * forwarding asks once per batch and does nothing else. A received frame is copied before its tags are moved; a copy to
 * be sent is recorded as it is queued, whatever the kernel then says. Frames that offloads have left whole, and
 * checksums that they have left open, are recorded as they are.
 */
import {
  CAPTURED_BYTES, CAPTURED_LENGTH, CAPTURED_ORIGINAL, CAPTURED_PASSED, CAPTURED_PORT, CAPTURED_SENT, CAPTURED_SIZE,
  CAPTURED_TIME, CAPTURED_VERDICT, CAPTURE_CLOCK, CAPTURE_DATA, CAPTURE_HEAD, CAPTURE_ON, CAPTURE_TAIL, HEADER,
  HEADER_CAPTURE, HEADER_CAPTURE_BYTES, PORT_CAPTURE_LOST, PORT_SNAP_BYTES, SLOT_FRAME, TX_BODY, TX_BODY_LENGTH,
  TX_HEAD, TX_HEAD_LENGTH, TX_PORT, VNET_BYTES,
} from "./abi";
import { loadShared, storeShared } from "./features";
import { portAt } from "./ports";
import { slotAt, txDescriptor, txTail } from "./queues";

const ADDRESSES_BYTES: u32 = 12;
const TAG_BYTES: u32 = 4;

let ring: usize = 0;
let bytesMax: u32 = 0;
let tail: u32 = 0;

/** Gives the core a zeroed region for the capture ring: CAPTURE_DATA + `bytes`, a power of two; behind all others. */
export function captureInit(address: u32, bytes: u32): void {
  ring = address;
  bytesMax = bytes;
  tail = 0;
  store<u32>(HEADER, address, HEADER_CAPTURE);
  store<u32>(HEADER, bytes, HEADER_CAPTURE_BYTES);
}

/** Whether any port is captured. */
// @ts-ignore: decorator
@inline
export function isCapturing(): bool {
  return ring != 0 && loadShared(ring + CAPTURE_ON) != 0;
}

/** Shows the reader what was recorded. */
export function capturePublish(): void {
  storeShared(ring + CAPTURE_TAIL, tail);
}

/** Begins a record of `length` of a frame's `original` bytes; answers its address, 0 when there is no room for it. */
function record(port: u32, at: usize, length: u32, original: u32): usize {
  const size = (<u32>CAPTURED_BYTES + length + 7) & ~7;
  const offset = tail & (bytesMax - 1);
  const filler = bytesMax - offset < size ? bytesMax - offset : 0;
  if (size + filler > bytesMax - (tail - loadShared(ring + CAPTURE_HEAD))) {
    store<u64>(at, load<u64>(at, PORT_CAPTURE_LOST) + 1, PORT_CAPTURE_LOST);
    return 0;
  }
  if (filler) {
    const end = ring + CAPTURE_DATA + offset;
    store<u32>(end, filler, CAPTURED_SIZE);
    store<u16>(end, 0, CAPTURED_PORT);
  }
  const made = ring + CAPTURE_DATA + (filler ? 0 : offset);
  store<u32>(made, size, CAPTURED_SIZE);
  store<u16>(made, port, CAPTURED_PORT);
  store<u32>(made, length, CAPTURED_LENGTH);
  store<u32>(made, original, CAPTURED_ORIGINAL);
  store<u64>(made, load<u64>(ring, CAPTURE_CLOCK), CAPTURED_TIME);
  tail += filler + size;
  return made;
}

/** Records a frame that came in; answers its record, 0 when there is none. `tag`: the one that the kernel took out. */
export function captureReceived(port: u32, slot: u32, bytes: u32, tag: u32): usize {
  const at = portAt(port);
  const snapBytes = load<u32>(at, PORT_SNAP_BYTES);
  if (snapBytes == 0) return 0;
  const frame = slotAt(slot) + SLOT_FRAME;
  const original = bytes + (tag ? TAG_BYTES : 0);
  const length = min(snapBytes, original);
  const made = record(port, at, length, original);
  if (made == 0) return 0;
  store<u16>(made, <u32>CAPTURED_PASSED << 8, CAPTURED_SENT); // and the verdict
  const target = made + CAPTURED_BYTES;
  if (tag == 0) {
    memory.copy(target, frame, length);
    return made;
  }
  const before = min(bytes, ADDRESSES_BYTES);
  memory.copy(target, frame, before);
  store<u32>(target + before, bswap<u32>(tag));
  memory.copy(target + before + TAG_BYTES, frame + before, length - before - TAG_BYTES);
  return made;
}

/** Says what became of the frame of a record, and records its copies: the TX descriptors from `first` on. */
export function captureForwarded(made: usize, reason: i32, first: u32): void {
  if (made && reason >= 0) store<u8>(made, reason, CAPTURED_VERDICT);
  for (let count = first; count != txTail; count++) captureSent(txDescriptor(count));
}

function captureSent(tx: usize): void {
  const port = <u32>load<u16>(tx, TX_PORT);
  const at = portAt(port);
  const snapBytes = load<u32>(at, PORT_SNAP_BYTES);
  if (snapBytes == 0) return;
  const headBytes = load<u32>(tx, TX_HEAD) ? load<u32>(tx, TX_HEAD_LENGTH) - VNET_BYTES : 0;
  const original = headBytes + load<u32>(tx, TX_BODY_LENGTH) - (headBytes ? 0 : VNET_BYTES);
  const length = min(snapBytes, original);
  const made = record(port, at, length, original);
  if (made == 0) return;
  store<u16>(made, (<u32>CAPTURED_PASSED << 8) | 1, CAPTURED_SENT);
  const target = made + CAPTURED_BYTES;
  if (headBytes) memory.copy(target, <usize>load<u32>(tx, TX_HEAD) + VNET_BYTES, headBytes);
  const body = <usize>load<u32>(tx, TX_BODY) + (headBytes ? 0 : VNET_BYTES);
  memory.copy(target + headBytes, body, length - headBytes);
}
