#!/usr/bin/env node
import { createRequire } from "node:module";

// To import it would load its streams as well.
const { existsSync } = createRequire(import.meta.url)("node:fs");
const isDaemon = process.argv[2] === "daemon";
const main = new URL(`../dist/vlane/${isDaemon ? "daemon" : "main"}.js`, import.meta.url);
if (existsSync(main)) {
	// What takes the longest of a daemon's start begins first, and goes on while the rest is loaded.
	const thread = isDaemon ? await import("../dist/vlane/thread.js") : undefined;
	thread?.beginThread();
	process.exitCode = await (await import(main.href)).main(process.argv.slice(2));
	await thread?.dismissThread();
} else {
	console.error("vlane is not built yet; build it with: npm run build");
	process.exitCode = 1;
}
