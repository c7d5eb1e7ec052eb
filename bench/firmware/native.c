/*
 * What the core does, written in C for the same memory: the yardstick of bench/core.ts and bench/firmware.ts. macvlan's
 * bridge mode with 802.1Q, 802.1ad and QinQ: every test, table, counter and descriptor of the core, frame by frame.
 * What the yardstick's frames never reach (ipvlan, source mode, port security, software offloads, coalescing, captures)
 * is tested for as the core tests for it, and ends the program instead of being done.
 */
#include <string.h>
#include <sys/mman.h>

#include "engine.h"

#define INLINE static inline __attribute__((always_inline))
#define MEMORY_BYTES (1u << 30)
#define MIX 0xbf58476d1ce4e5b9ull
#define GOLDEN 0x9e3779b97f4a7c15ull
#define MAC_MASK 0xffffffffffffull
#define TOUCH_STATIONS 32768
/* Kind, mode, flags, segment and network are the first eight bytes of a port. */
#define PLAIN (0xffffull | (uint64_t)(VLANE_FLAG_CLOSING | VLANE_FLAG_SECURE_MAC | VLANE_FLAG_SECURE_IP) << 16)
#define SIBLING 0xffff00000000ffffull
#define SPECIAL 0xffffffffffffull

#define COLD __attribute__((noinline, cold))

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
static uint32_t fdb_mask, fdb_shift, free_count, rx_head, rx_tail, tx_head, tx_tail, rx_mask, tx_mask, prepared, live;
static uint32_t coalesce_into, finished_copies, opened;
static uint16_t tables; /* the next free one */
static int was_giant;

/* The core goes on here; the yardstick does not. */
COLD static uint32_t not_here(void)
{
	__builtin_trap();
}

int engine_open(const char *file)
{
	(void)file;
	if (memory) munmap(memory, MEMORY_BYTES);
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
		.rx_max = 1024, .tx_max = ports_max > 2048 ? ports_max * 2 : 4096};
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
	rx_mask = header->rx_max - 1;
	tx_mask = header->tx_max - 1;
	free_count = rx_head = rx_tail = tx_head = tx_tail = prepared = live = 0;
	tables = 1;
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
	segments[segment] = (struct vlane_segment){.used = 1, .tags = (uint8_t)((outer != 0) + (inner != 0)),
		.uplink = (uint16_t)uplink, .tag0 = outer, .tag1 = inner};
	if (!uplink) return segment;
	uint16_t *entry = table_entry(ports[uplink].table, outer);
	if (inner) {
		if (!(*entry & VLANE_TABLE_STACKED)) *entry = (uint16_t)(VLANE_TABLE_STACKED | tables++);
		entry = table_entry(*entry & ~(uint32_t)VLANE_TABLE_STACKED, inner);
	}
	*entry = (uint16_t)segment;
	return segment;
}

uint32_t vlane_portAdd(uint32_t kind, uint32_t mode, uint32_t segment, uint32_t network, uint32_t mac_low,
	uint32_t mac_high, uint32_t mtu_bytes)
{
	uint32_t port = ++live;
	uint64_t mac = (mac_low | (uint64_t)mac_high << 32) & MAC_MASK;
	ports[port] = (struct vlane_port){.kind = (uint8_t)kind, .mode = (uint8_t)mode, .segment = (uint16_t)segment,
		.network = (uint16_t)network, .frame_bytes_max = mtu_bytes + ETHERNET_BYTES, .mac = mac,
		.offloads = VLANE_OFFLOADS_ALL};
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

INLINE int lacks_offload(const struct vlane_port *egress, const uint8_t *vnet)
{
	uint32_t type = vnet[VLANE_VNET_GSO_TYPE] & ~(uint32_t)VLANE_VNET_GSO_ECN;
	uint32_t needed = type == VLANE_VNET_GSO_TCPV4 ? VLANE_OFFLOAD_TSO4
		: type == VLANE_VNET_GSO_TCPV6 ? VLANE_OFFLOAD_TSO6 : VLANE_OFFLOAD_USO;
	if (vnet[VLANE_VNET_GSO_TYPE]) return !(egress->offloads & needed);
	return vnet[VLANE_VNET_FLAGS] & VLANE_VNET_F_NEEDS_CSUM && !(egress->offloads & VLANE_OFFLOAD_CSUM);
}

INLINE void push(uint32_t port, uint32_t slot, const uint8_t *body, uint32_t bytes, uint32_t head, uint32_t head_bytes)
{
	const uint8_t *vnet = head ? memory + head : body;
	uint16_t work;
	memcpy(&work, vnet, sizeof work);
	if (work && lacks_offload(&ports[port], vnet)) not_here();
	struct vlane_tx *d = &tx[tx_tail++ & tx_mask];
	d->port = (uint16_t)port;
	d->slot = (uint16_t)slot;
	d->body = (uint32_t)(body - memory);
	d->body_length = bytes;
	d->head = head;
	d->head_length = head_bytes;
	coalesce_into = head ? 0 : ports[port].coalesce;
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
		uint32_t tags_bytes = owner->tag1 ? 2 * TAG_BYTES : TAG_BYTES;
		memcpy(memory + at, frame - VLANE_VNET_BYTES, 22);
		put_tag(memory + at + 22, owner->tag0 | priority);
		if (owner->tag1) put_tag(memory + at + 26, owner->tag1);
		shift_offload(memory + at, (int)tags_bytes);
		push(owner->uplink, slot, frame + 12, bytes - 12, at, VLANE_VNET_BYTES + 12 + tags_bytes);
	} else {
		if (owner->tag1) {
			frame = move_head(frame, -TAG_BYTES);
			put_tag(frame + 12, owner->tag1);
		}
		frame = move_head(frame, -TAG_BYTES);
		put_tag(frame + 12, owner->tag0 | priority);
		push(owner->uplink, slot, frame - VLANE_VNET_BYTES, bytes + VLANE_VNET_BYTES + owner->tags * TAG_BYTES, 0, 0);
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
	if (port->mode == VLANE_MODE_BRIDGE) {
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
	uint64_t dst = mac_at(frame);
	if (dst & 1) {
		uint32_t sender = fdb_find(segment, src);
		uint32_t network = sender && ports[sender].kind == VLANE_KIND_ENDPOINT ? ports[sender].network : 0;
		if (owner->sources | owner->ipvlans) not_here();
		for (uint32_t i = owner->head; i && type_of(frame) != VLANE_ETHERTYPE_PAUSE; i = ports[i].next)
			if ((!network || ports[i].network != network) && ports[i].mode != VLANE_MODE_SOURCE)
				emit(i, slot, frame, bytes, tagged);
	} else {
		if (owner->sources) not_here();
		uint32_t target = owner->passthru;
		if (!target && owner->ipvlans) target = not_here();
		if (!target) target = fdb_find(segment, dst);
		if (target && ports[target].mode != VLANE_MODE_SOURCE) emit(target, slot, frame, bytes, tagged);
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
	uint16_t work;
	memcpy(&work, frame - VLANE_VNET_BYTES, sizeof work);
	if (work) {
		if (!is_offload_valid(frame - VLANE_VNET_BYTES, bytes)) return VLANE_DROP_OFFLOAD;
		if (frame[VLANE_VNET_GSO_TYPE - VLANE_VNET_BYTES]) port->rx_offloads++;
	}
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
		if (segment & VLANE_TABLE_STACKED) {
			uint32_t below = segment & ~(uint32_t)VLANE_TABLE_STACKED;
			uint32_t inner = tagged ? tag_at(frame) & 0xfff : 0;
			segment = inner && inner <= VLANE_VID_MAX ? *table_entry(below, tag_at(frame)) : 0;
			if (segment) {
				frame = move_head(frame, TAG_BYTES);
				bytes -= TAG_BYTES;
				tagged = is_tagged(frame, bytes);
			} else segment = *table_entry(below, 0);
		}
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
	if (port->kind == VLANE_KIND_HOST)
		return to_wire(&segments[port->segment], slot, frame, bytes, priority, tagged, 0) ? FORWARDED : VLANE_DROP_UNKNOWN;
	if (port->flags & (VLANE_FLAG_SECURE_MAC | VLANE_FLAG_SECURE_IP)) not_here();
	if (port->mode >= VLANE_MODE_IPVLAN) not_here();
	return from_endpoint(port, slot, frame, bytes, priority, tagged);
}

INLINE int is_maybe_tagged(const uint8_t *frame)
{
	uint16_t type;
	memcpy(&type, frame + 12, 2);
	return (type & 0x57f6) == 0x0080;
}

INLINE uint64_t words_of(const void *at)
{
	uint64_t word;
	memcpy(&word, at, 8);
	return word;
}

/* assembly/shortcut.ts, line by line. */
INLINE int shortcut(const struct vlane_rx *d)
{
	struct vlane_port *port = &ports[d->port], *egress;
	const struct vlane_segment *owner = NULL;
	uint32_t bytes = d->length, length = bytes, target;
	uint8_t *frame = memory + header->slots + d->slot * VLANE_SLOT_BYTES + VLANE_SLOT_FRAME;
	if (bytes < ETHERNET_BYTES + TAG_BYTES) return 0;
	uint64_t src = mac_at(frame + 6), dst = mac_at(frame), self = words_of(port);
	if ((src | dst) & 1 || !src) return 0;
	uint16_t work;
	memcpy(&work, frame - VLANE_VNET_BYTES, sizeof work);
	if (work) {
		uint16_t start, offset;
		memcpy(&start, frame - VLANE_VNET_BYTES + VLANE_VNET_CSUM_START, 2);
		memcpy(&offset, frame - VLANE_VNET_BYTES + VLANE_VNET_CSUM_OFFSET, 2);
		if (work != VLANE_VNET_F_NEEDS_CSUM || start < ETHERNET_BYTES + 2 * TAG_BYTES) return 0;
		if (start + offset + 2u > bytes) return 0;
	}
	if ((self & PLAIN) == VLANE_KIND_ENDPOINT) {
		if (is_maybe_tagged(frame)) return 0;
		uint32_t segment = (uint32_t)(self >> 32) & 0xffff;
		target = fdb_find(segment, dst);
		egress = &ports[target];
		if ((words_of(egress) ^ self) & SIBLING) {
			owner = &segments[segment];
			target = owner->uplink;
			if (!target) return 0;
			egress = &ports[target];
		} else if (egress == port) return 0;
	} else {
		uint32_t tag = d->tag;
		if ((self & PLAIN) != VLANE_KIND_UPLINK || (!tag && is_maybe_tagged(frame))) return 0;
		if ((tag & 0xfff) > VLANE_VID_MAX) return 0;
		uint32_t segment = *table_entry(port->table, tag & 0xfff ? tag : 0);
		if (segment & VLANE_TABLE_STACKED) {
			if (!is_tpid(type_of(frame))) return 0;
			uint32_t inner = tag_at(frame);
			if ((inner & 0xfff) - 1 >= VLANE_VID_MAX) return 0;
			segment = *table_entry(segment & ~(uint32_t)VLANE_TABLE_STACKED, inner);
			length -= TAG_BYTES;
		}
		if (!segment || words_of(&segments[segment].passthru) & SPECIAL) return 0;
		target = fdb_find(segment, dst);
		if (!target) return 0;
		egress = &ports[target];
	}
	if (length > egress->frame_bytes_max) return 0;
	if (work && !(egress->offloads & VLANE_OFFLOAD_CSUM)) return 0;
	port->rx_frames++;
	port->rx_bytes += bytes;
	if (owner) {
		if (owner->tag1) {
			frame = move_head(frame, -TAG_BYTES);
			put_tag(frame + 12, owner->tag1);
			length += TAG_BYTES;
		}
		if (owner->tag0) {
			frame = move_head(frame, -TAG_BYTES);
			put_tag(frame + 12, owner->tag0);
			length += TAG_BYTES;
		}
	} else if (length != bytes) frame = move_head(frame, TAG_BYTES);
	struct vlane_tx *out = &tx[tx_tail++ & tx_mask];
	out->port = (uint16_t)target;
	out->slot = d->slot;
	out->body = (uint32_t)(frame - VLANE_VNET_BYTES - memory);
	out->body_length = length + VLANE_VNET_BYTES;
	out->head = 0;
	out->head_length = 0;
	if (egress->coalesce) not_here();
	refs[d->slot] = 1;
	return 1;
}

/* Every other frame. */
static void forward(const struct vlane_rx *d)
{
	struct vlane_port *port = &ports[d->port];
	uint32_t slot = d->slot, before = tx_tail;
	finished_copies = 0;
	int reason = receive(port, slot, d->length, d->tag);
	if (reason != FORWARDED) port->drops[reason]++;
	uint32_t copies = tx_tail - before - finished_copies;
	if (!copies) free_slots[free_count++] = slot;
	else if (copies == 1 && coalesce_into && !finished_copies) not_here();
	else refs[slot] = copies;
}

static volatile uint64_t sink;

static void touch(uint32_t count)
{
	uint64_t all = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct vlane_rx *d = &rx[(rx_head + i) & rx_mask];
		const struct vlane_port *port = &ports[d->port];
		uint32_t segment = port->segment ? port->segment : *table_entry(port->table, d->tag);
		uint64_t dst = mac_at(memory + header->slots + d->slot * VLANE_SLOT_BYTES + VLANE_SLOT_FRAME);
		all ^= fdb[fdb_home(dst | (uint64_t)segment << 48)].key;
	}
	sink = all;
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
	if (rx_head == rx_tail) return tx_tail - tx_head;
	header->batches++;
	((uint64_t *)header->batch_sizes)[31 - __builtin_clz(rx_tail - rx_head)]++;
	int capturing = header->capture && *(volatile uint32_t *)(memory + header->capture + VLANE_CAPTURE_ON);
	uint32_t done = 0, pending = rx_tail - rx_head;
	if (header->fdb_count > TOUCH_STATIONS) touch(pending);
	if (capturing) not_here();
	while (done < pending && tx_mask + 1 - (tx_tail - tx_head) > live) {
		uint32_t room = tx_mask + 1 - (tx_tail - tx_head) - live;
		uint32_t most = done + (pending - done < room ? pending - done : room);
		while (done < most && shortcut(&rx[(rx_head + done) & rx_mask])) done++;
		if (done < most) forward(&rx[(rx_head + done++) & rx_mask]);
	}
	rx_head += done;
	if (opened) not_here();
	return tx_tail - tx_head;
}

void vlane_batchDone(void)
{
	uint32_t count = tx_tail - tx_head;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = tx[(tx_head + i) & tx_mask].slot;
		if (--refs[slot] == 0) free_slots[free_count++] = slot;
	}
	tx_head = tx_tail = 0;
}

uint32_t vlane_rxPending(void)
{
	return rx_tail - rx_head;
}
