/**
 * Makes `vlane-cni` one CommonJS file: `node scripts/cniplugin.mjs DIRECTORY`, after the compiler has filled DIRECTORY.
 *
 * A runtime starts the plugin for every call, and waits for it. Reading modules one by one costs more than what they do
 * (docs/cni.md).
 */
import { join } from "node:path";
import { build } from "esbuild";

const [directory] = process.argv.slice(2);
await build({
	entryPoints: [join(directory, "src/cni/main.js")],
	outfile: join(directory, "cni/vlane-cni.cjs"),
	bundle: true,
	platform: "node",
	format: "cjs",
	target: "node20",
	logLevel: "warning",
});
