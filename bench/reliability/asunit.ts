/** Starting a daemon as its systemd unit does. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DAEMON_CAPABILITIES } from "../../src/control/capabilities.js";
import { SPARING_ARGV } from "../../src/sys/memory.js";
import { onCleanup } from "../../test/support/cleanup.js";
import type { Namespace } from "../../test/support/netns.js";
import { startVlaneBehind, type Vlane } from "../../test/support/vlane.js";

/**
 * With five capabilities, and none to gain: who has more begins a second time without them (ADR 27). Without what the
 * surroundings of a measurement may have told Node: to read a machine's certificates takes as long as to start it.
 */
const prefix = (cache: string): string[] => [
	...["nice", "-n", "-10"],
	...["env", "-u", "NODE_EXTRA_CA_CERTS", `CACHE_DIRECTORY=${cache}`],
	...["setpriv", "--no-new-privs", "--inh-caps=-all"],
	`--bounding-set=-all,${DAEMON_CAPABILITIES.map((name) => `+${name.slice("CAP_".length).toLowerCase()}`).join(",")}`,
];

/** As `startVlane`; Node with the flags that the unit gives it, and a directory for what V8 has compiled. */
export function startAsUnit(host: Namespace, ...daemonArguments: string[]): Promise<Vlane> {
	process.env.VLANE_TEST_NODE_ARGV = SPARING_ARGV.join(" ");
	const cache = mkdtempSync(join(tmpdir(), "vlane-cache-"));
	onCleanup(() => rmSync(cache, { recursive: true, force: true }));
	return startVlaneBehind(prefix(cache), host, ...daemonArguments);
}
