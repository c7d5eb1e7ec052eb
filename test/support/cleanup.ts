/**
 * Undoing what a test set up, however the test ends: at the end of the process, on SIGINT and SIGTERM, after an
 * uncaught error. Steps are synchronous because an exiting process waits for nothing.
 */

const steps = new Set<() => void>();

function runAll(): void {
	for (const step of [...steps].reverse()) {
		steps.delete(step);
		try {
			step();
		} catch (error) {
			console.error(`cleanup failed: ${error}`);
			process.exitCode = 1;
		}
	}
}

process.on("exit", runAll);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
	// process.exit runs the steps.
	process.on(signal, () => process.exit(128 + (signal === "SIGINT" ? 2 : 15)));
}

/** Registers a step, run last in first out; answers a function that runs it now, once. */
export function onCleanup(step: () => void): () => void {
	steps.add(step);
	return () => {
		if (steps.delete(step)) step();
	};
}
