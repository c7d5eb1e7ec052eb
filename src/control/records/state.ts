/**
 * The records in memory and on disk: what is in the maps has been written, what was written is in the maps.
 */
import { newId } from "../request/names.js";
import type {
	AttachmentRecord,
	ContainerRecord,
	EndpointRecord,
	LeaseRecord,
	NetworkRecord,
	PoolRecord,
} from "../types.js";
import type { Store } from "./store.js";

/** Finds the records that have a key; oldest first. */
export type Lookup<T> = (key: string) => T[];

/** What every record has. */
interface Row {
	id: string;
	created: string;
}

/** One kind of record: a map by id with its copy in the store. */
export class Table<T extends Row> {
	readonly #rows = new Map<string, T>();
	readonly #indexes: Index<T>[] = [];

	/** Reads every record below `prefix`. */
	constructor(
		readonly store: Store,
		readonly prefix: string,
	) {
		const rows = store.list<T>(prefix).map(({ value }) => value);
		for (const row of rows.sort((a, b) => a.created.localeCompare(b.created))) this.#rows.set(row.id, row);
	}

	get(id: string): T | undefined {
		return this.#rows.get(id);
	}

	/** All records, oldest first. */
	all(): T[] {
		return [...this.#rows.values()];
	}

	/** A second key: looking records up by it takes no longer when there are more. */
	by(keyOf: (row: T) => string): Lookup<T> {
		const index = new Index(keyOf);
		for (const row of this.#rows.values()) index.add(row);
		this.#indexes.push(index);
		return (key) => index.find(key);
	}

	/** Writes the record; it is on disk when the promise resolves. */
	put(row: T): Promise<void> {
		return commit(this.store, (changes) => changes.put(this, row));
	}

	del(id: string): Promise<void> {
		return commit(this.store, (changes) => changes.del(this, id));
	}

	/** Makes what is in memory follow what has been written. */
	set(row: T): void {
		this.#rows.set(row.id, row);
		for (const index of this.#indexes) index.add(row);
	}

	/** As `set`. */
	unset(id: string): void {
		this.#rows.delete(id);
		for (const index of this.#indexes) index.remove(id);
	}
}

/** Changes of records, perhaps of several kinds, that are written together. */
export interface Changes {
	put<T extends Row>(table: Table<T>, row: NoInfer<T>): void;
	del<T extends Row>(table: Table<T>, id: string): void;
}

/** Writes all changes or none; they are on disk when the promise resolves. @throws VlaneError */
async function commit(store: Store, fn: (changes: Changes) => void): Promise<void> {
	const written: (() => void)[] = [];
	await store.transaction((batch) =>
		fn({
			put: (table, row) => {
				batch.put(table.prefix + row.id, row);
				written.push(() => table.set(row));
			},
			del: (table, id) => {
				batch.del(table.prefix + id);
				written.push(() => table.unset(id));
			},
		}),
	);
	for (const follow of written) follow();
}

class Index<T extends { id: string }> {
	readonly #rows = new Map<string, Map<string, T>>();
	/** The key of each record when it was added: the record may have changed since. */
	readonly #keys = new Map<string, string>();

	constructor(readonly keyOf: (row: T) => string) {}

	/** Adds a record; an older one with its id goes. */
	add(row: T): void {
		const key = this.keyOf(row);
		if (this.#keys.get(row.id) !== key) this.remove(row.id);
		this.#keys.set(row.id, key);
		const rows = this.#rows.get(key) ?? new Map<string, T>();
		this.#rows.set(key, rows.set(row.id, row));
	}

	remove(id: string): void {
		const key = this.#keys.get(id) ?? "";
		const rows = this.#rows.get(key);
		rows?.delete(id);
		if (rows?.size === 0) this.#rows.delete(key);
		this.#keys.delete(id);
	}

	find(key: string): T[] {
		return [...(this.#rows.get(key)?.values() ?? [])];
	}
}

/** Everything that the daemon remembers. */
export interface State {
	networks: Table<NetworkRecord>;
	endpoints: Table<EndpointRecord>;
	containers: Table<ContainerRecord>;
	attachments: Table<AttachmentRecord>;
	pools: Table<PoolRecord>;
	leases: Table<LeaseRecord>;
	networksNamed: Lookup<NetworkRecord>;
	/** By the name of the configuration network that they were made from. */
	networksConfiguredBy: Lookup<NetworkRecord>;
	endpointsOfNetwork: Lookup<EndpointRecord>;
	endpointsOfTarget: Lookup<EndpointRecord>;
	/** By the identity of their namespace, which several targets can name. */
	endpointsInNetns: Lookup<EndpointRecord>;
	endpointsWithMac: Lookup<EndpointRecord>;
	containersNamed: Lookup<ContainerRecord>;
	/** By `pid:N` of their process. */
	containersOfTarget: Lookup<ContainerRecord>;
	leasesOfPool: Lookup<LeaseRecord>;
	/** By `POOL/KEY`. */
	leasesOfKey: Lookup<LeaseRecord>;
	/** Made once per state directory; endpoints' MAC addresses are derived from it. */
	hostId: string;
	/** Writes changes of several records, all or none; they are on disk when the promise resolves. @throws VlaneError */
	commit(fn: (changes: Changes) => void): Promise<void>;
}

const HOST_ID_KEY = "meta/hostId";

/** Reads the store; a new one is given its host id. */
export async function loadState(store: Store): Promise<State> {
	let hostId = store.get<string>(HOST_ID_KEY);
	if (hostId === undefined) {
		hostId = newId();
		await store.put(HOST_ID_KEY, hostId);
	}
	const networks = new Table<NetworkRecord>(store, "network/");
	const endpoints = new Table<EndpointRecord>(store, "endpoint/");
	const containers = new Table<ContainerRecord>(store, "container/");
	const leases = new Table<LeaseRecord>(store, "lease/");
	return {
		networks,
		endpoints,
		containers,
		attachments: new Table<AttachmentRecord>(store, "attachment/"),
		pools: new Table<PoolRecord>(store, "pool/"),
		leases,
		networksNamed: networks.by(({ name }) => name),
		networksConfiguredBy: networks.by(({ configFrom }) => configFrom ?? ""),
		endpointsOfNetwork: endpoints.by(({ networkId }) => networkId),
		endpointsOfTarget: endpoints.by(({ target }) => target),
		endpointsInNetns: endpoints.by(({ netnsId }) => netnsId),
		endpointsWithMac: endpoints.by(({ mac }) => mac),
		containersNamed: containers.by(({ name }) => name),
		containersOfTarget: containers.by(({ pid }) => `pid:${pid}`),
		leasesOfPool: leases.by(({ poolId }) => poolId),
		leasesOfKey: leases.by(({ poolId, key }) => `${poolId}/${key}`),
		hostId,
		commit: (fn) => commit(store, fn),
	};
}
