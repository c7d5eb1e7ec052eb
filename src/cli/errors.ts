/**
 * How a command says that it failed: one line on standard error and an exit code.
 */

/** The operation failed; nothing is wrong with the command line. */
export const EXIT_FAILED = 1;
/** The command line could not be understood. */
export const EXIT_USAGE = 2;
/** `run` and `exec`: failed before COMMAND was started, as with `docker run`. */
export const EXIT_BEFORE_COMMAND = 125;
/** `run` and `exec`: COMMAND exists but can not be executed. */
export const EXIT_NOT_EXECUTABLE = 126;
/** `run` and `exec`: COMMAND does not exist. */
export const EXIT_NOT_FOUND = 127;
/** Interrupted from the keyboard: 128 + SIGINT. */
export const EXIT_INTERRUPTED = 130;

/** A failure that the user is told about in `message`. Without an exit code, the command's own applies. */
export class CliError extends Error {
	readonly exitCode: number | undefined;

	constructor(message: string, exitCode?: number) {
		super(message);
		this.name = "CliError";
		this.exitCode = exitCode;
	}
}

/** The command line is wrong; the message is followed by where to find help. */
export class UsageError extends CliError {
	constructor(message: string) {
		super(message);
		this.name = "UsageError";
	}
}

/** The one line that a person gets to read about any failure, without a stack trace. */
export function messageOf(error: unknown): string {
	const message = error instanceof Error ? error.message : String(error);
	return message.trim().replaceAll(/\s*\n\s*/g, "; ");
}
