/**
 * Standard output carries data, standard error carries talk.
 *
 * The streams are opened on first use: Node switches a pipe to non-blocking mode when it opens it, and `run` must hand
 * its descriptors to COMMAND as it found them.
 */

let guarded = false;

/** Ends quietly when the reader of a pipe has gone (`vlane ps | head -1`). */
function guard(): void {
	if (guarded) return;
	guarded = true;
	for (const stream of [process.stdout, process.stderr]) {
		stream.on("error", (error: NodeJS.ErrnoException) => {
			if (error.code === "EPIPE") process.exit(0);
			throw error;
		});
	}
}

/** Writes text as it is to standard output. */
export function print(text: string): void {
	guard();
	process.stdout.write(text);
}

/** Writes one line to standard output. */
export function printLine(line: string): void {
	print(`${line}\n`);
}

/** Writes one line to standard error. */
export function printError(line: string): void {
	guard();
	process.stderr.write(`${line}\n`);
}
