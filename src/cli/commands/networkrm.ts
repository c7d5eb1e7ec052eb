/** `vlane network rm`. */
import { Client, DaemonError, resource } from "../client.js";
import { forEachArgument } from "../each.js";
import type { Invocation } from "../table/spec.js";

const NOT_FOUND = 404;

/** Removes networks; prints each name as it was given. With --force a missing network is no error. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const client = new Client(host);
	return await forEachArgument(args, async (reference) => {
		try {
			await client.delete(resource("networks", reference, flags.bool("force") ? "?force=1" : ""));
			return true;
		} catch (error) {
			if (flags.bool("force") && error instanceof DaemonError && error.status === NOT_FOUND) return false;
			throw error;
		}
	});
}
