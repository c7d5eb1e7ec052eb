/*
 * Many batches in one call, for a caller to whom a call is dear: what bench/core/scene.ts does around the packet core,
 * around its twin in C (bench/firmware/native.c).
 */
#include <string.h>

#include "engine.h"

static const uint64_t *heads; /* two addresses of each frame to come: the destination, then two bytes of the source */
static const uint32_t *arrivals; /* port << 16 | 0, then the tag of each */
static uint32_t frames_mask, next;
static uint64_t rest[3];

/* `frames` is a power of two; `head`: the 32 bytes of a slot from 16 before its frame on. */
void twin_scene(const uint64_t *first, const uint32_t *second, uint32_t frames, const uint8_t *head)
{
	heads = first;
	arrivals = second;
	frames_mask = frames - 1;
	next = 0;
	memcpy(rest, head, 16);
	memcpy(rest + 2, head + 24, 8);
}

/* What a kernel does when it receives: the frames' heads and descriptors. */
static void receive(uint8_t *memory, struct vlane_rx *rx, uint32_t count)
{
	const struct vlane_header *header = (struct vlane_header *)(memory + VLANE_HEADER);
	uint8_t *slots = memory + header->slots + VLANE_SLOT_FRAME - 16;
	for (uint32_t i = 0; i < count; i++, next++) {
		uint8_t *at = slots + rx[i].slot * VLANE_SLOT_BYTES;
		uint32_t frame = next & frames_mask;
		memcpy(at, rest, 16);
		memcpy(at + 16, &heads[frame], 8);
		memcpy(at + 24, rest + 2, 8);
		rx[i].port = (uint16_t)arrivals[2 * frame];
		rx[i].tag = arrivals[2 * frame + 1];
	}
}

/* With `forwards` 0, slots are taken and given back, and frames are received, and that is all. Answers the number of
 * transmissions of the last batch. */
uint32_t twin_rounds(uint32_t rounds, uint32_t count, uint32_t forwards)
{
	uint8_t *memory = engine_memory();
	struct vlane_rx *rx = (struct vlane_rx *)(memory + ((struct vlane_header *)(memory + VLANE_HEADER))->rx);
	uint32_t sent = 0;
	while (rounds--) {
		vlane_batchPrepare(count);
		receive(memory, rx, count);
		sent = vlane_batchForward(forwards ? count : 0);
		vlane_batchDone();
	}
	return sent;
}
