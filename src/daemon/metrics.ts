/** The metrics endpoint: `GET /metrics` on a unix socket or on TCP, in Prometheus' text format. */
import { createServer, type Server } from "node:http";
import { VlaneError } from "../control/errors.js";
import { type Log, messageOf } from "../control/log.js";
import type { Metrics } from "../metrics/metrics.js";
import { isAllowed } from "./dashboard.js";
import { addressText, type MetricsPlace } from "./listenaddress.js";
import { prepareSocket } from "./preflight.js";
import { listen, send } from "./server.js";

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
