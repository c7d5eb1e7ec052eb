/*
 * The runtime below the core as C (wasm2c), made for AddressSanitizer: every access is checked against the end of the
 * linear memory by the code itself, and against what the host has opened by poisoned shadow. Slots are closed but for
 * the frames that they hold.
 */
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "fuzz.h"

struct Z_env_instance_t {
	wasm_rt_memory_t memory;
};

static struct Z_env_instance_t environment;
static Z_core_instance_t core;
uint32_t wasm_rt_call_stack_depth;

wasm_rt_memory_t *Z_envZ_memory(struct Z_env_instance_t *instance)
{
	return &instance->memory;
}

void wasm_rt_trap(wasm_rt_trap_t code)
{
	broken("no trap", code, 0);
}

bool wasm_rt_is_initialized(void)
{
	return true;
}

uint32_t wasm_rt_register_func_type(uint32_t parameters, uint32_t results, ...)
{
	return parameters + results;
}

/* It has all that it needs. */
uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *memory, uint32_t pages)
{
	(void)memory, (void)pages;
	return UINT32_MAX;
}

uint8_t *engine_memory(void)
{
	return environment.memory.data;
}

struct vlane_header *engine_header(void)
{
	return (struct vlane_header *)(engine_memory() + VLANE_HEADER);
}

#define REST(...) , ##__VA_ARGS__
#define GLUE(result, name, parameters, arguments) \
	result vlane_##name parameters { return Z_coreZ_##name(&core REST arguments); }
VLANE_CALLS(GLUE)

static void allocate(uint32_t pages)
{
	wasm_rt_memory_t *memory = &environment.memory;
	memory->pages = memory->max_pages = pages;
	memory->size = pages << 16;
	memory->data = realloc(memory->data, memory->size);
	if (!memory->data) broken("memory", pages, 0);
	memset(memory->data, 0, memory->size);
}

static uint8_t *slot_at(uint32_t slot)
{
	return engine_memory() + engine_header()->slots + slot * VLANE_SLOT_BYTES;
}

void engine_open_slot(uint32_t slot, uint32_t bytes)
{
	ASAN_UNPOISON_MEMORY_REGION(slot_at(slot) + VLANE_SLOT_HEAD, VLANE_SLOT_FRAME - VLANE_SLOT_HEAD + bytes);
}

void engine_close_slot(uint32_t slot)
{
	ASAN_POISON_MEMORY_REGION(slot_at(slot), VLANE_SLOT_BYTES);
}

static void instantiate(void)
{
	Z_core_instantiate(&core, &environment);
	vlane_layout(PORTS_MAX, SEGMENTS_MAX, TABLES_MAX, FDB_CAPACITY, SLOTS_MAX);
}

void engine_reset(void)
{
	if (!environment.memory.data) {
		Z_core_init_module();
		allocate(1);
		instantiate();
		allocate((engine_header()->bytes_total + 65535) >> 16);
		instantiate();
		ASAN_POISON_MEMORY_REGION(engine_memory(), VLANE_HEADER);
		for (uint32_t slot = 0; slot < SLOTS_MAX; slot++) engine_close_slot(slot);
	} else {
		/* Nothing else is written by the core: rings are not used, slots belong to frames. */
		uint32_t ports_at = engine_header()->ports;
		memset(engine_memory() + ports_at, 0, engine_header()->slots - ports_at);
		memset(engine_memory() + VLANE_HEADER, 0, VLANE_HEADER_BYTES);
		instantiate();
	}
	if (!vlane_init()) broken("init", 0, 0);
}
