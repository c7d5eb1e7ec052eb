/**
 * Writes docs/reference.md from the command table: `node scripts/reference.mjs`, after a build. With `--check` it
 * changes nothing and fails when the document is out of date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { commandHelp, rootHelp } from "../dist/src/cli/help.js";
import { COMMANDS } from "../dist/src/cli/table.js";

const DOCUMENT = new URL("../docs/reference.md", import.meta.url);

const chapters = COMMANDS.map((spec) => `## vlane ${spec.path}\n\n\`\`\`text\n${commandHelp(spec)}\`\`\`\n`);
const wanted = `# Reference

Every command with its flags, as \`--help\` prints them. Written by \`scripts/reference.mjs\` from \`src/cli/table.ts\`,
which manual pages and completion are made of, too. The options of a network and of an endpoint are in the
[README](../README.md#options-of-a-network).

\`\`\`text
${rootHelp()}\`\`\`

${chapters.join("\n")}`;

if (!process.argv.includes("--check")) {
	writeFileSync(DOCUMENT, wanted);
} else if (readFileSync(DOCUMENT, "utf8") !== wanted) {
	console.error("docs/reference.md is not what the command table says: run `node scripts/reference.mjs` after a build");
	process.exitCode = 1;
}
