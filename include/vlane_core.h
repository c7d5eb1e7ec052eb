/*
 * The binary interface of vlane's packet core (docs/abi.md). Made from the core's own sources by
 * scripts/header.mjs: do not edit.
 *
 * Numbers are little endian, addresses are byte offsets in the core's linear memory. The structures are laid out
 * alike by every C compiler on little-endian machines.
 */
#ifndef VLANE_CORE_H
#define VLANE_CORE_H

#include <stdint.h>

#define VLANE_ABI_VERSION 1

/* Header: u32 fields at HEADER + offset, written by `init`. */
#define VLANE_HEADER 4096
#define VLANE_HEADER_ABI_VERSION 0
#define VLANE_HEADER_BYTES_TOTAL 4 /* end of the last region */
#define VLANE_HEADER_PORTS_MAX 8 /* port numbers are 1..PORTS_MAX-1; 0 means "none" everywhere */
#define VLANE_HEADER_SEGMENTS_MAX 12
#define VLANE_HEADER_TABLES_MAX 16
#define VLANE_HEADER_FDB_CAPACITY 20
#define VLANE_HEADER_SLOTS_MAX 24
#define VLANE_HEADER_RING 28 /* page aligned, RING_BYTES: SQ and CQ heads, tails, arrays (io_uring, NO_MMAP) */
#define VLANE_HEADER_SQES 32 /* page aligned, SQES_BYTES */
#define VLANE_HEADER_PORTS 36
#define VLANE_HEADER_SEGMENTS 40
#define VLANE_HEADER_TABLES 44
#define VLANE_HEADER_FDB 48
#define VLANE_HEADER_FREE 52 /* u32 stack of free slots */
#define VLANE_HEADER_REFS 56 /* u32 per slot: transmissions still outstanding */
#define VLANE_HEADER_ACTIVE 60 /* u32 circular queue of ports that want to be read */
#define VLANE_HEADER_RX 64
#define VLANE_HEADER_TX 68
#define VLANE_HEADER_SLOTS 72
#define VLANE_HEADER_RX_MAX 76
#define VLANE_HEADER_TX_MAX 80
#define VLANE_HEADER_FDB_COUNT 84 /* live: entries in the forwarding database */
#define VLANE_HEADER_CONTROL 88 /* 8 bytes that the control eventfd is read into */
#define VLANE_HEADER_BATCHES 96 /* u64, live: batches forwarded, for the mean batch size */
#define VLANE_HEADER_IPS 104
#define VLANE_HEADER_IPS_CAPACITY 108
#define VLANE_HEADER_IPS_COUNT 112 /* live: entries in the IP database */
#define VLANE_HEADER_CAPTURE 116 /* the capture ring; 0: none */
#define VLANE_HEADER_CAPTURE_BYTES 120 /* size of its data, a power of two */
#define VLANE_HEADER_FLOWS 124 /* flows that are open for coalescing, private to the core */
#define VLANE_HEADER_BATCH_SIZES 128 /* 88 bytes, live: u64 counters of batches of 1, 2-3, 4-7 ... 1024 frames */
#define VLANE_HEADER_SLOTS_FREE 216 /* live: free slots at the end of the last pump */
#define VLANE_HEADER_BYTES 256

#define VLANE_RING_BYTES 65536
#define VLANE_SQES_BYTES 65536
#define VLANE_SQ_ENTRIES 512
#define VLANE_CQ_ENTRIES 2048

/* Port record. */
#define VLANE_PORT_BYTES 320 /* an odd number of lines: ports are spread over all sets of a cache */
#define VLANE_PORT_KIND 0 /* u8, KIND_* */
#define VLANE_PORT_MODE 1 /* u8, MODE_* */
#define VLANE_PORT_FLAGS 2 /* u16, FLAG_* */
#define VLANE_PORT_SEGMENT 4 /* u16, endpoint and host */
#define VLANE_PORT_NETWORK 6 /* u16, endpoint */
#define VLANE_PORT_FRAME_BYTES_MAX 8 /* u32, MTU + 14 */
#define VLANE_PORT_NEXT 12 /* u16, next member of the segment */
#define VLANE_PORT_TABLE 14 /* u16, uplink: its VLAN table */
#define VLANE_PORT_MAC 16 /* u64, the six bytes as they stand on the wire, read little endian */
#define VLANE_PORT_INFLIGHT 24 /* u32, requests that the kernel still holds */
#define VLANE_PORT_READS 28 /* u32, reads of the current burst not yet completed */
#define VLANE_PORT_ASKED 32 /* u32, size of the current burst */
#define VLANE_PORT_GOT 36 /* u32, frames that it brought */
#define VLANE_PORT_LEARNED 44 /* u32, addresses in the IP database that the endpoint added by using them */
#define VLANE_PORT_SNAP_BYTES 48 /* u32, written by the capture's reader: bytes to record of each frame; 0: none */
#define VLANE_PORT_OFFLOADS 52 /* u8, OFFLOAD_*: what may leave by the port unfinished */
#define VLANE_PORT_COALESCE 53 /* u8, OFFLOAD_TSO4, _TSO6, _USO: what frames that leave by it are coalesced into */
#define VLANE_PORT_XSK 56 /* u32, memory of an AF_XDP socket (KIND_XSK) */
#define VLANE_PORT_ERROR 40 /* i32, errno that ended reception for good; 0 while the port works */
#define VLANE_PORT_RX_FRAMES 64 /* u64 counters from here on */
#define VLANE_PORT_RX_BYTES 72
#define VLANE_PORT_TX_FRAMES 80
#define VLANE_PORT_TX_BYTES 88
#define VLANE_PORT_DROPS 96 /* u64 per DROP_* reason */
#define VLANE_PORT_RX_OFFLOADS 240 /* frames received that still have to be cut into segments */
#define VLANE_PORT_CAPTURE_LOST 248 /* frames that the capture ring had no room for */

#define VLANE_PORT_MERGED 256 /* frames that left by it as a part of another */
#define VLANE_PORT_FINISHED 264 /* frames that left by it after the core had cut or summed them */

/* What a port's kernel finishes: checksums, TCP over IPv4 and IPv6 and UDP datagrams left in one piece (TUN_F_* in
 * include/uapi/linux/if_tun.h, where they have other numbers). */
#define VLANE_OFFLOAD_CSUM 1
#define VLANE_OFFLOAD_TSO4 2
#define VLANE_OFFLOAD_TSO6 4
#define VLANE_OFFLOAD_USO 8
#define VLANE_OFFLOADS_ALL 15

#define VLANE_KIND_NONE 0
#define VLANE_KIND_ENDPOINT 1
#define VLANE_KIND_UPLINK 2
#define VLANE_KIND_HOST 3
#define VLANE_KIND_XSK 4 /* an AF_XDP socket: no port of the switch, it brings frames of an uplink */

/* macvlan modes, as the kernel has them (include/uapi/linux/if_link.h), and the flags of ipvlan's layer-2 mode. */
#define VLANE_MODE_BRIDGE 0
#define VLANE_MODE_PRIVATE 1
#define VLANE_MODE_VEPA 2
#define VLANE_MODE_PASSTHRU 3
#define VLANE_MODE_SOURCE 4
#define VLANE_MODE_IPVLAN 8 /* from here on: one MAC, endpoints told apart by IP address */
#define VLANE_MODE_IPVLAN_PRIVATE 9
#define VLANE_MODE_IPVLAN_VEPA 10

#define VLANE_FLAG_CLOSING 1 /* no new requests; the host waits for PORT_INFLIGHT to reach 0 */
#define VLANE_FLAG_QUEUED 2 /* stands in the active queue */
#define VLANE_FLAG_READY 4 /* a poll completed: start with a small burst */
#define VLANE_FLAG_SECURE_MAC 8 /* the endpoint may send from its own MAC address only */
#define VLANE_FLAG_SECURE_IP 16 /* ... and from the IP addresses that it was assigned only */

/* Reasons why a frame was dropped. Counted on the ingress port, from DROP_GIANT to DROP_TX_ERROR at the egress port. */
#define VLANE_DROP_PORT_DOWN 0
#define VLANE_DROP_RUNT 1
#define VLANE_DROP_OFFLOAD 2
#define VLANE_DROP_SOURCE 3
#define VLANE_DROP_VLAN 4
#define VLANE_DROP_HAIRPIN 5
#define VLANE_DROP_UNKNOWN 6
#define VLANE_DROP_RX_TRUNCATED 7
#define VLANE_DROP_RX_ERROR 8
#define VLANE_DROP_GIANT 9
#define VLANE_DROP_TX_FULL 10
#define VLANE_DROP_TX_DOWN 11
#define VLANE_DROP_TX_TOO_BIG 12
#define VLANE_DROP_TX_ERROR 13
#define VLANE_DROP_SPOOFED 14 /* at the ingress port */
#define VLANE_DROP_RX_FULL 15 /* at the uplink, counted by the host: its socket's queue had no room */
#define VLANE_DROP_REASONS 16
#define VLANE_BATCH_SIZES 11 /* counters at HEADER_BATCH_SIZES */

/* Capture ring: one writer (the core), one reader (any thread). Positions are bytes, only ever grow, and wrap at
 * 2^32; records are whole, their sizes multiples of 8, and one for port 0 fills up the end. */
#define VLANE_CAPTURE_ON 0 /* u32, written by the reader: 0: no port is captured */
#define VLANE_CAPTURE_TAIL 4 /* u32, the writer's position */
#define VLANE_CAPTURE_CLOCK 8 /* u64, ns since 1970, written before each batch by who calls the core */
#define VLANE_CAPTURE_HEAD 64 /* u32, the reader's position */
#define VLANE_CAPTURE_DATA 128
#define VLANE_CAPTURED_SIZE 0 /* u32, bytes to the next record */
#define VLANE_CAPTURED_PORT 4 /* u16 */
#define VLANE_CAPTURED_SENT 6 /* u8, 1: to be sent by the port; 0: received through it */
#define VLANE_CAPTURED_VERDICT 7 /* u8, reason why a received frame was dropped; CAPTURED_PASSED: it was not */
#define VLANE_CAPTURED_LENGTH 8 /* u32, bytes of the frame in this record */
#define VLANE_CAPTURED_ORIGINAL 12 /* u32, bytes that the frame has */
#define VLANE_CAPTURED_TIME 16 /* u64 */
#define VLANE_CAPTURED_BYTES 24 /* the frame begins here, its tags as on the wire */
#define VLANE_CAPTURED_PASSED 255
#define VLANE_SNAP_BYTES_MIN 64

/* Segment record. */
#define VLANE_SEGMENT_BYTES 32
#define VLANE_SEGMENT_USED 0 /* u8 */
#define VLANE_SEGMENT_TAGS 1 /* u8, number of tags: 0..2 */
#define VLANE_SEGMENT_UPLINK 2 /* u16, port or 0 */
#define VLANE_SEGMENT_TAG0 4 /* u32, outermost tag: tpid << 16 | vid */
#define VLANE_SEGMENT_TAG1 8 /* u32 */
#define VLANE_SEGMENT_HEAD 12 /* u16, first member port */
#define VLANE_SEGMENT_MEMBERS 14 /* u16 */
#define VLANE_SEGMENT_TABLE 16 /* u16, the table that names it (for removal) */
#define VLANE_SEGMENT_INNER 18 /* u16, inner table hung below the outer tag (two tags only) */
#define VLANE_SEGMENT_PASSTHRU 20 /* u16, the endpoint that takes everything, or 0 */
#define VLANE_SEGMENT_SOURCES 22 /* u16, number of endpoints in source mode */
#define VLANE_SEGMENT_IPVLANS 24 /* u16, number of ipvlan endpoints */

/* VLAN table: u16[2][4096], indexed by TPID (0: 0x8100, 1: 0x88a8) and VID. 0: nobody; below 0x8000: segment; else
 * 0x8000 | number of the table for the inner tag. Entry [0][0] is for frames without a tag. */
#define VLANE_TABLE_BYTES 16384
#define VLANE_TABLE_STACKED 0x8000

#define VLANE_TPID_CTAG 0x8100
#define VLANE_TPID_STAG 0x88a8
#define VLANE_VID_MAX 4094
#define VLANE_ETHERTYPE_PAUSE 0x8808

/* FDB entry: u64 key (fid << 48 | MAC), u64 value (port). Keys with FDB_SOURCE in the fid are the allowed sources of
 * a network in source mode; their value is the network's number. */
#define VLANE_FDB_ENTRY_BYTES 16
#define VLANE_FDB_SOURCE 0x8000

/* IP database entry: 16 address bytes (IPv4 as ::ffff:a.b.c.d), u32 fid, u32 port | IP_LEARNED. */
#define VLANE_IP_ENTRY_BYTES 32
#define VLANE_IP_LEARNED 0x10000
#define VLANE_IP_LEARNED_MAX 16 /* addresses that one endpoint can add by using them */

/* Slot: one frame buffer with room in front for everything that the kernel or a tag needs. */
#define VLANE_SLOT_BYTES 69696 /* 68 KiB + 64: the largest offload frame, and no two slots in the same L1 set */
#define VLANE_SLOT_MSGHDR 0 /* struct msghdr, 56 bytes (recvmsg) */
#define VLANE_SLOT_RX_IOVEC 56 /* one struct iovec */
#define VLANE_SLOT_CMSG 72 /* struct cmsghdr + struct tpacket_auxdata */
#define VLANE_SLOT_CMSG_BYTES 40
#define VLANE_SLOT_TX_IOVEC 112 /* two struct iovec */
#define VLANE_SLOT_HEAD 144 /* vnet header + MACs + tags of a tagged copy that shares the slot */
#define VLANE_SLOT_FRAME 256 /* the Ethernet frame; its vnet header stands right before it */
#define VLANE_VNET_BYTES 10
#define VLANE_SLOT_CAPACITY 69440 /* SLOT_BYTES - SLOT_FRAME */

/* virtio_net_hdr (linux/virtio_net.h), 10 bytes. */
#define VLANE_VNET_FLAGS 0
#define VLANE_VNET_GSO_TYPE 1
#define VLANE_VNET_HDR_LEN 2
#define VLANE_VNET_GSO_SIZE 4
#define VLANE_VNET_CSUM_START 6
#define VLANE_VNET_CSUM_OFFSET 8
#define VLANE_VNET_F_NEEDS_CSUM 1
#define VLANE_VNET_F_DATA_VALID 2
#define VLANE_VNET_GSO_TCPV4 1
#define VLANE_VNET_GSO_TCPV6 4
#define VLANE_VNET_GSO_UDP 5 /* datagrams of one flow (VIRTIO_NET_HDR_GSO_UDP_L4) */
#define VLANE_VNET_GSO_ECN 0x80

/* Received frame descriptor: in from the host (or the ring). */
#define VLANE_RX_BYTES 16
#define VLANE_RX_PORT 0 /* u16 */
#define VLANE_RX_SLOT 2 /* u16 */
#define VLANE_RX_LENGTH 4 /* u32, bytes of the frame, vnet header not counted */
#define VLANE_RX_TAG 8 /* u32, outer tag that the kernel stripped: tpid << 16 | tci; 0: none */

/* Transmit descriptor: out to the host (or the ring). The bytes are [HEAD, HEAD+HEAD_LENGTH) followed by [BODY,
 * BODY+BODY_LENGTH). */
#define VLANE_TX_BYTES 32
#define VLANE_TX_PORT 0 /* u16 */
#define VLANE_TX_SLOT 2 /* u16 */
#define VLANE_TX_BODY 4 /* u32 address */
#define VLANE_TX_BODY_LENGTH 8 /* u32 */
#define VLANE_TX_HEAD 12 /* u32 address, 0: no separate head */
#define VLANE_TX_HEAD_LENGTH 16 /* u32 */

/* Memory of one AF_XDP socket (linux/if_xdp.h), page aligned: what the core knows of it, the two rings that the
 * kernel maps over it, and the chunks that it writes frames into (UMEM). */
#define VLANE_XSK_BYTES 2134016
#define VLANE_XSK_UPLINK 0 /* u32, port number */
#define VLANE_XSK_IS_VIRTUAL 4 /* u32, frames may come with checksums that their sender left to its (virtual) device */
#define VLANE_XSK_RX_PRODUCER 8 /* u32 addresses */
#define VLANE_XSK_RX_CONSUMER 12
#define VLANE_XSK_RX_ENTRIES 16
#define VLANE_XSK_FILL_PRODUCER 20
#define VLANE_XSK_FILL_ENTRIES 24
#define VLANE_XSK_RX_RING 4096
#define VLANE_XSK_FILL_RING 24576
#define VLANE_XSK_UMEM 36864
#define VLANE_XSK_CHUNK_BYTES 2048
#define VLANE_XSK_CHUNKS 1024 /* and entries of each ring */
#define VLANE_XSK_FRAME_BYTES_MAX 1792 /* what the kernel's headroom (XDP_PACKET_HEADROOM) leaves of a chunk */

/* Parsed frame, written by `parse`. */
#define VLANE_PARSED_BYTES 24
#define VLANE_PARSED_ETHERTYPE 0 /* u16, after all tags; the length field for 802.3 */
#define VLANE_PARSED_TAGS 2 /* u8, number of tags (at most 4 are followed) */
#define VLANE_PARSED_L3_KIND 3 /* u8, L3_* */
#define VLANE_PARSED_L3_OFFSET 4 /* u16, bytes from the start of the frame */
#define VLANE_PARSED_L4_OFFSET 6 /* u16, 0: none (fragment, truncated, unknown) */
#define VLANE_PARSED_L4_PROTOCOL 8 /* u8, IP protocol number after IPv6 extension headers */
#define VLANE_PARSED_FLAGS 9 /* u8, PARSED_F_* */
#define VLANE_PARSED_OUTER_TCI 10 /* u16 */
#define VLANE_PARSED_INNER_TCI 12 /* u16 */
#define VLANE_PARSED_L3_LENGTH 14 /* u16, bytes of the layer-3 packet by its own header */
#define VLANE_L3_OTHER 0
#define VLANE_L3_ARP 1
#define VLANE_L3_IPV4 2
#define VLANE_L3_IPV6 3
#define VLANE_L3_LLC 4
#define VLANE_PARSED_F_TRUNCATED 1 /* a header does not fit in the frame */
#define VLANE_PARSED_F_FRAGMENT 2 /* IPv4/IPv6 fragment */
#define VLANE_PARSED_F_MULTICAST 4 /* destination address */
#define VLANE_PARSED_F_BROADCAST 8

/* What `pump` answers: requests to submit in bits 0..15, and these. */
#define VLANE_PUMP_WAIT 0x10000 /* nothing left to do: block until one completion */
#define VLANE_PUMP_ATTENTION 0x20000 /* a port failed, or one that is being removed made progress */
#define VLANE_PUMP_CONTROL 0x40000 /* the control eventfd was read: messages wait; `controlArm` again */

/* At VLANE_HEADER; u32 fields are addresses of regions, or their sizes. */
struct vlane_header {
	uint32_t abi_version;
	uint32_t bytes_total; /* end of the last region */
	uint32_t ports_max; /* port numbers are 1..PORTS_MAX-1; 0 means "none" everywhere */
	uint32_t segments_max;
	uint32_t tables_max;
	uint32_t fdb_capacity;
	uint32_t slots_max;
	uint32_t ring; /* page aligned, RING_BYTES: SQ and CQ heads, tails, arrays (io_uring, NO_MMAP) */
	uint32_t sqes; /* page aligned, SQES_BYTES */
	uint32_t ports;
	uint32_t segments;
	uint32_t tables;
	uint32_t fdb;
	uint32_t free; /* stack of free slots */
	uint32_t refs; /* per slot: transmissions still outstanding */
	uint32_t active; /* circular queue of ports that want to be read */
	uint32_t rx;
	uint32_t tx;
	uint32_t slots;
	uint32_t rx_max;
	uint32_t tx_max;
	uint32_t fdb_count; /* live: entries in the forwarding database */
	uint8_t control[8]; /* 8 bytes that the control eventfd is read into */
	uint64_t batches; /* live: batches forwarded, for the mean batch size */
	uint32_t ips;
	uint32_t ips_capacity;
	uint32_t ips_count; /* live: entries in the IP database */
	uint32_t capture; /* the capture ring; 0: none */
	uint32_t capture_bytes; /* size of its data, a power of two */
	uint32_t flows; /* flows that are open for coalescing, private to the core */
	uint8_t batch_sizes[88]; /* 88 bytes, live: u64 counters of batches of 1, 2-3, 4-7 ... 1024 frames */
	uint32_t slots_free; /* live: free slots at the end of the last pump */
	uint8_t reserved_220[36];
};

/* HEADER_PORTS + number * VLANE_PORT_BYTES. */
struct vlane_port {
	uint8_t kind; /* KIND_* */
	uint8_t mode; /* MODE_* */
	uint16_t flags; /* FLAG_* */
	uint16_t segment; /* endpoint and host */
	uint16_t network; /* endpoint */
	uint32_t frame_bytes_max; /* MTU + 14 */
	uint16_t next; /* next member of the segment */
	uint16_t table; /* uplink: its VLAN table */
	uint64_t mac; /* the six bytes as they stand on the wire, read little endian */
	uint32_t inflight; /* requests that the kernel still holds */
	uint32_t reads; /* reads of the current burst not yet completed */
	uint32_t asked; /* size of the current burst */
	uint32_t got; /* frames that it brought */
	int32_t error; /* errno that ended reception for good; 0 while the port works */
	uint32_t learned; /* addresses in the IP database that the endpoint added by using them */
	uint32_t snap_bytes; /* written by the capture's reader: bytes to record of each frame; 0: none */
	uint8_t offloads; /* OFFLOAD_*: what may leave by the port unfinished */
	uint8_t coalesce; /* OFFLOAD_TSO4, _TSO6, _USO: what frames that leave by it are coalesced into */
	uint8_t reserved_54[2];
	uint32_t xsk; /* memory of an AF_XDP socket (KIND_XSK) */
	uint8_t reserved_60[4];
	uint64_t rx_frames; /* counters from here on */
	uint64_t rx_bytes;
	uint64_t tx_frames;
	uint64_t tx_bytes;
	uint64_t drops[VLANE_DROP_REASONS]; /* one for each DROP_* reason */
	uint8_t reserved_224[16];
	uint64_t rx_offloads; /* frames received that still have to be cut into segments */
	uint64_t capture_lost; /* frames that the capture ring had no room for */
	uint64_t merged; /* frames that left by it as a part of another */
	uint64_t finished; /* frames that left by it after the core had cut or summed them */
	uint8_t reserved_272[48];
};

/* HEADER_SEGMENTS + number * VLANE_SEGMENT_BYTES. */
struct vlane_segment {
	uint8_t used;
	uint8_t tags; /* number of tags: 0..2 */
	uint16_t uplink; /* port or 0 */
	uint32_t tag0; /* outermost tag: tpid << 16 | vid */
	uint32_t tag1;
	uint16_t head; /* first member port */
	uint16_t members;
	uint16_t table; /* the table that names it (for removal) */
	uint16_t inner; /* inner table hung below the outer tag (two tags only) */
	uint16_t passthru; /* the endpoint that takes everything, or 0 */
	uint16_t sources; /* number of endpoints in source mode */
	uint16_t ipvlans; /* number of ipvlan endpoints */
	uint8_t reserved_26[6];
};

/* A received frame, from the host to the core: HEADER_RX + index * VLANE_RX_BYTES. */
struct vlane_rx {
	uint16_t port;
	uint16_t slot;
	uint32_t length; /* bytes of the frame, vnet header not counted */
	uint32_t tag; /* outer tag that the kernel stripped: tpid << 16 | tci; 0: none */
	uint8_t reserved_12[4];
};

/* A frame to send, from the core to the host: HEADER_TX + index * VLANE_TX_BYTES. */
struct vlane_tx {
	uint16_t port;
	uint16_t slot;
	uint32_t body; /* address */
	uint32_t body_length;
	uint32_t head; /* address, 0: no separate head */
	uint32_t head_length;
	uint8_t reserved_20[12];
};

/* What `parse` writes. */
struct vlane_parsed {
	uint16_t ethertype; /* after all tags; the length field for 802.3 */
	uint8_t tags; /* number of tags (at most 4 are followed) */
	uint8_t l3_kind; /* L3_* */
	uint16_t l3_offset; /* bytes from the start of the frame */
	uint16_t l4_offset; /* 0: none (fragment, truncated, unknown) */
	uint8_t l4_protocol; /* IP protocol number after IPv6 extension headers */
	uint8_t flags; /* PARSED_F_* */
	uint16_t outer_tci;
	uint16_t inner_tci;
	uint16_t l3_length; /* bytes of the layer-3 packet by its own header */
	uint8_t reserved_16[8];
};

#ifdef __cplusplus
extern "C" {
#endif

/* The core's exports, as the glue of an engine offers them: the WebAssembly export NAME is vlane_NAME here. Where
 * the core answers true or false it is 1 or 0. */

/* Writes the memory map to the header; answers the bytes that it takes. `portsMax` and `fdbCapacity` are powers of
 * two. Needs nothing but the first page, so a throw-away instance can tell how large the memory must be. */
uint32_t vlane_layout(uint32_t ports_max, uint32_t segments_max, uint32_t tables_max, uint32_t fdb_capacity,
	uint32_t slots_max);

/* Makes the memory ready, once, on fresh (zero) memory. One that is too small for the map that `layout` wrote is
 * grown; answers false if that can not be. */
uint32_t vlane_init(void);

/* Parses the frame at `frame` into the PARSED_* record at `out`; answers PARSED_FLAGS. */
uint32_t vlane_parse(uint32_t frame, uint32_t bytes, uint32_t out);

/* Writes the head of a tagged copy to `target`: vnet header, addresses and one or two tags (outer first; `inner` 0:
 * none). Answers its length in bytes. What follows on the wire is the frame from its byte 12 on. */
uint32_t vlane_buildHead(uint32_t target, uint32_t frame, uint32_t outer, uint32_t inner);

/* Removes the tag at byte 12 in place; answers the new start of the frame, 4 bytes later. */
uint32_t vlane_pop(uint32_t frame);

/* Pushes `tag` in place; answers the new start of the frame, 4 bytes earlier. */
uint32_t vlane_push(uint32_t frame, uint32_t tag);

/* Replaces the VID of the tag at byte 12; PCP and DEI stay. */
void vlane_rewriteVid(uint32_t frame, uint32_t vid);

/* Assigns an address to a port; the four numbers are its 16 bytes, little endian. Answers false when it is assigned
 * already or the table is half full. */
uint32_t vlane_ipAdd(uint32_t fid, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t port);

/* Adds a station; answers false when it exists already or the table is half full. */
uint32_t vlane_fdbAdd(uint32_t fid, uint64_t mac, uint32_t port);

/* Port of a station, 0 if there is none. */
uint32_t vlane_fdbLookup(uint32_t fid, uint64_t mac);

/* Removes a station; answers false when there is none. */
uint32_t vlane_fdbRemove(uint32_t fid, uint64_t mac);

/* Adds a port; answers its number, 0 if there is no room or its MAC exists in the segment. `macLow`/`macHigh`: the
 * first four and last two bytes of the address as little-endian numbers. */
uint32_t vlane_portAdd(uint32_t kind, uint32_t mode, uint32_t segment, uint32_t network, uint32_t mac_low,
	uint32_t mac_high, uint32_t mtu_bytes);

/* First half of removal: nothing is forwarded to or from the port any more, and nothing new is asked of the kernel. */
void vlane_portClose(uint32_t port);

/* Second half, once the kernel holds nothing of it: the number may be used again. Answers false while the port is
 * queued. */
uint32_t vlane_portFree(uint32_t port);

/* `takes`: OFFLOAD_* that may leave by the port unfinished, all of them at first; what is missing is done in
 * software. `coalesce`: into which of these frames that leave by the port are put together, none at first. */
void vlane_portOffload(uint32_t port, uint32_t takes, uint32_t coalesce);

/* `flags`: FLAG_SECURE_*. Its addresses are assigned with `ipAdd` afterwards, whatever its mode. */
void vlane_portSecure(uint32_t port, uint32_t flags);

void vlane_portSetMtu(uint32_t port, uint32_t mtu_bytes);

/* Adds a segment; `uplink` 0: local only. `outer`/`inner`: tpid << 16 | vid, 0: none. Answers its fid, 0 if there is
 * no room or the tags are taken on that uplink. */
uint32_t vlane_segmentAdd(uint32_t uplink, uint32_t outer, uint32_t inner);

/* Removes a segment without members; answers false if it has some. */
uint32_t vlane_segmentRemove(uint32_t segment);

/* Allows a source address to a network in source mode; false when a network of the segment has it already. */
uint32_t vlane_sourceAdd(uint32_t segment, uint32_t network, uint32_t mac_low, uint32_t mac_high);

uint32_t vlane_sourceRemove(uint32_t segment, uint32_t mac_low, uint32_t mac_high);

/* Port of a station, for tools and tests; 0: unknown. */
uint32_t vlane_stationPort(uint32_t segment, uint32_t mac_low, uint32_t mac_high);

/* The host has sent what the TX descriptors said. */
void vlane_batchDone(void);

/* Forwards the first `count` RX descriptors, whose port, length and tag the host has filled in, and takes the other
 * slots back. Answers the number of TX descriptors. With more copies than the TX queue holds, `rxPending` is not 0:
 * send these, `batchDone`, and call again with `count` 0. */
uint32_t vlane_batchForward(uint32_t count);

/* Puts a free slot into each of the first `count` RX descriptors; answers how many there were. */
uint32_t vlane_batchPrepare(uint32_t count);

/* Gives the core a zeroed region for the capture ring: CAPTURE_DATA + `bytes`, a power of two; behind all others. */
void vlane_captureInit(uint32_t address, uint32_t bytes);

uint32_t vlane_rxPending(void);

uint32_t vlane_slotsFree(void);

uint32_t vlane_txPending(void);

/* Arms the read of the control eventfd; its completion is reported as PUMP_CONTROL. Called between batches, when the
 * queue may be as full as `room` lets it be: the one entry that is left is for this. */
void vlane_controlArm(void);

/* Begins to read a port whose file is registered. */
void vlane_portStart(uint32_t port);

/* One batch. Answers the number of requests to submit, and PUMP_*. */
uint32_t vlane_pump(void);

/* Tells where the kernel put its ring fields (offsets from HEADER_RING, as io_uring_setup answers them) and at which
 * address this memory is mapped. The ports' files are registered under their port numbers, the control eventfd under
 * 0. */
void vlane_ringInit(uint32_t base_low, uint32_t base_high, uint32_t sq_head_offset, uint32_t sq_tail_offset,
	uint32_t sq_array_offset, uint32_t cq_head_offset, uint32_t cq_tail_offset, uint32_t cqes_offset);

/* Makes the memory at `xsk` a socket of an uplink, its rings empty and at these addresses, and gives the kernel all
 * chunks. `isVirtual`: frames may come with checksums that their sender left to its device. Answers the number of
 * the socket, 0: no room. */
uint32_t vlane_xskAdd(uint32_t xsk, uint32_t uplink, uint32_t is_virtual, uint32_t rx_producer,
	uint32_t rx_consumer, uint32_t rx_entries, uint32_t fill_producer, uint32_t fill_entries);

#ifdef __cplusplus
}
#endif

/* X(result, name, (declared parameters), (arguments)) for each export, to make such glue. */
#define VLANE_CALLS(X) \
	X(uint32_t, layout, (uint32_t ports_max, uint32_t segments_max, uint32_t tables_max, uint32_t fdb_capacity, \
		uint32_t slots_max), (ports_max, segments_max, tables_max, fdb_capacity, slots_max)) \
	X(uint32_t, init, (void), ()) \
	X(uint32_t, parse, (uint32_t frame, uint32_t bytes, uint32_t out), (frame, bytes, out)) \
	X(uint32_t, buildHead, (uint32_t target, uint32_t frame, uint32_t outer, uint32_t inner), (target, frame, \
		outer, inner)) \
	X(uint32_t, pop, (uint32_t frame), (frame)) \
	X(uint32_t, push, (uint32_t frame, uint32_t tag), (frame, tag)) \
	X(void, rewriteVid, (uint32_t frame, uint32_t vid), (frame, vid)) \
	X(uint32_t, ipAdd, (uint32_t fid, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t port), (fid, a, \
		b, c, d, port)) \
	X(uint32_t, fdbAdd, (uint32_t fid, uint64_t mac, uint32_t port), (fid, mac, port)) \
	X(uint32_t, fdbLookup, (uint32_t fid, uint64_t mac), (fid, mac)) \
	X(uint32_t, fdbRemove, (uint32_t fid, uint64_t mac), (fid, mac)) \
	X(uint32_t, portAdd, (uint32_t kind, uint32_t mode, uint32_t segment, uint32_t network, uint32_t mac_low, \
		uint32_t mac_high, uint32_t mtu_bytes), (kind, mode, segment, network, mac_low, mac_high, mtu_bytes)) \
	X(void, portClose, (uint32_t port), (port)) \
	X(uint32_t, portFree, (uint32_t port), (port)) \
	X(void, portOffload, (uint32_t port, uint32_t takes, uint32_t coalesce), (port, takes, coalesce)) \
	X(void, portSecure, (uint32_t port, uint32_t flags), (port, flags)) \
	X(void, portSetMtu, (uint32_t port, uint32_t mtu_bytes), (port, mtu_bytes)) \
	X(uint32_t, segmentAdd, (uint32_t uplink, uint32_t outer, uint32_t inner), (uplink, outer, inner)) \
	X(uint32_t, segmentRemove, (uint32_t segment), (segment)) \
	X(uint32_t, sourceAdd, (uint32_t segment, uint32_t network, uint32_t mac_low, uint32_t mac_high), (segment, \
		network, mac_low, mac_high)) \
	X(uint32_t, sourceRemove, (uint32_t segment, uint32_t mac_low, uint32_t mac_high), (segment, mac_low, \
		mac_high)) \
	X(uint32_t, stationPort, (uint32_t segment, uint32_t mac_low, uint32_t mac_high), (segment, mac_low, \
		mac_high)) \
	X(void, batchDone, (void), ()) \
	X(uint32_t, batchForward, (uint32_t count), (count)) \
	X(uint32_t, batchPrepare, (uint32_t count), (count)) \
	X(void, captureInit, (uint32_t address, uint32_t bytes), (address, bytes)) \
	X(uint32_t, rxPending, (void), ()) \
	X(uint32_t, slotsFree, (void), ()) \
	X(uint32_t, txPending, (void), ()) \
	X(void, controlArm, (void), ()) \
	X(void, portStart, (uint32_t port), (port)) \
	X(uint32_t, pump, (void), ()) \
	X(void, ringInit, (uint32_t base_low, uint32_t base_high, uint32_t sq_head_offset, uint32_t sq_tail_offset, \
		uint32_t sq_array_offset, uint32_t cq_head_offset, uint32_t cq_tail_offset, uint32_t cqes_offset), \
		(base_low, base_high, sq_head_offset, sq_tail_offset, sq_array_offset, cq_head_offset, cq_tail_offset, \
		cqes_offset)) \
	X(uint32_t, xskAdd, (uint32_t xsk, uint32_t uplink, uint32_t is_virtual, uint32_t rx_producer, \
		uint32_t rx_consumer, uint32_t rx_entries, uint32_t fill_producer, uint32_t fill_entries), (xsk, uplink, \
		is_virtual, rx_producer, rx_consumer, rx_entries, fill_producer, fill_entries))

#endif
