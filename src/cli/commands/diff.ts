/** `vlane diff`. */
import { Client } from "../client.js";
import { declarationOf } from "../declare/arguments.js";
import { planSteps, readPresent } from "../declare/converge.js";
import { CliError, messageOf, UsageError } from "../errors.js";
import { printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** As diff(1). */
const EXIT_DIFFERENT = 1;
const EXIT_TROUBLE = 2;

/** Prints what `vlane up` would change; 0 when that is nothing, 1 otherwise, 2 when it can not tell. */
export async function run({ flags, host }: Invocation): Promise<number> {
	try {
		const client = new Client(host);
		const steps = planSteps(client, declarationOf(flags), await readPresent(client));
		for (const { line } of steps) if (line !== undefined) printLine(line);
		return steps.length > 0 ? EXIT_DIFFERENT : 0;
	} catch (error) {
		if (error instanceof UsageError) throw error;
		throw new CliError(messageOf(error), EXIT_TROUBLE);
	}
}
