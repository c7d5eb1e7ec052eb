/** A capture that the daemon makes for us, from its first byte to its end. */
import type { IncomingMessage } from "node:http";
import { Client } from "./client.js";

/** What is wanted, in the words of `GET /capture`. */
export interface CaptureWish {
	of: string;
	filter?: string;
	snaplen?: number;
	count?: number;
	seconds?: number;
}

export interface CaptureStream {
	/** pcapng. */
	data: IncomingMessage;
	/** Asks for the end; what is left, and the counts, still come. */
	stop(): void;
}

/** Begins a capture; an interrupt from the keyboard and SIGTERM end it. Throws as `Client.get` does. */
export async function openCapture(host: string, wish: CaptureWish): Promise<CaptureStream> {
	const client = new Client(host);
	const given = Object.entries(wish).filter(([, value]) => value !== undefined && value !== "");
	const query = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
	const data = await client.open(`/capture?${query}`);
	const stop = () => {
		// It may have ended meanwhile by itself.
		client.delete(`/captures/${data.headers["capture-id"]}`).catch(() => data.destroy());
	};
	for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
	return { data, stop };
}
