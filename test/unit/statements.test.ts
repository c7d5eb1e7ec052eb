/** test/README.md's table of the tutorial's statements, against the tests that are there. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

/** test/ in the checkout, seen from dist/test/unit/. */
const TESTS = fileURLToPath(new URL("../../../test/", import.meta.url));
/** The performance of bypassing a bridge is compared, not tested. */
const BENCHED = "S70";

const statements = suite("statements");
const numbersOf = (text: string) => text.match(/\bS\d\d\b/g) ?? [];

/** `S43 320-trunk` of every test, and its title. */
function titles(): { place: string; title: string }[] {
	const files = readdirSync(`${TESTS}netns`).filter((name) => /^3\d\d-.*\.test\.ts$/.test(name));
	return files.flatMap((name) => {
		const source = readFileSync(`${TESTS}netns/${name}`, "utf8");
		const found = [...source.matchAll(/["`]((?:S\d\d )*S\d\d): ([^"`]*)["`],/g)];
		return found.flatMap(([, numbers = "", title = ""]) =>
			numbersOf(numbers).map((number) => ({ place: `${number} ${name.replace(".test.ts", "")}`, title })),
		);
	});
}

/** The table's rows by the same key: what they say of the test. */
function rows(): Map<string, string> {
	const lines = readFileSync(`${TESTS}README.md`, "utf8").split("\n");
	const cells = lines
		.filter((line) => /^\| S\d\d/.test(line))
		.map((line) => line.split("|").map((cell) => cell.trim()));
	return new Map(
		cells.flatMap(([, numbers = "", file, title = ""]) =>
			numbersOf(numbers).map((number): [string, string] => [`${number} ${file}`.trim(), title]),
		),
	);
}

statements("each test stands in the table, and each row stands for a test", () => {
	const places = [...new Set(titles().map(({ place }) => place)), BENCHED].sort();
	assert.equal([...rows().keys()].sort(), places);
});

statements("the table calls the tests by their names", () => {
	const table = rows();
	// A title with a variable part is told in other words.
	const wrong = titles().filter(({ place, title }) => !title.includes("${") && !table.get(place)?.includes(title));
	assert.equal(wrong, []);
});

statements("all statements are there", () => {
	const numbers = [...rows().keys()].map((place) => place.slice(0, 3)).sort();
	assert.equal(
		numbers,
		Array.from({ length: 70 }, (_, index) => `S${String(index + 1).padStart(2, "0")}`),
	);
});

statements.run();
