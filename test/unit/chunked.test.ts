/** HTTP answers that are read by hand, cut wherever a socket may cut them. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ChunkedAnswer } from "../../src/cli/chunked.js";

const chunked = suite("chunked answers");

const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: x\r\nCapture-Id: 7\r\nTransfer-Encoding: chunked\r\n\r\n";
const BODY = "5\r\nhello\r\n10\r\n0123456789abcdef\r\n1\r\n\n\r\n0\r\n\r\n";

function read(text: string, pieceBytes: number): { body: string; answer: ChunkedAnswer } {
	let body = "";
	const answer = new ChunkedAnswer(() => (piece) => {
		body += piece.toString("latin1");
	});
	// One buffer for all pieces, as a socket would have it.
	const shared = Buffer.alloc(pieceBytes);
	for (let at = 0; at < text.length; at += pieceBytes) {
		answer.push(shared.subarray(0, shared.write(text.slice(at, at + pieceBytes), "latin1")));
	}
	return { body, answer };
}

chunked("the same body, however it is cut", () => {
	for (let pieceBytes = 1; pieceBytes <= HEAD.length + BODY.length; pieceBytes++) {
		const { body, answer } = read(HEAD + BODY, pieceBytes);
		assert.is(body, "hello0123456789abcdef\n", `${pieceBytes}`);
		assert.ok(answer.isComplete);
		assert.is(answer.head?.status, 200);
		assert.is(answer.head?.headers.get("capture-id"), "7");
	}
});

chunked("what ends early is not complete", () => {
	for (let length = 0; length < BODY.length - 4; length++) {
		assert.not.ok(read(HEAD + BODY.slice(0, length), 1000).answer.isComplete, `${length}`);
	}
});

chunked("a body without chunks is taken as it is", () => {
	const { body, answer } = read('HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\n{"message":"no"}', 3);
	assert.equal([body, answer.head?.status], ['{"message":"no"}', 404]);
});

chunked("what is no such answer is an error", () => {
	assert.throws(() => read("SSH-2.0-OpenSSH\r\n\r\n", 100), "no HTTP answer");
	assert.throws(() => read(`${HEAD}zz\r\n`, 100), "malformed chunk");
});

chunked.run();
