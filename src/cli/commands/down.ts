/** `vlane down`. */
import { Client } from "../client.js";
import { projectOf } from "../declare/arguments.js";
import { planSteps, readPresent, takeSteps } from "../declare/converge.js";
import { printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Removes everything that `vlane up` made for the project. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const client = new Client(host);
	const nothing = { project: projectOf(flags), networks: [], endpoints: [] };
	await takeSteps(planSteps(client, nothing, await readPresent(client)), printLine);
	return 0;
}
