/**
 * HTTP on the socket where Docker looks for its network driver. The socket's name is the driver's. Errors are `{"Err":
 * "..."}` with status 200, which Docker shows as `Error response from daemon: remote: ...`; its address management
 * looks for `Error`.
 */
import { mkdirSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { VlaneError } from "../control/errors.js";
import { type Log, messageOf } from "../control/log.js";
import type { Call } from "../docker/plugin.js";
import { prepareSocket } from "./preflight.js";
import { discardBody, listen, readBody } from "./server.js";

/** Name of the driver, for `docker network create -d`. */
const DRIVER = "vlane";

const CONTENT_TYPE = "application/vnd.docker.plugins.v1.1+json";

/**
 * Starts to answer in a plugin directory, which is made when it is missing.
 * @throws VlaneError conflict (another daemon answers there), invalid, internal
 */
export async function servePlugin(directory: string, calls: ReadonlyMap<string, Call>, log: Log): Promise<Server> {
	const path = join(directory, `${DRIVER}.sock`);
	mkdirSync(directory, { recursive: true, mode: 0o755 });
	await prepareSocket(path);
	const server = createServer((request, response) => void answer(request, response, calls, log));
	await listen(server, path);
	log.info("serving Docker", { socket: path });
	return server;
}

async function answer(
	request: IncomingMessage,
	response: ServerResponse,
	calls: ReadonlyMap<string, Call>,
	log: Log,
): Promise<void> {
	const method = request.url?.slice(1) ?? "";
	try {
		const call = request.method === "POST" ? calls.get(method) : undefined;
		if (!call) {
			await discardBody(request);
			send(response, 404, failure(`no such call: ${request.method} ${request.url}`));
			return;
		}
		const result = await call(await readBody(request));
		log.debug("Docker's request", { method });
		send(response, 200, result);
	} catch (error) {
		const message = messageOf(error);
		log.warn("Docker's request failed", { method, message });
		send(response, error instanceof VlaneError && error.kind === "internal" ? 500 : 200, failure(message));
	}
}

function failure(message: string): object {
	return { Err: message, Error: message };
}

/** Closes the connection: an engine must not send its next request to a daemon that has ended meanwhile. */
function send(response: ServerResponse, status: number, body: object): void {
	if (response.destroyed) return;
	const payload = JSON.stringify(body);
	response.writeHead(status, {
		"Content-Type": CONTENT_TYPE,
		"Content-Length": Buffer.byteLength(payload),
		Connection: "close",
	});
	response.end(payload);
}
