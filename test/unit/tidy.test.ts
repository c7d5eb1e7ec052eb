/** The house rules that a program can check. Each failure lists every place at once. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

/** The checkout, seen from dist/test/unit/. */
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const COLUMNS_MAX = 120;
const LINES_MAX = 500;
const DIRECTORIES = ["assembly", "bench", "bin", "dashboard", "docs", "examples", "scripts", "src", "test", ".ci"];
const CODE = [".ts", ".mjs", ".js"];
const TEXT = [...CODE, ".md", ".json", ""];
/** Tables and links can not be broken; package-lock.json is npm's. */
const LONG_LINES_IN = [".md", ".json"];
const GENERATED = ["package-lock.json"];

/** A directory of src may import those below it. */
const LAYERS =
	"cli demo daemon metrics cni docker group control capture lib host pcap tap raw netlink core etcd sys".split(" ");

interface SourceFile {
	path: string;
	text: string;
	lines: string[];
}

function walk(path: string): string[] {
	if (!statSync(join(ROOT, path)).isDirectory()) return [path];
	return readdirSync(join(ROOT, path)).flatMap((name) => walk(join(path, name)));
}

function read(path: string): SourceFile {
	const text = readFileSync(join(ROOT, path), "utf8");
	return { path, text, lines: text.split("\n") };
}

const topLevel = readdirSync(ROOT).filter((name) => statSync(join(ROOT, name)).isFile());
const files = [...topLevel, ...DIRECTORIES.filter((path) => existsSync(join(ROOT, path))).flatMap(walk)]
	.filter((path) => TEXT.includes(extname(path)) && !GENERATED.includes(path))
	.sort()
	.map(read);
const code = files.filter(({ path }) => CODE.includes(extname(path)));
const product = code.filter(({ path }) => /^(src|assembly)\//.test(path));
const tests = code.filter(({ path }) => path.endsWith(".test.ts"));

/** Places of the lines that break a rule, as `path:line: text`. */
function offending(among: SourceFile[], isBad: (line: string) => boolean): string[] {
	return among.flatMap(({ path, lines }) =>
		lines.flatMap((line, index) => (isBad(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 80)}`] : [])),
	);
}

/** Lists nothing when all is well. */
function none(places: string[]): void {
	assert.is(places.join("\n"), "");
}

/** Paths, from the root, of the project's own modules that a file imports, statically or not. */
function importsOf({ path, text }: SourceFile): string[] {
	const specifiers = text.matchAll(/(?:from|import|import\()\s*"(\.[^"]*)"/g);
	return [...specifiers].map(([, specifier]) => normalize(join(dirname(path), specifier!)).replace(/\.js$/, ".ts"));
}

const layerOf = (path: string): number => LAYERS.indexOf(/^src\/(\w+)\//.exec(path)?.[1] ?? "");

/** Without comments, so that prose may name what code may not. */
const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");

const tidy = suite("tidy");

tidy("lines are at most 120 characters", () => {
	const among = files.filter(({ path }) => !LONG_LINES_IN.includes(extname(path)));
	// A command line or an error text stands in one piece, to be searched for.
	const isOneString = (line: string): boolean => /^\s*(["'`]).*\1,?$/.test(line);
	none(offending(among, (line) => line.length > COLUMNS_MAX && !isOneString(line)));
});

tidy("no line ends with a space, every file with a newline", () => {
	none(offending(files, (line) => /[ \t]$/.test(line)));
	none(files.filter(({ text }) => text !== "" && !text.endsWith("\n")).map(({ path }) => path));
});

tidy("nothing is left to do", () => {
	const marks = new RegExp(`\\b(${["TO", "FIX"].map((start, i) => start + ["DO", "ME"][i]).join("|")})\\b`);
	none(offending(files, (line) => marks.test(line)));
});

tidy("files are at most 500 lines", () => {
	none(code.filter(({ lines }) => lines.length > LINES_MAX).map(({ path, lines }) => `${path}: ${lines.length}`));
});

tidy("every source file begins by saying what it is for", () => {
	const explained = code.filter(({ path }) =>
		/^(src|assembly|dashboard|scripts|bench|test\/(support|model))\//.test(path),
	);
	none(explained.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text)).map(({ path }) => path));
});

tidy("imports go down the layers", () => {
	const places = product.flatMap((file) => {
		const from = layerOf(file.path);
		const up = importsOf(file).filter((path) => path.startsWith("src/") && layerOf(path) < from);
		return up.map((path) => `${file.path} imports ${path}`);
	});
	none(places);
	none(
		product.filter(({ path }) => path.startsWith("src/") && layerOf(path) < 0).map(({ path }) => `${path}: no layer`),
	);
});

tidy("assembly knows nothing but itself, and of assembly the host knows the constants only", () => {
	const places = product.flatMap((file) => {
		const isCore = file.path.startsWith("assembly/");
		const foreign = importsOf(file).filter((path) =>
			isCore ? !path.startsWith("assembly/") : path.startsWith("assembly/") && path !== "assembly/abi.ts",
		);
		return foreign.map((path) => `${file.path} imports ${path}`);
	});
	none(places);
});

tidy("only src/sys calls C, only src/core touches WebAssembly memory", () => {
	const outside = (directory: string, pattern: RegExp): string[] =>
		product
			.filter(({ path }) => path.startsWith("src/") && !path.startsWith(`src/${directory}/`))
			.filter(({ text }) => pattern.test(withoutComments(text)))
			.map(({ path }) => `${path}: ${pattern}`);
	none([...outside("sys", /"koffi"/), ...outside("core", /\bnew WebAssembly\.|memory\.buffer/)]);
});

tidy("nothing runs a shell, and the daemon runs no program", () => {
	const shells =
		/\bshell:|\bexec(?:Sync)?\(\s*["'`]|import\s*{[^}]*\bexec(?:Sync)?\b[^}]*}\s*from "node:child_process"|\bsystem\(/;
	const sources = product.map((file) => ({ path: file.path, text: withoutComments(file.text) }));
	none(sources.filter(({ text }) => shells.test(text)).map(({ path }) => `${path}: a shell`));
	// The command line, the CNI plugin and the demo are programs of their users' own.
	const daemon = sources.filter(({ path }) => !/^src\/(cli|cni\/(main|delegate)|demo)\b/.test(path));
	none(daemon.filter(({ text }) => text.includes('"node:child_process"')).map(({ path }) => `${path}: runs programs`));
});

tidy("every suite is run, none is narrowed, skips give a reason", () => {
	const unrun = tests.flatMap(({ path, text }) => {
		const suites = [...text.matchAll(/const (\w+) = suite(?:<[^(]*>)?\(/g)].map(([, name]) => name);
		const missing = suites.filter((name) => !text.includes(`${name}.run();`));
		return suites.length === 0 ? [`${path}: no suite`] : missing.map((name) => `${path}: ${name}.run() is missing`);
	});
	none(unrun);
	none(offending(tests, (line) => /\.(only|skip)\(/.test(line)));
});

tidy("the change log is kept in the form of keepachangelog.com", () => {
	const { lines } = read("CHANGELOG.md");
	assert.is(lines[0], "# Changelog");
	const releases = lines.filter((line) => line.startsWith("## "));
	const isRelease = (line: string): boolean =>
		/^## \[Unreleased\]$|^## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d$/.test(line);
	none(releases.filter((line) => !isRelease(line)));
	const groups = /^### (Added|Changed|Deprecated|Removed|Fixed|Security)$/;
	none(lines.filter((line) => line.startsWith("### ") && !groups.test(line)));
	const { version } = JSON.parse(read("package.json").text);
	assert.ok(
		releases.some((line) => line === "## [Unreleased]" || line.includes(`[${version}]`)),
		`${version} is missing`,
	);
});

tidy("docs/reference.md is what the command table says", () => {
	const { status, stderr } = spawnSync(process.execPath, [join(ROOT, "scripts/reference.mjs"), "--check"], {
		encoding: "utf8",
	});
	assert.is(status, 0, stderr);
});

tidy("the linter and the formatter find nothing", () => {
	const biome = join(ROOT, "node_modules/@biomejs/biome/bin/biome");
	const { status, stdout, stderr } = spawnSync(process.execPath, [biome, "check", "--colors=off", "."], {
		cwd: ROOT,
		encoding: "utf8",
	});
	assert.is(status, 0, `${basename(biome)} check: ${stdout}${stderr}`);
});

tidy.run();
