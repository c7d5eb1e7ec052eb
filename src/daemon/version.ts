/** Which version of vlane this is. */
import { readFileSync } from "node:fs";

/** The package's. */
export function readVersion(): string {
	// package.json is three directories above dist/src/daemon.
	const file = new URL("../../../package.json", import.meta.url);
	return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
