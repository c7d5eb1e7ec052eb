/** `vlane completion`. */
import { Client } from "../client.js";
import { complete, namesFrom } from "../completion.js";
import { SCRIPTS } from "../completionscripts.js";
import { UsageError } from "../errors.js";
import { print } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Prints a shell's script; `words -- WORD...` is what the scripts ask. */
export async function run({ args, host }: Invocation): Promise<number> {
	const [shell = "", ...words] = args;
	if (shell === "words") {
		const { candidates, shells } = await complete(
			words[0] === "--" ? words.slice(1) : words,
			namesFrom(new Client(host)),
		);
		print(`${candidates.map((candidate) => `${candidate.join("\t")}\n`).join("")}:${shells}\n`);
		return 0;
	}
	const script = Object.hasOwn(SCRIPTS, shell) && words.length === 0 ? SCRIPTS[shell] : undefined;
	if (script === undefined)
		throw new UsageError(`vlane: no completion for '${args.join(" ")}'; there are: bash, fish, zsh`);
	print(script);
	return 0;
}
