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
	for (const path of ["bin/vlane.js", "dist/cni/vlane-cni.cjs", "build/core.wasm", "include/vlane_core.h"]) {
		assert.ok(files.includes(path), path);
	}
	const directories = /^(bin|build|dist\/(src|vlane|assembly|cni|dashboard|man)|examples|include)\//;
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

/** A daemon of this `vlane`, and two containers that it connects. */
async function connects(vlane: string, where: string): Promise<void> {
	const ns = new Namespace("package");
	const socket = join(directory, `${where}.sock`);
	const state = join(directory, `${where}.state`);
	const options = ["--socket", socket, "--state-dir", state, "--docker-plugin-dir", "none"];
	const daemon = ns.start([vlane, "daemon", ...options], { env });
	try {
		await daemon.waitFor(/vlane daemon ready/);
		const must = (...argv: string[]) => ns.must([vlane, "-H", `unix://${socket}`, ...argv], { env });
		must("network", "create", "--subnet=10.9.0.0/24", "local");
		must("run", "--net=local", "--name=one", "-d", "sleep", "infinity");
		assert.match(must("run", "--net=local", "--rm", "ping", "-c", "1", "10.9.0.1"), "1 received");
		assert.match(must("ping", "--in", "one", "-c", "1", "10.9.0.1"), "1 received");
		must("rm", "-f", "one");
		must("network", "rm", "local");
	} finally {
		await daemon.stop();
		ns.close();
	}
}

testOrSkip(tests, "two containers of a network ping each other", NEED, () => connects("vlane", "npm"));

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

const DEBIAN = { ...NEED, tools: [...NEED.tools, "dpkg", "dpkg-deb"] };

testOrSkip(tests, "a Debian package is installed by dpkg, and runs", DEBIAN, async () => {
	const deb = must([process.execPath, join(ROOT, "scripts/deb.mjs"), directory]).trim();
	const root = join(directory, "root");
	for (const name of ["info", "updates"]) mkdirSync(join(root, "var/lib/dpkg", name), { recursive: true });
	writeFileSync(join(root, "var/lib/dpkg/status"), "");
	// Node is the machine's here, and no package below this root.
	must(["dpkg", "--root", root, "--force-depends", "--install", deb]);
	assert.match(must(["dpkg", "--root", root, "--status", "vlane"]), /^Status: install ok installed$/m);
	const files = must(["dpkg", "--root", root, "--listfiles", "vlane"]).split("\n");
	for (const path of [
		"/usr/bin/vlane",
		"/usr/share/man/man1/vlane.1.gz",
		"/usr/share/bash-completion/completions/vlane",
		"/lib/systemd/system/vlane.service",
	]) {
		assert.ok(files.includes(path), path);
	}
	assert.equal(
		files.filter((path) => /typescript|raw-socket/.test(path)),
		[],
	);
	const { version } = json(join(ROOT, "package.json"));
	assert.is(must([join(root, "usr/bin/vlane"), "--version"], { env }), `vlane version ${version}\n`);
	await connects(join(root, "usr/bin/vlane"), "deb");
	must(["dpkg", "--root", root, "--purge", "vlane"]);
	assert.not.ok(existsSync(join(root, "usr/lib/vlane")), "nothing is left");
});

tests.run();
