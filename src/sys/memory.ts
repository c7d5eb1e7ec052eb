/** How much memory a process that runs for months holds: less than one that has to be fast from the first moment on. */
import { setFlagsFromString } from "node:v8";
import { mallocTrim, mallopt } from "./libc.js";

const M_ARENA_MAX = -8;

/**
 * For a process that allocates little and lives long, before it loads much. V8's space for young objects stays at the
 * 1 MiB halves that it begins with instead of growing to 16 MiB while programs are loaded, and the C library's threads
 * share one heap, which can be given back.
 */
export function allocateSparingly(): void {
	setFlagsFromString("--semi-space-growth-factor=1");
	mallopt(M_ARENA_MAX, 1);
}

/** Gives back what the C library has left over: compiling the packet core takes some MiB for a moment. */
export function releaseMemory(): void {
	mallocTrim(0);
}
