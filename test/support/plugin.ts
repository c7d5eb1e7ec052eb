/** What an engine says to the plugin's socket, said by a test. */
import { request } from "node:http";

export interface Said {
	status: number;
	// biome-ignore lint/suspicious/noExplicitAny: what it says is what is tested
	answer: any;
	headers: NodeJS.Dict<string | string[]>;
}

/** Sends a request to a socket; a body that is text goes as it is, others as JSON. @param path without its slash */
export function askSocket(socketPath: string, path: string, body?: unknown, method = "POST"): Promise<Said> {
	const sent = body === undefined || typeof body === "string" ? (body ?? "") : JSON.stringify(body);
	const headers = { "Content-Length": Buffer.byteLength(sent) };
	return new Promise((resolve, reject) => {
		const outgoing = request({ socketPath, method, path: `/${path}`, agent: false, headers }, (response) => {
			// Not sooner: Node writes nothing once more to end a request, and even that is EPIPE when the server has closed.
			outgoing.end();
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () => {
				resolve({ status: response.statusCode ?? 0, answer: JSON.parse(text), headers: response.headers });
			});
		});
		outgoing.on("error", reject);
		outgoing.write(sent);
	});
}
