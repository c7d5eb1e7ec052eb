/**
 * A GET whose answer goes on, read into one buffer that is used again and again: node:http takes more than twice the
 * CPU time for gigabytes, and a capture's reader that is late loses frames.
 */
import { connect } from "node:net";
import { ChunkedAnswer } from "./chunked.js";

const BUFFER_BYTES = 1 << 20;

/** An answer that has begun. */
export interface Followed {
	status: number;
	/** By lower-case names. */
	headers: ReadonlyMap<string, string>;
	/** Resolves with the last byte; rejects when the connection ends before it. */
	ended: Promise<void>;
	/** Takes no more. */
	close(): void;
}

/**
 * @param begin called with the HTTP status, before the body; answers what takes the body in pieces, each valid during
 *   the call only. What it throws ends the answer.
 * @throws what `begin` throws; Error with the code of connect(2); ECONNRESET when the connection ends before the answer
 *   begins
 */
export function follow(
	socketPath: string,
	path: string,
	begin: (status: number) => (piece: Buffer) => void,
): Promise<Followed> {
	return new Promise((resolve, reject) => {
		const answer = new ChunkedAnswer(({ status }) => begin(status));
		let problem: Error | undefined;
		const callback = (length: number, buffer: Uint8Array): boolean => {
			try {
				answer.push(Buffer.from(buffer.buffer, buffer.byteOffset, length));
			} catch (error) {
				socket.destroy(error as Error);
				return false;
			}
			if (answer.head) resolve({ ...answer.head, ended, close: () => socket.destroy() });
			return true;
		};
		const socket = connect({ path: socketPath, onread: { buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES), callback } });
		socket.on("error", (error) => {
			problem = error;
		});
		const ended = new Promise<void>((done, fail) => {
			socket.on("close", () => {
				const error = problem ?? Object.assign(new Error("the connection has ended"), { code: "ECONNRESET" });
				reject(error);
				if (answer.isComplete && !problem) done();
				else fail(error);
			});
		});
		// Nobody may be there to hear it.
		ended.catch(() => undefined);
		socket.write(`GET ${path} HTTP/1.1\r\nHost: vlane\r\nConnection: close\r\n\r\n`);
	});
}
