/** Flags of what measures. */

/** The whole number behind a flag, not below `least`; without one, the process ends with status 2. */
export function flag(name: string, otherwise: number, least = 1): number {
	const at = process.argv.indexOf(name);
	const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
	if (Number.isInteger(value) && value >= least) return value;
	console.error(`${name} needs a whole number of at least ${least}`);
	process.exit(2);
}
