/*
 * The core in any engine that has WebAssembly's standard C interface, wasm.h: Wasmtime, WAMR, Wasmer and others.
 * https://github.com/WebAssembly/wasm-c-api says what it is. Takes the builds `baseline` and `standalone` of the core: not
 * every engine lets a host bring the memory.
 */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasm.h>

enum { PAGES_MAX = 65536, PARAMETERS_MAX = 8 };

enum call {
#define NUMBER(result, name, parameters, arguments) k_##name,
	VLANE_CALLS(NUMBER)
	CALLS
};

static const char *const names[] = {
#define NAME(result, name, parameters, arguments) #name,
	VLANE_CALLS(NAME)
};

static struct {
	wasm_func_t *function;
	size_t parameters, results;
	wasm_valkind_t kinds[PARAMETERS_MAX];
} calls[CALLS];

static wasm_memory_t *memory;

static int fail(const char *file, const char *what)
{
	fprintf(stderr, "core %s: %s\n", file, what);
	return 0;
}

static int read_all(const char *file, wasm_byte_vec_t *bytes)
{
	FILE *stream = fopen(file, "rb");
	if (!stream) return 0;
	fseek(stream, 0, SEEK_END);
	long size = ftell(stream);
	rewind(stream);
	wasm_byte_vec_new_uninitialized(bytes, size > 0 ? (size_t)size : 0);
	int is_whole = size > 0 && fread(bytes->data, (size_t)size, 1, stream) == 1;
	fclose(stream);
	return is_whole;
}

static int find(const char *name, size_t length)
{
	for (int number = 0; number < CALLS; number++)
		if (strlen(names[number]) == length && !memcmp(names[number], name, length)) return number;
	return CALLS;
}

/* Notes an export: the memory, or a call and what it takes. */
static void bind(const wasm_exporttype_t *type, wasm_extern_t *exported)
{
	if (wasm_extern_as_memory(exported)) memory = wasm_extern_as_memory(exported);
	const wasm_name_t *name = wasm_exporttype_name(type);
	/* Some engines count a zero byte at the end. */
	size_t length = name->size && !name->data[name->size - 1] ? name->size - 1 : name->size;
	const wasm_functype_t *signature = wasm_externtype_as_functype_const(wasm_exporttype_type(type));
	int number = find(name->data, length);
	if (!signature || number == CALLS) return;
	const wasm_valtype_vec_t *parameters = wasm_functype_params(signature);
	if (parameters->size > PARAMETERS_MAX) return;
	for (size_t i = 0; i < parameters->size; i++) calls[number].kinds[i] = wasm_valtype_kind(parameters->data[i]);
	calls[number].parameters = parameters->size;
	calls[number].results = wasm_functype_results(signature)->size;
	calls[number].function = wasm_extern_as_func(exported);
}

int engine_open(const char *file)
{
	wasm_engine_t *engine = wasm_engine_new(); /* before anything else: some allocate from it */
	wasm_store_t *store = wasm_store_new(engine);
	wasm_byte_vec_t bytes;
	if (!read_all(file, &bytes)) return fail(file, "can not be read");
	wasm_module_t *module = wasm_module_new(store, &bytes);
	if (!module) return fail(file, "is no module, or needs what this engine has not");
	wasm_exporttype_vec_t types;
	wasm_importtype_vec_t wanted;
	wasm_module_exports(module, &types);
	wasm_module_imports(module, &wanted);
	wasm_extern_t *import = NULL;
	wasm_extern_vec_t imports = {wanted.size, &import}, exports;
	if (wanted.size == 1) {
		wasm_limits_t limits = {1, PAGES_MAX};
		memory = wasm_memory_new(store, wasm_memorytype_new(&limits));
		import = wasm_memory_as_extern(memory);
	}
	wasm_trap_t *trap = NULL;
	wasm_instance_t *instance = wanted.size > 1 ? NULL : wasm_instance_new(store, module, &imports, &trap);
	if (!instance) return fail(file, "can not be instantiated");
	wasm_instance_exports(instance, &exports);
	for (size_t i = 0; i < types.size && i < exports.size; i++) bind(types.data[i], exports.data[i]);
	if (!memory) return fail(file, "has no memory");
	for (int number = 0; number < CALLS; number++)
		if (!calls[number].function) return fail(file, "has another interface: rebuild it");
	return 1;
}

int engine_grow(uint32_t bytes)
{
	(void)bytes; /* `init` grows it: not every engine lets a host do that */
	return 1;
}

uint8_t *engine_memory(void)
{
	return (uint8_t *)wasm_memory_data(memory);
}

/* The arguments are uint32_t or uint64_t, as the core has declared them. */
static uint32_t call(enum call number, ...)
{
	wasm_val_t arguments[PARAMETERS_MAX] = {0}, result = {0};
	wasm_val_vec_t given = {calls[number].parameters, arguments}, answered = {calls[number].results, &result};
	va_list list;
	va_start(list, number);
	for (size_t i = 0; i < given.size; i++) {
		arguments[i].kind = calls[number].kinds[i];
		if (arguments[i].kind == WASM_I64) arguments[i].of.i64 = (int64_t)va_arg(list, uint64_t);
		else arguments[i].of.i32 = (int32_t)va_arg(list, uint32_t);
	}
	va_end(list);
	if (wasm_func_call(calls[number].function, &given, &answered)) {
		fprintf(stderr, "core: trap in %s\n", names[number]);
		abort();
	}
	return (uint32_t)result.of.i32;
}

#define REST(...) , ##__VA_ARGS__
#define GLUE(result, name, parameters, arguments) \
	result vlane_##name parameters { return (result)call(k_##name REST arguments); }
VLANE_CALLS(GLUE)
