/** Flags of what measures. */
import { type ParseArgsConfig, parseArgs } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T; allowPositionals: true }>>["values"];

/**
 * The values of options. --help prints the usage and ends the process; a flag that there is not ends it with status 2.
 * @param usage a line that says what to type, and one for each option
 */
export function readOptions<const T extends Options>(usage: string, options: T): Values<T> {
	const args = process.argv.slice(2);
	if (args.includes("--help")) {
		console.log(usage);
		process.exit(0);
	}
	try {
		return parseArgs({ options, args, allowPositionals: true }).values;
	} catch (error) {
		// Node says in further sentences how to write file names that look like flags.
		console.error(`${(error as Error).message.split(". ")[0]}; --help says what there is`);
		process.exit(2);
	}
}

/** The whole number behind a flag, not below `least`; without one, the process ends with status 2. */
export function flag(name: string, otherwise: number, least = 1): number {
	const at = process.argv.indexOf(name);
	const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
	if (Number.isInteger(value) && value >= least) return value;
	console.error(`${name} needs a whole number of at least ${least}`);
	process.exit(2);
}
