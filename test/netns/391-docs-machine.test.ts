/**
 * The documents' `bash` blocks, typed as root on a machine where nothing of vlane is installed yet: the checkout is the
 * working directory, `eth0` leads to the LAN that the documents assume, and /usr/local/bin, /var/lib, /run, /opt and
 * the home directory are empty. Each document is a session of its own. `vlane daemon`, which stays in the foreground,
 * goes to the background, and the one that ran before is ended first.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { documents, type Example, examples, readDocument } from "../support/docs.js";
import { makeLan, PARENT } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const need = { root: true, tun: true, tools: ["bash", "ip", "mount", "npm", "ping", "unshare"] };
const machine = suite("documents, on a machine of their own");

/** Makes the machine empty, and gives the session its words. */
const PROLOGUE = `set -eu
mount -t tmpfs tmpfs /usr/local/bin
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /opt
mkdir -p /opt/cni/bin "$HOME"
CHECKOUT=$PWD
daemon=
end_daemon() {
	[ -z "$daemon" ] || { kill "$daemon"; wait "$daemon" || true; }
	daemon=
}
start_daemon() {
	end_daemon
	: > "$HOME/daemon.log"
	vlane daemon "$@" 2> "$HOME/daemon.log" &
	daemon=$!
	until grep -q "daemon ready on" "$HOME/daemon.log"; do
		kill -0 "$daemon" || { cat "$HOME/daemon.log"; exit 1; }
		sleep 0.05
	done
}
end_session() {
	[ -z "$daemon" ] || vlane rm -f $(vlane ps -aq) > /dev/null 2>&1 || true
	end_daemon
}
trap end_session EXIT
`;

/** What README.md does first, for the other documents. */
const INSTALLED = 'ln -s "$PWD/bin/vlane.js" /usr/local/bin/vlane\n';

/** What has to be there before a document's first block. */
const BEFORE: Record<string, string> = {
	"README.md": "",
	"docs/observe.md": `${INSTALLED}start_daemon\ncd "$HOME"\n`,
	"docs/reliability.md": `${INSTALLED}start_daemon\nvlane network create x\nend_daemon\ncd "$HOME"\n`,
};

/** Blocks for Docker are typed where there is an engine: 600-docker-tutorial. */
function blocksOf(document: string): Example[] {
	return examples(readDocument(document), "bash").filter(({ script }) => !script.startsWith("docker "));
}

function sessionOf(document: string, blocks: Example[]): string {
	const lines = blocks.flatMap(({ line, script }) => {
		const typed = script.replace(/^vlane daemon/gm, "start_daemon").replace('"$PWD/', '"$CHECKOUT/');
		return [`echo "== line ${line}"`, typed];
	});
	return [PROLOGUE, BEFORE[document] ?? INSTALLED, ...lines].join("\n");
}

for (const document of documents()) {
	const blocks = blocksOf(document);
	if (blocks.length === 0) continue;
	testOrSkip(machine, `${document}: lines ${blocks.map(({ line }) => line).join(", ")}`, need, async () => {
		const lan = await makeLan({ vlans: [50] });
		const directory = mkdtempSync(join(tmpdir(), "vlane-docs-"));
		onCleanup(() => rmSync(directory, { recursive: true, force: true }));
		try {
			lan.host.must(["ip", "address", "add", "172.16.86.250/24", "dev", PARENT]);
			lan.station(undefined, ["172.16.86.1/24"]);
			const script = join(directory, "session");
			writeFileSync(script, sessionOf(document, blocks));
			const home = join(directory, "home");
			mkdirSync(home);
			const env = { HOME: home, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
			const enter = `cd ${ROOT} && exec bash ${script} 2>&1`;
			const { status, stdout } = lan.host.run(["unshare", "--mount", "sh", "-c", enter], { env });
			assert.is(status, 0, stdout);
		} finally {
			lan.close();
			rmSync(directory, { recursive: true, force: true });
		}
	});
}

machine.run();
