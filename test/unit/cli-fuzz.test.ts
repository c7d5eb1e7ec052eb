/** Command lines that nobody would type: always a request or one error in words, never an exception of another kind. */
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CommandLineError, readCommandLine } from "../../src/cli/program.js";
import { COMMANDS } from "../../src/cli/table.js";

const fuzz = suite("command line, fuzzed");

const words = COMMANDS.flatMap(({ path, flags }) => [
	...path.split(" "),
	...flags.flatMap(({ name }) => [`--${name}`, `--${name}=x`]),
]);
const word = fc.oneof(
	{ weight: 6, arbitrary: fc.constantFrom(...words) },
	fc.constantFrom(
		"-",
		"--",
		"---",
		"-=",
		"--=",
		"-H",
		"-it",
		"-dq",
		"--help",
		"-h",
		"--version",
		"",
		"\u0000",
		"__proto__",
	),
	fc.string({ maxLength: 10 }),
	fc.string({ unit: "binary", maxLength: 6 }),
);

fuzz("is read, or refused in one line", () => {
	fc.assert(
		fc.property(
			fc.array(word, { maxLength: 8 }),
			fc.constantFrom(...COMMANDS.map(({ path }) => path)),
			(rest, path) => {
				try {
					assert.type(readCommandLine([...path.split(" "), ...rest]).kind, "string");
				} catch (error) {
					if (!(error instanceof CommandLineError)) throw error;
					assert.ok(error.message.length > 0);
				}
			},
		),
		{ numRuns: 20_000 },
	);
});

fuzz.run();
