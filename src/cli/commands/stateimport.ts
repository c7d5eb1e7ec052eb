/** `vlane state import`. */
import { readFileSync } from "node:fs";
import { importState } from "../../control/records/stateexport.js";
import { CliError } from "../errors.js";
import { printLine } from "../output.js";
import { DEFAULT_STATE_DIR, type Invocation } from "../table/spec.js";

/** Fills a state directory that no daemon uses. */
export async function run({ args: [file = ""], flags }: Invocation): Promise<number> {
	let text: string;
	try {
		text = readFileSync(file === "-" ? 0 : file, "utf8");
	} catch (error) {
		throw new CliError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
	}
	const stateDir = flags.string("state-dir") ?? DEFAULT_STATE_DIR;
	const count = await importState(stateDir, text, flags.bool("force") ?? false);
	printLine(`${count} records imported into ${stateDir}`);
	return 0;
}
