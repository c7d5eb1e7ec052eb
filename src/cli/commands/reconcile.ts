/** `vlane reconcile`. */
import { Client } from "../client.js";
import { EXIT_FAILED } from "../errors.js";
import { printError, printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Prints what was repaired, and on standard error what could not be. */
export async function run({ host }: Invocation): Promise<number> {
	const { Done, Left } = await new Client(host).post<{ Done: string[]; Left: string[] }>("/reconcile", {});
	for (const line of Done) printLine(line);
	for (const line of Left) printError(line);
	if (Left.length > 0) return EXIT_FAILED;
	if (Done.length === 0) printLine("everything is as it should be");
	return 0;
}
