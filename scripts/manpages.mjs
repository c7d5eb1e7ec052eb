/**
 * Writes the manual pages that the command table gives: `node scripts/manpages.mjs DIST`, where DIST holds the compiled
 * sources. They go to DIST/man.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const dist = resolve(process.argv[2] ?? "dist");
const { manPages } = await import(pathToFileURL(join(dist, "src/cli/manpage.js")).href);
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
mkdirSync(join(dist, "man"), { recursive: true });
for (const [name, text] of manPages(version)) writeFileSync(join(dist, "man", name), text);
