/** `vlane docker status`. */
import { checkDocker } from "../../docker/check.js";
import { EXIT_FAILED } from "../errors.js";
import { printLine } from "../output.js";
import { DEFAULT_PLUGIN_DIR, DOCKER_SOCKET, type Invocation } from "../table/spec.js";

/** Prints one line for each thing that was looked at; fails when one is wrong. */
export async function run({ flags }: Invocation): Promise<number> {
	const directory = flags.string("docker-plugin-dir") ?? DEFAULT_PLUGIN_DIR;
	const findings = await checkDocker(directory, flags.string("docker-socket") ?? DOCKER_SOCKET);
	for (const { isGood, text } of findings) printLine(`${isGood ? "ok" : "failed"}\t${text}`);
	return findings.every(({ isGood }) => isGood) ? 0 : EXIT_FAILED;
}
