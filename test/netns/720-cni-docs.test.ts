/** docs/cni.md, typed: its examples run against a real daemon, and print what it shows. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BIN } from "../support/cni.js";
import { examples, isShown, readDocument } from "../support/docs.js";
import { type Lan, makeLan } from "../support/lan.js";
import { needs, testOrSkip } from "../support/needs.js";
import { run } from "../support/netns.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const document = suite("docs/cni.md");
const need = { root: true, tun: true, tools: ["ip", "ping", "sh", "nsenter"] };

let lan: Lan;
let vlane: Vlane;
let bin: string;

document.before(async () => {
	if (needs(need)) return;
	lan = await makeLan({ vlans: [50] });
	lan.station(50, ["192.168.50.1/24"]);
	vlane = await startVlane(lan.host);
	bin = join(vlane.directory, "bin");
	mkdirSync(bin);
	writeFileSync(join(bin, "node"), `#!/bin/sh\nexec ${process.execPath} "$@"\n`);
	chmodSync(join(bin, "node"), 0o755);
	symlinkSync(BIN, join(bin, "vlane-cni"));
});

document.after(async () => {
	if (needs(need)) return;
	run(["ip", "netns", "del", "vlane-pod"]);
	await vlane?.cleanup();
	lan?.close();
});

for (const { heading, line, script, expected } of examples(readDocument("docs/cni.md"))) {
	testOrSkip(document, `${heading}, line ${line}`, need, () => {
		const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, VLANE_HOST: `unix://${vlane.socket}` };
		// Namespaces that an example names must be visible to the daemon, which `ip netns exec` would not let them be.
		const { stdout } = run(["nsenter", `--net=${lan.host.path}`, "sh", "-c", `exec 2>&1\n${script}`], { env });
		if (!isShown(expected ?? "", stdout)) assert.is(stdout, expected);
	});
}

document.run();
