/**
 * The binary interface of the packet core: every offset, size and code that the core and its host must agree on.
 *
 * This one file is compiled by both compilers, AssemblyScript and TypeScript, so there is nothing to keep in step.
 * Therefore it may hold nothing but numeric constants. All addresses are byte offsets in the linear memory; all
 * integers are little endian.
 *
 *   0        4096      8192 ...
 *   | unused | HEADER  | ring | SQEs | ports | segments | VLAN tables | FDB | IPs | slot lists | RX | TX | slots |
 *
 * The core computes where each region begins (`init`) and writes it to the header; the host only reads it there.
 */

export const ABI_VERSION = 1;

// ---- Header: u32 fields at HEADER + offset, written by `init`.
export const HEADER = 4096;
export const HEADER_ABI_VERSION = 0;
export const HEADER_BYTES_TOTAL = 4; // end of the last region
export const HEADER_PORTS_MAX = 8; // port numbers are 1..PORTS_MAX-1; 0 means "none" everywhere
export const HEADER_SEGMENTS_MAX = 12;
export const HEADER_TABLES_MAX = 16;
export const HEADER_FDB_CAPACITY = 20;
export const HEADER_SLOTS_MAX = 24;
export const HEADER_RING = 28; // page aligned, RING_BYTES: SQ and CQ heads, tails, arrays (io_uring, NO_MMAP)
export const HEADER_SQES = 32; // page aligned, SQES_BYTES
export const HEADER_PORTS = 36;
export const HEADER_SEGMENTS = 40;
export const HEADER_TABLES = 44;
export const HEADER_FDB = 48;
export const HEADER_FREE = 52; // u32 stack of free slots
export const HEADER_REFS = 56; // u32 per slot: transmissions still outstanding
export const HEADER_ACTIVE = 60; // u32 circular queue of ports that want to be read
export const HEADER_RX = 64;
export const HEADER_TX = 68;
export const HEADER_SLOTS = 72;
export const HEADER_RX_MAX = 76;
export const HEADER_TX_MAX = 80;
export const HEADER_FDB_COUNT = 84; // live: entries in the forwarding database
export const HEADER_CONTROL = 88; // 8 bytes that the control eventfd is read into
export const HEADER_BATCHES = 96; // u64, live: batches forwarded, for the mean batch size
export const HEADER_IPS = 104;
export const HEADER_IPS_CAPACITY = 108;
export const HEADER_IPS_COUNT = 112; // live: entries in the IP database
export const HEADER_CAPTURE = 116; // the capture ring; 0: none
export const HEADER_CAPTURE_BYTES = 120; // size of its data, a power of two
export const HEADER_FLOWS = 124; // flows that are open for coalescing, private to the core
export const HEADER_BATCH_SIZES = 128; // 88 bytes, live: u64 counters of batches of 1, 2-3, 4-7 ... 1024 frames
export const HEADER_SLOTS_FREE = 216; // live: free slots at the end of the last pump
export const HEADER_BYTES = 256;

export const RING_BYTES = 65536;
export const SQES_BYTES = 65536;
export const SQ_ENTRIES = 512;
export const CQ_ENTRIES = 2048;

// ---- Port record.
export const PORT_BYTES = 320; // an odd number of lines: ports are spread over all sets of a cache
export const PORT_KIND = 0; // u8, KIND_*
export const PORT_MODE = 1; // u8, MODE_*
export const PORT_FLAGS = 2; // u16, FLAG_*
export const PORT_SEGMENT = 4; // u16, endpoint and host
export const PORT_NETWORK = 6; // u16, endpoint
export const PORT_FRAME_BYTES_MAX = 8; // u32, MTU + 14
export const PORT_NEXT = 12; // u16, next member of the segment
export const PORT_TABLE = 14; // u16, uplink: its VLAN table
export const PORT_MAC = 16; // u64, the six bytes as they stand on the wire, read little endian
export const PORT_INFLIGHT = 24; // u32, requests that the kernel still holds
export const PORT_READS = 28; // u32, reads of the current burst not yet completed
export const PORT_ASKED = 32; // u32, size of the current burst
export const PORT_GOT = 36; // u32, frames that it brought
export const PORT_LEARNED = 44; // u32, addresses in the IP database that the endpoint added by using them
export const PORT_SNAP_BYTES = 48; // u32, written by the capture's reader: bytes to record of each frame; 0: none
export const PORT_OFFLOADS = 52; // u8, OFFLOAD_*: what may leave by the port unfinished
export const PORT_COALESCE = 53; // u8, OFFLOAD_TSO4, _TSO6, _USO: what frames that leave by it are coalesced into
export const PORT_XSK = 56; // u32, memory of an AF_XDP socket (KIND_XSK)
export const PORT_ERROR = 40; // i32, errno that ended reception for good; 0 while the port works
export const PORT_RX_FRAMES = 64; // u64 counters from here on
export const PORT_RX_BYTES = 72;
export const PORT_TX_FRAMES = 80;
export const PORT_TX_BYTES = 88;
export const PORT_DROPS = 96; // u64 per DROP_* reason
export const PORT_RX_OFFLOADS = 240; // frames received that still have to be cut into segments
export const PORT_CAPTURE_LOST = 248; // frames that the capture ring had no room for

export const PORT_MERGED = 256; // frames that left by it as a part of another
export const PORT_FINISHED = 264; // frames that left by it after the core had cut or summed them

// What a port's kernel finishes: checksums, TCP over IPv4 and IPv6 and UDP datagrams left in one piece (TUN_F_* in
// include/uapi/linux/if_tun.h, where they have other numbers).
export const OFFLOAD_CSUM = 1;
export const OFFLOAD_TSO4 = 2;
export const OFFLOAD_TSO6 = 4;
export const OFFLOAD_USO = 8;
export const OFFLOADS_ALL = 15;

export const KIND_NONE = 0;
export const KIND_ENDPOINT = 1;
export const KIND_UPLINK = 2;
export const KIND_HOST = 3;
export const KIND_XSK = 4; // an AF_XDP socket: no port of the switch, it brings frames of an uplink

// macvlan modes, as the kernel has them (include/uapi/linux/if_link.h), and the flags of ipvlan's layer-2 mode.
export const MODE_BRIDGE = 0;
export const MODE_PRIVATE = 1;
export const MODE_VEPA = 2;
export const MODE_PASSTHRU = 3;
export const MODE_SOURCE = 4;
export const MODE_IPVLAN = 8; // from here on: one MAC, endpoints told apart by IP address
export const MODE_IPVLAN_PRIVATE = 9;
export const MODE_IPVLAN_VEPA = 10;

export const FLAG_CLOSING = 1; // no new requests; the host waits for PORT_INFLIGHT to reach 0
export const FLAG_QUEUED = 2; // stands in the active queue
export const FLAG_READY = 4; // a poll completed: start with a small burst
export const FLAG_SECURE_MAC = 8; // the endpoint may send from its own MAC address only
export const FLAG_SECURE_IP = 16; // ... and from the IP addresses that it was assigned only

// ---- Reasons why a frame was dropped. Counted on the ingress port, from DROP_GIANT to DROP_TX_ERROR at the egress
// port.
export const DROP_PORT_DOWN = 0;
export const DROP_RUNT = 1;
export const DROP_OFFLOAD = 2;
export const DROP_SOURCE = 3;
export const DROP_VLAN = 4;
export const DROP_HAIRPIN = 5;
export const DROP_UNKNOWN = 6;
export const DROP_RX_TRUNCATED = 7;
export const DROP_RX_ERROR = 8;
export const DROP_GIANT = 9;
export const DROP_TX_FULL = 10;
export const DROP_TX_DOWN = 11;
export const DROP_TX_TOO_BIG = 12;
export const DROP_TX_ERROR = 13;
export const DROP_SPOOFED = 14; // at the ingress port
export const DROP_RX_FULL = 15; // at the uplink, counted by the host: its socket's queue had no room
export const DROP_REASONS = 16;
export const BATCH_SIZES = 11; // counters at HEADER_BATCH_SIZES

// ---- Capture ring: one writer (the core), one reader (any thread). Positions are bytes, only ever grow, and wrap at
// 2^32; records are whole, their sizes multiples of 8, and one for port 0 fills up the end.
export const CAPTURE_ON = 0; // u32, written by the reader: 0: no port is captured
export const CAPTURE_TAIL = 4; // u32, the writer's position
export const CAPTURE_CLOCK = 8; // u64, ns since 1970, written before each batch by who calls the core
export const CAPTURE_HEAD = 64; // u32, the reader's position
export const CAPTURE_DATA = 128;
export const CAPTURED_SIZE = 0; // u32, bytes to the next record
export const CAPTURED_PORT = 4; // u16
export const CAPTURED_SENT = 6; // u8, 1: to be sent by the port; 0: received through it
export const CAPTURED_VERDICT = 7; // u8, reason why a received frame was dropped; CAPTURED_PASSED: it was not
export const CAPTURED_LENGTH = 8; // u32, bytes of the frame in this record
export const CAPTURED_ORIGINAL = 12; // u32, bytes that the frame has
export const CAPTURED_TIME = 16; // u64
export const CAPTURED_BYTES = 24; // the frame begins here, its tags as on the wire
export const CAPTURED_PASSED = 255;
export const SNAP_BYTES_MIN = 64;

// ---- Segment record.
export const SEGMENT_BYTES = 32;
export const SEGMENT_USED = 0; // u8
export const SEGMENT_TAGS = 1; // u8, number of tags: 0..2
export const SEGMENT_UPLINK = 2; // u16, port or 0
export const SEGMENT_TAG0 = 4; // u32, outermost tag: tpid << 16 | vid
export const SEGMENT_TAG1 = 8; // u32
export const SEGMENT_HEAD = 12; // u16, first member port
export const SEGMENT_MEMBERS = 14; // u16
export const SEGMENT_TABLE = 16; // u16, the table that names it (for removal)
export const SEGMENT_INNER = 18; // u16, inner table hung below the outer tag (two tags only)
export const SEGMENT_PASSTHRU = 20; // u16, the endpoint that takes everything, or 0
export const SEGMENT_SOURCES = 22; // u16, number of endpoints in source mode
export const SEGMENT_IPVLANS = 24; // u16, number of ipvlan endpoints

// ---- VLAN table: u16[2][4096], indexed by TPID (0: 0x8100, 1: 0x88a8) and VID.
// 0: nobody; below 0x8000: segment; else 0x8000 | number of the table for the inner tag. Entry [0][0] is for frames
// without a tag.
export const TABLE_BYTES = 16384;
export const TABLE_STACKED = 0x8000;

export const TPID_CTAG = 0x8100;
export const TPID_STAG = 0x88a8;
export const VID_MAX = 4094;
export const ETHERTYPE_PAUSE = 0x8808;

// ---- FDB entry: u64 key (fid << 48 | MAC), u64 value (port).
// Keys with FDB_SOURCE in the fid are the allowed sources of a network in source mode; their value is the network's
// number.
export const FDB_ENTRY_BYTES = 16;
export const FDB_SOURCE = 0x8000;

// ---- IP database entry: 16 address bytes (IPv4 as ::ffff:a.b.c.d), u32 fid, u32 port | IP_LEARNED.
export const IP_ENTRY_BYTES = 32;
export const IP_LEARNED = 0x10000;
export const IP_LEARNED_MAX = 16; // addresses that one endpoint can add by using them

// ---- Slot: one frame buffer with room in front for everything that the kernel or a tag needs.
export const SLOT_BYTES = 69696; // 68 KiB + 64: the largest offload frame, and no two slots in the same L1 set
export const SLOT_MSGHDR = 0; // struct msghdr, 56 bytes (recvmsg)
export const SLOT_RX_IOVEC = 56; // one struct iovec
export const SLOT_CMSG = 72; // struct cmsghdr + struct tpacket_auxdata
export const SLOT_CMSG_BYTES = 40;
export const SLOT_TX_IOVEC = 112; // two struct iovec
export const SLOT_HEAD = 144; // vnet header + MACs + tags of a tagged copy that shares the slot
export const SLOT_FRAME = 256; // the Ethernet frame; its vnet header stands right before it
export const VNET_BYTES = 10;
export const SLOT_CAPACITY = 69440; // SLOT_BYTES - SLOT_FRAME

// ---- virtio_net_hdr (linux/virtio_net.h), 10 bytes.
export const VNET_FLAGS = 0;
export const VNET_GSO_TYPE = 1;
export const VNET_HDR_LEN = 2;
export const VNET_GSO_SIZE = 4;
export const VNET_CSUM_START = 6;
export const VNET_CSUM_OFFSET = 8;
export const VNET_F_NEEDS_CSUM = 1;
export const VNET_F_DATA_VALID = 2;
export const VNET_GSO_TCPV4 = 1;
export const VNET_GSO_TCPV6 = 4;
export const VNET_GSO_UDP = 5; // datagrams of one flow (VIRTIO_NET_HDR_GSO_UDP_L4)
export const VNET_GSO_ECN = 0x80;

// ---- Received frame descriptor: in from the host (or the ring).
export const RX_BYTES = 16;
export const RX_PORT = 0; // u16
export const RX_SLOT = 2; // u16
export const RX_LENGTH = 4; // u32, bytes of the frame, vnet header not counted
export const RX_TAG = 8; // u32, outer tag that the kernel stripped: tpid << 16 | tci; 0: none

// ---- Transmit descriptor: out to the host (or the ring). The bytes are [HEAD, HEAD+HEAD_LENGTH) followed by [BODY,
// BODY+BODY_LENGTH).
export const TX_BYTES = 32;
export const TX_PORT = 0; // u16
export const TX_SLOT = 2; // u16
export const TX_BODY = 4; // u32 address
export const TX_BODY_LENGTH = 8; // u32
export const TX_HEAD = 12; // u32 address, 0: no separate head
export const TX_HEAD_LENGTH = 16; // u32

// ---- Memory of one AF_XDP socket (linux/if_xdp.h), page aligned: what the core knows of it, the two rings that the
// kernel maps over it, and the chunks that it writes frames into (UMEM).
export const XSK_BYTES = 2134016;
export const XSK_UPLINK = 0; // u32, port number
export const XSK_IS_VIRTUAL = 4; // u32, frames may come with checksums that their sender left to its (virtual) device
export const XSK_RX_PRODUCER = 8; // u32 addresses
export const XSK_RX_CONSUMER = 12;
export const XSK_RX_ENTRIES = 16;
export const XSK_FILL_PRODUCER = 20;
export const XSK_FILL_ENTRIES = 24;
export const XSK_RX_RING = 4096;
export const XSK_FILL_RING = 24576;
export const XSK_UMEM = 36864;
export const XSK_CHUNK_BYTES = 2048;
export const XSK_CHUNKS = 1024; // and entries of each ring
export const XSK_FRAME_BYTES_MAX = 1792; // what the kernel's headroom (XDP_PACKET_HEADROOM) leaves of a chunk

// ---- Parsed frame, written by `parse`.
export const PARSED_BYTES = 24;
export const PARSED_ETHERTYPE = 0; // u16, after all tags; the length field for 802.3
export const PARSED_TAGS = 2; // u8, number of tags (at most 4 are followed)
export const PARSED_L3_KIND = 3; // u8, L3_*
export const PARSED_L3_OFFSET = 4; // u16, bytes from the start of the frame
export const PARSED_L4_OFFSET = 6; // u16, 0: none (fragment, truncated, unknown)
export const PARSED_L4_PROTOCOL = 8; // u8, IP protocol number after IPv6 extension headers
export const PARSED_FLAGS = 9; // u8, PARSED_F_*
export const PARSED_OUTER_TCI = 10; // u16
export const PARSED_INNER_TCI = 12; // u16
export const PARSED_L3_LENGTH = 14; // u16, bytes of the layer-3 packet by its own header
export const L3_OTHER = 0;
export const L3_ARP = 1;
export const L3_IPV4 = 2;
export const L3_IPV6 = 3;
export const L3_LLC = 4;
export const PARSED_F_TRUNCATED = 1; // a header does not fit in the frame
export const PARSED_F_FRAGMENT = 2; // IPv4/IPv6 fragment
export const PARSED_F_MULTICAST = 4; // destination address
export const PARSED_F_BROADCAST = 8;

// ---- What `pump` answers: requests to submit in bits 0..15, and these.
export const PUMP_WAIT = 0x10000; // nothing left to do: block until one completion
export const PUMP_ATTENTION = 0x20000; // a port failed, or one that is being removed made progress
export const PUMP_CONTROL = 0x40000; // the control eventfd was read: messages wait; `controlArm` again
