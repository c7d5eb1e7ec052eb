/*
 * Time of the core for a frame, in whatever engine is linked: `measure core.wasm TARGET STATIONS SAMPLES`. The frames
 * are those of bench/firmware.ts. Prints the median, the shortest and the longest time in ns per frame, and a checksum
 * of what the first batch sends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

enum { BATCH = 64, FRAME_BYTES = 60, SLOTS = 512, SAMPLES_MAX = 99, ROUNDS = 64 };
#define SAMPLE_NS 20e6
#define VLAN_50 (VLANE_TPID_CTAG << 16 | 50u)

static uint8_t *memory;
static struct vlane_header *header;
static uint8_t heads[SLOTS][24];
static int restores;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static uint8_t *frame_of(uint32_t slot)
{
	return memory + header->slots + slot * VLANE_SLOT_BYTES + VLANE_SLOT_FRAME;
}

/* Locally administered, 02:00:xx:xx:xx:xx. */
static uint64_t station(uint64_t index)
{
	return index << 16 | 2;
}

static uint32_t add(uint32_t kind, uint32_t segment, uint32_t low, uint32_t high)
{
	uint32_t port = vlane_portAdd(kind, VLANE_MODE_BRIDGE, segment, 1, low, high, 1500);
	if (!port) exit(1);
	return port;
}

static uint32_t batch(void)
{
	vlane_batchPrepare(BATCH);
	if (restores) {
		/* A tag that is pushed in place moves the head of the frame; reception would write it again. */
		const struct vlane_rx *rx = (struct vlane_rx *)(memory + header->rx);
		for (uint32_t i = 0; i < BATCH; i++) memcpy(frame_of(rx[i].slot) - 12, heads[rx[i].slot], 24);
	}
	return vlane_batchForward(BATCH);
}

/* FNV-1a of the descriptors and bytes of one batch. */
static uint32_t checksum(uint32_t sends)
{
	const struct vlane_tx *tx = (struct vlane_tx *)(memory + header->tx);
	uint32_t sum = 0x811c9dc5;
	for (uint32_t i = 0; i < sends; i++) {
		sum = (sum ^ tx[i].port) * 0x01000193;
		for (uint32_t at = 0; at < tx[i].head_length; at++) sum = (sum ^ memory[tx[i].head + at]) * 0x01000193;
		for (uint32_t at = 0; at < tx[i].body_length; at++) sum = (sum ^ memory[tx[i].body + at]) * 0x01000193;
	}
	return sum;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	if (argc != 5) return 2;
	int broadcast = !strcmp(argv[2], "broadcast"), from_wire = !strcmp(argv[2], "from-wire");
	uint32_t stations = (uint32_t)atoi(argv[3]), members = broadcast ? 16 : 2, ports[16], seed = 1, capacity = 1;
	int samples = atoi(argv[4]);
	restores = !strcmp(argv[2], "to-wire");
	if (samples < 1 || samples > SAMPLES_MAX || !engine_open(argv[1])) return 1;
	while (capacity < stations * 2 + 64) capacity *= 2;
	if (!engine_grow(vlane_layout(64, 16, 8, capacity, SLOTS)) || !vlane_init()) return 1;
	memory = engine_memory();
	header = (struct vlane_header *)(memory + VLANE_HEADER);

	uint32_t uplink = add(VLANE_KIND_UPLINK, 0, 0x0000ff02, 0);
	uint32_t segment = vlane_segmentAdd(uplink, VLAN_50, 0);
	for (uint32_t i = 0; i < members; i++) ports[i] = add(VLANE_KIND_ENDPOINT, segment, 0x0000ee02, i << 8);
	for (uint32_t i = 1; i <= stations - members; i++) vlane_fdbAdd(segment, station(i), ports[1]);
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		uint8_t *frame = frame_of(slot);
		seed = seed * 1664525 + 1013904223; /* Numerical Recipes' generator */
		uint64_t target = station(1 + seed % (stations - members));
		if (broadcast) target = ~0ull;
		if (restores) target = 0x010153ull << 24 | 0x5e0000;
		memcpy(frame, &target, 6);
		memcpy(frame + 6, "\x02\xee\0\0\0\0\x08\0", 8);
		memcpy(heads[slot], frame - 12, 24);
	}
	struct vlane_rx *rx = (struct vlane_rx *)(memory + header->rx);
	for (uint32_t i = 0; i < BATCH; i++) {
		rx[i].port = (uint16_t)(from_wire ? uplink : ports[0]);
		rx[i].length = FRAME_BYTES;
		rx[i].tag = from_wire ? VLAN_50 : 0;
	}

	uint32_t sends = batch();
	if (sends != (broadcast ? BATCH * 16 : BATCH)) {
		fprintf(stderr, "measure: %u frames were sent\n", sends);
		return 1;
	}
	uint32_t sum = checksum(sends);
	vlane_batchDone();
	double times[SAMPLES_MAX];
	for (int sample = -1; sample < samples; sample++) { /* the first one warms up */
		double start = now(), end = start;
		uint64_t frames = 0;
		do {
			for (int round = 0; round < ROUNDS; round++) {
				batch();
				vlane_batchDone();
			}
			frames += ROUNDS * BATCH;
			end = now();
		} while (end - start < SAMPLE_NS);
		if (sample >= 0) times[sample] = (end - start) / (double)frames;
	}
	qsort(times, (size_t)samples, sizeof *times, ascending);
	printf("%.2f %.2f %.2f %08x\n", times[samples / 2], times[0], times[samples - 1], sum);
	return 0;
}
