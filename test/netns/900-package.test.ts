/**
 * The package as `npm pack` makes it, installed in an empty directory on a machine without a compiler, and used from
 * there: the command line, the daemon, the library and its examples.
 */
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { testOrSkip, which } from "../support/needs.js";
import { must, Namespace, run } from "../support/netns.js";

/** The checkout, seen from dist/test/netns. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const NEED = { root: true, tun: true, tools: ["ip", "npm", "ping", "tar"] };
/** What npm and a user's commands need; no compiler, no make, no Python. */
const TOOLS = ["cat", "env", "hostname", "ip", "ls", "mkdir", "node", "npm", "ping", "sh", "sleep", "true"];

const tests = suite("package");
let directory: string;
let env: Record<string, string>;

/** A file of the project, from its path. */
const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));

/** A project that has nothing but the package, and the lock file's entries for it. */
function lockOf(tarball: string) {
	const { packages, lockfileVersion } = json(join(ROOT, "package-lock.json"));
	const dependencies = { vlane: `file:${tarball}` };
	const runtime = Object.entries<{ dev?: boolean }>(packages).filter(([path, { dev }]) => path !== "" && !dev);
	const { version, bin, dependencies: needed, optionalDependencies, engines, os } = packages[""];
	const self = { version, resolved: dependencies.vlane, bin, dependencies: needed, optionalDependencies, engines, os };
	return {
		project: { name: "empty", private: true, dependencies },
		lock: {
			name: "empty",
			lockfileVersion,
			requires: true,
			packages: { "": { name: "empty", dependencies }, "node_modules/vlane": self, ...Object.fromEntries(runtime) },
		},
	};
}

tests.before(() => {
	directory = mkdtempSync(join(tmpdir(), "vlane-package-"));
	onCleanup(() => rmSync(directory, { recursive: true, force: true }));
});

tests.after(() => rmSync(directory, { recursive: true, force: true }));

testOrSkip(tests, "holds what it needs and nothing of the workshop", NEED, () => {
	const [packed] = JSON.parse(must(["npm", "pack", ROOT, "--json", "--silent", "--pack-destination", directory]));
	const files: string[] = packed.files.map(({ path }: { path: string }) => path);
	for (const path of ["bin/vlane.js", "build/core.wasm", "include/vlane_core.h", "examples/learning-switch.mjs"]) {
		assert.ok(files.includes(path), path);
	}
	const directories = /^(bin|build|dist\/(src|assembly|dashboard|man)|examples|include)\//;
	const single = ["README.md", "CHANGELOG.md", "LICENSE", "package.json"];
	const isAllowed = (path: string): boolean => directories.test(path) || single.includes(path);
	assert.equal(
		files.filter((path) => !isAllowed(path) || /\.map$|\.test\.|debug|(^|\/)\.[^/]*$/.test(path)),
		[],
	);
	copyFileSync(join(directory, packed.filename), join(directory, "vlane.tgz"));
});

testOrSkip(tests, "installs without a compiler", NEED, () => {
	const bin = join(directory, "path");
	mkdirSync(bin);
	for (const tool of TOOLS) symlinkSync(which(tool) ?? process.execPath, join(bin, tool));
	env = {
		PATH: bin,
		CC: "/nonexistent",
		CXX: "/nonexistent",
		PYTHON: "/nonexistent",
		npm_config_update_notifier: "false",
	};
	const { project, lock } = lockOf("vlane.tgz");
	writeFileSync(join(directory, "package.json"), JSON.stringify(project));
	writeFileSync(join(directory, "package-lock.json"), JSON.stringify(lock));
	const npm = ["npm", "ci", "--prefix", directory, "--prefer-offline", "--no-audit", "--no-fund"];
	const { status, stdout, stderr } = run(npm, { env });
	assert.is(status, 0, stdout + stderr);
	assert.not.ok(existsSync(join(directory, "node_modules/raw-socket/build/Release/raw.node")), "nothing was compiled");
	assert.not.ok(existsSync(join(directory, "node_modules/typescript")), "no tools of the workshop");
	env.PATH = `${join(directory, "node_modules/.bin")}:${bin}`;
});

testOrSkip(tests, "the command line runs", NEED, () => {
	const { version } = json(join(ROOT, "package.json"));
	assert.is(must(["vlane", "--version"], { env }), `vlane version ${version}\n`);
});

testOrSkip(tests, "two containers of a network ping each other", NEED, async () => {
	const ns = new Namespace("package");
	const host = `unix://${join(directory, "vlane.sock")}`;
	const daemon = ns.start(
		["vlane", "daemon", "--socket", join(directory, "vlane.sock"), "--state-dir", join(directory, "state")].concat([
			"--docker-plugin-dir",
			"none",
		]),
		{ env },
	);
	try {
		await daemon.waitFor(/vlane daemon ready/);
		const vlane = (...argv: string[]) => ns.must(["vlane", "-H", host, ...argv], { env });
		vlane("network", "create", "--subnet=10.9.0.0/24", "local");
		vlane("run", "--net=local", "--name=one", "-d", "sleep", "infinity");
		assert.match(vlane("run", "--net=local", "--rm", "ping", "-c", "1", "10.9.0.1"), "1 received");
		assert.match(vlane("ping", "--in", "one", "-c", "1", "10.9.0.1"), "1 received");
		vlane("rm", "-f", "one");
		vlane("network", "rm", "local");
	} finally {
		await daemon.stop();
		ns.close();
	}
});

testOrSkip(tests, "programs use the library, with types", NEED, () => {
	const example = join(directory, "learning-switch.mjs");
	copyFileSync(join(directory, "node_modules/vlane/examples/learning-switch.mjs"), example);
	assert.is(must(["node", example], { env }).split("\n").length, 5);
	writeFileSync(
		join(directory, "use.ts"),
		'import { createSwitch } from "vlane";\nawait (await createSwitch({ offline: true })).close();\n',
	);
	const options = ["--module", "nodenext", "--target", "es2023", "--strict", "--noEmit", "--types", "node"];
	options.push("--typeRoots", join(ROOT, "node_modules/@types"));
	const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
	must([process.execPath, tsc, ...options, join(directory, "use.ts")]);
	assert.ok(existsSync(join(dirname(example), "node_modules/vlane/include/vlane_core.h")));
});

tests.run();
