/**
 * Puts the program into few files: `node scripts/bundle.mjs DIRECTORY`, after the compiler has filled DIRECTORY.
 *
 * To find, read and link a few hundred modules takes longer than what they do at a start, and the time without a daemon
 * is the time without frames. DIRECTORY/vlane gets the command line (main.js) and, in files of their own, what is
 * imported dynamically; once more, in one script, `vlane daemon` alone (daemon.cjs), for which it would be forty, and
 * what runs it (start.cjs). The datapath's thread becomes one file beside its module. What is native stays outside, and
 * the library (DIRECTORY/src/lib) is as it was.
 */
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, relative, resolve } from "node:path";
import { build } from "esbuild";

const require = createRequire(import.meta.url);
const root = resolve(process.argv[2]);

/** In another file, each module still knows where it was: the core, the page and the package lie relative to that. */
const places = {
	name: "places",
	setup({ onLoad }) {
		onLoad({ filter: /\/src\/.*\.js$/ }, async ({ path }) => {
			const text = path.startsWith(root) ? await readFile(path, "utf8") : "";
			if (!text.includes("import.meta.url")) return undefined;
			const place = JSON.stringify(`../${relative(root, path)}`);
			return { contents: text.replaceAll("import.meta.url", `new URL(${place}, import.meta.url).href`), loader: "js" };
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
 * What is Node's is loaded when it is used for the first time: most of it is not before frames pass. What is native
 * stays outside, and is loaded as for `require`.
 */
const late = {
	name: "late",
	setup({ onResolve, onLoad }) {
		onResolve({ filter: /^(node:.*|koffi)$/ }, ({ path, kind }) =>
			kind === "import-statement" ? { path, namespace: "late" } : undefined,
		);
		onLoad({ filter: /^node:/, namespace: "late" }, async ({ path }) => ({
			contents: `
				const here = exports;
				for (const name of ${JSON.stringify(Object.getOwnPropertyNames((await import(path)).default))}) {
					Object.defineProperty(here, name, {
						get() {
							const value = require(${JSON.stringify(path)})[name];
							Object.defineProperty(here, name, { value });
							return value;
						},
						configurable: true,
						enumerable: true,
					});
				}`,
		}));
		onLoad({ filter: /.*/, namespace: "late" }, ({ path }) => ({
			contents: `module.exports = require(${JSON.stringify(path)});`,
		}));
	},
};

/** LMDB's library, which looks for its native half from where it is, but without the encoder that is not used. */
const store = {
	name: "store",
	setup({ onResolve, onLoad }) {
		onResolve({ filter: /^lmdb$/ }, () => ({ path: require.resolve("lmdb") }));
		onLoad({ filter: /\/lmdb\/dist\/index\.cjs$/ }, async ({ path }) => ({
			contents: (await readFile(path, "utf8")).replaceAll("__filename", '_require.resolve("lmdb")'),
		}));
		onResolve({ filter: /^msgpackr$/ }, ({ path }) => ({ path, namespace: "unused" }));
		onLoad({ filter: /.*/, namespace: "unused" }, () => ({ contents: "exports.Encoder = undefined;" }));
	},
};

/** What `vlane daemon` never runs, or has already: src/cli/start.ts lets the thread begin before it loads the rest. */
const others = {
	name: "others",
	setup({ onResolve }) {
		onResolve({ filter: /\/commands\// }, ({ path, kind }) =>
			kind === "dynamic-import" && !path.endsWith("/daemon.js") ? { path: "./main.js", external: true } : undefined,
		);
		onResolve({ filter: /\/thread\.js$/ }, ({ kind }) =>
			kind === "import-statement" ? { path: "./start.cjs", external: true } : undefined,
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
	entryPoints: { main: join(root, "src/cli/main.js") },
	outdir: join(root, "vlane"),
	splitting: true,
	plugins: [places, english],
});

const script = {
	...common,
	format: "cjs",
	// In these, `require` is esbuild's name for what it may follow.
	banner: { js: 'const _require = require; const _here = require("node:url").pathToFileURL(__filename);' },
	define: { "import.meta.url": "_here" },
};
await build({
	...script,
	entryPoints: [join(root, "src/cli/start.js")],
	outfile: join(root, "vlane/start.cjs"),
	plugins: [places, late],
});
await build({
	...script,
	entryPoints: [join(root, "src/host/worker.js")],
	outfile: join(root, "src/host/worker.cjs"),
	plugins: [late],
});
const daemon = join(root, "vlane/daemon.cjs");
await build({
	...script,
	entryPoints: [join(root, "src/cli/main.js")],
	outfile: daemon,
	minifyWhitespace: true,
	banner: { js: `(function (exports, require, module, __filename, __dirname) {${script.banner.js}` },
	footer: { js: "})" },
	plugins: [others, places, english, store, late],
});
// src/cli/keptcode.ts asks for it: a script of another release may be as long as this one.
appendFileSync(daemon, `// ${createHash("sha256").update(readFileSync(daemon)).digest("hex")}\n`);
