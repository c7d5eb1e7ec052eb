/**
 * Puts the program into few files: `node scripts/bundle.mjs DIRECTORY`, after the compiler has filled DIRECTORY.
 *
 * To find, read and link a few hundred modules takes longer than what they do at a start, and the time without a daemon
 * is the time without frames. DIRECTORY/vlane gets the command line (main.js) and, in files of their own, what is
 * imported dynamically; once more, in one file, `vlane daemon` alone (daemon.js), for which it would be forty. The
 * datapath's thread becomes one file in its module's own place. What is native stays outside, and the library
 * (DIRECTORY/src/lib) is as it was.
 */
import { readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { build } from "esbuild";

const root = resolve(process.argv[2]);

/** In another file, each module still knows where it was: the core, the page and the package lie relative to that. */
const places = {
	name: "places",
	setup({ onLoad }) {
		onLoad({ filter: /\/src\/.*\.js$/ }, async ({ path }) => {
			const text = path.startsWith(root) ? await readFile(path, "utf8") : "";
			if (!text.includes("import.meta.url")) return undefined;
			const place = JSON.stringify(`../${relative(root, path)}`);
			return { contents: text.replaceAll("import.meta.url", `new URL(${place}, import.meta.url)`), loader: "js" };
		});
	},
};

/** zod's messages in forty languages that nobody asks for. */
const english = {
	name: "english",
	setup({ onLoad }) {
		const contents = 'export { default as en } from "./en.js";';
		onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({ contents }));
	},
};

/**
 * What stays outside is loaded as for `require`, by the first module that runs and wants it: all of it first is not
 * needed, lmdb has one file for `require` and twenty modules else, and to import `node:fs` loads its streams, too.
 */
const required = {
	name: "required",
	setup({ onResolve, onLoad }) {
		onResolve({ filter: /^(node:.*|koffi|lmdb)$/ }, ({ path, kind }) =>
			kind === "import-statement" ? { path, namespace: "required" } : undefined,
		);
		onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({
			contents: `module.exports = require(${JSON.stringify(path)});`,
		}));
	},
};

/** What `vlane daemon` never runs, or has already: bin/vlane.js lets the thread begin before it loads the rest. */
const others = {
	name: "others",
	setup({ onResolve }) {
		onResolve({ filter: /\/commands\// }, ({ path, kind }) =>
			kind === "dynamic-import" && !path.endsWith("/daemon.js") ? { path: "./main.js", external: true } : undefined,
		);
		onResolve({ filter: /\/thread\.js$/ }, ({ kind }) =>
			kind === "import-statement" ? { path: "./thread.js", external: true } : undefined,
		);
	},
};

const common = {
	bundle: true,
	platform: "node",
	target: "node20",
	format: "esm",
	sourcemap: true,
	logLevel: "warning",
	external: ["koffi", "lmdb", "raw-socket"],
	// What is CommonJS among the dependencies asks for Node's modules in its own way.
	banner: {
		js: [
			'import { createRequire as _createRequire } from "node:module";',
			"const require = _createRequire(import.meta.url);",
		].join("\n"),
	},
};
await build({
	...common,
	entryPoints: { main: join(root, "src/cli/main.js"), thread: join(root, "src/host/thread.js") },
	outdir: join(root, "vlane"),
	splitting: true,
	plugins: [places, english],
});
await build({
	...common,
	entryPoints: { daemon: join(root, "src/cli/main.js") },
	outdir: join(root, "vlane"),
	plugins: [others, places, english, required],
});
const worker = join(root, "src/host/worker.js");
await build({ ...common, entryPoints: [worker], outfile: worker, allowOverwrite: true });
