/**
 * One request to one member of an etcd cluster, over the JSON form of its v3 API (etcd's "gRPC gateway": POST, field
 * names as in rpc.proto, bytes in base64, 64-bit numbers as text).
 */
import { type Agent, request as httpRequest, type IncomingMessage, Agent as PlainAgent } from "node:http";
import { request as httpsRequest, Agent as TlsAgent } from "node:https";
import { EtcdError } from "./errors.js";

/** One member. */
export interface Endpoint {
	host: string;
	port: number;
}

/** PEM texts. */
export interface Tls {
	ca?: string;
	cert?: string;
	key?: string;
}

/** What a member that has lost its cluster shall say at once, instead of waiting for the others (etcd's hasleader). */
const HEADERS = { "Content-Type": "application/json", "Grpc-Metadata-hasleader": "true" };

/** What a member's answer may take, connecting included. */
export interface Patience {
	connectMs: number;
	answerMs: number;
}

export class Transport {
	readonly #agent: Agent;
	readonly #isTls: boolean;

	constructor(
		readonly patience: Patience,
		tls?: Tls,
	) {
		this.#isTls = tls !== undefined;
		this.#agent = tls ? new TlsAgent({ keepAlive: true, ...tls }) : new PlainAgent({ keepAlive: true });
	}

	/** Sends a request and reads the whole answer. @throws EtcdError */
	async ask(endpoint: Endpoint, path: string, body: object, token?: string): Promise<unknown> {
		const abort = new AbortController();
		const timer = setTimeout(() => abort.abort(new EtcdError("unavailable", "ETIMEDOUT")), this.patience.answerMs);
		try {
			const response = await this.open(endpoint, path, body, token, abort.signal);
			return parseAnswer(await textOf(response), response.statusCode ?? 0);
		} catch (error) {
			throw abort.signal.aborted ? abort.signal.reason : toEtcdError(error);
		} finally {
			clearTimeout(timer);
		}
	}

	/** Sends a request; resolves with the answer's beginning, whose status is 200. @throws EtcdError */
	async open(endpoint: Endpoint, path: string, body: object, token: string | undefined, signal: AbortSignal) {
		try {
			const response = await this.#send(endpoint, path, JSON.stringify(body), token, signal);
			if (response.statusCode !== 200) parseAnswer(await textOf(response), response.statusCode ?? 0);
			return response;
		} catch (error) {
			throw signal.aborted && signal.reason instanceof EtcdError ? signal.reason : toEtcdError(error);
		}
	}

	close(): void {
		this.#agent.destroy();
	}

	#send(
		{ host, port }: Endpoint,
		path: string,
		payload: string,
		token: string | undefined,
		signal: AbortSignal,
	): Promise<IncomingMessage> {
		const request = this.#isTls ? httpsRequest : httpRequest;
		return new Promise((resolve, reject) => {
			const outgoing = request({
				...{ host, port, path, method: "POST", agent: this.#agent, signal },
				headers: {
					...HEADERS,
					...(token === undefined ? {} : { Authorization: token }),
					"Content-Length": Buffer.byteLength(payload),
				},
			});
			outgoing.on("socket", (socket) => {
				if (!socket.connecting) return;
				const late = () => outgoing.destroy(new EtcdError("unavailable", "ETIMEDOUT"));
				const timer = setTimeout(late, this.patience.connectMs);
				for (const event of ["connect", "close"]) socket.once(event, () => clearTimeout(timer));
			});
			outgoing.on("error", reject);
			outgoing.on("response", resolve);
			outgoing.end(payload);
		});
	}
}

async function textOf(response: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
	return Buffer.concat(chunks).toString("utf8");
}

/** Codes of gRPC (google.rpc.Code) that tell what kind of failure it is. */
const UNAUTHENTICATED = 16;
const PERMISSION_DENIED = 7;
const REFUSALS = [3, 5, 6, 9, 11];

function parseAnswer(text: string, status: number): unknown {
	let value: unknown;
	try {
		// What a stream's trailers leave behind the first object is none of it.
		value = JSON.parse(status === 200 ? text : text.slice(0, text.lastIndexOf("}") + 1));
	} catch {
		throw new EtcdError("unavailable", `HTTP status ${status}`);
	}
	if (status === 200) return value;
	throw toFailure(value);
}

/** The failure that an answer, or a stream's message, speaks of. */
export function toFailure(value: unknown): EtcdError {
	const { error, message, code } = Object(value) as { error?: unknown; message?: string; code?: number };
	const nested = Object(error) as { message?: string; grpc_code?: number };
	const text = message ?? (typeof error === "string" ? error : nested.message) ?? "no reason given";
	const number = code ?? nested.grpc_code ?? 0;
	if (/compacted/.test(text)) return new EtcdError("compacted", text);
	if (number === UNAUTHENTICATED || /invalid auth token/.test(text)) return new EtcdError("unauthenticated", text);
	if (number === PERMISSION_DENIED || /authentication failed|user name is empty/.test(text)) {
		return new EtcdError("denied", text);
	}
	return new EtcdError(REFUSALS.includes(number) ? "refused" : "unavailable", text);
}

/** An error of the connection; its name says enough. */
function toEtcdError(error: unknown): EtcdError {
	if (error instanceof EtcdError) return error;
	const { code, message } = error as NodeJS.ErrnoException;
	return new EtcdError("unavailable", code ?? message, { cause: error });
}
