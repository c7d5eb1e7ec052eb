/**
 * `run -d`: a detached copy of this command line becomes the container and tells us over a pipe how it went.
 *
 * The copy writes its container's id, then, only if something fails, the error. The pipe is close-on-exec in the copy:
 * its end without an error means that COMMAND runs.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { close, F_SETFD, FD_CLOEXEC, fcntl, SOCK_CLOEXEC, SOCK_DGRAM, socket } from "../sys/libc.js";
import type { Client } from "./client.js";
import { OPEN_FILES_VARIABLE, openFilesOfCaller } from "./container.js";
import { CliError, EXIT_BEFORE_COMMAND, messageOf } from "./errors.js";
import { logFile, makeLogDirectory } from "./logs.js";

/** Names the descriptor of the pipe in the copy's environment; taken out before COMMAND sees it. */
const REPORT_VARIABLE = "VLANE_REPORT_FD";
const REPORT_FD = 3;

const AF_UNIX = 1;

type Report = { id: string } | { error: string; exitCode: number };

/**
 * Starts the detached copy and waits until COMMAND runs in it.
 * @param keepStdin COMMAND's standard input never ends (-i, -t) instead of being empty.
 * @returns The container's id.
 * @throws CliError with what the copy reported.
 */
export async function startDetached(client: Client, keepStdin: boolean): Promise<string> {
	const directory = await makeLogDirectory(client);
	const temporary = join(directory, `${randomBytes(8).toString("hex")}.starting`);
	const log = openSync(temporary, "ax", 0o600);
	// A socket that nobody can send to: reading from it waits for ever.
	const stdin = keepStdin ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : "ignore";
	try {
		const copy = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
			detached: true,
			stdio: [stdin, log, log, "pipe"],
			env: {
				...process.env,
				[REPORT_VARIABLE]: String(REPORT_FD),
				[OPEN_FILES_VARIABLE]: String(openFilesOfCaller() ?? ""),
			},
		});
		copy.unref();
		const id = await readReports(copy.stdio[REPORT_FD] as Readable);
		renameSync(temporary, logFile(directory, id));
		return id;
	} catch (error) {
		rmSync(temporary, { force: true });
		throw error;
	} finally {
		closeSync(log);
		if (typeof stdin === "number") close(stdin);
	}
}

async function readReports(pipe: Readable): Promise<string> {
	let text = "";
	for await (const chunk of pipe) text += String(chunk);
	let id: string | undefined;
	for (const line of text.split("\n").filter(Boolean)) {
		const report = JSON.parse(line) as Report;
		if ("error" in report) throw new CliError(report.error, report.exitCode);
		id = report.id;
	}
	if (id === undefined) throw new CliError("the container's process ended before it could start COMMAND");
	return id;
}

/** The copy's end of the pipe. */
export class Reporter {
	/** Undefined in a process that is not a detached copy. */
	static take(): Reporter | undefined {
		if (process.env[REPORT_VARIABLE] !== String(REPORT_FD)) return undefined;
		delete process.env[REPORT_VARIABLE];
		fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
		return new Reporter();
	}

	/** The container exists. */
	created(id: string): void {
		this.#write({ id });
	}

	/** COMMAND will not run; returns the exit code. */
	failed(error: unknown): number {
		const exitCode = (error instanceof CliError ? error.exitCode : undefined) ?? EXIT_BEFORE_COMMAND;
		this.#write({ error: messageOf(error), exitCode });
		return exitCode;
	}

	#write(report: Report): void {
		writeSync(REPORT_FD, `${JSON.stringify(report)}\n`);
	}
}
