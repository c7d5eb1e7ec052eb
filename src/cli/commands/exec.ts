/** `vlane exec`. */
import type { ApiContainer } from "../../control/types.js";
import { Client, resource } from "../client.js";
import { become, enterContainer, requireTerminal, settleStdin } from "../container.js";
import { CliError } from "../errors.js";
import type { Invocation } from "../table/spec.js";

/** Runs COMMAND in the namespaces of a running container. Returns only by throwing. */
export async function run({ args, flags, host }: Invocation): Promise<never> {
	const [reference = "", ...command] = args;
	requireTerminal(flags);
	enterContainer(await runningPid(new Client(host), reference));
	settleStdin(flags);
	become(command);
}

/** Process id of a running container. @throws CliError when it does not run */
export async function runningPid(client: Client, reference: string): Promise<number> {
	const container = await client.get<ApiContainer>(resource("containers", reference));
	if (container.State !== "running") throw new CliError(`container ${container.Name} is not running`);
	return container.Pid;
}
