/** `vlane host rm`. */
import { Client, DaemonError } from "../client.js";
import { EXIT_FAILED } from "../errors.js";
import { printError, printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Removes each host and prints what the user called it. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const client = new Client(host);
	let status = 0;
	for (const ref of args) {
		try {
			await client.delete(`/hosts/${encodeURIComponent(ref)}${flags.bool("force") ? "?force=1" : ""}`);
			printLine(ref);
		} catch (error) {
			if (!(error instanceof DaemonError)) throw error;
			printError(error.message);
			status = EXIT_FAILED;
		}
	}
	return status;
}
