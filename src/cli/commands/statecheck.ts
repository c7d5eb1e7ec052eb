/** `vlane state check`. */
import { checkState } from "../../control/records/stateexport.js";
import { EXIT_FAILED } from "../errors.js";
import { printLine } from "../output.js";
import { DEFAULT_STATE_DIR, type Invocation } from "../table/spec.js";

/** Prints what is wrong with the state directory's records, one line each. */
export async function run({ flags }: Invocation): Promise<number> {
	const stateDir = flags.string("state-dir") ?? DEFAULT_STATE_DIR;
	const problems = await checkState(stateDir);
	for (const problem of problems) printLine(problem);
	if (problems.length > 0) return EXIT_FAILED;
	printLine(`state directory ${stateDir} is consistent`);
	return 0;
}
