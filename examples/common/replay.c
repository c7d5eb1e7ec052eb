/*
 * Runs a script of calls and frames from stdin through the core and writes everything that can be seen of it to stdout,
 * for comparing engines byte by byte. Numbers are little endian.
 *
 *   'L' u32[5]                   layout, init                        writes nothing
 *   'C' u8 call, u32[7]          a call of `calls` below             u32 result
 *   'B' u32 count, frames        one batch; a frame is u32 port, length, tag, then vnet header and bytes
 *                                each TX descriptor's first 20 bytes and its frame, then the counters of all ports
 *   'D'                          end                                 all memory from the header to the RX queue
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { COUNTERS_BYTES = 8 * (4 + VLANE_DROP_REASONS), TX_USED_BYTES = 20 };

static struct vlane_header *header(void)
{
	return (struct vlane_header *)(engine_memory() + VLANE_HEADER);
}

static void fail(const char *what)
{
	fprintf(stderr, "replay: %s\n", what);
	exit(1);
}

static void take(void *target, size_t bytes)
{
	if (bytes && fread(target, bytes, 1, stdin) != 1) fail("the script ends in the middle");
}

static void give(const void *source, size_t bytes)
{
	if (bytes && fwrite(source, bytes, 1, stdout) != 1) fail("stdout can not be written");
}

static void make(void)
{
	uint32_t limits[5];
	take(limits, sizeof limits);
	if (!engine_grow(vlane_layout(limits[0], limits[1], limits[2], limits[3], limits[4])) || !vlane_init())
		fail("not enough memory");
}

static void call(void)
{
	uint32_t a[7], result = 0;
	int which = getchar();
	take(a, sizeof a);
	switch (which) {
	case 0: result = vlane_portAdd(a[0], a[1], a[2], a[3], a[4], a[5], a[6]); break;
	case 1: result = vlane_segmentAdd(a[0], a[1], a[2]); break;
	case 2: result = vlane_sourceAdd(a[0], a[1], a[2], a[3]); break;
	case 3: result = vlane_ipAdd(a[0], a[1], a[2], a[3], a[4], a[5]); break;
	case 4: vlane_portSetMtu(a[0], a[1]); break;
	case 5: vlane_portClose(a[0]); break;
	case 6: result = vlane_portFree(a[0]); break;
	case 7: result = vlane_sourceRemove(a[0], a[1], a[2]); break;
	case 8: result = vlane_segmentRemove(a[0]); break;
	case 9: result = vlane_fdbAdd(a[0], a[1] | (uint64_t)a[2] << 32, a[3]); break;
	case 10: result = vlane_fdbRemove(a[0], a[1] | (uint64_t)a[2] << 32); break;
	default: fail("unknown call");
	}
	give(&result, sizeof result);
}

static void batch(void)
{
	uint32_t count, words[3];
	take(&count, sizeof count);
	if (vlane_batchPrepare(count) < count) fail("batch larger than the RX queue");
	uint8_t *memory = engine_memory();
	struct vlane_rx *rx = (struct vlane_rx *)(memory + header()->rx);
	for (uint32_t i = 0; i < count; i++) {
		take(words, sizeof words);
		if (words[1] > VLANE_SLOT_CAPACITY) fail("frame larger than a slot");
		rx[i].port = (uint16_t)words[0];
		rx[i].length = words[1];
		rx[i].tag = words[2];
		take(memory + header()->slots + rx[i].slot * VLANE_SLOT_BYTES + VLANE_SLOT_FRAME - VLANE_VNET_BYTES,
			VLANE_VNET_BYTES + words[1]);
	}
	uint32_t sends = vlane_batchForward(count);
	for (;;) {
		const struct vlane_tx *tx = (struct vlane_tx *)(memory + header()->tx);
		for (uint32_t i = 0; i < sends; i++) {
			give(&tx[i], TX_USED_BYTES);
			give(memory + tx[i].head, tx[i].head_length);
			give(memory + tx[i].body, tx[i].body_length);
		}
		vlane_batchDone();
		if (!vlane_rxPending()) break;
		sends = vlane_batchForward(0);
	}
	for (uint32_t port = 0; port < header()->ports_max; port++)
		give(memory + header()->ports + port * VLANE_PORT_BYTES + VLANE_PORT_RX_FRAMES, COUNTERS_BYTES);
}

int main(int argc, char **argv)
{
	if (!engine_open(argc > 1 ? argv[1] : "core.baseline.wasm")) return 1;
	for (int operation = getchar(); operation != EOF; operation = getchar()) {
		if (operation == 'L') make();
		else if (operation == 'C') call();
		else if (operation == 'B') batch();
		else if (operation == 'D') give(header(), header()->rx - VLANE_HEADER);
		else fail("unknown operation");
	}
	return fflush(stdout) ? 1 : 0;
}
