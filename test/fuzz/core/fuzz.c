/*
 * What libFuzzer's bytes mean: a switch of a few uplinks, segments and endpoints, then batches of frames and changes of
 * the switch, until the bytes are used up. Few values on purpose: that is how frames meet ports, and addresses their
 * owners.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* ---- The bytes. */

static const uint8_t *cursor;
static const uint8_t *end;

static uint32_t byte(void)
{
	return cursor < end ? *cursor++ : 0;
}

#define PICK(list) (list)[byte() % (sizeof(list) / sizeof *(list))]

/* ---- Values. */

static const uint8_t macs[][6] = {
	{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 3}, {2, 0, 0, 0, 0, 4}, {2, 0, 0, 0, 0, 5},
	{2, 0, 0, 0, 1, 0}, /* of all ipvlan endpoints */
	{2, 0, 0, 0, 0, 0x99}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0x5e, 0, 0, 1}, {0x33, 0x33, 0, 0, 0, 1},
	{1, 0x80, 0xc2, 0, 0, 1}, {0, 0, 0, 0, 0, 0},
};
enum { STATIONS = 5, SHARED_MAC = 5 };

static const uint8_t v4[][4] = {
	{10, 0, 0, 1}, {10, 0, 0, 2}, {10, 0, 0, 3}, {0, 0, 0, 0}, {224, 0, 0, 1}, {255, 255, 255, 255},
};
static const uint8_t v6[][16] = {
	{0x20, 1, 0xd, 0xb8, [15] = 1}, {0x20, 1, 0xd, 0xb8, [15] = 2}, {0xfe, 0x80, [15] = 1}, {0},
	{0xfe, 0x80, [11] = 0xff, 0xfe, 0, 0, 1}, {0xfe, 0x80, [11] = 0xff, 0xfe, 0, 0, 2}, {0xff, 2, [15] = 1},
};
enum { OWNABLE_V4 = 3, OWNABLE_V6 = 3 };

static const uint16_t vids[] = {50, 60, 0, 1, 4094, 4095, 2};
static const uint16_t mtus[] = {1500, 1500, 1500, 576, 68, 9000};
static const uint16_t types[] = {0x0800, 0x0806, 0x86dd, 0x86dd, 0x8808, 0x88b5, 0x0026, 0x8100, 0x88a8};

static uint32_t tpid(void)
{
	return byte() % 4 ? VLANE_TPID_CTAG : VLANE_TPID_STAG;
}

static uint64_t mac_of(const uint8_t *bytes)
{
	uint64_t mac = 0;
	memcpy(&mac, bytes, 6);
	return mac;
}

/* ---- The switch. */

static uint32_t uplinks;

static uint32_t known_vid(void)
{
	static const uint16_t known[] = {50, 60, 1, 4094};
	return PICK(known);
}

static void add_segment(void)
{
	uint32_t uplink = byte() % (uplinks + 1);
	uint32_t tags = uplink ? byte() % 3 : 0;
	uint32_t tag[2] = {0, 0};
	for (uint32_t i = 0; i < tags; i++) tag[i] = tpid() << 16 | known_vid();
	uint32_t number = vlane_segmentAdd(uplink, tag[0], tag[1]);
	if (number == 0) return;
	if (number >= SEGMENTS_MAX || segments[number].is_used) broken("a new number", number, 0);
	segments[number] = (struct segment){1, uplink, tags, 0, 0, {tag[0], tag[1]}};
}

static void add_port(uint32_t kind)
{
	static const uint8_t modes[] = {
		VLANE_MODE_BRIDGE, VLANE_MODE_BRIDGE, VLANE_MODE_PRIVATE, VLANE_MODE_VEPA, VLANE_MODE_PASSTHRU, VLANE_MODE_SOURCE,
		VLANE_MODE_IPVLAN, VLANE_MODE_IPVLAN, VLANE_MODE_IPVLAN_PRIVATE, VLANE_MODE_IPVLAN_VEPA,
	};
	struct port port = {.kind = kind, .mtu_bytes = PICK(mtus)};
	if (kind != VLANE_KIND_UPLINK) {
		port.segment = byte() % SEGMENTS_MAX;
		if (!segments[port.segment].is_used) return;
	}
	if (kind == VLANE_KIND_ENDPOINT) {
		port.mode = PICK(modes);
		port.network = 1 + byte() % 2;
		static const uint8_t securities[] = {0, 0, VLANE_FLAG_SECURE_MAC, VLANE_FLAG_SECURE_MAC | VLANE_FLAG_SECURE_IP};
		port.security = PICK(securities);
	}
	const int is_ipvlan = port.mode >= VLANE_MODE_IPVLAN;
	port.mac = mac_of(macs[is_ipvlan ? SHARED_MAC : byte() % STATIONS]);
	for (uint32_t i = 0; i < PORTS_MAX && port.mode == VLANE_MODE_PASSTHRU; i++)
		if (ports[i].kind && ports[i].mode == VLANE_MODE_PASSTHRU && ports[i].segment == port.segment) return;
	uint32_t number = vlane_portAdd(kind, port.mode, port.segment, port.network, port.mac, port.mac >> 32, port.mtu_bytes);
	if (number == 0) return;
	if (number >= PORTS_MAX || ports[number].kind || ports[number].is_closing) broken("a new number", number, 0);
	vlane_portSecure(number, port.security);
	ports[number] = port;
	if (kind == VLANE_KIND_UPLINK) uplinks = number; /* they come first, and stay */
	else segments[port.segment].members++;
}

/* A port that has been added, with the kind or any (0) */
static uint32_t some_port(uint32_t kind)
{
	uint32_t start = byte();
	for (uint32_t i = 0; i < PORTS_MAX; i++) {
		uint32_t number = (start + i) % PORTS_MAX;
		if (ports[number].kind && (kind == 0 || ports[number].kind == kind)) return number;
	}
	return start % PORTS_MAX;
}

static void address(uint8_t *at)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	uint32_t which = byte() % (OWNABLE_V4 + OWNABLE_V6);
	memcpy(at, mapped, 12);
	if (which < OWNABLE_V4) memcpy(at + 12, v4[which], 4);
	else memcpy(at, v6[which - OWNABLE_V4], 16);
}

static void assign(void)
{
	uint32_t number = some_port(VLANE_KIND_ENDPOINT);
	struct port *port = &ports[number];
	const int is_known_by_ip = port->mode >= VLANE_MODE_IPVLAN || port->security & VLANE_FLAG_SECURE_IP;
	if (port->kind != VLANE_KIND_ENDPOINT || !is_known_by_ip || port->addresses == ADDRESSES_MAX) return;
	uint32_t words[4];
	address((uint8_t *)words);
	if (vlane_ipAdd(port->segment, words[0], words[1], words[2], words[3], number))
		memcpy(port->address[port->addresses++], words, 16);
}

static void allow(int is_allowed)
{
	uint32_t number = byte() % SEGMENTS_MAX;
	uint64_t mac = mac_of(macs[byte() % 7]);
	if (!segments[number].is_used) return;
	if (!is_allowed) segments[number].sources -= vlane_sourceRemove(number, mac, mac >> 32);
	else segments[number].sources += vlane_sourceAdd(number, 1 + byte() % 2, mac, mac >> 32);
}

static void close_port(uint32_t number, int is_freed)
{
	struct port *port = &ports[number];
	if (port->kind == VLANE_KIND_UPLINK) return;
	if (port->kind) {
		vlane_portClose(number);
		segments[port->segment].members--;
		port->kind = VLANE_KIND_NONE;
		port->is_closing = 1;
	}
	if (!port->is_closing || !is_freed) return;
	if (!vlane_portFree(number)) broken("a port that is not queued is free", number, 0);
	port->is_closing = 0;
}

static void remove_segment(void)
{
	uint32_t number = byte() % SEGMENTS_MAX;
	struct segment *segment = &segments[number];
	if (!segment->is_used || segment->sources) return;
	uint32_t is_removed = vlane_segmentRemove(number);
	if (is_removed != (segment->members == 0)) broken("only a segment without members goes", number, segment->members);
	if (is_removed) segment->is_used = 0;
}

static void resize(void)
{
	uint32_t number = some_port(0);
	if (!ports[number].kind) return;
	ports[number].mtu_bytes = PICK(mtus);
	vlane_portSetMtu(number, ports[number].mtu_bytes);
}

/* ---- Frames. */

static uint8_t arena[SLOTS_MAX * 2048 + FRAME_BYTES_MAX + 64];
static uint8_t *at;

static void put(const void *bytes, uint32_t count)
{
	memcpy(at, bytes, count);
	at += count;
}

static void put16(uint32_t value)
{
	*at++ = value >> 8;
	*at++ = value;
}

static void put_raw(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) *at++ = byte();
}

static void put_mac(const struct port *own)
{
	uint32_t which = byte();
	if (which & 0x80) put(&own->mac, 6);
	else put(macs[which % (sizeof macs / sizeof *macs)], 6);
}

static void put_arp(const struct port *own)
{
	static const uint8_t start[] = {0, 1, 8, 0, 6, 4, 0, 1};
	put(start, sizeof start);
	put_mac(own);
	put(PICK(v4), 4);
	put(macs[11], 6);
	put(PICK(v4), 4);
}

static void put_v4(void)
{
	uint32_t shape = byte();
	const int is_dhcp = shape & 1;
	*at++ = shape & 0x80 ? byte() : 0x45;
	*at++ = 0;
	put16(shape & 0x40 ? byte() : 28);
	put16(0);
	put16(shape & 0x20 ? byte() << 8 : 0);
	*at++ = 64;
	*at++ = is_dhcp ? 17 : byte();
	put16(0);
	put(PICK(v4), 4);
	put(PICK(v4), 4);
	put16(is_dhcp ? 68 : byte());
	put16(is_dhcp ? 67 : byte());
	put16(8);
	put16(0);
}

static void put_v6(const struct port *own)
{
	static const uint8_t extensions[] = {0, 43, 44, 60};
	static const uint8_t messages[] = {135, 135, 136, 136, 133, 134, 131, 143, 128, 137};
	uint32_t shape = byte();
	uint8_t *start = at;
	uint32_t chain = shape & 0x80 ? byte() % 10 : 0;
	uint8_t *next = start + 6;
	*at++ = shape & 0x40 ? byte() : 0x60;
	put("\0\0\0\0\0\0\xff", 7);
	put(PICK(v6), 16);
	put(PICK(v6), 16);
	for (uint32_t i = 0; i < chain; i++) {
		*next = PICK(extensions);
		next = at;
		put("\0\0\0\0\0\0\0", 8);
		if (shape & 0x20) at[-7] = byte() % 3;
	}
	*next = shape & 0x10 ? byte() : 58;
	*at++ = PICK(messages);
	put("\0\0\0\0\0\0", 7);
	put(PICK(v6), 16);
	for (uint32_t i = 0; i < (shape & 3); i++) {
		*at++ = byte() % 4;
		*at++ = shape & 8 ? byte() % 3 : 1;
		put_mac(own);
	}
	uint32_t length = at - start - 40;
	start[4] = length >> 8;
	start[5] = shape & 4 ? length + byte() : length;
}

static void put_offload(uint8_t *vnet)
{
	static const uint8_t gso[] = {1, 3, 4, 5, 0x81, 2, 0x80};
	uint32_t shape = byte();
	memset(vnet, 0, VLANE_VNET_BYTES);
	if (shape < 128) return;
	if (shape >= 224) {
		for (int i = 0; i < VLANE_VNET_BYTES; i++) vnet[i] = byte();
		return;
	}
	vnet[VLANE_VNET_FLAGS] = 1;
	vnet[VLANE_VNET_CSUM_START] = shape & 8 ? byte() : 34;
	vnet[VLANE_VNET_CSUM_OFFSET] = shape & 16 ? byte() : 6;
	if (shape & 1) return;
	vnet[VLANE_VNET_GSO_TYPE] = PICK(gso);
	vnet[VLANE_VNET_HDR_LEN] = shape & 2 ? byte() : 54;
	vnet[VLANE_VNET_GSO_SIZE] = shape & 4 ? byte() : 100;
}

static void put_frame(struct input *in)
{
	static const uint16_t lengths[] = {60, 60, 60, 1514, 1518, 1522, 590, 82, 9014, 34, 42};
	uint32_t shape = byte();
	in->port = shape & 1 ? some_port(VLANE_KIND_ENDPOINT) : shape & 2 ? some_port(VLANE_KIND_UPLINK) : byte() % PORTS_MAX;
	const struct port *own = &ports[in->port];
	in->vnet = at;
	at += VLANE_VNET_BYTES;
	const uint8_t *frame = at;
	put_mac(own);
	if (shape & 4) put_mac(own);
	else put(own->kind == VLANE_KIND_UPLINK ? macs[6] : (const uint8_t *)&own->mac, 6);
	in->tag = 0;
	if (own->kind == VLANE_KIND_UPLINK && shape & 8) in->tag = tpid() << 16 | (byte() & 0xf0) << 8 | PICK(vids);
	for (uint32_t tags = shape & 16 ? byte() % 6 : 0; tags > 0; tags--) {
		put16(tpid());
		put16((byte() & 0xf0) << 8 | PICK(vids));
	}
	uint32_t type = PICK(types);
	put16(type);
	if (shape & 32) put_raw(byte() % 64);
	else if (type == 0x0806) put_arp(own);
	else if (type == 0x0800) put_v4();
	else if (type == 0x86dd) put_v6(own);
	in->bytes = at - frame;
	uint32_t length = byte();
	if (length >= 252) in->bytes = length == 252 ? FRAME_BYTES_MAX : 65000;
	else if (length >= 192) in->bytes = length - 192 < in->bytes ? length - 192 : in->bytes;
	else if (length >= 128) in->bytes = PICK(lengths);
	at = (uint8_t *)frame + in->bytes;
	put_offload((uint8_t *)in->vnet);
}

static uint64_t frames_total;

static void forward(void)
{
	struct input inputs[SLOTS_MAX];
	uint32_t count = 1 + byte() % SLOTS_MAX;
	uint32_t filled = 0;
	at = arena;
	const uint8_t *last = arena + sizeof arena - FRAME_BYTES_MAX - 64;
	while (filled < count && cursor < end && at < last) put_frame(&inputs[filled++]);
	shadow_forward(inputs, filled);
	frames_total += filled;
}

static void say_total(void)
{
	fprintf(stderr, "frames: %llu\n", (unsigned long long)frames_total);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	return atexit(say_total);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	cursor = bytes;
	end = bytes + size;
	engine_reset();
	shadow_reset();
	uplinks = 0;
	for (uint32_t count = 1 + byte() % 2; count > 0; count--) add_port(VLANE_KIND_UPLINK);
	for (uint32_t count = 1 + byte() % 4; count > 0; count--) add_segment();
	for (uint32_t count = 2 + byte() % 10; count > 0; count--)
		add_port(byte() % 8 ? VLANE_KIND_ENDPOINT : VLANE_KIND_HOST);
	for (uint32_t count = byte() % 8; count > 0; count--) assign();
	for (uint32_t count = byte() % 4; count > 0; count--) allow(1);
	while (cursor < end) {
		uint32_t operation = byte();
		switch (operation < 0xe0 ? 0 : operation % 8) {
		case 1: add_port(VLANE_KIND_ENDPOINT); break;
		case 2: close_port(byte() % PORTS_MAX, operation & 8); break;
		case 3: assign(); break;
		case 4: allow(operation & 8); break;
		case 5: remove_segment(); break;
		case 6: add_segment(); break;
		case 7: resize(); break;
		default: forward();
		}
	}
	return 0;
}
