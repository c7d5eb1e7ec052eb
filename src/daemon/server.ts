/** HTTP on the unix socket: finds the operation, reads the body, and turns every error into `{"message": "..."}`. */
import { chmodSync, chownSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { finished } from "node:stream/promises";
import { httpStatus, VlaneError } from "../control/errors.js";
import { type Log, messageOf } from "../control/log.js";
import type { Answer, Route } from "./api.js";
import { Download } from "./download.js";

const BODY_BYTES_MAX = 1 << 20;

/**
 * Starts to answer the API's requests.
 * @param gid a group that may write to the socket, too
 * @throws VlaneError internal
 */
export async function serve(path: string, routes: Route[], log: Log, gid?: number): Promise<Server> {
	const server = createServer((request, response) => void answer(request, response, routes, log));
	await listen(server, path);
	if (gid !== undefined) openTo(path, gid);
	return server;
}

/** The owner of a file may give it to a group that they are in. @throws VlaneError internal */
function openTo(path: string, gid: number): void {
	try {
		chownSync(path, -1, gid);
		chmodSync(path, 0o660);
	} catch (error) {
		throw new VlaneError("internal", `cannot give socket ${path} to group ${gid}: ${messageOf(error)}`);
	}
}

/**
 * Starts to listen; a stale socket file is replaced. The socket has mode 0600 from its first moment on.
 * @throws VlaneError internal
 */
export async function listen(server: Server, path: string): Promise<void> {
	rmSync(path, { force: true });
	const umask = process.umask(0o177);
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", (error) => {
				reject(new VlaneError("internal", `cannot listen on unix://${path}: ${messageOf(error)}`));
			});
			// Binds before it returns, so that the umask holds for nothing else.
			server.listen(path, resolve);
			process.umask(umask);
		});
	} finally {
		process.umask(umask);
	}
}

async function answer(request: IncomingMessage, response: ServerResponse, routes: Route[], log: Log): Promise<void> {
	const { method = "", url = "" } = request;
	try {
		const { status, body } = await dispatch(request, routes);
		log.debug("request", { method, url, status });
		send(response, status, body);
	} catch (error) {
		const status = httpStatus(error);
		const message = messageOf(error);
		if (status === 500) log.error(message, { method, url });
		else log.debug("request", { method, url, status, message });
		send(response, status, { message });
	}
}

/**
 * Finds the operation and does it.
 * @param url path and query, where they are not the request's own
 * @throws VlaneError notFound, and what the operation throws
 */
export async function dispatch(request: IncomingMessage, routes: Route[], url = request.url ?? "/"): Promise<Answer> {
	const { pathname, searchParams } = new URL(url, "http://vlane");
	for (const route of routes) {
		const match = route.method === request.method ? route.path.exec(pathname) : null;
		if (!match) continue;
		const body = await readBody(request);
		return route.handle({ ref: decodeRef(match[1] ?? ""), query: searchParams, body });
	}
	await discardBody(request);
	throw new VlaneError("notFound", `page not found: ${request.method} ${pathname}`);
}

function decodeRef(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		throw new VlaneError("invalid", `malformed reference in the request's path: ${text}`);
	}
}

/**
 * Takes what nobody wants: who still writes when the connection is closed gets EPIPE, and never sees the answer. Node
 * ends a request that takes longer than five minutes.
 */
export async function discardBody(request: IncomingMessage): Promise<void> {
	await finished(request.resume());
}

/**
 * The parsed JSON body; undefined when there is none. One that is too large is discarded.
 * @throws VlaneError invalid: too large, or not JSON
 */
export async function readBody(request: IncomingMessage): Promise<unknown> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	for await (const chunk of request as AsyncIterable<Buffer>) {
		bytes += chunk.length;
		if (bytes > BODY_BYTES_MAX) chunks.length = 0;
		else chunks.push(chunk);
	}
	if (bytes > BODY_BYTES_MAX) throw new VlaneError("invalid", `request body is larger than ${BODY_BYTES_MAX} bytes`);
	if (bytes === 0) return undefined;
	try {
		return JSON.parse(Buffer.concat(chunks).toString("utf8"));
	} catch {
		throw new VlaneError("invalid", "request body is not valid JSON");
	}
}

/** Answers with JSON, or with what a Download writes; with nothing when there is no body. */
export function send(response: ServerResponse, status: number, body: unknown): void {
	if (response.destroyed) return;
	if (body instanceof Download) {
		response.writeHead(status, { "Content-Type": body.type, ...body.headers });
		body.start(response);
		return;
	}
	if (body === undefined) {
		response.writeHead(status).end();
		return;
	}
	const payload = JSON.stringify(body);
	response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(payload) });
	response.end(payload);
}
