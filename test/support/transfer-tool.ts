/**
 * Process of `transfer`: `transfer-tool.js sink PORT` takes one TCP connection and prints how many bytes came and their
 * SHA-256; `transfer-tool.js source HOST PORT BYTES` sends that many bytes that no compressor could shorten, and prints
 * the same of them.
 */
import { createCipheriv, createHash } from "node:crypto";
import { connect, createServer } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const CHUNK_BYTES = 1 << 18;
const [role, ...rest] = process.argv.slice(2);

/** Counts and digests what passes. */
class Tally {
	#bytes = 0;
	readonly #hash = createHash("sha256");

	add(chunk: Uint8Array): void {
		this.#bytes += chunk.length;
		this.#hash.update(chunk);
	}

	print(): void {
		console.log(`${this.#bytes} bytes ${this.#hash.digest("hex")}`);
	}
}

function sink(port: number): void {
	const tally = new Tally();
	const server = createServer((socket) => {
		server.close();
		socket.on("data", (chunk: Uint8Array) => tally.add(chunk));
		socket.on("end", () => tally.print());
	});
	server.listen(port, () => console.log("listening"));
}

/** A key stream: the same bytes in every run, each chunk another. */
function* chunks(bytes: number): Generator<Uint8Array> {
	const stream = createCipheriv("aes-128-ctr", Buffer.alloc(16, "vlane"), Buffer.alloc(16));
	for (let left = bytes; left > 0; left -= CHUNK_BYTES) yield stream.update(Buffer.alloc(Math.min(left, CHUNK_BYTES)));
}

async function source(host: string, port: number, bytes: number): Promise<void> {
	const tally = new Tally();
	async function* tallied(): AsyncGenerator<Uint8Array> {
		for (const chunk of chunks(bytes)) {
			tally.add(chunk);
			yield chunk;
		}
	}
	await pipeline(Readable.from(tallied(), { objectMode: false, highWaterMark: CHUNK_BYTES }), connect(port, host));
	tally.print();
}

if (role === "sink") sink(Number(rest[0]));
else await source(rest[0] ?? "", Number(rest[1]), Number(rest[2]));
