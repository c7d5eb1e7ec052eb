/**
 * How `vlane daemon` starts. What takes the longest begins first, and goes on while the rest is loaded; the rest is one
 * script (scripts/bundle.mjs), of which V8 keeps what it has compiled.
 */
import { fileURLToPath } from "node:url";
import { beginThread, dismissThread } from "../host/thread.js";
import { runKept } from "./keptcode.js";

// The script's own: a thread that has begun is known in one place.
export { takeThread } from "../host/thread.js";

const SCRIPT = fileURLToPath(new URL("../../vlane/daemon.cjs", import.meta.url));

/** Runs `vlane daemon` and its arguments; resolves with the exit code. @throws Error when the build is not complete */
export async function startDaemon(argv: readonly string[]): Promise<number> {
	// A successor is in no hurry, and leaves processors to those who forward (src/daemon/main.ts).
	if (!argv.includes("--replace")) beginThread();
	const { main } = runKept<typeof import("./main.js")>(SCRIPT);
	const status = await main(argv);
	await dismissThread();
	return status;
}
