/** The far end of a VEPA uplink: a switch that sends frames back to where they came from. */
import { fileURLToPath } from "node:url";
import type { Namespace, Started } from "./netns.js";

const TOOL = fileURLToPath(new URL("./reflector-tool.js", import.meta.url));

/** Starts to send back what arrives on an interface; it ends with the test, or with `stop`. */
export async function startReflector(ns: Namespace, ifname: string): Promise<Started> {
	const reflector = ns.start([process.execPath, TOOL, ifname]);
	await reflector.waitFor(/^ready$/);
	return reflector;
}
