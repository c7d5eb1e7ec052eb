/* The core as C, translated by wasm2c: every export is a function call. */
#include "engine.h"

#include "core.h"

struct Z_env_instance_t {
	wasm_rt_memory_t memory;
};

static struct Z_env_instance_t environment;
static Z_core_instance_t core;

wasm_rt_memory_t *Z_envZ_memory(struct Z_env_instance_t *instance)
{
	return &instance->memory;
}

int engine_open(const char *file)
{
	(void)file;
	wasm_rt_init();
	Z_core_init_module();
	wasm_rt_allocate_memory(&environment.memory, 1, 65536);
	Z_core_instantiate(&core, &environment);
	return 1;
}

int engine_grow(uint32_t bytes)
{
	uint32_t pages = (uint32_t)(((uint64_t)bytes + 65535) >> 16);
	uint32_t held = environment.memory.pages;
	return pages <= held || wasm_rt_grow_memory(&environment.memory, pages - held) != UINT32_MAX;
}

uint8_t *engine_memory(void)
{
	return environment.memory.data;
}

#define REST(...) , ##__VA_ARGS__
#define GLUE(result, name, parameters, arguments) \
	result vlane_##name parameters { return Z_coreZ_##name(&core REST arguments); }
VLANE_CALLS(GLUE)
