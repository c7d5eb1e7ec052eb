/* Fuzzing the packet core: what the three parts of the program have in common. */
#ifndef VLANE_FUZZ_H
#define VLANE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "vlane_core.h"

enum {
	PORTS_MAX = 16,
	SEGMENTS_MAX = 12,
	TABLES_MAX = 8,
	FDB_CAPACITY = 64,
	SLOTS_MAX = 16,
	FRAME_BYTES_MAX = VLANE_SLOT_CAPACITY,
	ADDRESSES_MAX = 8,
};

/* ---- engine.c: the core in memory of which AddressSanitizer knows what may be touched. */

/* Makes a new instance on zero memory. */
void engine_reset(void);
uint8_t *engine_memory(void);
struct vlane_header *engine_header(void);
/* Lets the core touch the head and the frame of a slot, `bytes` long, and nothing else of it; `close` takes it back. */
void engine_open_slot(uint32_t slot, uint32_t bytes);
void engine_close_slot(uint32_t slot);

/* ---- shadow.c: what the switch is, and what it must have done with a batch. */

struct port {
	uint8_t kind; /* KIND_NONE: no such port, or it is closing */
	uint8_t mode;
	uint8_t segment;
	uint8_t network;
	uint8_t security; /* FLAG_SECURE_* */
	uint8_t is_closing; /* closed, and not yet free */
	uint64_t mac;
	uint32_t mtu_bytes;
	uint32_t addresses; /* how many of them */
	uint8_t address[ADDRESSES_MAX][16];
};

struct segment {
	uint8_t is_used;
	uint8_t uplink;
	uint8_t tags;
	uint8_t members;
	uint8_t sources; /* addresses that are allowed to its networks in source mode */
	uint32_t tag[2]; /* tpid << 16 | vid, outermost first */
};

/* A frame on its way in. */
struct input {
	uint32_t port;
	uint32_t tag; /* taken off by the kernel: tpid << 16 | tci */
	uint32_t bytes;
	const uint8_t *vnet; /* 10 bytes of virtio_net_hdr, then the frame */
};

extern struct port ports[PORTS_MAX];
extern struct segment segments[SEGMENTS_MAX];

void shadow_reset(void);
/* Forwards frames, at most SLOTS_MAX of them, and checks everything about what becomes of them. */
void shadow_forward(const struct input *inputs, uint32_t count);

/* Says what does not hold, and ends. */
_Noreturn void broken(const char *what, uint32_t a, uint32_t b);

#endif
