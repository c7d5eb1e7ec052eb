/**
 * What detached containers write: one file per container id in the daemon's state directory.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ApiContainer } from "../control/types.js";
import type { Client } from "./client.js";

/** The directory of the log files; it need not exist. */
export async function logDirectory(client: Client): Promise<string> {
	const { StateDir } = await client.get<{ StateDir: string }>("/info");
	return join(StateDir, "logs");
}

/** Makes the directory of the log files, for its owner only. */
export async function makeLogDirectory(client: Client): Promise<string> {
	const directory = await logDirectory(client);
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	return directory;
}

/** Name of a container's log file. */
export function logFile(directory: string, containerId: string): string {
	return join(directory, `${containerId}.log`);
}

/**
 * Removes the log files of containers that are gone: with --rm they go without anybody calling. A file gets its
 * container's id only once the daemon knows the container, so files are read first, then containers.
 */
export async function sweepLogs(client: Client): Promise<void> {
	const directory = await logDirectory(client);
	let files: string[];
	try {
		files = readdirSync(directory).filter((file) => /^[0-9a-f]{64}\.log$/.test(file));
	} catch {
		return; // No detached container has ever run here.
	}
	const containers = await client.get<ApiContainer[]>("/containers?all=1");
	const kept = new Set(containers.map(({ Id }) => `${Id}.log`));
	for (const file of files) if (!kept.has(file)) rmSync(join(directory, file), { force: true });
}
