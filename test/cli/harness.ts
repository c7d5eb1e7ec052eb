/**
 * Spawns the real `vlane` and, where a daemon is needed, answers as one on a unix socket.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The program under test; this file is compiled to dist/test/cli. */
export const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));

export interface Outcome {
	status: number | null;
	stdout: string;
	stderr: string;
}

export interface SpawnOptions {
	/** Becomes VLANE_HOST; by default a socket that does not exist. */
	host?: string;
	/** Standard input; by default empty. */
	stdin?: string;
	/** Runs as this user. */
	uid?: number;
	/** Words before `node vlane`, such as `unshare --net`. */
	prefix?: string[];
	env?: Record<string, string>;
	/** Standard input stays open, and SIGINT is sent when standard output first ends with this. */
	interruptAt?: string;
}

export const NO_DAEMON = "unix:///nonexistent/vlane.sock";

/** Runs `vlane` with `args` to its end. */
export function vlane(args: string[], options: SpawnOptions = {}): Promise<Outcome> {
	const [program = "", ...rest] = [...(options.prefix ?? []), process.execPath, VLANE, ...args];
	const { VLANE_HOST: _, ...inherited } = process.env;
	const child = spawn(program, rest, {
		env: { ...inherited, VLANE_HOST: options.host ?? NO_DAEMON, ...options.env },
		...(options.uid !== undefined && { uid: options.uid }),
	});
	const outcome = { status: null as number | null, stdout: "", stderr: "" };
	let interruptAt = options.interruptAt;
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		outcome.stdout += text;
		if (interruptAt === undefined || !outcome.stdout.endsWith(interruptAt)) return;
		interruptAt = undefined;
		child.kill("SIGINT");
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		outcome.stderr += text;
	});
	child.stdin.on("error", () => {}); // a program that does not read its input is no error
	if (options.interruptAt === undefined) child.stdin.end(options.stdin ?? "");
	return new Promise((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (status) => resolve({ ...outcome, status }));
	});
}

/** What the fake daemon was asked: `METHOD /path`, and the body's JSON. */
export interface Asked {
	request: string;
	body: unknown;
}

/** Status and JSON of an answer. */
export type Answer = [status: number, body?: unknown];

export interface FakeDaemon {
	/** `unix:///path` of the socket. */
	host: string;
	socket: string;
	/** A directory that is removed at the end. */
	directory: string;
	asked: Asked[];
	close(): Promise<void>;
}

/** A daemon that answers from a table by `METHOD /path`; what is not in it is a 404. */
export async function fakeDaemon(routes: Record<string, Answer | ((body: unknown) => Answer)>): Promise<FakeDaemon> {
	const directory = mkdtempSync(join(tmpdir(), "vlane-cli-"));
	const socket = join(directory, "vlane.sock");
	const asked: Asked[] = [];
	const server = createServer((incoming, response) => {
		let text = "";
		incoming.setEncoding("utf8").on("data", (chunk: string) => {
			text += chunk;
		});
		incoming.on("end", () => {
			const request = `${incoming.method} ${incoming.url}`;
			const body: unknown = text === "" ? undefined : JSON.parse(text);
			asked.push({ request, body });
			const route = routes[request];
			const answer = typeof route === "function" ? route(body) : route;
			const [status, value] = answer ?? [404, { message: `${incoming.url} not found` }];
			response.writeHead(status, { "Content-Type": "application/json" });
			response.end(value === undefined ? "" : JSON.stringify(value));
		});
	});
	await new Promise<void>((resolve) => server.listen(socket, resolve));
	return {
		host: `unix://${socket}`,
		socket,
		directory,
		asked,
		close: () =>
			new Promise((resolve) => {
				server.close(() => {
					rmSync(directory, { recursive: true, force: true });
					resolve();
				});
				server.closeAllConnections();
			}),
	};
}

/** Runs `use` against a fake daemon and takes it down again, whatever happens. */
export async function withDaemon(
	routes: Record<string, Answer | ((body: unknown) => Answer)>,
	use: (daemon: FakeDaemon) => Promise<void>,
): Promise<void> {
	const daemon = await fakeDaemon(routes);
	try {
		await use(daemon);
	} finally {
		await daemon.close();
	}
}
