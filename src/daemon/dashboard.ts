/**
 * The dashboard: a page, and beside it the reading part of the API, for whoever has the token. The page itself holds no
 * secrets and is for everybody; it asks with the token that its user has opened it with.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { httpStatus, VlaneError } from "../control/errors.js";
import { type Log, messageOf } from "../control/log.js";
import type { Route } from "./api.js";
import { addressText, type ListenAddress } from "./listenaddress.js";
import { dispatch, send } from "./server.js";

/** The built page, seen from dist/src/daemon. */
const PAGE = fileURLToPath(new URL("../../dashboard/", import.meta.url));

/** In the state directory, readable by its owner only. */
const TOKEN_FILE = "dashboard.token";
const TOKEN_BYTES = 32;

const TYPES: Record<string, string> = {
	".html": "text/html; charset=utf-8",
	".js": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
};

/** Nothing from elsewhere, nothing inline, in nobody's frame. */
const HEADERS = {
	"Content-Security-Policy":
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options": "nosniff",
	"Referrer-Policy": "no-referrer",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cross-Origin-Opener-Policy": "same-origin",
};

/**
 * The token of this host's dashboard: the same after a restart, so that open pages go on.
 * @throws VlaneError internal
 */
export function dashboardToken(stateDir: string): string {
	const path = join(stateDir, TOKEN_FILE);
	try {
		const kept = existsSync(path) ? readFileSync(path, "utf8").trim() : "";
		if (/^[0-9a-f]{64}$/.test(kept)) return kept;
		const token = randomBytes(TOKEN_BYTES).toString("hex");
		writeFileSync(path, `${token}\n`, { mode: 0o600 });
		return token;
	} catch (error) {
		throw new VlaneError("internal", `cannot keep the dashboard's token in ${path}: ${messageOf(error)}`);
	}
}

/**
 * Starts to serve; answers where.
 * @param routes of the API; those that change something are left out
 * @throws VlaneError internal: the address can not be listened on, or the page was not built
 */
export async function serveDashboard(
	address: ListenAddress,
	token: string,
	routes: readonly Route[],
	log: Log,
): Promise<{ server: Server; url: string }> {
	const page = readPage();
	// A page ends the captures that it has begun, and changes nothing else.
	const usable = routes.filter(({ method, path }) => method === "GET" || path.test("/captures/1"));
	const server = createServer((request, response) => void answer(request, response, page, usable, token, log));
	await new Promise<void>((resolve, reject) => {
		server.once("error", (error) => {
			const where = addressText(address);
			reject(
				new VlaneError("internal", `cannot serve the dashboard on ${where}: ${messageOf(error)}; give another address`),
			);
		});
		server.listen(address.port, address.host, resolve);
	});
	const { port } = server.address() as AddressInfo;
	return { server, url: `http://${addressText({ host: address.host, port })}/` };
}

type Page = ReadonlyMap<string, { type: string; body: Buffer }>;

function readPage(): Page {
	if (!existsSync(PAGE))
		throw new VlaneError("internal", `the dashboard is not built: ${PAGE} is missing; npm run build`);
	const files = readdirSync(PAGE).map((name): [string, { type: string; body: Buffer }] => [
		name === "index.html" ? "/" : `/${name}`,
		{ type: TYPES[extname(name)] ?? "application/octet-stream", body: readFileSync(join(PAGE, name)) },
	]);
	return new Map(files);
}

async function answer(
	request: IncomingMessage,
	response: ServerResponse,
	page: Page,
	routes: Route[],
	token: string,
	log: Log,
): Promise<void> {
	const { method = "", url = "/" } = request;
	for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
	try {
		if (!["GET", "HEAD"].includes(method) && !(method === "DELETE" && url.startsWith("/api/captures/"))) {
			response.setHeader("Allow", "GET, HEAD");
			send(response, 405, { message: "the dashboard only looks" });
			return;
		}
		if (!url.startsWith("/api/")) {
			sendFile(response, page.get(url.split("?")[0] ?? ""), method);
			return;
		}
		response.setHeader("Cache-Control", "no-store");
		if (!isAllowed(request, token)) {
			response.setHeader("WWW-Authenticate", "Bearer");
			send(response, 401, { message: "this needs the token that `vlane dashboard` prints" });
			return;
		}
		const { status, body } = await dispatch(request, routes, url.slice("/api".length));
		send(response, status, body);
	} catch (error) {
		const message = messageOf(error);
		log.debug("dashboard's request", { method, url, message });
		send(response, httpStatus(error), { message });
	}
}

function sendFile(response: ServerResponse, file: { type: string; body: Buffer } | undefined, method: string): void {
	if (!file) {
		send(response, 404, { message: "page not found" });
		return;
	}
	response.writeHead(200, {
		"Content-Type": file.type,
		"Content-Length": file.body.length,
		"Cache-Control": "no-cache",
	});
	response.end(method === "HEAD" ? undefined : file.body);
}

/** Whether a request brings the token. Compares digests, which have one length, so that time tells nothing. */
export function isAllowed({ headers }: IncomingMessage, token: string): boolean {
	const given = /^Bearer ([0-9a-f]+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
	const [left, right] = [given, token].map((text) => createHash("sha256").update(text).digest()) as [Buffer, Buffer];
	return timingSafeEqual(left, right);
}
