/** Requests to a daemon, for what measures it. */
import { request } from "node:http";

/** One request to the daemon. @throws Error with its message when it refuses */
export function ask(socketPath: string, method: string, path: string, body?: object): Promise<{ Id?: string }> {
	return new Promise((resolve, reject) => {
		const outgoing = request({ socketPath, method, path, agent: false }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () => {
				if ((response.statusCode ?? 0) < 300) resolve(text === "" ? {} : JSON.parse(text));
				else reject(new Error(`${method} ${path}: ${text}`));
			});
		});
		outgoing.on("error", reject);
		outgoing.end(body && JSON.stringify(body));
	});
}
