/** `vlane bench`. */

/** Measures and prints a table; what limits it is said below. */
export async function run(): Promise<number> {
	const { runBench } = await import("../../demo/bench.js");
	return await runBench();
}
