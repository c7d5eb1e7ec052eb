/**
 * Commands that do the same to several things: one failure does not keep the others from being done.
 */
import { DaemonError } from "./client.js";
import { EXIT_FAILED } from "./errors.js";
import { printError, printLine } from "./output.js";

/**
 * Calls `action` for each argument in turn, prints the argument when it answers true, and prints the daemon's refusals.
 * @returns The exit code: failed if any was refused.
 * @throws What is not about one argument, such as a daemon that can not be reached.
 */
export async function forEachArgument(args: string[], action: (argument: string) => Promise<boolean>): Promise<number> {
	let code = 0;
	for (const argument of args) {
		try {
			if (await action(argument)) printLine(argument);
		} catch (error) {
			if (!(error instanceof DaemonError)) throw error;
			printError(error.message);
			code = EXIT_FAILED;
		}
	}
	return code;
}
