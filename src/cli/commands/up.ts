/** `vlane up`. */
import { Client } from "../client.js";
import { declarationOf } from "../declare/arguments.js";
import { planSteps, readPresent, takeSteps } from "../declare/converge.js";
import { printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Makes what the file declares, changes what differs, removes what it no longer names; prints each change. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const client = new Client(host);
	const steps = planSteps(client, declarationOf(flags), await readPresent(client));
	if (!flags.bool("dry-run")) await takeSteps(steps, printLine);
	else for (const { line } of steps) if (line !== undefined) printLine(line);
	return 0;
}
