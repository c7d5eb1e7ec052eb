/** The metrics endpoint: `GET /metrics` on a unix socket or on TCP, in Prometheus' text format. */
import { createServer, type Server } from "node:http";
import { isAbsolute, resolve } from "node:path";
import { VlaneError } from "../control/errors.js";
import { type Log, messageOf } from "../control/log.js";
import type { Metrics } from "../metrics/metrics.js";
import { isAllowed } from "./dashboard.js";
import { addressText, type ListenAddress, parseListenAddress } from "./listenaddress.js";
import { listen, prepareSocket, send } from "./server.js";

const UNIX = "unix:";

/** Path of a socket, or an address. */
export type MetricsPlace = string | ListenAddress;

/**
 * Reads `unix:PATH` or `ADDRESS:PORT`.
 * @throws VlaneError invalid, forbidden
 */
export function parseMetricsPlace(text: string, remote: boolean): MetricsPlace {
	if (!text.startsWith(UNIX)) return parseListenAddress(text, "--metrics", ["--metrics-remote", remote]);
	const path = text.slice(UNIX.length).replace(/^\/\/(?=\/)/, "");
	if (isAbsolute(path)) return resolve(path);
	throw new VlaneError("invalid", `invalid --metrics ${JSON.stringify(text)}: expected unix:/PATH`);
}

/**
 * Starts to serve; answers where.
 * @param token that a scrape must bring; undefined: none
 * @throws VlaneError
 */
export async function serveMetrics(
	place: MetricsPlace,
	token: string | undefined,
	metrics: Metrics,
	log: Log,
): Promise<{ server: Server; where: string }> {
	const server = createServer(async (request, response) => {
		try {
			const path = (request.url ?? "/").split("?")[0];
			if (path !== "/metrics") return send(response, 404, { message: "page not found; the metrics are at /metrics" });
			if (request.method !== "GET") return send(response, 405, { message: "metrics can be read only" });
			if (token !== undefined && !isAllowed(request, token))
				return send(response, 401, { message: "this needs the daemon's token as a bearer token" });
			const text = await metrics.text();
			response.writeHead(200, { "Content-Type": metrics.contentType, "Content-Length": Buffer.byteLength(text) });
			response.end(text);
		} catch (error) {
			log.error(messageOf(error), { url: request.url ?? "" });
			send(response, 500, { message: messageOf(error) });
		}
	});
	if (typeof place === "string") {
		await prepareSocket(place);
		await listen(server, place);
		return { server, where: `unix:${place}` };
	}
	await new Promise<void>((done, refuse) => {
		server.once("error", (error) => {
			const problem = `cannot serve metrics on ${addressText(place)}: ${messageOf(error)}; give another address`;
			refuse(new VlaneError("internal", problem));
		});
		server.listen(place.port, place.host, done);
	});
	const { port } = server.address() as { port: number };
	return { server, where: `http://${addressText({ ...place, port })}/metrics` };
}
