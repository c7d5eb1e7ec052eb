/**
 * Says that this host is there, and notes of others that they are not. A host is there while its key `alive/` is, which
 * hangs on a lease of etcd that it keeps alive. Whoever sees the key vanish notes since when the host is away, and
 * starts the time that its addresses are kept: it is counted by etcd, so hosts need not agree on what time it is.
 */
import type { Log } from "../control/log.js";
import { messageOf } from "../control/log.js";
import type { Etcd } from "../etcd/client.js";
import type { AliveRecord, HostRecord, Keys } from "./keys.js";
import type { View } from "./view.js";

/** How often within the time that a host may be silent it says something. */
const BEATS = 3;
const STOP_MS_MAX = 1000;

export interface Self {
	hostId: string;
	record: Omit<HostRecord, "joined">;
	/** Tells this daemon from another one that has a copy of its state. */
	place: string;
}

export class Liveness {
	/** Why this host is not among the group's although etcd answers; undefined: it is, or etcd does not answer. */
	problem: string | undefined;
	#lease: string | undefined;
	#timer: NodeJS.Timeout | undefined;
	#beating: Promise<void> = Promise.resolve();
	readonly #notes = new Map<string, NodeJS.Timeout>();
	#isClosed = false;

	constructor(
		readonly etcd: Etcd,
		readonly view: View,
		readonly keys: Keys,
		readonly self: Self,
		readonly aliveSeconds: number,
		readonly log: Log,
	) {}

	/** Says it now, and then again and again. */
	beat(): void {
		clearTimeout(this.#timer);
		this.#beating = this.#beating.then(() => this.#say());
		void this.#beating.then(() => {
			if (this.#isClosed) return;
			clearTimeout(this.#timer);
			this.#timer = setTimeout(() => this.beat(), (this.aliveSeconds * 1000) / BEATS).unref();
		});
	}

	/** The key is gone although nobody here has taken it away. */
	forgotten(): void {
		this.#lease = undefined;
		this.beat();
	}

	/** A host was not heard of: after a while, so that not all hosts do it at once, that is written down. */
	missed(hostId: string): void {
		if (hostId === this.self.hostId || this.#notes.has(hostId)) return;
		const later = setTimeout(() => {
			this.#notes.delete(hostId);
			this.#note(hostId).catch((error) => {
				this.log.debug("absence was not noted", { host: hostId, error: messageOf(error) });
			});
		}, Math.random() * 1000);
		this.#notes.set(hostId, later.unref());
	}

	/** Goes: the host is away from now on. */
	async close(): Promise<void> {
		this.#isClosed = true;
		clearTimeout(this.#timer);
		for (const timer of this.#notes.values()) clearTimeout(timer);
		const lease = this.#lease;
		if (lease === undefined) return;
		// etcd may not answer, and the lease ends by itself.
		const late = new Promise((resolve) => setTimeout(resolve, STOP_MS_MAX).unref());
		await Promise.race([this.etcd.revoke(lease).catch(() => undefined), late]);
	}

	async #say(): Promise<void> {
		try {
			if (this.#lease !== undefined && (await this.etcd.keepAlive(this.#lease))) return;
			this.#lease = undefined;
			await this.#enter();
		} catch (error) {
			// That etcd does not answer is said by who follows it.
			this.log.debug("host was not heard", { error: messageOf(error) });
		}
	}

	async #enter(): Promise<void> {
		const { hostId, record, place } = this.self;
		const alive = this.keys.of("alive", hostId);
		const lease = await this.etcd.grant(this.aliveSeconds);
		const now = new Date().toISOString();
		const joined = this.view.host(hostId)?.joined ?? now;
		const success = [
			{ put: alive, value: JSON.stringify({ place, since: now } satisfies AliveRecord), lease },
			{ put: this.keys.of("host", hostId), value: JSON.stringify({ ...record, joined } satisfies HostRecord) },
			...["away", "grace"].map((kind) => ({ del: this.keys.of(kind, hostId) })),
		];
		const first = await this.etcd.txn({
			compare: [{ key: alive, createRevision: 0 }],
			success,
			failure: [{ get: alive }],
		});
		const [there] = first.found[0] ?? [];
		let isIn = first.succeeded;
		if (there && (JSON.parse(there.value) as AliveRecord).place === place) {
			// Of the daemon before this one, which did not have the time to say that it goes.
			isIn = (await this.etcd.txn({ compare: [{ key: alive, modRevision: there.modRevision }], success })).succeeded;
		}
		if (isIn) this.#lease = lease;
		else await this.etcd.revoke(lease);
		const problem = isIn
			? undefined
			: `host id ${hostId.slice(0, 12)} is in use by another daemon; a copied state directory needs to be a new one`;
		if (problem && problem !== this.problem) this.log.error(problem);
		this.problem = problem;
	}

	async #note(hostId: string): Promise<void> {
		const record = this.view.host(hostId);
		if (!record || this.view.alive(hostId) || this.view.away(hostId) || this.view.mirror.lost) return;
		const grace = await this.etcd.grant(record.leaseTtlSeconds);
		const [alive, away] = [this.keys.of("alive", hostId), this.keys.of("away", hostId)];
		const { succeeded } = await this.etcd.txn({
			compare: [alive, away].map((key) => ({ key, createRevision: 0 })),
			success: [
				{ put: away, value: JSON.stringify({ since: new Date().toISOString() }) },
				{ put: this.keys.of("grace", hostId), value: "", lease: grace },
			],
		});
		if (succeeded) this.log.info("host is away", { host: record.name });
		else await this.etcd.revoke(grace);
	}
}
