/** `vlane demo`. */

/** Runs the tutorial; the exit code says whether everything held. */
export async function run(): Promise<number> {
	const { runDemo } = await import("../../demo/main.js");
	return await runDemo();
}
