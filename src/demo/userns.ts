/** Being root without being root: user, network and mount namespaces of one's own. */
import { spawnSync } from "node:child_process";

/** Set in the copy of this process that runs in a user namespace. */
const INSIDE = "VLANE_DEMO_USERNS";

/**
 * Starts this process again as root of new user, network and mount namespaces (util-linux; a process with threads can
 * not do it itself); answers its exit code.
 * @throws Error when the machine does not allow it
 */
export function becomeRoot(): number {
	if (process.env[INSIDE]) throw new Error("the user namespace did not make this process root: run it as root");
	const args = ["--user", "--map-root-user", "--net", "--mount", process.execPath, ...process.argv.slice(1)];
	const { status, error } = spawnSync("unshare", args, { stdio: "inherit", env: { ...process.env, [INSIDE]: "1" } });
	if (error) throw new Error(`unshare (util-linux) is needed to run without root: ${error.message}; or run it as root`);
	return status ?? 1;
}
