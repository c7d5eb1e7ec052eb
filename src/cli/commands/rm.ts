/** `vlane rm`. */
import { Client, resource } from "../client.js";
import { forEachArgument } from "../each.js";
import { sweepLogs } from "../logs.js";
import type { Invocation } from "../table/spec.js";

/** Removes containers; prints each name as it was given. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const client = new Client(host);
	const query = flags.bool("force") ? "?force=1" : "";
	const code = await forEachArgument(args, async (reference) => {
		await client.delete(resource("containers", reference, query));
		return true;
	});
	await sweepLogs(client);
	return code;
}
