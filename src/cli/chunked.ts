/** An HTTP/1.1 answer that is read by hand, for answers of gigabytes: head, then chunks (RFC 9112 7.1). */

const LINE_END = "\r\n";
const HEAD_END = "\r\n\r\n";
const HEAD_BYTES_MAX = 16_384;

/** What comes before the body. */
export interface AnswerHead {
	status: number;
	/** By lower-case names. */
	headers: ReadonlyMap<string, string>;
}

export class ChunkedAnswer {
	/** Undefined until it is complete. */
	head: AnswerHead | undefined;
	/** The last chunk has come. */
	isComplete = false;
	#take: (piece: Buffer) => void = () => undefined;
	/** What is too short to be understood: a part of the head, or of a line between chunks. */
	#rest: Buffer = Buffer.alloc(0);
	/** Bytes of the chunk still to come; -1: a size comes first. */
	#chunkBytes = -1;

	/** @param begin called before the body; answers what takes it in pieces, each valid during the call only */
	constructor(readonly begin: (head: AnswerHead) => (piece: Buffer) => void) {}

	/** @throws Error when it is no such answer */
	push(piece: Buffer): void {
		let bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
		this.#rest = Buffer.alloc(0);
		if (this.head === undefined) {
			const end = bytes.indexOf(HEAD_END);
			if (end < 0 && bytes.length < HEAD_BYTES_MAX) {
				this.#rest = Buffer.from(bytes);
				return;
			}
			this.head = headOf(bytes.toString("latin1", 0, Math.max(end, 0)));
			this.#take = this.begin(this.head);
			bytes = bytes.subarray(end + HEAD_END.length);
		}
		if (this.head.headers.get("transfer-encoding") === "chunked") this.#pushChunks(bytes);
		else if (bytes.length > 0) this.#take(bytes);
	}

	#pushChunks(bytes: Buffer): void {
		for (let at = 0; at < bytes.length && !this.isComplete; ) {
			if (this.#chunkBytes > 0) {
				const end = Math.min(bytes.length, at + this.#chunkBytes);
				this.#take(bytes.subarray(at, end));
				this.#chunkBytes -= end - at;
				at = end;
				continue;
			}
			// A size, which from the second one on stands behind the end of the chunk before.
			const from = this.#chunkBytes === 0 ? at + LINE_END.length : at;
			const end = bytes.indexOf(LINE_END, from);
			if (end < 0 || from > bytes.length) {
				this.#rest = Buffer.from(bytes.subarray(at));
				return;
			}
			this.#chunkBytes = Number.parseInt(bytes.toString("latin1", from, end), 16);
			if (!(this.#chunkBytes >= 0)) throw new Error("malformed chunk");
			this.isComplete = this.#chunkBytes === 0;
			at = end + LINE_END.length;
		}
	}
}

function headOf(text: string): AnswerHead {
	const [first = "", ...lines] = text.split(LINE_END);
	const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1]);
	if (!status) throw new Error("no HTTP answer");
	const pairs = lines.map((line): [string, string] => {
		const colon = line.indexOf(":");
		return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
	});
	return { status, headers: new Map(pairs) };
}
