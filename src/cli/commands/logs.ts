/** `vlane logs`. */
import { createReadStream, existsSync } from "node:fs";
import type { ApiContainer } from "../../control/types.js";
import { Client, resource } from "../client.js";
import { CliError } from "../errors.js";
import { logDirectory, logFile } from "../logs.js";
import { print } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Prints what a container that was started with -d has written to standard output and standard error. */
export async function run({ args, host }: Invocation): Promise<number> {
	const client = new Client(host);
	const container = await client.get<ApiContainer>(resource("containers", args[0] ?? ""));
	const file = logFile(await logDirectory(client), container.Id);
	if (!existsSync(file)) {
		throw new CliError(
			`container ${container.Name} has no log: it was not started with -d, its output went to the terminal`,
		);
	}
	const decoder = createReadStream(file, { encoding: "utf8" });
	for await (const text of decoder) print(text as string);
	return 0;
}
