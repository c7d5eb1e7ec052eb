/*
 * The invariants. They are said here once more, over plain records of what was configured, and know nothing of how the
 * core decides: a frame may go to fewer ports than these allow (the model in test/model/ says to which exactly), but
 * never to others, never with other bytes, and nothing is lost without being counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum { ETHERNET_BYTES = 14, TAG_BYTES = 4, HEAD_BYTES_MAX = VLANE_VNET_BYTES + 24 };

struct port ports[PORTS_MAX];
struct segment segments[SEGMENTS_MAX];

static uint8_t sent[VLANE_VNET_BYTES + FRAME_BYTES_MAX + 8];
static uint8_t expected[VLANE_VNET_BYTES + FRAME_BYTES_MAX + 8];
static struct vlane_port before[PORTS_MAX];

void broken(const char *what, uint32_t a, uint32_t b)
{
	fprintf(stderr, "broken: %s (%u, %u)\n", what, a, b);
	abort();
}

static void must(int holds, const char *what, uint32_t a, uint32_t b)
{
	if (!holds) broken(what, a, b);
}

static uint32_t be16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static uint32_t le16(const uint8_t *at)
{
	return at[0] | at[1] << 8;
}

static void put_le16(uint8_t *at, uint32_t value)
{
	at[0] = value;
	at[1] = value >> 8;
}

static uint64_t mac_at(const uint8_t *at)
{
	uint64_t mac = 0;
	memcpy(&mac, at, 6);
	return mac;
}

static int is_tpid(uint32_t type)
{
	return type == VLANE_TPID_CTAG || type == VLANE_TPID_STAG;
}

/* The tag at byte 12 as tpid << 16 | tci; 0: there is none with a type behind it. */
static uint32_t tag_of(const uint8_t *frame, uint32_t bytes)
{
	if (bytes < ETHERNET_BYTES + TAG_BYTES || !is_tpid(be16(frame + 12))) return 0;
	return be16(frame + 12) << 16 | be16(frame + 14);
}

void shadow_reset(void)
{
	memset(ports, 0, sizeof ports);
	memset(segments, 0, sizeof segments);
}

/* ---- What a frame is. */

struct reading {
	uint32_t segment; /* 0: nobody's */
	uint32_t pops; /* tags that do not belong to the payload */
	uint32_t priority; /* PCP and DEI of the priority tag of an endpoint */
};

static uint32_t wearing(uint32_t uplink, uint32_t tags, uint32_t outer, uint32_t inner)
{
	for (uint32_t number = 1; number < SEGMENTS_MAX; number++) {
		const struct segment *at = &segments[number];
		if (at->is_used && at->uplink == uplink && at->tags == tags && (tags < 1 || at->tag[0] == (outer & 0xffff0fff)) &&
				(tags < 2 || at->tag[1] == (inner & 0xffff0fff)))
			return number;
	}
	return 0;
}

static struct reading read_frame(const struct input *in)
{
	struct reading reading = {0};
	const uint8_t *frame = in->vnet + VLANE_VNET_BYTES;
	const struct port *port = &ports[in->port];
	uint32_t first = tag_of(frame, in->bytes);
	if (port->kind != VLANE_KIND_UPLINK) {
		reading.segment = port->segment;
		if (first && (first & 0xfff) == 0) {
			reading.pops = 1;
			reading.priority = first & 0xf000;
		}
		return reading;
	}
	uint32_t outer = in->tag ? in->tag : first;
	reading.pops = in->tag == 0 && first;
	if ((outer & 0xfff) > VLANE_VID_MAX) return reading;
	if ((outer & 0xfff) == 0) {
		reading.segment = wearing(in->port, 0, 0, 0);
		return reading;
	}
	uint32_t offset = reading.pops * TAG_BYTES;
	uint32_t below = tag_of(frame + offset, in->bytes - offset);
	reading.segment = below ? wearing(in->port, 2, outer, below) : 0;
	if (reading.segment) reading.pops++;
	else reading.segment = wearing(in->port, 1, outer, 0);
	return reading;
}

/* ---- What may become of it. */

/* An offload header must mean something within the frame that it stands before. */
static void check_offload(const uint8_t *vnet, uint32_t bytes)
{
	uint32_t flags = vnet[VLANE_VNET_FLAGS], type = vnet[VLANE_VNET_GSO_TYPE];
	if (flags & VLANE_VNET_F_NEEDS_CSUM) {
		uint32_t start = le16(vnet + VLANE_VNET_CSUM_START);
		must(start >= ETHERNET_BYTES, "csum_start behind the addresses", start, bytes);
		must(start + le16(vnet + VLANE_VNET_CSUM_OFFSET) + 2 <= bytes, "checksum within the frame", start, bytes);
	}
	if (type == 0) return;
	must(flags & VLANE_VNET_F_NEEDS_CSUM, "segments need checksums", type, bytes);
	must((type & 0x7f) == 1 || (type & 0x7f) == 3 || (type & 0x7f) == 4 || (type & 0x7f) == 5, "known gso_type", type, 0);
	must(le16(vnet + VLANE_VNET_GSO_SIZE) != 0, "gso_size", type, bytes);
	must(le16(vnet + VLANE_VNET_HDR_LEN) <= bytes, "hdr_len within the frame", le16(vnet + VLANE_VNET_HDR_LEN), bytes);
}

/* The frame as it must leave: without `pops` tags, and with those of the segment. Answers its bytes. */
static uint32_t expect(const struct input *in, const struct reading *reading, const struct segment *wears)
{
	uint32_t tags = wears ? wears->tags : 0;
	const uint8_t *rest = in->vnet + VLANE_VNET_BYTES + 12 + reading->pops * TAG_BYTES;
	uint32_t rest_bytes = in->bytes - 12 - reading->pops * TAG_BYTES;
	uint8_t *at = expected + VLANE_VNET_BYTES;
	memcpy(expected, in->vnet, VLANE_VNET_BYTES + 12);
	at += 12;
	for (uint32_t i = 0; i < tags; i++, at += TAG_BYTES) {
		uint32_t tag = wears->tag[i] | (i == 0 ? reading->priority : 0);
		for (int byte = 0; byte < 4; byte++) at[byte] = tag >> (24 - 8 * byte);
	}
	memcpy(at, rest, rest_bytes);
	int delta = ((int)tags - (int)reading->pops) * TAG_BYTES;
	if (expected[VLANE_VNET_FLAGS] & VLANE_VNET_F_NEEDS_CSUM)
		put_le16(expected + VLANE_VNET_CSUM_START, le16(expected + VLANE_VNET_CSUM_START) + delta);
	if (expected[VLANE_VNET_GSO_TYPE])
		put_le16(expected + VLANE_VNET_HDR_LEN, le16(expected + VLANE_VNET_HDR_LEN) + delta);
	return 12 + tags * TAG_BYTES + rest_bytes;
}

static int owns(const struct port *port, const uint8_t *v4)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	for (uint32_t i = 0; i < port->addresses; i++)
		if (!memcmp(port->address[i], mapped, 12) && !memcmp(port->address[i] + 12, v4, 4)) return 1;
	return 0;
}

/* `type`: the ethertype behind the tags of the segment, with `bytes` bytes from there on. */
static void check_security(const struct port *port, const uint8_t *frame, const uint8_t *type, uint32_t bytes)
{
	static const uint8_t nobody[4];
	if (!port->security) return;
	must(mac_at(frame + 6) == port->mac, "own MAC address", port->security, bytes);
	if (!(port->security & VLANE_FLAG_SECURE_IP)) return;
	const uint8_t *v4 = type + 2 + (be16(type) == 0x0806 ? 14 : 12);
	if (be16(type) != 0x0806 && be16(type) != 0x0800) return;
	must(bytes >= 2 + 20, "an address to look at", bytes, 0);
	must(owns(port, v4) || !memcmp(v4, nobody, 4), "own IPv4 address", v4[3], bytes);
}

/* Copies what a descriptor says, after looking that it is within its slot. Answers the bytes of the frame. */
static uint32_t collect(const struct vlane_tx *tx, const struct input *in)
{
	const uint8_t *memory = engine_memory();
	uint32_t slot = engine_header()->slots + tx->slot * VLANE_SLOT_BYTES;
	uint32_t end = slot + VLANE_SLOT_FRAME + in->bytes;
	must(tx->body >= slot + VLANE_SLOT_HEAD && tx->body <= end, "body in its slot", tx->body, slot);
	must(tx->body_length <= end - tx->body, "body ends in its slot", tx->body_length, end - tx->body);
	must(tx->head || tx->head_length == 0, "no head, no length", tx->head_length, 0);
	if (tx->head) {
		must(tx->head == slot + VLANE_SLOT_HEAD && tx->head_length <= HEAD_BYTES_MAX, "head", tx->head, tx->head_length);
		must(tx->body >= slot + VLANE_SLOT_FRAME, "body does not begin in a head", tx->body, slot);
		memcpy(sent, memory + tx->head, tx->head_length);
	}
	memcpy(sent + tx->head_length, memory + tx->body, tx->body_length);
	must(tx->head_length + tx->body_length >= VLANE_VNET_BYTES + ETHERNET_BYTES, "a whole header", tx->body_length, 0);
	return tx->head_length + tx->body_length - VLANE_VNET_BYTES;
}

static void check_copy(const struct vlane_tx *tx, const struct input *in)
{
	struct reading reading = read_frame(in);
	const struct port *from = &ports[in->port], *to = &ports[tx->port];
	must(tx->port < PORTS_MAX && to->kind != VLANE_KIND_NONE, "a port that is there", tx->port, 0);
	must(tx->port != in->port, "not back to where it came from", tx->port, 0);
	must(from->kind != VLANE_KIND_NONE, "from a port that is there", in->port, 0);
	must(reading.segment != 0, "somebody's VLAN", in->port, in->tag);
	const struct segment *segment = &segments[reading.segment];
	if (to->kind == VLANE_KIND_UPLINK) {
		must(from->kind != VLANE_KIND_UPLINK, "not from wire to wire", in->port, tx->port);
		must(segment->uplink == tx->port, "the uplink of its segment", in->port, tx->port);
	} else {
		must(to->segment == reading.segment, "a member of its segment", reading.segment, to->segment);
		must(from->kind != VLANE_KIND_HOST, "the host talks to the wire", in->port, tx->port);
		if (from->kind == VLANE_KIND_ENDPOINT)
			must(to->kind == VLANE_KIND_ENDPOINT && to->network == from->network, "its own network", from->network, to->network);
	}
	uint32_t bytes = collect(tx, in);
	uint32_t wanted = expect(in, &reading, to->kind == VLANE_KIND_UPLINK ? segment : NULL);
	must(bytes == wanted, "length", bytes, wanted);
	must(!memcmp(sent, expected, VLANE_VNET_BYTES + bytes), "the same bytes", in->port, tx->port);
	check_offload(sent, bytes);
	const uint8_t *frame = sent + VLANE_VNET_BYTES;
	uint32_t own = to->kind == VLANE_KIND_UPLINK ? segment->tags * TAG_BYTES : 0;
	uint32_t allowed = to->mtu_bytes + ETHERNET_BYTES + own + (tag_of(frame + own, bytes - own) ? TAG_BYTES : 0);
	must(sent[VLANE_VNET_GSO_TYPE] || bytes <= allowed, "no longer than the MTU", bytes, allowed);
	must(!(frame[6] & 1) && mac_at(frame + 6), "an individual source", frame[6], 0);
	if (from->kind == VLANE_KIND_ENDPOINT) {
		const int is_untagged_wire = to->kind == VLANE_KIND_UPLINK && segment->tags == 0;
		must(!is_untagged_wire || !is_tpid(be16(frame + 12)), "no tag of an endpoint on an untagged wire", in->port, 0);
		check_security(from, frame, frame + own + 12, bytes - own - 12);
	}
}

/* ---- A batch. */

static struct vlane_port *record(uint32_t port)
{
	return (struct vlane_port *)(engine_memory() + engine_header()->ports) + port;
}

static void give(const struct input *in, uint32_t index)
{
	struct vlane_rx *rx = (struct vlane_rx *)(engine_memory() + engine_header()->rx) + index;
	rx->port = in->port;
	rx->length = in->bytes;
	rx->tag = in->tag;
	engine_open_slot(rx->slot, in->bytes);
	uint8_t *slot = engine_memory() + engine_header()->slots + rx->slot * VLANE_SLOT_BYTES;
	memcpy(slot + VLANE_SLOT_FRAME - VLANE_VNET_BYTES, in->vnet, VLANE_VNET_BYTES + in->bytes);
}

/* Every frame has left, or was counted by one reason where it came in, or by its length where it would have left. */
static void check_counters(const struct input *inputs, uint32_t count, const uint32_t *copies)
{
	uint64_t reasons = 0, giants = 0, uncopied = 0;
	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		uint64_t frames = 0, bytes = 0;
		for (uint32_t i = 0; i < count; i++) {
			if (inputs[i].port != port || ports[port].kind == VLANE_KIND_NONE) continue;
			frames++;
			bytes += inputs[i].bytes;
		}
		const struct vlane_port *now = record(port), *then = &before[port];
		must(now->rx_frames - then->rx_frames == frames, "frames received", port, frames);
		must(now->rx_bytes - then->rx_bytes == bytes, "bytes received", port, bytes);
		for (uint32_t reason = 0; reason < VLANE_DROP_REASONS; reason++) {
			uint64_t drops = now->drops[reason] - then->drops[reason];
			if (reason == VLANE_DROP_GIANT) giants += drops;
			else if (reason < VLANE_DROP_GIANT || reason == VLANE_DROP_SPOOFED) reasons += drops;
			else must(drops == 0, "nothing that the core does not do", port, reason);
		}
	}
	for (uint32_t i = 0; i < count; i++) uncopied += copies[i] == 0;
	must(reasons <= uncopied, "a reason only for what does not leave", reasons, uncopied);
	must(uncopied - reasons <= giants, "a reason for all that does not leave", uncopied, reasons + giants);
}

void shadow_forward(const struct input *inputs, uint32_t count)
{
	uint32_t input_of[SLOTS_MAX], copies[SLOTS_MAX] = {0};
	for (uint32_t port = 0; port < PORTS_MAX; port++) before[port] = *record(port);
	memset(input_of, 0xff, sizeof input_of);
	must(vlane_batchPrepare(count) == count, "slots for all", count, vlane_slotsFree());
	const struct vlane_rx *rx = (const struct vlane_rx *)(engine_memory() + engine_header()->rx);
	for (uint32_t i = 0; i < count; i++) {
		must(rx[i].slot < SLOTS_MAX && input_of[rx[i].slot] == UINT32_MAX, "a slot of its own", rx[i].slot, i);
		input_of[rx[i].slot] = i;
		give(&inputs[i], i);
	}
	uint32_t seen[SLOTS_MAX] = {0}; /* by input: ports that have a copy */
	for (uint32_t sends = vlane_batchForward(count);; sends = vlane_batchForward(0)) {
		const struct vlane_tx *tx = (const struct vlane_tx *)(engine_memory() + engine_header()->tx);
		for (uint32_t i = 0; i < sends; i++) {
			must(tx[i].slot < SLOTS_MAX && input_of[tx[i].slot] != UINT32_MAX, "a slot of the batch", tx[i].slot, i);
			uint32_t index = input_of[tx[i].slot];
			check_copy(&tx[i], &inputs[index]);
			must(!(seen[index] & 1u << tx[i].port), "one copy for each port", tx[i].port, index);
			seen[index] |= 1u << tx[i].port;
			copies[index]++;
		}
		vlane_batchDone();
		if (vlane_rxPending() == 0) break;
	}
	must(vlane_slotsFree() == SLOTS_MAX, "every slot comes back", vlane_slotsFree(), SLOTS_MAX);
	for (uint32_t slot = 0; slot < SLOTS_MAX; slot++)
		if (input_of[slot] != UINT32_MAX) engine_close_slot(slot);
	check_counters(inputs, count, copies);
}
