/**
 * The plugin's questions to the daemon: one connection each, HTTP/1.0 by hand. Loading `node:http` would take longer
 * than the rest of the plugin.
 */
import { connect } from "node:net";
import { CniError, CODE } from "./errors.js";
import { codeOf } from "./invocation.js";

const DEFAULT_HOST = "unix:///run/vlane/vlane.sock";

const HEAD_END = "\r\n\r\n";

/** The daemon did not answer. */
export class Unreachable extends CniError {}

/** What the daemon answers to every question. */
interface Answer {
	result?: unknown;
	error?: { code: number; message: string };
}

/** Asks a daemon, named by its `unix:///path`. */
export class Client {
	readonly #path: string;

	/** @throws CniError invalidConfig */
	constructor(readonly host = DEFAULT_HOST) {
		const [, path] = /^unix:\/\/(\/.+)$/.exec(host) ?? [];
		if (path === undefined) {
			throw new CniError(CODE.invalidConfig, `invalid host ${JSON.stringify(host)}; expected unix:///path/to/socket`);
		}
		this.#path = path;
	}

	/** @throws CniError as the daemon says; Unreachable */
	async ask<T>(call: string, body: object): Promise<T> {
		const text = await this.#post(`/cni/${call}`, JSON.stringify(body));
		const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(text) ?? [];
		const end = text.indexOf(HEAD_END);
		if (status === undefined || end < 0) throw this.#unreachable("it ended before it answered");
		const payload = text.slice(end + HEAD_END.length);
		if (status !== "200") throw new CniError(CODE.internal, `the vlane daemon at ${this.host} answers ${payload}`);
		const { result, error }: Answer = JSON.parse(payload);
		if (error) throw new CniError(error.code, error.message);
		return result as T;
	}

	/** The whole answer, head and body. */
	#post(path: string, payload: string): Promise<string> {
		return new Promise((resolve, reject) => {
			const socket = connect(this.#path);
			let text = "";
			socket.setEncoding("utf8").on("data", (chunk) => {
				text += chunk;
			});
			socket.on("error", (error) => reject(this.#unreachable(codeOf(error))));
			socket.on("end", () => resolve(text));
			const head = `POST ${path} HTTP/1.0\r\nContent-Length: ${Buffer.byteLength(payload)}\r\n\r\n`;
			socket.write(head + payload);
		});
	}

	#unreachable(problem: string): Unreachable {
		const message = `cannot reach the vlane daemon at ${this.host}: ${problem}; is vlane daemon running?`;
		return new Unreachable(CODE.tryAgainLater, message);
	}
}
