/** `vlane state export`. */
import { exportState } from "../../control/records/stateexport.js";
import { print } from "../output.js";
import { DEFAULT_STATE_DIR, type Invocation } from "../table/spec.js";

/** Prints the state directory's records as JSON, also while a daemon uses them. */
export async function run({ flags }: Invocation): Promise<number> {
	print(await exportState(flags.string("state-dir") ?? DEFAULT_STATE_DIR));
	return 0;
}
