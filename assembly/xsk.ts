/**
 * AF_XDP sockets of uplinks: the network card, or the kernel for it, writes received frames into chunks of this memory
 * (UMEM), and two rings in it say which.
 *
 *   fill ring --chunk--> kernel --frame--> RX ring --copied into a slot--> RX queue     the chunk goes back at once
 *
 * The copy is what lets a socket be taken away at any time, and a slow receiver keep a slot as long as it wants. Frames
 * leave by the uplink's raw socket, which takes super-frames; AF_XDP has none (docs/adr/0022-xdp.md).
 *
 * A socket has a number among the ports (KIND_XSK) for its file, its poll and its removal; what it brings belongs to
 * the uplink. Layout of the rings: include/uapi/linux/if_xdp.h, Documentation/networking/af_xdp.rst.
 */
import {
  KIND_XSK, L3_IPV6, PARSED_L3_KIND, PARSED_L3_LENGTH, PARSED_L3_OFFSET, PARSED_L4_OFFSET, PARSED_L4_PROTOCOL,
  PORT_ASKED, PORT_GOT, PORT_XSK, SLOT_FRAME, SLOT_HEAD, VNET_BYTES, VNET_CSUM_OFFSET, VNET_CSUM_START,
  VNET_F_NEEDS_CSUM, XSK_CHUNKS, XSK_CHUNK_BYTES, XSK_FILL_ENTRIES, XSK_FILL_PRODUCER, XSK_FRAME_BYTES_MAX,
  XSK_IS_VIRTUAL, XSK_RX_CONSUMER, XSK_RX_ENTRIES, XSK_RX_PRODUCER, XSK_UMEM, XSK_UPLINK,
} from "./abi";
import { fold, pseudoSum } from "./checksum";
import { loadShared, storeShared } from "./features";
import { ETHERNET_BYTES, isTpid, parse, PROTOCOL_TCP, PROTOCOL_UDP, typeOf } from "./frame";
import { TCP_CHECKSUM, UDP_CHECKSUM } from "./offload";
import { portAt, portTake } from "./ports";
import { rxPush, rxRoom, slotAt, slotTake } from "./queues";
import { TAG_BYTES, tagAt } from "./vlan";

const MASK: u32 = XSK_CHUNKS - 1;
const ADDRESSES_BYTES: u32 = 12;
/** So that the next burst is a large one, or none. */
const BURST: u32 = 63;

/**
 * Makes the memory at `xsk` a socket of an uplink, its rings empty and at these addresses, and gives the kernel all
 * chunks. `isVirtual`: frames may come with checksums that their sender left to its device. Answers the number of the
 * socket, 0: no room.
 */
export function xskAdd(
  xsk: u32, uplink: u32, isVirtual: bool, rxProducer: u32, rxConsumer: u32, rxEntries: u32, fillProducer: u32,
  fillEntries: u32,
): u32 {
  const port = portTake(KIND_XSK);
  if (port == 0) return 0;
  store<u32>(portAt(port), xsk, PORT_XSK);
  store<u32>(xsk, uplink, XSK_UPLINK);
  store<u32>(xsk, isVirtual, XSK_IS_VIRTUAL);
  store<u32>(xsk, rxProducer, XSK_RX_PRODUCER);
  store<u32>(xsk, rxConsumer, XSK_RX_CONSUMER);
  store<u32>(xsk, rxEntries, XSK_RX_ENTRIES);
  store<u32>(xsk, fillProducer, XSK_FILL_PRODUCER);
  store<u32>(xsk, fillEntries, XSK_FILL_ENTRIES);
  for (let chunk: u32 = 0; chunk < <u32>XSK_CHUNKS; chunk++) {
    store<u64>(<usize>fillEntries + (<usize>chunk << 3), chunk * XSK_CHUNK_BYTES);
  }
  storeShared(fillProducer, XSK_CHUNKS);
  return port;
}

/**
 * Moves at most `count` frames to the RX queue; there are as many free slots. Like a burst of reads, it says in
 * PORT_ASKED and PORT_GOT whether there was something.
 */
export function xskReceive(at: usize, count: u32): void {
  const xsk = <usize>load<u32>(at, PORT_XSK);
  const consumer = <usize>load<u32>(xsk, XSK_RX_CONSUMER);
  const fill = <usize>load<u32>(xsk, XSK_FILL_PRODUCER);
  const uplink = load<u32>(xsk, XSK_UPLINK);
  let from = load<u32>(consumer);
  let back = load<u32>(fill);
  const waiting = loadShared(<usize>load<u32>(xsk, XSK_RX_PRODUCER)) - from;
  for (let left = min(waiting, min(count, rxRoom())); left > 0; left--) {
    const entry = <usize>load<u32>(xsk, XSK_RX_ENTRIES) + (<usize>(from++ & MASK) << 4);
    const address = load<u32>(entry) & (XSK_CHUNKS * XSK_CHUNK_BYTES - 1);
    receive(xsk, uplink, xsk + XSK_UMEM + <usize>address, min<u32>(load<u32>(entry, 8), XSK_FRAME_BYTES_MAX));
    const chunk = address & ~(XSK_CHUNK_BYTES - 1);
    store<u64>(<usize>load<u32>(xsk, XSK_FILL_ENTRIES) + (<usize>(back++ & MASK) << 3), chunk);
  }
  storeShared(consumer, from);
  storeShared(fill, back);
  store<u32>(at, BURST, PORT_ASKED);
  store<u32>(at, waiting ? BURST : 0, PORT_GOT);
}

/** Copies a frame into a slot, its outer tag taken out as a packet socket does it, and queues it. */
// @ts-ignore: decorator
@inline
function receive(xsk: usize, uplink: u32, source: usize, bytes: u32): void {
  const slot = slotTake();
  const frame = slotAt(slot) + SLOT_FRAME;
  store<u64>(frame - VNET_BYTES, 0);
  store<u16>(frame - VNET_BYTES, 0, 8);
  let tag: u32 = 0;
  let length = bytes;
  if (bytes >= ETHERNET_BYTES + TAG_BYTES && isTpid(typeOf(source))) {
    tag = tagAt(source);
    length -= TAG_BYTES;
    memory.copy(frame, source, ADDRESSES_BYTES);
    memory.copy(frame + ADDRESSES_BYTES, source + ADDRESSES_BYTES + TAG_BYTES, length - ADDRESSES_BYTES);
  } else {
    memory.copy(frame, source, bytes);
  }
  if (load<u32>(xsk, XSK_IS_VIRTUAL)) markOpenChecksum(frame, length, slotAt(slot) + SLOT_HEAD);
  rxPush(uplink, slot, length, tag);
}

/**
 * Marks a checksum as open that the sender's kernel has left to its device, of which XDP tells nothing: it is the sum
 * of the pseudo header, and not more (struct sk_buff, CHECKSUM_PARTIAL). A right one is the same by chance once in
 * 65,536 frames, and is computed again then. `scratch`: PARSED_BYTES.
 */
function markOpenChecksum(frame: usize, bytes: u32, scratch: usize): void {
  parse(frame, bytes, scratch);
  const l4 = <u32>load<u16>(scratch, PARSED_L4_OFFSET);
  const protocol = <u32>load<u8>(scratch, PARSED_L4_PROTOCOL);
  if (l4 == 0 || (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP)) return;
  const offset = protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
  const network = <u32>load<u16>(scratch, PARSED_L3_OFFSET);
  const length = network + <u32>load<u16>(scratch, PARSED_L3_LENGTH) - l4;
  if (l4 + offset + 2 > bytes) return;
  const checksum = <u32>load<u16>(frame + l4 + offset);
  const isV6 = load<u8>(scratch, PARSED_L3_KIND) == L3_IPV6;
  if (checksum == 0 || checksum != fold(pseudoSum(frame + network, isV6, protocol, length))) return;
  const header = frame - VNET_BYTES;
  store<u8>(header, VNET_F_NEEDS_CSUM);
  store<u16>(header, l4, VNET_CSUM_START);
  store<u16>(header, offset, VNET_CSUM_OFFSET);
}
