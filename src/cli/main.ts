/**
 * `vlane`: from the command line to an exit code.
 */

import { readVersion } from "../daemon/version.js";
import {
	CliError,
	EXIT_BEFORE_COMMAND,
	EXIT_FAILED,
	EXIT_INTERRUPTED,
	EXIT_USAGE,
	messageOf,
	UsageError,
} from "./errors.js";
import { print, printError, printLine } from "./output.js";
import { CommandLineError, type Request, readCommandLine } from "./program.js";
import { type CommandSpec, DEFAULT_SOCKET } from "./table/spec.js";

/** Runs one command line (without the program's name); returns the exit code. Never throws. */
export async function main(argv: readonly string[]): Promise<number> {
	try {
		return await perform(readCommandLine(argv));
	} catch (error) {
		if (error instanceof CommandLineError) return reportUsage(error.message, error.path, error.spec);
		printError(messageOf(error));
		return EXIT_FAILED;
	}
}

async function perform(request: Request): Promise<number> {
	if (request.kind === "version") {
		printLine(`vlane version ${readVersion()}`);
		return 0;
	}
	if (request.kind === "help") {
		await printHelp(request.path);
		return 0;
	}
	const { spec, args, flags, globals } = request;
	if (!spec.handlesInterrupt) process.once("SIGINT", () => process.exit(EXIT_INTERRUPTED));
	try {
		const { run } = await spec.load();
		const host = globals.string("host") ?? (process.env.VLANE_HOST || `unix://${DEFAULT_SOCKET}`);
		return await run({ args, flags, host });
	} catch (error) {
		if (error instanceof UsageError) return reportUsage(error.message, spec.path, spec);
		const code = (error instanceof CliError ? error.exitCode : undefined) ?? failureCode(spec, EXIT_FAILED);
		// As docker does: what might be taken for COMMAND's own words is marked as ours.
		printError(`${spec.failsBeforeCommand && code !== EXIT_FAILED ? "vlane: " : ""}${messageOf(error)}`);
		return code;
	}
}

function reportUsage(message: string, path: string, spec: CommandSpec | undefined): number {
	printError(message);
	printError(`See '${path === "" ? "vlane" : `vlane ${path}`} --help'.`);
	return failureCode(spec, EXIT_USAGE);
}

function failureCode(spec: CommandSpec | undefined, code: number): number {
	return spec?.failsBeforeCommand ? EXIT_BEFORE_COMMAND : code;
}

async function printHelp(path: string): Promise<void> {
	const { commandHelp, groupHelp, rootHelp } = await import("./help.js");
	const { specOf } = await import("./program.js");
	const spec = specOf(path);
	print(spec !== undefined ? commandHelp(spec) : path === "" ? rootHelp() : groupHelp(path));
}
