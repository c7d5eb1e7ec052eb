/*
 * What the core does, written in C for the same memory: the yardstick of bench/firmware.ts. macvlan's bridge mode with
 * 802.1Q, with all the checks and counters of the core; the other modes, ipvlan and removal are left out.
 */
#include <string.h>
#include <sys/mman.h>

#include "engine.h"

#define INLINE static inline __attribute__((always_inline))
#define MEMORY_BYTES (1u << 30)
#define MIX 0xbf58476d1ce4e5b9ull
#define GOLDEN 0x9e3779b97f4a7c15ull
#define MAC_MASK 0xffffffffffffull

enum { ETHERNET_BYTES = 14, TAG_BYTES = 4, FORWARDED = -1 };

struct fdb_entry {
	uint64_t key, port;
};

static uint8_t *memory;
static struct vlane_header *header;
static struct vlane_port *ports;
static struct vlane_segment *segments;
static struct fdb_entry *fdb;
static struct vlane_rx *rx;
static struct vlane_tx *tx;
static uint32_t *free_slots, *refs;
static uint32_t fdb_mask, fdb_shift, free_count, rx_head, rx_tail, tx_head, tx_tail, tx_room, prepared, live;
static int was_giant;

int engine_open(const char *file)
{
	(void)file;
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	header = (struct vlane_header *)(memory + VLANE_HEADER);
	return memory != MAP_FAILED;
}

int engine_grow(uint32_t bytes)
{
	return bytes <= MEMORY_BYTES;
}

uint8_t *engine_memory(void)
{
	return memory;
}

static uint32_t region(uint32_t *end, uint32_t bytes)
{
	uint32_t start = (*end + 4095) & ~4095u;
	*end = start + bytes;
	return start;
}

uint32_t vlane_layout(uint32_t ports_max, uint32_t segments_max, uint32_t tables_max, uint32_t capacity, uint32_t slots)
{
	uint32_t end = VLANE_HEADER + VLANE_HEADER_BYTES;
	*header = (struct vlane_header){.abi_version = VLANE_ABI_VERSION, .ports_max = ports_max,
		.segments_max = segments_max, .tables_max = tables_max, .fdb_capacity = capacity, .slots_max = slots,
		.rx_max = 1024, .tx_max = 4096};
	header->ports = region(&end, ports_max * VLANE_PORT_BYTES);
	header->segments = region(&end, segments_max * VLANE_SEGMENT_BYTES);
	header->tables = region(&end, tables_max * VLANE_TABLE_BYTES);
	header->fdb = region(&end, capacity * VLANE_FDB_ENTRY_BYTES);
	header->free = region(&end, slots * 4);
	header->refs = region(&end, slots * 4);
	header->rx = region(&end, header->rx_max * VLANE_RX_BYTES);
	header->tx = region(&end, header->tx_max * VLANE_TX_BYTES);
	header->slots = region(&end, slots * VLANE_SLOT_BYTES);
	return header->bytes_total = end;
}

uint32_t vlane_init(void)
{
	ports = (struct vlane_port *)(memory + header->ports);
	segments = (struct vlane_segment *)(memory + header->segments);
	fdb = (struct fdb_entry *)(memory + header->fdb);
	rx = (struct vlane_rx *)(memory + header->rx);
	tx = (struct vlane_tx *)(memory + header->tx);
	free_slots = (uint32_t *)(memory + header->free);
	refs = (uint32_t *)(memory + header->refs);
	fdb_mask = header->fdb_capacity - 1;
	fdb_shift = 64 - (uint32_t)__builtin_ctz(header->fdb_capacity);
	tx_room = header->tx_max;
	while (free_count < header->slots_max) {
		free_slots[free_count] = header->slots_max - 1 - free_count;
		free_count++;
	}
	return 1;
}

/* ---- Tables. */

INLINE uint32_t fdb_home(uint64_t key)
{
	uint64_t mixed = (key ^ key >> 29) * MIX;

	return (uint32_t)((mixed ^ mixed >> 32) * GOLDEN >> fdb_shift);
}

INLINE uint32_t fdb_find(uint32_t fid, uint64_t mac)
{
	uint64_t key = mac | (uint64_t)fid << 48;
	for (uint32_t i = fdb_home(key);; i = (i + 1) & fdb_mask) {
		if (fdb[i].key == key) return (uint32_t)fdb[i].port;
		if (!fdb[i].key) return 0;
	}
}

uint32_t vlane_fdbAdd(uint32_t fid, uint64_t mac, uint32_t port)
{
	uint64_t key = mac | (uint64_t)fid << 48;
	uint32_t i = fdb_home(key);
	if (header->fdb_count > fdb_mask >> 1) return 0;
	for (; fdb[i].key; i = (i + 1) & fdb_mask)
		if (fdb[i].key == key) return 0;
	fdb[i] = (struct fdb_entry){key, port};
	header->fdb_count++;
	return 1;
}

INLINE uint16_t *table_entry(uint32_t table, uint32_t tag)
{
	uint32_t half = tag >> 16 == VLANE_TPID_STAG;
	return (uint16_t *)(memory + header->tables + table * VLANE_TABLE_BYTES) + (half << 12 | (tag & 0xfff));
}

uint32_t vlane_segmentAdd(uint32_t uplink, uint32_t outer, uint32_t inner)
{
	uint32_t segment = 1;
	while (segments[segment].used) segment++;
	if (inner) return 0;
	segments[segment] = (struct vlane_segment){
		.used = 1, .tags = outer != 0, .uplink = (uint16_t)uplink, .tag0 = outer};
	if (uplink) *table_entry(ports[uplink].table, outer) = (uint16_t)segment;
	return segment;
}

uint32_t vlane_portAdd(uint32_t kind, uint32_t mode, uint32_t segment, uint32_t network, uint32_t mac_low,
	uint32_t mac_high, uint32_t mtu_bytes)
{
	static uint16_t tables = 1;
	uint32_t port = ++live;
	uint64_t mac = (mac_low | (uint64_t)mac_high << 32) & MAC_MASK;
	ports[port] = (struct vlane_port){.kind = (uint8_t)kind, .mode = (uint8_t)mode, .segment = (uint16_t)segment,
		.network = (uint16_t)network, .frame_bytes_max = mtu_bytes + ETHERNET_BYTES, .mac = mac};
	if (kind == VLANE_KIND_UPLINK) {
		ports[port].table = tables++;
		return port;
	}
	if (!vlane_fdbAdd(segment, mac, port)) return 0;
	ports[port].next = segments[segment].head;
	segments[segment].head = (uint16_t)port;
	segments[segment].members++;
	return port;
}

/* ---- Frames. */

INLINE uint32_t type_of(const uint8_t *frame)
{
	uint16_t type;
	memcpy(&type, frame + 12, 2);
	return __builtin_bswap16(type);
}

INLINE uint32_t tag_at(const uint8_t *frame)
{
	uint32_t tag;
	memcpy(&tag, frame + 12, 4);
	return __builtin_bswap32(tag);
}

INLINE uint64_t mac_at(const uint8_t *at)
{
	uint64_t mac;
	memcpy(&mac, at, 8);
	return mac & MAC_MASK;
}

INLINE int is_tpid(uint32_t type)
{
	return type == VLANE_TPID_CTAG || type == VLANE_TPID_STAG;
}

INLINE int is_tagged(const uint8_t *frame, uint32_t bytes)
{
	return bytes >= ETHERNET_BYTES + TAG_BYTES && is_tpid(type_of(frame));
}

static int is_offload_valid(const uint8_t *vnet, uint32_t bytes)
{
	const uint8_t *frame = vnet + VLANE_VNET_BYTES;
	uint16_t words[5];
	uint32_t gso = vnet[1] & 0x7f;
	uint32_t head = ETHERNET_BYTES;
	if (is_tpid(type_of(frame)))
		head += bytes >= ETHERNET_BYTES + TAG_BYTES && is_tpid(type_of(frame + TAG_BYTES)) ? 2 * TAG_BYTES : TAG_BYTES;
	memcpy(words, vnet, sizeof words);
	if (vnet[0] & 1 && (words[3] < head || words[3] + words[4] + 2u > bytes)) return 0;
	if (!vnet[1]) return 1;
	return gso != 0 && gso != 2 && gso <= 5 && vnet[0] & 1 && words[2] && words[1] >= head && words[1] <= bytes;
}

static void shift_offload(uint8_t *vnet, int delta)
{
	uint16_t words[5];
	memcpy(words, vnet, sizeof words);
	if (!words[0]) return;
	if (vnet[0] & 1) words[3] = (uint16_t)(words[3] + delta);
	if (vnet[1]) words[1] = (uint16_t)(words[1] + delta);
	memcpy(vnet, words, sizeof words);
}

/* Takes the tag at byte 12 away (delta 4) or makes room for one (-4); answers the frame's new start. */
INLINE uint8_t *move_head(uint8_t *frame, int delta)
{
	uint8_t *vnet = frame - VLANE_VNET_BYTES;
	memmove(vnet + delta, vnet, 22);
	shift_offload(vnet + delta, -delta);
	return frame + delta;
}

INLINE void put_tag(uint8_t *at, uint32_t tag)
{
	uint32_t wire = __builtin_bswap32(tag);
	memcpy(at, &wire, 4);
}

INLINE int is_giant(const struct vlane_port *port, const uint8_t *frame, uint32_t bytes, int tagged)
{
	if (bytes <= port->frame_bytes_max || frame[VLANE_VNET_GSO_TYPE - VLANE_VNET_BYTES]) return 0;
	return bytes > port->frame_bytes_max + (tagged ? TAG_BYTES : 0);
}

INLINE void push(uint32_t port, uint32_t slot, const uint8_t *body, uint32_t bytes, uint32_t head, uint32_t head_bytes)
{
	struct vlane_tx *d = &tx[tx_tail++ & (header->tx_max - 1)];
	d->port = (uint16_t)port;
	d->slot = (uint16_t)slot;
	d->body = (uint32_t)(body - memory);
	d->body_length = bytes;
	d->head = head;
	d->head_length = head_bytes;
}

INLINE void emit(uint32_t port, uint32_t slot, const uint8_t *frame, uint32_t bytes, int tagged)
{
	if (is_giant(&ports[port], frame, bytes, tagged)) {
		ports[port].drops[VLANE_DROP_GIANT]++;
		was_giant = 1;
	} else push(port, slot, frame - VLANE_VNET_BYTES, bytes + VLANE_VNET_BYTES, 0, 0);
}

INLINE int to_wire(const struct vlane_segment *owner, uint32_t slot, uint8_t *frame, uint32_t bytes, uint32_t priority,
	int tagged, int shared)
{
	if (!owner->uplink) return 0;
	if (is_giant(&ports[owner->uplink], frame, bytes, tagged)) {
		ports[owner->uplink].drops[VLANE_DROP_GIANT]++;
		return 1;
	}
	if (!owner->tags) {
		push(owner->uplink, slot, frame - VLANE_VNET_BYTES, bytes + VLANE_VNET_BYTES, 0, 0);
	} else if (shared) {
		uint32_t at = header->slots + slot * VLANE_SLOT_BYTES + VLANE_SLOT_HEAD;
		memcpy(memory + at, frame - VLANE_VNET_BYTES, 22);
		put_tag(memory + at + 22, owner->tag0 | priority);
		shift_offload(memory + at, 4);
		push(owner->uplink, slot, frame + 12, bytes - 12, at, VLANE_VNET_BYTES + 16);
	} else {
		frame = move_head(frame, -TAG_BYTES);
		put_tag(frame + 12, owner->tag0 | priority);
		push(owner->uplink, slot, frame - VLANE_VNET_BYTES, bytes + VLANE_VNET_BYTES + TAG_BYTES, 0, 0);
	}
	return 1;
}

INLINE int is_bridged(const struct vlane_port *port, uint32_t network)
{
	return port->network == network && port->kind == VLANE_KIND_ENDPOINT && port->mode == VLANE_MODE_BRIDGE;
}

INLINE int from_endpoint(const struct vlane_port *port, uint32_t slot, uint8_t *frame, uint32_t bytes,
	uint32_t priority, int tagged)
{
	const struct vlane_segment *owner = &segments[port->segment];
	uint64_t dst = mac_at(frame);
	int shared = 0;
	if (port->kind == VLANE_KIND_ENDPOINT && port->mode == VLANE_MODE_BRIDGE) {
		if (dst & 1) {
			for (uint32_t i = owner->head; i && type_of(frame) != VLANE_ETHERTYPE_PAUSE; i = ports[i].next) {
				if (&ports[i] == port || !is_bridged(&ports[i], port->network)) continue;
				emit(i, slot, frame, bytes, tagged);
				shared = 1;
			}
		} else {
			uint32_t target = fdb_find(port->segment, dst);
			if (target && is_bridged(&ports[target], port->network)) {
				if (&ports[target] == port) return VLANE_DROP_HAIRPIN;
				emit(target, slot, frame, bytes, tagged);
				return FORWARDED;
			}
		}
	}
	return to_wire(owner, slot, frame, bytes, priority, tagged, shared) || shared ? FORWARDED : VLANE_DROP_UNKNOWN;
}

INLINE int from_uplink(uint32_t segment, uint32_t slot, uint8_t *frame, uint32_t bytes, uint64_t src, int tagged)
{
	const struct vlane_segment *owner = &segments[segment];
	uint32_t before = tx_tail;
	if (frame[0] & 1) {
		uint32_t sender = fdb_find(segment, src);
		uint32_t network = sender && ports[sender].kind == VLANE_KIND_ENDPOINT ? ports[sender].network : 0;
		for (uint32_t i = owner->head; i && type_of(frame) != VLANE_ETHERTYPE_PAUSE; i = ports[i].next)
			if (!network || ports[i].network != network) emit(i, slot, frame, bytes, tagged);
	} else {
		uint32_t target = fdb_find(segment, mac_at(frame));
		if (target) emit(target, slot, frame, bytes, tagged);
	}
	return tx_tail == before && !was_giant ? VLANE_DROP_UNKNOWN : FORWARDED;
}

INLINE int receive(struct vlane_port *port, uint32_t slot, uint32_t bytes, uint32_t tag)
{
	uint8_t *frame = memory + header->slots + slot * VLANE_SLOT_BYTES + VLANE_SLOT_FRAME;
	uint32_t priority = 0;
	was_giant = 0;
	if (port->kind == VLANE_KIND_NONE || port->flags & VLANE_FLAG_CLOSING) return VLANE_DROP_PORT_DOWN;
	port->rx_frames++;
	port->rx_bytes += bytes;
	if (bytes < ETHERNET_BYTES) return VLANE_DROP_RUNT;
	int tagged = is_tpid(type_of(frame));
	if (tagged && bytes < ETHERNET_BYTES + TAG_BYTES) return VLANE_DROP_RUNT;
	if ((frame[-VLANE_VNET_BYTES] | frame[1 - VLANE_VNET_BYTES]) && !is_offload_valid(frame - VLANE_VNET_BYTES, bytes))
		return VLANE_DROP_OFFLOAD;
	uint64_t src = mac_at(frame + 6);
	if (src & 1 || !src) return VLANE_DROP_SOURCE;
	if (port->kind == VLANE_KIND_UPLINK) {
		if (!tag && tagged) {
			tag = tag_at(frame);
			frame = move_head(frame, TAG_BYTES);
			bytes -= TAG_BYTES;
			tagged = is_tagged(frame, bytes);
		}
		if ((tag & 0xfff) > VLANE_VID_MAX) return VLANE_DROP_VLAN;
		uint32_t segment = *table_entry(port->table, tag & 0xfff ? tag : 0);
		return segment ? from_uplink(segment, slot, frame, bytes, src, tagged) : VLANE_DROP_VLAN;
	}
	if (tagged) {
		const struct vlane_segment *owner = &segments[port->segment];
		if (!(tag_at(frame) & 0xfff)) {
			priority = tag_at(frame) & 0xf000;
			frame = move_head(frame, TAG_BYTES);
			bytes -= TAG_BYTES;
			tagged = is_tagged(frame, bytes);
		}
		if (owner->uplink && !owner->tags && is_tpid(type_of(frame))) return VLANE_DROP_VLAN;
	}
	return from_endpoint(port, slot, frame, bytes, priority, tagged);
}

/* ---- Batches. */

uint32_t vlane_batchPrepare(uint32_t count)
{
	rx_head = rx_tail = tx_head = tx_tail = 0;
	prepared = count < free_count ? count : free_count;
	for (uint32_t i = 0; i < prepared; i++) rx[i].slot = (uint16_t)free_slots[--free_count];
	return prepared;
}

uint32_t vlane_batchForward(uint32_t count)
{
	for (uint32_t i = count; i < prepared; i++) free_slots[free_count++] = rx[i].slot;
	prepared = 0;
	if (count) rx_tail = count;
	if (rx_head != rx_tail) header->batches++;
	while (rx_head != rx_tail && tx_room - (tx_tail - tx_head) > live) {
		const struct vlane_rx *d = &rx[rx_head++];
		uint32_t slot = d->slot, before = tx_tail;
		int reason = receive(&ports[d->port], slot, d->length, d->tag);
		if (reason != FORWARDED) ports[d->port].drops[reason]++;
		if (tx_tail != before) refs[slot] = tx_tail - before;
		else free_slots[free_count++] = slot;
	}
	return tx_tail - tx_head;
}

void vlane_batchDone(void)
{
	for (; tx_head != tx_tail; tx_head++) {
		uint32_t slot = tx[tx_head].slot;
		if (--refs[slot] == 0) free_slots[free_count++] = slot;
	}
	tx_head = tx_tail = 0;
}

uint32_t vlane_rxPending(void)
{
	return rx_tail - rx_head;
}
