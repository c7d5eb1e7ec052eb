/**
 * `vlane demo`: the tutorial from beginning to end on real frames, in private namespaces, leaving nothing behind.
 *
 * Works as root; an ordinary user becomes root of a user namespace of its own first.
 */
import { Report } from "./report.js";
import { LAN, perform } from "./script.js";
import { Stage } from "./stage.js";
import { becomeRoot } from "./userns.js";

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
