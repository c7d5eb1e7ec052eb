/** How much memory a process that runs for months holds: less than one that has to be fast from the first moment on. */
import { mallocTrim, mallopt } from "./libc.js";

/**
 * What Node is started with: two halves of 1 MiB for young objects, which V8 would let grow to 32 MiB while programs
 * are loaded. A process can not say this of itself: each thread that starts undoes it (V8's Heap::ConfigureHeap).
 */
export const SPARING_ARGV: readonly string[] = ["--max-semi-space-size=1"];

const M_ARENA_MAX = -8;

/** How long nobody may have asked for memory to be given back before it is. */
const RELEASE_MS = 1000;

/** The C library's threads share one heap, which can be given back. Before there are threads. */
export function allocateSparingly(): void {
	mallopt(M_ARENA_MAX, 1);
}

let release: NodeJS.Timeout | undefined;

/**
 * Gives back what the C library has left over, once this has not been called for a second: what the start took, and
 * what a burst of changes did.
 */
export function releaseMemorySoon(): void {
	release = release?.refresh() ?? setTimeout(() => mallocTrim(0), RELEASE_MS).unref();
}
