/** The documents: what they name exists, what they link to is there; and the reading of their examples. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { blocks, brokenReferences, documents, examples, isShown, readDocument, UNTYPED } from "../support/docs.js";

const docs = suite("documents");

docs("those that a reader looks for are there", () => {
	for (const name of ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]) {
		assert.ok(documents().includes(name), name);
	}
});

for (const document of documents()) {
	docs(`${document}: files, functions and links exist`, () => {
		assert.equal(brokenReferences(document), []);
	});
}

docs("an example is a block marked sh; the text block right behind it is its output", () => {
	const text =
		"# One\n```sh\na\nb\n```\n\n```text\nx\n```\n## Two\n```sh\nc\n```\nwords\n```text\nz\n```\n```bash\nd\n```\n";
	assert.equal(examples(text), [
		{ heading: "One", line: 3, script: "a\nb\n", expected: "x\n" },
		{ heading: "Two", line: 12, script: "c\n", expected: undefined },
	]);
});

docs("commands that no test types are those that there is a reason for", () => {
	const untyped = documents().flatMap((document) =>
		blocks(readDocument(document))
			.filter(({ mark }) => mark === "shell")
			.map(({ first }) => `${document}: ${first}`),
	);
	assert.equal(untyped.sort(), Object.keys(UNTYPED).sort());
	for (const reason of Object.values(UNTYPED)) assert.ok(reason.length > 10);
});

docs("every block has a mark that says who reads it", () => {
	const typed = ["sh", "bash"];
	const known = [...typed, "shell", "text", "json", "yaml", "c", "js", "ts"];
	for (const document of documents()) {
		const marks = blocks(readDocument(document)).map(({ mark }) => mark);
		// Drawings have none.
		assert.equal(
			marks.filter((mark) => mark !== "" && !known.includes(mark)),
			[],
			document,
		);
	}
});

docs("three dots stand for anything within a line, alone for any number of lines", () => {
	assert.ok(isShown("time=... ms\n", "time=0.1 ms\n"));
	assert.ok(isShown("a\n...\nd\n", "a\nb\nc\nd\n"));
	assert.ok(isShown("a\n...\nd\n", "a \nd\n\n"));
	assert.not.ok(isShown("a...d\n", "a\nd\n"));
	assert.not.ok(isShown("a\n", "a\nb\n"));
	assert.not.ok(isShown("1.5\n", "125\n"));
});

docs.run();
