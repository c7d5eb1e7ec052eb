#!/usr/bin/env node
import { existsSync } from "node:fs";

const main = new URL("../dist/vlane/main.js", import.meta.url);
if (existsSync(main)) {
	process.exitCode = await (await import(main.href)).main(process.argv.slice(2));
} else {
	console.error("vlane is not built yet; build it with: npm run build");
	process.exitCode = 1;
}
