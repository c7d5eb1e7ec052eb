/* What the glue of a WebAssembly engine offers to a host, besides the core's calls (vlane_core.h). */
#ifndef VLANE_ENGINE_H
#define VLANE_ENGINE_H

#include <stdint.h>
#include "vlane_core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes one instance of the core with one page of memory. `file` is the core, for engines that load it. On failure
 * answers 0 and has said why on stderr. */
int engine_open(const char *file);

/* Makes the memory at least so large; answers 0 when there is not enough. */
int engine_grow(uint32_t bytes);

/* Byte 0 of the memory; valid until `engine_grow`. */
uint8_t *engine_memory(void);

#ifdef __cplusplus
}
#endif

#endif
