/** The package's version. */
import { readFileSync } from "node:fs";

export function readVersion(): string {
	// package.json is three directories above dist/src/cli.
	const file = new URL("../../../package.json", import.meta.url);
	return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
