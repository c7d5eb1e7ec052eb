/**
 * Makes a Debian package: `node scripts/deb.mjs [DIRECTORY]`, after a build. It holds what the npm package holds, and
 * its dependencies; of the system it needs Node. It has no maintainer scripts: `systemctl enable --now vlane` starts
 * it.
 */
import { execFileSync } from "node:child_process";
import {
	chmodSync,
	cpSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { SCRIPTS } from "../dist/src/cli/completionscripts.js";
import { UNIT, unitText } from "../dist/src/docker/systemd.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version, description, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Where each shell looks for completion. */
const COMPLETIONS = {
	bash: "usr/share/bash-completion/completions/vlane",
	fish: "usr/share/fish/vendor_completions.d/vlane.fish",
	zsh: "usr/share/zsh/vendor-completions/_vlane",
};

const run = (command, argv, options = {}) => execFileSync(command, argv, { encoding: "utf8", ...options });
const stage = mkdtempSync(join(tmpdir(), "vlane-deb-"));

function put(path, content, mode = 0o644) {
	mkdirSync(dirname(join(stage, path)), { recursive: true, mode: 0o755 });
	writeFileSync(join(stage, path), content, { mode });
}

/** The npm package, unpacked, with its dependencies beside it. */
function installPackage(directory) {
	const [{ filename }] = JSON.parse(run("npm", ["pack", root, "--json", "--silent", "--pack-destination", stage]));
	mkdirSync(directory, { recursive: true });
	run("tar", ["-xzf", join(stage, filename), "-C", directory, "--strip-components=1", "--no-same-owner"]);
	rmSync(join(stage, filename));
	cpSync(join(root, "package-lock.json"), join(directory, "package-lock.json"));
	// Nothing is compiled: what is native comes prebuilt, and raw-socket is done without.
	const npm = ["ci", "--omit=dev", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--silent"];
	run("npm", npm, { cwd: directory });
	const unused = ["package-lock.json", "dist/man", "node_modules/raw-socket", "node_modules/nan", "node_modules/.bin"];
	for (const path of unused) rmSync(join(directory, path), { recursive: true, force: true });
	chmodSync(join(directory, "bin/vlane.js"), 0o755);
}

function control(architecture, installedBytes) {
	return `Package: vlane
Version: ${version}
Architecture: ${architecture}
Maintainer: vlane <vlane@localhost>
Installed-Size: ${Math.ceil(installedBytes / 1024)}
Depends: nodejs (>= 20.19)
Section: net
Priority: optional
Description: macvlan and 802.1Q networks in user space
 ${description}.
`;
}

try {
	const library = join(stage, "usr/lib/vlane");
	installPackage(library);
	mkdirSync(join(stage, "usr/bin"), { recursive: true });
	symlinkSync("../lib/vlane/bin/vlane.js", join(stage, "usr/bin/vlane"));
	const man = join(root, "dist/man");
	// The same bytes from the same sources: gzip's header has no time in it.
	for (const name of readdirSync(man))
		put(`usr/share/man/man1/${name}.gz`, gzipSync(readFileSync(join(man, name)), { level: 9 }));
	for (const [shell, path] of Object.entries(COMPLETIONS)) put(path, SCRIPTS[shell]);
	const unit = { node: "/usr/bin/node", command: "/usr/lib/vlane/bin/vlane.js", pluginDir: "/run/docker/plugins" };
	put(`lib/systemd/system/${UNIT}`, unitText(unit));
	put("usr/share/doc/vlane/changelog.gz", gzipSync(readFileSync(join(root, "CHANGELOG.md")), { level: 9 }));
	put("usr/share/doc/vlane/copyright", `License: ${license}\n\n${readFileSync(join(root, "LICENSE"), "utf8")}`);
	const bytes = Number(run("du", ["-sb", stage]).split("\t")[0]);
	const architecture = run("dpkg", ["--print-architecture"]).trim();
	put("DEBIAN/control", control(architecture, bytes));
	run("chmod", ["-R", "u+rwX,go+rX,go-w", stage]);
	const output = join(resolve(process.argv[2] ?? "."), `vlane_${version}_${architecture}.deb`);
	run("dpkg-deb", ["--root-owner-group", "--build", stage, output]);
	console.log(output);
} finally {
	rmSync(stage, { recursive: true, force: true });
}
