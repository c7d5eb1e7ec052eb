/**
 * The documents for users, typed: every example runs from the top to the bottom in one session, against a real daemon
 * on a LAN that is as the tutorial assumes, and prints what the document shows.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { examples, isShown, readDocument } from "../support/docs.js";
import { type Lan, makeLan, PARENT } from "../support/lan.js";
import { needs, testOrSkip } from "../support/needs.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const BIN = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
const DOCUMENTS = ["README.md", "docs/tutorial.md", "docs/howto.md"];
const typed = suite("documents, typed");
const need = { root: true, tun: true, tools: ["ip", "nsenter", "ping", "sh", "unshare"] };

let lan: Lan;
let vlane: Vlane;
let env: Record<string, string>;
let pristine: string;

/** What the documents promise to leave alone. */
function hostView(): string {
	return ["link", "address", "route"].map((what) => lan.host.must(["ip", what, "show"])).join("\n");
}

/** A directory for PATH with nothing but `vlane` in it. */
function makeCommand(directory: string): string {
	mkdirSync(directory);
	const command = join(directory, "vlane");
	writeFileSync(command, `#!/bin/sh\nexec ${process.execPath} ${BIN} "$@"\n`);
	chmodSync(command, 0o755);
	return directory;
}

typed.before(async () => {
	if (needs(need)) return;
	lan = await makeLan({ vlans: [50, 60, 218] });
	lan.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", PARENT]);
	lan.station(undefined, ["172.16.86.1/24", "192.168.32.254/24"]);
	lan.station(50, ["192.168.50.1/24"]);
	lan.station(60, ["192.168.60.1/24"]);
	lan.station(218, ["192.168.216.1/24", "192.168.218.1/24", "2001:db8:abc8::10/64"]);
	pristine = hostView();
	vlane = await startVlane(lan.host);
	const bin = makeCommand(join(vlane.directory, "bin"));
	env = { PATH: `${bin}${delimiter}${process.env.PATH}`, VLANE_HOST: `unix://${vlane.socket}` };
});

typed.after(async () => {
	if (needs(need)) return;
	await vlane.cleanup();
	lan.close();
});

for (const document of DOCUMENTS) {
	for (const { heading, line, script, expected } of examples(readDocument(document))) {
		testOrSkip(typed, `${document}: ${heading}, line ${line}`, need, () => {
			const { status, stdout } = lan.host.run(["sh", "-c", `exec 2>&1\n${script}`], { env });
			if (expected === undefined) assert.is(status, 0, stdout);
			else if (!isShown(expected, stdout)) assert.is(stdout, expected);
		});
	}
}

testOrSkip(typed, "the host is as it was", need, () => {
	assert.is(vlane.must("ps", "-aq"), "");
	assert.is(vlane.must("network", "ls", "-q"), "");
	assert.is(hostView(), pristine);
});

typed.run();
