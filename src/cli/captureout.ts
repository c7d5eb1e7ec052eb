/** Where a capture of the command line goes: a file, or a pipe whose reader may be slow, or go. */
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { POLLIN } from "../sys/libc.js";
import { FdPoller } from "../sys/poller.js";
import { type CaptureWish, openCapture } from "./capturestream.js";
import { CliError } from "./errors.js";

class ReaderGone extends Error {}

/** A capture on its way to a file; `ended` says who has ended it. */
export interface WrittenCapture {
	ended: Promise<"complete" | "reader gone">;
}

/**
 * Begins a capture that is written to a file or a pipe, pcapng as it comes.
 * @param path `-` is standard output
 * @param watch sees each piece, too; it is valid during the call only
 * @throws CliError when it can not be opened or written; as `openCapture`
 */
export async function writeCapture(
	host: string,
	wish: CaptureWish,
	path: string,
	watch: (piece: Buffer) => void,
): Promise<WrittenCapture> {
	let output: Output | undefined;
	// The pipe says so only once control is back here.
	let leave = (): void => undefined;
	const begin = () => {
		const opened = new Output(path, () => leave());
		output = opened;
		return (piece: Buffer) => {
			opened.write(piece);
			watch(piece);
		};
	};
	try {
		const { ended, close } = await openCapture(host, wish, begin);
		let isLeft = false;
		leave = () => {
			isLeft = true;
			close();
		};
		const outcome = ended.then(
			() => "complete" as const,
			(error: unknown) => {
				if (isLeft || error instanceof ReaderGone) return "reader gone" as const;
				throw error;
			},
		);
		return { ended: outcome.finally(() => output?.close()) };
	} catch (error) {
		output?.close();
		if (error instanceof ReaderGone) return { ended: Promise.resolve("reader gone") };
		throw error;
	}
}

class Output {
	readonly #poller = new FdPoller();
	readonly #fd: number;

	/**
	 * @param onReaderGone called when the reader of a pipe has closed it, also while there is nothing to write
	 * @throws CliError when it can not be opened
	 */
	constructor(
		readonly path: string,
		onReaderGone: () => void,
	) {
		try {
			this.#fd = path === "-" ? process.stdout.fd : openSync(path, "w");
		} catch (error) {
			throw new CliError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
		}
		const kind = fstatSync(this.#fd);
		// A pipe that nobody can read any more reports an error, whatever is asked for.
		if (kind.isFIFO() || kind.isSocket()) this.#poller.watch(this.#fd, POLLIN, onReaderGone);
	}

	/** Waits for a slow reader of a pipe, as the daemon does not. @throws ReaderGone; CliError ENOSPC... */
	write(piece: Buffer): void {
		for (let done = 0; done < piece.length; ) {
			try {
				done += writeSync(this.#fd, piece, done);
			} catch (error) {
				const { code } = error as NodeJS.ErrnoException;
				if (code === "EPIPE") throw new ReaderGone();
				if (code !== "EAGAIN") throw new CliError(`cannot write ${this.path}: ${code}`);
				Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
			}
		}
	}

	close(): void {
		this.#poller.close();
		if (this.path !== "-") closeSync(this.#fd);
	}
}
