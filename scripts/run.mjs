/**
 * The one way in: `node scripts/run.mjs start|test|build|bench|bench:e2e|bench:firmware|fuzz [ARGUMENT...]` installs
 * and builds what is missing, then runs.
 *
 * Runs before anything is installed, so it imports nothing but Node itself. What is up to date is not done again:
 * packages are compared by time with package-lock.json, outputs by a hash of the sources that made them. Outputs are
 * written beside their place and renamed into it, so that a run that is interrupted, or a second one at the same time,
 * never leaves half a build.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MINIMUM = [20, 19];

/** What each command runs once everything is built. */
const COMMANDS = {
	build: undefined,
	start: ["bin/vlane.js", "demo"],
	test: ["scripts/test.mjs"],
	bench: ["dist/bench/core.js"],
	"bench:e2e": ["dist/bench/e2e.js"],
	"bench:firmware": ["dist/bench/firmware.js"],
	fuzz: ["dist/test/fuzz/core.js"],
};

function fail(message, status = 1) {
	console.error(`vlane: ${message}`);
	process.exit(status);
}

function checkNode() {
	const [major, minor] = process.versions.node.split(".").map(Number);
	if (major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1])) return;
	fail(`Node ${process.versions.node} is too old: ${NODE_MINIMUM.join(".")} or newer is needed`);
}

/** Runs a Node script with the terminal's input and output; resolves with an exit status as a shell would report it. */
function node(argv, stdio = "inherit") {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, argv, { cwd: root, stdio });
		// A terminal's Ctrl-C reaches the child by itself; a plain kill of this process must be handed on.
		const handOn = (signal) => child.kill(signal);
		const ignore = () => {};
		process.on("SIGTERM", handOn).on("SIGINT", ignore);
		child.on("error", reject);
		child.on("close", (status, signal) => {
			process.off("SIGTERM", handOn).off("SIGINT", ignore);
			resolve(status ?? 128 + constants.signals[signal]);
		});
	});
}

/**
 * Serialises install and build between processes. The lock is an abstract unix socket, which the kernel drops with its
 * owner: no stale lock can be left behind.
 */
async function withLock(work) {
	const name = `\0vlane-build-${createHash("sha256").update(root).digest("hex").slice(0, 16)}`;
	const take = () =>
		new Promise((resolve, reject) => {
			const server = createServer();
			server.on("error", (error) => (error.code === "EADDRINUSE" ? resolve(undefined) : reject(error)));
			server.listen(name, () => resolve(server));
		});
	let lock = await take();
	if (!lock) console.error("vlane: waiting for another build of this checkout");
	while (!lock) {
		await new Promise((resolve) => setTimeout(resolve, 200));
		lock = await take();
	}
	try {
		await work();
	} finally {
		lock.close();
	}
}

function modifiedMs(path) {
	return statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function isInstalled() {
	// npm writes this file last, so an interrupted installation does not count.
	const installed = modifiedMs("node_modules/.package-lock.json");
	return installed >= modifiedMs("package-lock.json") && existsSync(join(root, "node_modules/typescript"));
}

async function install() {
	console.error("vlane: installing the packages of package-lock.json (once)");
	const npm = process.env.npm_execpath ?? join(dirname(process.execPath), "npm");
	// The compilers too, even where NODE_ENV=production hides them.
	const argv = [npm, "ci", "--include=dev", "--no-audit", "--no-fund"];
	const status = await node(argv, ["inherit", 2, 2]);
	if (status === 0 && isInstalled()) return;
	fail(
		`npm ci failed (status ${status}): packages come from the registry that \`npm config get registry\` names; ` +
			"check the network, then run this again",
		status || 1,
	);
}

/** Files below `path` (or `path` itself) in a fixed order. */
function filesOf(path) {
	const stat = statSync(join(root, path), { throwIfNoEntry: false });
	if (!stat) return [];
	if (!stat.isDirectory()) return [path];
	return readdirSync(join(root, path))
		.sort()
		.flatMap((name) => filesOf(join(path, name)));
}

/** Hash of the contents of every source: unlike a time it notices deleted files and survives a checkout of old ones. */
function fingerprint(paths) {
	const hash = createHash("sha256");
	for (const file of paths.flatMap(filesOf)) {
		const content = readFileSync(join(root, file));
		hash.update(`${file}\0${content.length}\0`).update(content);
	}
	return hash.digest("hex");
}

/**
 * A directory made from sources by a compiler. `compile(output)` fills the empty directory `output` and resolves with
 * an exit status.
 */
const PRODUCTS = [
	{
		directory: "build",
		sources: ["assembly", "asconfig.json", "package-lock.json"],
		async compile(output) {
			const asc = ["node_modules/assemblyscript/bin/asc.js", "assembly/index.ts"];
			const files = {
				debug: "core.debug.wasm",
				release: "core.wasm",
				baseline: "core.baseline.wasm",
				standalone: "core.standalone.wasm",
			};
			const builds = Object.entries(files).map(([target, file]) =>
				node([...asc, "--target", target, "--outFile", join(output, file)]),
			);
			const status = Math.max(...(await Promise.all(builds)));
			if (status === 0) {
				const sizes = Object.values(files).map((file) => `${file} ${statSync(join(output, file)).size}`);
				console.error(`vlane: sizes in bytes: ${sizes.join(", ")}`);
			}
			return status;
		},
	},
	{
		directory: "dist",
		sources: [
			...["src", "dashboard", "test", "bench", "assembly/abi.ts"],
			...["tsconfig.json", "package-lock.json", "scripts/manpages.mjs", "scripts/dashboard.mjs"],
			...["scripts/cniplugin.mjs", "scripts/bundle.mjs"],
		],
		async compile(output) {
			const tsc = ["node_modules/typescript/bin/tsc", "-p", ".", "--outDir", output];
			const statuses = await Promise.all([
				node([...tsc, "--noEmitOnError", "--incremental", "false", "--tsBuildInfoFile", "null"]),
				node(["node_modules/typescript/bin/tsc", "-p", "dashboard"]),
				node(["scripts/dashboard.mjs", output]),
			]);
			const status = Math.max(...statuses) || (await node(["scripts/manpages.mjs", output]));
			if (status !== 0) return status;
			// One after the other: each replaces modules by files that are made of them.
			return (await node(["scripts/cniplugin.mjs", output])) || node(["scripts/bundle.mjs", output]);
		},
	},
];

const stampOf = (directory) => join(root, directory, ".sources");

function isBuilt({ directory, sources }) {
	return existsSync(stampOf(directory)) && readFileSync(stampOf(directory), "utf8") === fingerprint(sources);
}

/** Resolves with the compiler's exit status; a failed build leaves the old one in place. */
async function build({ directory, sources, compile }) {
	// Hashed before compiling: a source that changes meanwhile is built again by the next run.
	const stamp = fingerprint(sources);
	const fresh = join(root, `${directory}.new`);
	const old = join(root, `${directory}.old`);
	for (const path of [fresh, old]) rmSync(path, { recursive: true, force: true });
	mkdirSync(fresh);
	const status = await compile(fresh);
	if (status !== 0) {
		rmSync(fresh, { recursive: true, force: true });
		console.error(`vlane: building ${directory}/ failed; the messages above say where`);
		return status;
	}
	writeFileSync(join(fresh, ".sources"), stamp);
	if (existsSync(join(root, directory))) renameSync(join(root, directory), old);
	renameSync(fresh, join(root, directory));
	rmSync(old, { recursive: true, force: true });
	return 0;
}

async function prepare() {
	if (isInstalled() && PRODUCTS.every(isBuilt)) return;
	await withLock(async () => {
		if (!isInstalled()) await install();
		const missing = PRODUCTS.filter((product) => !isBuilt(product));
		if (missing.length > 0)
			console.error(`vlane: building ${missing.map(({ directory }) => `${directory}/`).join(" and ")}`);
		const status = Math.max(0, ...(await Promise.all(missing.map(build))));
		if (status !== 0) process.exit(status);
	});
}

checkNode();
const [command, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(COMMANDS, command ?? ""))
	fail(`usage: node scripts/run.mjs ${Object.keys(COMMANDS).join("|")} [ARGUMENT...]`, 2);
await prepare();
const argv = COMMANDS[command];
process.exitCode = argv ? await node([...argv, ...rest]) : 0;
