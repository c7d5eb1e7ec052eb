/** Starting a daemon as its systemd unit does. */
import { DAEMON_CAPABILITIES } from "../../src/control/capabilities.js";
import { SPARING_ARGV } from "../../src/sys/memory.js";
import type { Namespace } from "../../test/support/netns.js";
import { startVlaneBehind, type Vlane } from "../../test/support/vlane.js";

/**
 * With five capabilities, and none to gain: who has more begins a second time without them (ADR 27). Without what the
 * surroundings of a measurement may have told Node: to read a machine's certificates takes as long as to start it.
 */
const PREFIX = [
	...["env", "-u", "NODE_EXTRA_CA_CERTS", `NODE_OPTIONS=${SPARING_ARGV.join(" ")}`],
	...["setpriv", "--no-new-privs", "--inh-caps=-all"],
	`--bounding-set=-all,${DAEMON_CAPABILITIES.map((name) => `+${name.slice("CAP_".length).toLowerCase()}`).join(",")}`,
];

/** As `startVlane`; Node without the flags that tests give it. */
export function startAsUnit(host: Namespace, ...daemonArguments: string[]): Promise<Vlane> {
	process.env.VLANE_TEST_PLAIN = "1";
	return startVlaneBehind(PREFIX, host, ...daemonArguments);
}
