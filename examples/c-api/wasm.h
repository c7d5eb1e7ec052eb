/*
 * The part of WebAssembly's standard C interface that engine.c uses, for engines that are packaged without headers.
 * Sizes and orders are those of https://github.com/WebAssembly/wasm-c-api since calls take vectors (2020).
 */
#ifndef WASM_H
#define WASM_H

#include <stddef.h>
#include <stdint.h>

typedef struct wasm_engine_t wasm_engine_t;
typedef struct wasm_store_t wasm_store_t;
typedef struct wasm_module_t wasm_module_t;
typedef struct wasm_instance_t wasm_instance_t;
typedef struct wasm_memory_t wasm_memory_t;
typedef struct wasm_func_t wasm_func_t;
typedef struct wasm_extern_t wasm_extern_t;
typedef struct wasm_trap_t wasm_trap_t;
typedef struct wasm_memorytype_t wasm_memorytype_t;
typedef struct wasm_functype_t wasm_functype_t;
typedef struct wasm_valtype_t wasm_valtype_t;
typedef struct wasm_externtype_t wasm_externtype_t;
typedef struct wasm_exporttype_t wasm_exporttype_t;
typedef struct wasm_importtype_t wasm_importtype_t;

typedef struct { uint32_t min, max; } wasm_limits_t;
typedef struct { size_t size; char *data; } wasm_byte_vec_t;
typedef wasm_byte_vec_t wasm_name_t;
typedef struct { size_t size; wasm_extern_t **data; } wasm_extern_vec_t;
typedef struct { size_t size; wasm_valtype_t **data; } wasm_valtype_vec_t;
typedef struct { size_t size; wasm_exporttype_t **data; } wasm_exporttype_vec_t;
typedef struct { size_t size; wasm_importtype_t **data; } wasm_importtype_vec_t;

typedef uint8_t wasm_valkind_t;
enum { WASM_I32 = 0, WASM_I64 = 1 };
typedef struct {
	wasm_valkind_t kind;
	union { int32_t i32; int64_t i64; double f64; void *ref; } of;
} wasm_val_t;
typedef struct { size_t size; wasm_val_t *data; } wasm_val_vec_t;

wasm_engine_t *wasm_engine_new(void);
wasm_store_t *wasm_store_new(wasm_engine_t *engine);
void wasm_byte_vec_new_uninitialized(wasm_byte_vec_t *out, size_t size);

wasm_memorytype_t *wasm_memorytype_new(const wasm_limits_t *pages);
wasm_memory_t *wasm_memory_new(wasm_store_t *store, const wasm_memorytype_t *type);
char *wasm_memory_data(wasm_memory_t *memory);
wasm_extern_t *wasm_memory_as_extern(wasm_memory_t *memory);

wasm_module_t *wasm_module_new(wasm_store_t *store, const wasm_byte_vec_t *bytes);
void wasm_module_imports(const wasm_module_t *module, wasm_importtype_vec_t *out);
void wasm_module_exports(const wasm_module_t *module, wasm_exporttype_vec_t *out);
const wasm_name_t *wasm_exporttype_name(const wasm_exporttype_t *type);
const wasm_externtype_t *wasm_exporttype_type(const wasm_exporttype_t *type);
const wasm_functype_t *wasm_externtype_as_functype_const(const wasm_externtype_t *type);
const wasm_valtype_vec_t *wasm_functype_params(const wasm_functype_t *type);
const wasm_valtype_vec_t *wasm_functype_results(const wasm_functype_t *type);
wasm_valkind_t wasm_valtype_kind(const wasm_valtype_t *type);

wasm_instance_t *wasm_instance_new(wasm_store_t *store, const wasm_module_t *module, const wasm_extern_vec_t *imports,
	wasm_trap_t **trap);
void wasm_instance_exports(const wasm_instance_t *instance, wasm_extern_vec_t *out);
wasm_func_t *wasm_extern_as_func(wasm_extern_t *exported);
wasm_memory_t *wasm_extern_as_memory(wasm_extern_t *exported);
wasm_trap_t *wasm_func_call(const wasm_func_t *function, const wasm_val_vec_t *arguments, wasm_val_vec_t *results);

#endif
