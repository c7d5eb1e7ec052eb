/** `vlane network disconnect`. */
import type { DisconnectBody } from "../../control/request/schema.js";
import { Client, resource } from "../client.js";
import type { Invocation } from "../table/spec.js";

/** Takes a container's or namespace's interface on a network away. Silent. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const [network = "", target = ""] = args;
	const body: DisconnectBody = { Target: target, ...(flags.bool("force") && { Force: true }) };
	await new Client(host).post(resource("networks", network, "/disconnect"), body);
	return 0;
}
