/**
 * `vlane demo`: the tutorial from beginning to end on real frames, in private namespaces, leaving nothing behind.
 *
 * Works as root; an ordinary user becomes root of a user namespace of its own first.
 */
import { spawnSync } from "node:child_process";
import { Report } from "./report.js";
import { LAN, perform } from "./script.js";
import { Stage } from "./stage.js";

/** Set in the copy of this process that runs in a user namespace. */
const INSIDE = "VLANE_DEMO_USERNS";

/** Runs the demo; answers the exit code: 0 when every statement held. */
export async function runDemo(): Promise<number> {
	if (process.getuid?.() !== 0) return becomeRoot();
	const startMs = performance.now();
	using stage = new Stage();
	const kill = () => stage.kill();
	const interrupted = (signal: NodeJS.Signals) => {
		kill();
		process.exit(signal === "SIGINT" ? 130 : 143);
	};
	process.on("exit", kill).on("SIGINT", interrupted).on("SIGTERM", interrupted);
	const report = new Report();
	try {
		await stage.build(LAN.parentAddress, LAN.untagged);
		for (const { vid, gateways } of LAN.vlans) await stage.addVlan(vid, gateways);
		await stage.startDaemon();
		await perform(stage, report);
	} finally {
		await stage.close();
		process.off("exit", kill).off("SIGINT", interrupted).off("SIGTERM", interrupted);
	}
	return report.close(performance.now() - startMs) ? 0 : 1;
}

/**
 * Starts the demo again as root of new user, network and mount namespaces (util-linux; a process with threads can not
 * do it itself).
 */
function becomeRoot(): number {
	if (process.env[INSIDE]) throw new Error("the user namespace did not make this process root: run the demo as root");
	const args = ["--user", "--map-root-user", "--net", "--mount", process.execPath, ...process.argv.slice(1)];
	const { status, error } = spawnSync("unshare", args, { stdio: "inherit", env: { ...process.env, [INSIDE]: "1" } });
	if (error)
		throw new Error(`unshare (util-linux) is needed to run without root: ${error.message}; or run the demo as root`);
	return status ?? 1;
}
