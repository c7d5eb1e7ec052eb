#!/usr/bin/env node
// CommonJS (package.json beside this file): Node loads it sooner, and the start of a daemon is time without frames.
const { existsSync } = require("node:fs");
const { join } = require("node:path");

async function main(argv) {
	const directory = join(__dirname, "../dist/vlane");
	if (!existsSync(directory)) {
		console.error("vlane is not built yet; build it with: npm run build");
		return 1;
	}
	if (argv[0] === "daemon") return require("../dist/vlane/start.cjs").startDaemon(argv);
	return (await import("../dist/vlane/main.js")).main(argv);
}

main(process.argv.slice(2)).then((status) => {
	process.exitCode = status;
});
