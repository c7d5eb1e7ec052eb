/** Which capabilities the daemon has, and when (docs/adr/0027-privileges.md). */
import type { Capability } from "../sys/privileges.js";

/** In effect all the time: interfaces, addresses, raw sockets. */
export const RESTING_CAPABILITIES: readonly Capability[] = ["CAP_NET_ADMIN", "CAP_NET_RAW"];

/** setns(2) into containers takes it, on the way in and out (src/sys/netns.ts). */
export const NEEDED_CAPABILITIES: readonly Capability[] = [...RESTING_CAPABILITIES, "CAP_SYS_ADMIN"];

/**
 * All that the daemon ever has. To look at /proc/PID/ns/net takes CAP_SYS_PTRACE, to end processes of other users in a
 * container CAP_KILL; without these it runs, for what needs neither.
 */
export const DAEMON_CAPABILITIES: readonly Capability[] = [...NEEDED_CAPABILITIES, "CAP_SYS_PTRACE", "CAP_KILL"];
