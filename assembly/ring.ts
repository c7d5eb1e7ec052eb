/**
 * The io_uring driver: completions become received frames, transmit descriptors become requests. The rings lie in this
 * memory (IORING_SETUP_NO_MMAP), so the host makes one `pump` call and one io_uring_enter per batch and touches nothing
 * else.
 *
 *   pump:  CQ --reap--> RX queue --forward--> TX queue --SQ writes--> SQ      then reads of the ports that have more
 *
 * Per port: idle = one armed POLL_ADD. When it fires, a burst of reads that never block (O_NONBLOCK / MSG_DONTWAIT): 2,
 * then twice as many while every read brings a frame, at most BURST_MAX; after an empty burst the poll is armed again.
 * Exactly one kind of request reads a port at a time and completions are handled in CQ order, so frames of a flow never
 * overtake each other. (Reads that may wait are woken all at once by each arrival and end up in kernel worker threads
 * that read in parallel: they reorder.) Writes carry RWF_NOWAIT: done on the spot, or -EAGAIN, which is a counted drop
 * like a full transmit queue in hardware.
 *
 * Layout of the rings and of SQE/CQE: include/uapi/linux/io_uring.h.
 */
import {
  CQ_ENTRIES, DROP_RX_ERROR, DROP_RX_TRUNCATED, DROP_TX_DOWN, DROP_TX_ERROR, DROP_TX_FULL, DROP_TX_TOO_BIG,
  FLAG_CLOSING, FLAG_QUEUED, FLAG_READY, HEADER, HEADER_ACTIVE, HEADER_CONTROL, HEADER_PORTS_MAX, HEADER_RING,
  HEADER_SLOTS_FREE, HEADER_SQES, KIND_UPLINK, KIND_XSK, PORT_ASKED, PORT_ERROR, PORT_FLAGS, PORT_GOT, PORT_INFLIGHT,
  PORT_KIND, PORT_READS, PORT_TX_BYTES, PORT_TX_FRAMES, PUMP_ATTENTION, PUMP_CONTROL, PUMP_WAIT, SLOT_CAPACITY,
  SLOT_CMSG, SLOT_CMSG_BYTES, SLOT_FRAME, SLOT_MSGHDR, SLOT_RX_IOVEC, SLOT_TX_IOVEC, SQ_ENTRIES, TX_BODY,
  TX_BODY_LENGTH, TX_HEAD, TX_HEAD_LENGTH, TX_PORT, TX_SLOT, VNET_BYTES,
} from "./abi";
import { loadShared, storeShared } from "./features";
import { forwardBatch } from "./forward";
import {
  rxPending, rxPush, rxRoom, slotAt, slotFree, slotRelease, slotsFree, slotTake, txPending, txRewind, txShift,
} from "./queues";
import { countDrop, portAt } from "./ports";
import { xskReceive } from "./xsk";

const OP_POLL_ADD: u32 = 6;
const OP_RECVMSG: u32 = 10;
const OP_READ: u32 = 22;
const OP_WRITE: u32 = 23;
const OP_WRITEV: u32 = 2;
const SQE_FIXED_FILE: u32 = 1;
const RWF_NOWAIT: u32 = 8;
const MSG_DONTWAIT: u32 = 0x40;
const MSG_TRUNC: u32 = 0x20;
const POLLIN: u32 = 1;

// What a completion belongs to: user_data = kind | port << 8 | slot << 32.
const KIND_READ: u32 = 1;
const KIND_WRITE: u32 = 2;
const KIND_POLL: u32 = 3;
const KIND_CONTROL: u32 = 4;

const EAGAIN: i32 = -11;
const EINTR: i32 = -4;
const EIO: i32 = -5;
const ENETDOWN: i32 = -100;
const EBADFD: i32 = -77;
const EMSGSIZE: i32 = -90;
const ENOBUFS: i32 = -105;
const ENOMEM: i32 = -12;
const ENXIO: i32 = -6;
const ECANCELED: i32 = -125;

const BURST_MIN: u32 = 2;
const BURST_MAX: u32 = 63;
const TP_STATUS_VLAN_VALID: u32 = 0x10;
const TP_STATUS_VLAN_TPID_VALID: u32 = 0x40;

let base: u64 = 0; // address of byte 0 of this memory in the process
let sqHead: usize = 0;
let sqTail: usize = 0;
let cqHead: usize = 0;
let cqTail: usize = 0;
let cqes: usize = 0;
let sqes: usize = 0;
let tail: u32 = 0;
let attention: u32 = 0; // PUMP_ATTENTION, PUMP_CONTROL
let active: usize = 0; // circular queue of port numbers
let activeMask: u32 = 0;
let activeHead: u32 = 0;
let activeTail: u32 = 0;

/**
 * Tells where the kernel put its ring fields (offsets from HEADER_RING, as io_uring_setup answers them) and at which
 * address this memory is mapped. The ports' files are registered under their port numbers, the control eventfd under 0.
 */
export function ringInit(
  baseLow: u32, baseHigh: u32, sqHeadOffset: u32, sqTailOffset: u32, sqArrayOffset: u32, cqHeadOffset: u32,
  cqTailOffset: u32, cqesOffset: u32,
): void {
  const ring: usize = load<u32>(HEADER, HEADER_RING);
  base = <u64>baseLow | (<u64>baseHigh << 32);
  sqHead = ring + sqHeadOffset;
  sqTail = ring + sqTailOffset;
  cqHead = ring + cqHeadOffset;
  cqTail = ring + cqTailOffset;
  cqes = ring + cqesOffset;
  sqes = load<u32>(HEADER, HEADER_SQES);
  active = load<u32>(HEADER, HEADER_ACTIVE);
  activeMask = load<u32>(HEADER, HEADER_PORTS_MAX) - 1;
  activeHead = activeTail = 0;
  tail = load<u32>(sqTail);
  // SQ entries are used in order, so the indirection array is the identity for ever.
  for (let i: u32 = 0; i < <u32>SQ_ENTRIES; i++) store<u32>(ring + sqArrayOffset + (<usize>i << 2), i);
}

/** Begins to read a port whose file is registered. */
export function portStart(port: u32): void {
  const at = portAt(port);
  store<u16>(at, load<u16>(at, PORT_FLAGS) | FLAG_READY, PORT_FLAGS);
  enqueue(port, at);
}

/**
 * Arms the read of the control eventfd; its completion is reported as PUMP_CONTROL. Called between batches, when the
 * queue may be as full as `room` lets it be: the one entry that is left is for this.
 */
export function controlArm(): void {
  prepare(OP_READ, 0, base + <u64>(HEADER + HEADER_CONTROL), 8, 0, KIND_CONTROL);
}

/** One batch. Answers the number of requests to submit, and PUMP_*. */
export function pump(): u32 {
  attention = 0;
  if (txPending() == 0) txRewind(); // its first descriptors are in the cache
  reap();
  forwardBatch();
  transmit();
  arm();
  storeShared(sqTail, tail);
  store<u32>(HEADER, slotsFree(), HEADER_SLOTS_FREE);
  const count = tail - loadShared(sqHead);
  const isIdle = rxPending() == 0 && txPending() == 0 && activeHead == activeTail;
  return count | (isIdle ? PUMP_WAIT : 0) | attention;
}

// @ts-ignore: decorator
@inline
function room(): u32 {
  const used = tail - loadShared(sqHead);
  return used < <u32>SQ_ENTRIES - 1 ? SQ_ENTRIES - 1 - used : 0;
}

// @ts-ignore: decorator
@inline
function prepare(op: u32, file: u32, address: u64, length: u32, flags: u32, user: u64): void {
  const at = sqes + (<usize>(tail & (SQ_ENTRIES - 1)) << 6);
  tail++;
  store<u64>(at, <u64>(op | (SQE_FIXED_FILE << 8)) | (<u64>file << 32));
  store<u64>(at, 0, 8); // offset: the current position
  store<u64>(at, address, 16);
  store<u64>(at, <u64>length | (<u64>flags << 32), 24);
  store<u64>(at, user, 32);
  store<u64>(at, 0, 40);
}

// @ts-ignore: decorator
@inline
function userData(kind: u32, port: u32, slot: u32): u64 {
  return <u64>(kind | (port << 8)) | (<u64>slot << 32);
}

// @ts-ignore: decorator
@inline
function enqueue(port: u32, at: usize): void {
  const flags = <u32>load<u16>(at, PORT_FLAGS);
  if (flags & FLAG_QUEUED) return;
  store<u16>(at, flags | FLAG_QUEUED, PORT_FLAGS);
  store<u32>(active + (<usize>(activeTail++ & activeMask) << 2), port);
}

// ---- Completions.

// @ts-ignore: decorator
@inline
function reap(): void {
  let head = load<u32>(cqHead);
  const end = loadShared(cqTail);
  while (head != end && rxRoom() > 0) {
    const cqe = cqes + (<usize>(head & (CQ_ENTRIES - 1)) << 4);
    const user = load<u64>(cqe);
    const result = load<i32>(cqe, 8);
    head++;
    const kind = <u32>user & 0xff;
    const port = <u32>(user >> 8) & 0xffff;
    const slot = <u32>(user >> 32);
    if (kind == KIND_CONTROL) {
      attention |= PUMP_CONTROL;
      continue;
    }
    const at = portAt(port);
    const inflight = load<u32>(at, PORT_INFLIGHT) - 1;
    store<u32>(at, inflight, PORT_INFLIGHT);
    if (kind == KIND_WRITE) written(at, slot, result);
    else if (kind == KIND_READ) hasRead(port, at, slot, result);
    else polled(port, at, result);
    if (inflight == 0 && load<u16>(at, PORT_FLAGS) & FLAG_CLOSING) attention |= PUMP_ATTENTION;
  }
  storeShared(cqHead, head);
}

// @ts-ignore: decorator
@inline
function written(at: usize, slot: u32, result: i32): void {
  if (result > 0) {
    store<u64>(at, load<u64>(at, PORT_TX_FRAMES) + 1, PORT_TX_FRAMES);
    store<u64>(at, load<u64>(at, PORT_TX_BYTES) + (result - VNET_BYTES), PORT_TX_BYTES);
  } else {
    countDrop(at, txReason(result));
  }
  slotRelease(slot);
}

function txReason(result: i32): u32 {
  if (result == EAGAIN || result == ENOBUFS || result == ENOMEM) return DROP_TX_FULL;
  if (result == EIO || result == ENETDOWN || result == EBADFD) return DROP_TX_DOWN;
  if (result == ENXIO || result == ECANCELED) return DROP_TX_DOWN;
  return result == EMSGSIZE ? DROP_TX_TOO_BIG : DROP_TX_ERROR;
}

// @ts-ignore: decorator
@inline
function hasRead(port: u32, at: usize, slot: u32, result: i32): void {
  const reads = load<u32>(at, PORT_READS) - 1;
  store<u32>(at, reads, PORT_READS);
  if (result >= VNET_BYTES) {
    store<u32>(at, load<u32>(at, PORT_GOT) + 1, PORT_GOT);
    let tag: u32 = 0;
    if (load<u8>(at, PORT_KIND) == KIND_UPLINK) {
      const buffer = slotAt(slot);
      tag = strippedTag(buffer);
      if (load<u32>(buffer, SLOT_MSGHDR + 48) & MSG_TRUNC) {
        countDrop(at, DROP_RX_TRUNCATED);
        slotFree(slot);
        if (reads == 0) enqueue(port, at);
        return;
      }
    }
    rxPush(port, slot, result - VNET_BYTES, tag);
  } else {
    slotFree(slot);
    if (result != EAGAIN && result != EINTR) failed(at, result);
  }
  if (reads == 0) enqueue(port, at);
}

/**
 * A read that failed. A packet socket answers ENETDOWN once when its link goes down and works again when it comes up; a
 * TAP answers EBADFD for ever when its device or namespace is gone: only then the host is told.
 */
function failed(at: usize, result: i32): void {
  if (result == ENETDOWN || result == ECANCELED) return;
  if (result != EBADFD) countDrop(at, DROP_RX_ERROR);
  if (result == EBADFD && load<i32>(at, PORT_ERROR) == 0) {
    store<i32>(at, -result, PORT_ERROR);
    attention |= PUMP_ATTENTION;
  }
}

// @ts-ignore: decorator
@inline
function polled(port: u32, at: usize, result: i32): void {
  // Errors show in the reads of the burst; a cancelled poll belongs to a port that is being removed.
  if (result == ECANCELED) return;
  store<u16>(at, load<u16>(at, PORT_FLAGS) | FLAG_READY, PORT_FLAGS);
  enqueue(port, at);
}

/**
 * The outer tag that the kernel took off, from struct tpacket_auxdata (linux/if_packet.h) behind the 16-byte cmsghdr.
 */
// @ts-ignore: decorator
@inline
function strippedTag(buffer: usize): u32 {
  if (load<u64>(buffer, SLOT_MSGHDR + 40) < <u64>(SLOT_CMSG_BYTES - 4)) return 0; // no auxdata came
  const aux = buffer + SLOT_CMSG + 16;
  const status = load<u32>(aux);
  if (!(status & TP_STATUS_VLAN_VALID)) return 0;
  const tpid: u32 = status & TP_STATUS_VLAN_TPID_VALID ? <u32>load<u16>(aux, 18) : 0x8100;
  return (tpid << 16) | <u32>load<u16>(aux, 16);
}

// ---- Requests.

// @ts-ignore: decorator
@inline
function transmit(): void {
  let space = room();
  for (let count = txPending(); count > 0 && space > 0; count--, space--) {
    const tx = txShift();
    const port = <u32>load<u16>(tx, TX_PORT);
    const slot = <u32>load<u16>(tx, TX_SLOT);
    const at = portAt(port);
    if (load<u16>(at, PORT_FLAGS) & FLAG_CLOSING) {
      countDrop(at, DROP_TX_DOWN);
      slotRelease(slot);
      continue;
    }
    store<u32>(at, load<u32>(at, PORT_INFLIGHT) + 1, PORT_INFLIGHT);
    const head = load<u32>(tx, TX_HEAD);
    if (head == 0) {
      const body = base + <u64>load<u32>(tx, TX_BODY);
      prepare(OP_WRITE, port, body, load<u32>(tx, TX_BODY_LENGTH), RWF_NOWAIT, userData(KIND_WRITE, port, slot));
      continue;
    }
    const iovec = slotAt(slot) + SLOT_TX_IOVEC;
    store<u64>(iovec, base + <u64>head);
    store<u64>(iovec, load<u32>(tx, TX_HEAD_LENGTH), 8);
    store<u64>(iovec, base + <u64>load<u32>(tx, TX_BODY), 16);
    store<u64>(iovec, load<u32>(tx, TX_BODY_LENGTH), 24);
    prepare(OP_WRITEV, port, base + <u64>iovec, 2, RWF_NOWAIT, userData(KIND_WRITE, port, slot));
  }
}

/** Reads of the ports that want them, in the order in which they came; a port without room keeps its place. */
// @ts-ignore: decorator
@inline
function arm(): void {
  for (let count = activeTail - activeHead; count > 0; count--) {
    const port = load<u32>(active + (<usize>(activeHead & activeMask) << 2));
    const at = portAt(port);
    const flags = <u32>load<u16>(at, PORT_FLAGS);
    const burst = flags & FLAG_READY ? BURST_MIN : nextBurst(load<u32>(at, PORT_GOT), load<u32>(at, PORT_ASKED));
    const closed = flags & FLAG_CLOSING || load<i32>(at, PORT_ERROR) != 0;
    let isXsk = false;
    if (!closed) {
      const space = min(room(), burst == 0 ? 1 : slotsFree());
      if (space == 0) return;
      isXsk = burst != 0 && load<u8>(at, PORT_KIND) == KIND_XSK;
      if (burst == 0) armPoll(port, at);
      else if (isXsk) xskReceive(at, min(burst, space));
      else armReads(port, at, min(burst, space));
    } else {
      attention |= PUMP_ATTENTION;
    }
    activeHead++;
    store<u16>(at, flags & ~(FLAG_QUEUED | FLAG_READY), PORT_FLAGS);
    if (isXsk) enqueue(port, at); // what it had is in the RX queue by now, and no completion will tell
  }
}

// @ts-ignore: decorator
@inline
function nextBurst(got: u32, asked: u32): u32 {
  return got >= asked ? min<u32>(asked * 2 + 1, BURST_MAX) : got;
}

// @ts-ignore: decorator
@inline
function armPoll(port: u32, at: usize): void {
  store<u32>(at, load<u32>(at, PORT_INFLIGHT) + 1, PORT_INFLIGHT);
  prepare(OP_POLL_ADD, port, 0, 0, POLLIN, userData(KIND_POLL, port, 0));
}

// @ts-ignore: decorator
@inline
function armReads(port: u32, at: usize, count: u32): void {
  const isUplink = load<u8>(at, PORT_KIND) == KIND_UPLINK;
  for (let i: u32 = 0; i < count; i++) {
    const slot = slotTake();
    const buffer = slotAt(slot);
    const start = base + <u64>(buffer + SLOT_FRAME - VNET_BYTES);
    const user = userData(KIND_READ, port, slot);
    if (isUplink) {
      prepareMessage(buffer, start);
      prepare(OP_RECVMSG, port, base + <u64>(buffer + SLOT_MSGHDR), 1, MSG_DONTWAIT, user);
    } else {
      prepare(OP_READ, port, start, SLOT_CAPACITY, RWF_NOWAIT, user);
    }
  }
  store<u32>(at, load<u32>(at, PORT_INFLIGHT) + count, PORT_INFLIGHT);
  store<u32>(at, count, PORT_READS);
  store<u32>(at, count, PORT_ASKED);
  store<u32>(at, 0, PORT_GOT);
}

/**
 * struct msghdr, written anew for each read: the kernel changes its control length and flags, and slots wander between
 * ports.
 */
// @ts-ignore: decorator
@inline
function prepareMessage(buffer: usize, start: u64): void {
  store<u64>(buffer, start, SLOT_RX_IOVEC);
  store<u64>(buffer, SLOT_CAPACITY, SLOT_RX_IOVEC + 8);
  store<u64>(buffer, 0, SLOT_MSGHDR); // name
  store<u64>(buffer, 0, SLOT_MSGHDR + 8);
  store<u64>(buffer, base + <u64>(buffer + SLOT_RX_IOVEC), SLOT_MSGHDR + 16);
  store<u64>(buffer, 1, SLOT_MSGHDR + 24);
  store<u64>(buffer, base + <u64>(buffer + SLOT_CMSG), SLOT_MSGHDR + 32);
  store<u64>(buffer, SLOT_CMSG_BYTES, SLOT_MSGHDR + 40);
  store<u64>(buffer, 0, SLOT_MSGHDR + 48); // flags
}
