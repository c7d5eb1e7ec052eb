/** A capture that the daemon makes for us, from its first byte to its end. */
import { Client } from "./client.js";
import { CliError } from "./errors.js";
import type { Followed } from "./followed.js";

/** What is wanted, in the words of `GET /capture`. */
export interface CaptureWish {
	of: string;
	filter?: string;
	snaplen?: number;
	count?: number;
	seconds?: number;
}

export interface CaptureStream extends Followed {
	/** Asks for the end; what is left, and the counts, still come. */
	stop(): void;
}

/**
 * Begins a capture; an interrupt from the keyboard and SIGTERM end it.
 * @param begin called once the daemon has agreed; answers what takes pcapng in pieces, each valid during the call only
 * @throws as `Client.follow`; `ended` rejects with CliError when the daemon ends before the capture
 */
export async function openCapture(
	host: string,
	wish: CaptureWish,
	begin: () => (piece: Buffer) => void,
): Promise<CaptureStream> {
	const client = new Client(host);
	const given = Object.entries(wish).filter(([, value]) => value !== undefined && value !== "");
	const query = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
	const followed = await client.follow(`/capture?${query}`, begin);
	const stop = () => {
		// It may have ended meanwhile by itself.
		client.delete(`/captures/${followed.headers.get("capture-id")}`).catch(() => followed.close());
	};
	for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
	const ended = followed.ended.catch((error: NodeJS.ErrnoException) => {
		if (error.code !== "ECONNRESET") throw error;
		throw new CliError("the daemon has ended, and the capture with it");
	});
	ended.catch(() => undefined);
	return { ...followed, ended, stop };
}
