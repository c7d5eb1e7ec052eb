/** Flags of what measures. */

/** The whole number behind a flag; without one, the process ends with status 2. */
export function flag(name: string, otherwise: number): number {
	const at = process.argv.indexOf(name);
	const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
	if (Number.isInteger(value) && value > 0) return value;
	console.error(`${name} needs a whole number above 0`);
	process.exit(2);
}
