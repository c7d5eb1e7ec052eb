/**
 * A copy in memory of all keys below a prefix, which follows etcd: read once, then watched. A watch that breaks is
 * resumed behind the last revision that was seen; when etcd has forgotten what comes there, everything is read again.
 * Listeners are told of differences only.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Etcd, endOf, type KeyValue, parseKeyValue, type RawKeyValue } from "./client.js";
import { EtcdError } from "./errors.js";
import { toFailure } from "./transport.js";

/** A key has appeared, changed or gone. */
export interface Change {
	key: string;
	before?: KeyValue;
	/** Absent: it has gone. */
	now?: KeyValue;
}

export interface MirrorListener {
	/** In the order of revisions; never empty. */
	onChange(changes: Change[]): void;
	/** The copy is complete, for the first time or again after the connection was lost. */
	onLive(): void;
	/** The connection is lost; the copy stays as it is. */
	onLost(error: Error): void;
}

const PAGE_KEYS = 2000;
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 2000;

export class Mirror {
	readonly entries = new Map<string, KeyValue>();
	/** The copy is as of this revision; 0: there is none yet. */
	revision = 0;
	/** Why the connection is lost, and since when (Date.now()); undefined while there is one. */
	lost: { error: Error; sinceMs: number } | undefined = {
		error: new EtcdError("unavailable", "not connected yet"),
		sinceMs: Date.now(),
	};
	readonly #stop = new AbortController();
	#running: Promise<void> | undefined;
	readonly #waiting = new Set<{ until: () => boolean; resolve: () => void }>();

	/** @param lookMs how often it is asked whether the member that events come from is still one of a majority */
	constructor(
		readonly etcd: Etcd,
		readonly prefix: string,
		readonly lookMs: number,
		readonly listener: MirrorListener,
	) {}

	start(): void {
		this.#running ??= this.#run();
	}

	async close(): Promise<void> {
		this.#stop.abort();
		await this.#running;
	}

	/** Resolves when `until` holds, which is looked at with each change; false when that takes longer than `waitMs`. */
	async wait(until: () => boolean, waitMs: number): Promise<boolean> {
		if (until()) return true;
		let waiter: { until: () => boolean; resolve: () => void } | undefined;
		const seen = new Promise<void>((resolve) => {
			waiter = { until, resolve };
			this.#waiting.add(waiter);
		});
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<void>((resolve) => {
			timer = setTimeout(resolve, Math.max(waitMs, 0));
		});
		await Promise.race([seen, late]);
		clearTimeout(timer);
		if (waiter) this.#waiting.delete(waiter);
		return until();
	}

	#look(): void {
		for (const { until, resolve } of this.#waiting) if (until()) resolve();
	}

	async #run(): Promise<void> {
		const { signal } = this.#stop;
		let retryMs = RETRY_MS_MIN;
		while (!signal.aborted) {
			try {
				if (this.revision === 0) await this.#load();
				await this.#follow(() => {
					retryMs = RETRY_MS_MIN;
				});
			} catch (error) {
				if (signal.aborted) return;
				if (error instanceof EtcdError && error.kind === "compacted") this.revision = 0;
				if (!this.lost) {
					this.lost = { error: error as Error, sinceMs: Date.now() };
					this.listener.onLost(error as Error);
				} else this.lost.error = error as Error;
			}
			await delay(retryMs, undefined, { signal }).catch(() => undefined);
			retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
		}
	}

	/** Reads everything, as of one revision. */
	async #load(): Promise<void> {
		const end = endOf(this.prefix);
		const found = new Map<string, KeyValue>();
		let revision = 0;
		for (let from = this.prefix; ; ) {
			const page = await this.etcd.range(from, end, { revision: revision || undefined, limit: PAGE_KEYS });
			revision ||= page.revision;
			for (const entry of page.entries) found.set(entry.key, entry);
			const last = page.entries.at(-1);
			if (!page.more || !last) break;
			from = `${last.key}\0`;
		}
		const gone = [...this.entries.keys()].filter((key) => !found.has(key)).map((key) => ({ key, now: undefined }));
		this.#apply([...gone, ...[...found].map(([key, now]) => ({ key, now }))]);
		this.revision = revision;
	}

	/** Takes events until the stream ends. @throws EtcdError always */
	async #follow(onLive: () => void): Promise<never> {
		const broken = new AbortController();
		const signal = AbortSignal.any([this.#stop.signal, broken.signal]);
		const { stream, endpoint } = await this.etcd.watch(this.prefix, endOf(this.prefix), this.revision + 1, signal);
		const look = setInterval(() => {
			this.etcd.range(this.prefix, undefined, { at: endpoint }).catch((error) => broken.abort(error));
		}, this.lookMs);
		try {
			let rest = "";
			for await (const chunk of stream.setEncoding("utf8") as AsyncIterable<string>) {
				const lines = (rest + chunk).split("\n");
				rest = lines.pop() ?? "";
				for (const line of lines) this.#take(JSON.parse(line) as RawMessage, onLive);
			}
			throw new EtcdError("unavailable", "the connection was closed");
		} catch (error) {
			if (broken.signal.aborted) throw broken.signal.reason;
			if (error instanceof EtcdError) throw error;
			const { code, message } = error as NodeJS.ErrnoException;
			throw new EtcdError("unavailable", code ?? message, { cause: error });
		} finally {
			clearInterval(look);
			stream.destroy();
		}
	}

	#take(message: RawMessage, onLive: () => void): void {
		const { result } = message;
		if (!result) throw toFailure(message);
		if (Number(result.compact_revision ?? 0) > 0) throw new EtcdError("compacted", "revision has been compacted");
		if (result.canceled) throw new EtcdError("unavailable", result.cancel_reason ?? "the watch was cancelled");
		if (result.created) {
			onLive();
			this.lost = undefined;
			this.listener.onLive();
		}
		const changes = (result.events ?? []).map(({ type, kv }) => {
			const now = parseKeyValue(kv);
			return { key: now.key, now: type === "DELETE" ? undefined : now, revision: now.modRevision };
		});
		this.#apply(changes);
		// A response may hold one part of a revision only when it is fragmented, which was not asked for.
		for (const { revision } of changes) this.revision = Math.max(this.revision, revision);
		this.#look();
	}

	#apply(changes: { key: string; now: KeyValue | undefined }[]): void {
		const real = changes.flatMap(({ key, now }): Change[] => {
			const before = this.entries.get(key);
			if (before?.modRevision === now?.modRevision) return [];
			if (now) this.entries.set(key, now);
			else this.entries.delete(key);
			return [{ key, before, now }];
		});
		if (real.length > 0) this.listener.onChange(real);
	}
}

interface RawMessage {
	result?: {
		created?: boolean;
		canceled?: boolean;
		cancel_reason?: string;
		compact_revision?: string;
		events?: { type?: string; kv: RawKeyValue }[];
	};
}
