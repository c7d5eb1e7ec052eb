/**
 * The daemon's API over its unix socket: JSON in, JSON out, one connection per request.
 */
import { type IncomingMessage, request } from "node:http";
import { CliError } from "./errors.js";
import { type Followed, follow } from "./followed.js";

/** The daemon refused the request; `status` is the HTTP status. */
export class DaemonError extends CliError {
	readonly status: number;

	constructor(message: string, status: number) {
		super(`Error response from daemon: ${message}`);
		this.name = "DaemonError";
		this.status = status;
	}
}

/** One daemon, named by its `unix:///path`. */
export class Client {
	readonly #host: string;
	readonly #socketPath: string;

	/** Throws CliError when the host is not a unix socket. */
	constructor(host: string) {
		const path = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
		if (path === undefined) {
			const hint = host.startsWith("/") ? `; did you mean "unix://${host}"?` : "; expected unix:///path/to/socket";
			throw new CliError(`invalid host "${host}"${hint}`);
		}
		this.#host = host;
		this.#socketPath = path;
	}

	/** The answer's JSON. Throws DaemonError when the daemon refuses, CliError when it can not be reached. */
	get<T>(path: string): Promise<T> {
		return this.#send<T>("GET", path);
	}

	/** The answer's JSON; undefined when the answer has no body. Throws as `get` does. */
	post<T>(path: string, body: object): Promise<T> {
		return this.#send<T>("POST", path, body);
	}

	/** Throws as `get` does. */
	delete(path: string): Promise<void> {
		return this.#send<void>("DELETE", path);
	}

	/**
	 * Follows an answer that goes on; resolves once it has begun.
	 * @param begin called when it is no refusal, before its body; answers what takes the body in pieces, each valid
	 *   during the call only. What it throws ends the answer.
	 * @throws as `get` does; what `begin` throws
	 */
	async follow(path: string, begin: () => (piece: Buffer) => void): Promise<Followed> {
		const refusal: Buffer[] = [];
		const onStatus = (status: number) =>
			status === 200 ? begin() : (piece: Buffer) => void refusal.push(Buffer.from(piece));
		const followed = await follow(this.#socketPath, path, onStatus).catch((error: NodeJS.ErrnoException) => {
			throw typeof error.code === "string" ? this.#unreachable(error) : error;
		});
		if (followed.status === 200) return followed;
		await followed.ended.catch(() => undefined);
		this.#read(followed.status, Buffer.concat(refusal).toString("utf8"));
		throw new CliError(`HTTP status ${followed.status}`);
	}

	async #send<T>(method: string, path: string, body?: object): Promise<T> {
		const response = await this.#ask(method, path, body);
		return this.#read<T>(response.statusCode ?? 0, await this.#textOf(response));
	}

	#ask(method: string, path: string, body: object | undefined): Promise<IncomingMessage> {
		const payload = body === undefined ? undefined : JSON.stringify(body);
		return new Promise((resolve, reject) => {
			const outgoing = request({
				socketPath: this.#socketPath,
				method,
				path,
				agent: false,
				headers:
					payload === undefined
						? {}
						: { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(payload) },
			});
			outgoing.on("error", (error) => reject(this.#unreachable(error)));
			outgoing.on("response", resolve);
			outgoing.end(payload);
		});
	}

	#textOf(response: IncomingMessage): Promise<string> {
		return new Promise((resolve, reject) => {
			const chunks: Buffer[] = [];
			response.on("error", (error) => reject(this.#unreachable(error)));
			response.on("data", (chunk: Buffer) => chunks.push(chunk));
			response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
		});
	}

	#read<T>(status: number, text: string): T {
		let value: unknown;
		try {
			value = text === "" ? undefined : JSON.parse(text);
		} catch {
			throw new CliError(`${this.#host} does not answer as a vlane daemon does (HTTP status ${status})`);
		}
		if (status < 200 || status > 299) {
			const message = (value as { message?: unknown } | undefined)?.message;
			throw new DaemonError(typeof message === "string" ? message : `HTTP status ${status}`, status);
		}
		return value as T;
	}

	#unreachable(error: NodeJS.ErrnoException): CliError {
		switch (error.code) {
			case "ENOENT":
			case "ECONNREFUSED":
			case "ENOTSOCK":
			case "ENOTDIR":
				return new CliError(
					`Cannot connect to the vlane daemon at ${this.#host}. Is the vlane daemon running? Start it with: vlane daemon`,
				);
			case "EACCES":
			case "EPERM":
				return new CliError(
					`permission denied while trying to connect to the vlane daemon socket at ${this.#host}; run as root`,
				);
			case "ECONNRESET":
			case "EPIPE":
			case "HPE_INVALID_EOF_STATE":
				return new CliError(`the vlane daemon at ${this.#host} closed the connection before it answered`);
			default:
				return new CliError(`error during connect to ${this.#host}: ${error.message}`);
		}
	}
}

/** Path of a resource whose name the user gave: `/networks/pub_net`. */
export function resource(collection: "networks" | "containers", reference: string, action = ""): string {
	return `/${collection}/${encodeURIComponent(reference)}${action}`;
}
