/**
 * A client of etcd's v3 API: reads, transactions, leases, and watching. Any member will do; one that does not answer is
 * left for the next. So a request may be carried out twice, the second time after its first answer was lost: callers
 * send only what does no harm then.
 */
import { EtcdError } from "./errors.js";
import { type Endpoint, type Patience, type Tls, Transport } from "./transport.js";

export interface EtcdOptions {
	endpoints: Endpoint[];
	/** Present: by TLS. */
	tls?: Tls;
	user?: { name: string; password: string };
	patience?: Patience;
}

/** Slow disks and elections: etcd itself gives up after 7 s. */
const PATIENCE: Patience = { connectMs: 2000, answerMs: 5000 };

/** A key with its value. Revisions are numbers: 2^53 writes are not reached. */
export interface KeyValue {
	key: string;
	value: string;
	createRevision: number;
	modRevision: number;
}

/** A condition of a transaction. `end`: it holds of every key from `key` to before `end`; of none, too. */
export type Compare =
	/** Zero: there is no such key. */
	| { key: string; end?: string; createRevision: number }
	| { key: string; modRevision: number }
	| { key: string; value: string };

export type Operation =
	| { put: string; value: string; lease?: string }
	| { del: string; end?: string }
	| { get: string; end?: string }
	| { txn: Transaction };

/** `success` is done when every condition of `compare` holds, else `failure`; all of it or nothing. */
export interface Transaction {
	compare: Compare[];
	success: Operation[];
	failure?: Operation[];
}

export interface TransactionResult {
	succeeded: boolean;
	revision: number;
	/** What each `get` of the branch found, in order. */
	found: KeyValue[][];
}

export interface RangeResult {
	revision: number;
	entries: KeyValue[];
	/** There are more behind the last one. */
	more: boolean;
}

/** Most operations in one transaction (etcd's --max-txn-ops). */
export const OPERATIONS_MAX = 128;

export class Etcd {
	readonly #transport: Transport;
	readonly #endpoints: readonly Endpoint[];
	/** Index of the member that answered last. */
	#current = 0;
	#token: Promise<string> | undefined;

	constructor(readonly options: EtcdOptions) {
		this.#transport = new Transport(options.patience ?? PATIENCE, options.tls);
		this.#endpoints = options.endpoints;
	}

	/** `h1:2379, h2:2379`. */
	get name(): string {
		return this.#endpoints.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`).join(", ");
	}

	/**
	 * Keys from `key` to before `end`, or `key` alone.
	 * @param options `revision`: as it was then; `at`: from this member
	 * @throws EtcdError
	 */
	async range(
		key: string,
		end?: string,
		options: { revision?: number; limit?: number; at?: Endpoint } = {},
	): Promise<RangeResult> {
		const { revision, limit, at } = options;
		const body = { ...keysOf(key, end), revision: revision?.toString(), limit };
		const answer = (await this.#call("/v3/kv/range", body, at)) as RawRange & RawHeader;
		return { revision: revisionOf(answer), entries: (answer.kvs ?? []).map(parseKeyValue), more: answer.more ?? false };
	}

	/** @throws EtcdError */
	async txn(transaction: Transaction): Promise<TransactionResult> {
		const answer = (await this.#call("/v3/kv/txn", txnBody(transaction))) as RawTxn & RawHeader;
		const found = (answer.responses ?? []).flatMap(({ response_range }) =>
			response_range ? [(response_range.kvs ?? []).map(parseKeyValue)] : [],
		);
		return { succeeded: answer.succeeded ?? false, revision: revisionOf(answer), found };
	}

	/** A lease that ends by itself unless it is kept alive. @returns its id @throws EtcdError */
	async grant(ttlSeconds: number): Promise<string> {
		const { ID } = (await this.#call("/v3/lease/grant", { TTL: `${ttlSeconds}` })) as { ID: string };
		return ID;
	}

	/** Gives a lease its whole time again; false when it has ended. @throws EtcdError */
	async keepAlive(lease: string): Promise<boolean> {
		const { result } = (await this.#call("/v3/lease/keepalive", { ID: lease })) as { result?: { TTL?: string } };
		return Number(result?.TTL ?? 0) > 0;
	}

	/** Ends a lease and its keys; one that has ended is fine. @throws EtcdError */
	async revoke(lease: string): Promise<void> {
		try {
			await this.#call("/v3/lease/revoke", { ID: lease });
		} catch (error) {
			if (!(error instanceof EtcdError) || error.kind !== "refused") throw error;
		}
	}

	/**
	 * Opens a stream of events, which ends when `signal` says so.
	 * @returns the stream, and the member that it comes from
	 * @throws EtcdError
	 */
	watch(key: string, end: string, startRevision: number, signal: AbortSignal) {
		const create = { ...keysOf(key, end), start_revision: `${startRevision}` };
		return this.#failover(async (endpoint, token) => {
			const late = new AbortController();
			const { answerMs } = this.#transport.patience;
			const timer = setTimeout(() => late.abort(new EtcdError("unavailable", "ETIMEDOUT")), answerMs);
			const either = AbortSignal.any([signal, late.signal]);
			try {
				const body = { create_request: create };
				return { endpoint, stream: await this.#transport.open(endpoint, "/v3/watch", body, token, either) };
			} finally {
				clearTimeout(timer);
			}
		});
	}

	close(): void {
		this.#transport.close();
	}

	#call(path: string, body: object, at?: Endpoint): Promise<unknown> {
		return this.#failover((endpoint, token) => this.#transport.ask(endpoint, path, body, token), at);
	}

	/** Tries every member once, beginning with the one that answered last; only `at` where it is given. */
	async #failover<T>(send: (endpoint: Endpoint, token?: string) => Promise<T>, at?: Endpoint): Promise<T> {
		let last: unknown;
		for (let count = at ? 1 : this.#endpoints.length; count > 0; count--) {
			const index = this.#current;
			const endpoint = at ?? this.#endpoints[index];
			if (!endpoint) break;
			try {
				return await this.#authenticated(endpoint, send);
			} catch (error) {
				if (!(error instanceof EtcdError) || error.kind !== "unavailable") throw error;
				last = error;
				// Another request may have moved on already.
				if (!at && this.#current === index) this.#current = (index + 1) % this.#endpoints.length;
			}
		}
		throw last;
	}

	async #authenticated<T>(endpoint: Endpoint, send: (endpoint: Endpoint, token?: string) => Promise<T>): Promise<T> {
		const { user } = this.options;
		if (!user) return send(endpoint);
		const fetchToken = async () => {
			const body = { name: user.name, password: user.password };
			return ((await this.#transport.ask(endpoint, "/v3/auth/authenticate", body)) as { token: string }).token;
		};
		this.#token ??= fetchToken();
		const used = this.#token;
		try {
			return await send(endpoint, await used);
		} catch (error) {
			if (this.#token === used) this.#token = undefined;
			if (!(error instanceof EtcdError) || error.kind !== "unauthenticated") throw error;
			this.#token ??= fetchToken();
			return send(endpoint, await this.#token);
		}
	}
}

/** What comes behind every key that begins with `prefix`. */
export function endOf(prefix: string): string {
	return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

interface RawHeader {
	header?: { revision?: string };
}

export interface RawKeyValue {
	key: string;
	value?: string;
	create_revision?: string;
	mod_revision?: string;
}

interface RawRange {
	kvs?: RawKeyValue[];
	more?: boolean;
}

interface RawTxn {
	succeeded?: boolean;
	responses?: { response_range?: RawRange }[];
}

/** Fields that are zero or empty are left out by etcd. */
export function parseKeyValue({ key, value = "", create_revision, mod_revision }: RawKeyValue): KeyValue {
	return {
		key: Buffer.from(key, "base64").toString("utf8"),
		value: Buffer.from(value, "base64").toString("utf8"),
		createRevision: Number(create_revision ?? 0),
		modRevision: Number(mod_revision ?? 0),
	};
}

function revisionOf({ header }: RawHeader): number {
	return Number(header?.revision ?? 0);
}

function base64(text: string): string {
	return Buffer.from(text, "utf8").toString("base64");
}

function keysOf(key: string, end?: string): { key: string; range_end?: string } {
	return { key: base64(key), range_end: end === undefined ? undefined : base64(end) };
}

function txnBody({ compare, success, failure = [] }: Transaction): object {
	return {
		compare: compare.map(compareBody),
		success: success.map(operationBody),
		failure: failure.map(operationBody),
	};
}

function compareBody(compare: Compare): object {
	const keys = keysOf(compare.key, "end" in compare ? compare.end : undefined);
	const equal = { ...keys, result: "EQUAL" };
	if ("value" in compare) return { ...equal, target: "VALUE", value: base64(compare.value) };
	if ("modRevision" in compare) return { ...equal, target: "MOD", mod_revision: `${compare.modRevision}` };
	return { ...equal, target: "CREATE", create_revision: `${compare.createRevision}` };
}

function operationBody(operation: Operation): object {
	if ("put" in operation) {
		return {
			request_put: { key: base64(operation.put), value: base64(operation.value), lease: operation.lease },
		};
	}
	if ("del" in operation) return { request_delete_range: keysOf(operation.del, operation.end) };
	if ("get" in operation) return { request_range: keysOf(operation.get, operation.end) };
	return { request_txn: txnBody(operation.txn) };
}
