/** `vlane stop`. */
import type { StopContainerBody } from "../../control/request/schema.js";
import { Client, resource } from "../client.js";
import { forEachArgument } from "../each.js";
import { UsageError } from "../errors.js";
import type { Invocation } from "../table/spec.js";

/** Stops containers; prints each name as it was given. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const seconds = flags.int("timeout");
	if (seconds !== undefined && seconds < 0) {
		throw new UsageError(`invalid argument "${seconds}" for "-t, --timeout" flag: must not be negative`);
	}
	const body: StopContainerBody = seconds === undefined ? {} : { TimeoutSeconds: seconds };
	const client = new Client(host);
	return await forEachArgument(args, async (reference) => {
		await client.post(resource("containers", reference, "/stop"), body);
		return true;
	});
}
