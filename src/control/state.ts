/**
 * The records in memory and on disk: what is in the maps has been written, what was written is in the maps.
 */
import { newId } from "./names.js";
import type { Store } from "./store.js";
import type { ContainerRecord, EndpointRecord, NetworkRecord } from "./types.js";

/** One kind of record: a map by id with its copy in the store. */
export class Table<T extends { id: string }> {
	readonly #rows = new Map<string, T>();

	/** Reads every record below `prefix`. */
	constructor(
		readonly store: Store,
		readonly prefix: string,
	) {
		for (const { value } of store.list<T>(prefix)) this.#rows.set(value.id, value);
	}

	get(id: string): T | undefined {
		return this.#rows.get(id);
	}

	/** All records, oldest first as far as they were put in this life of the daemon. */
	all(): T[] {
		return [...this.#rows.values()];
	}

	/** Writes the record; it is on disk when the promise resolves. */
	async put(row: T): Promise<void> {
		await this.store.put(this.prefix + row.id, row);
		this.#rows.set(row.id, row);
	}

	async del(id: string): Promise<void> {
		await this.store.del(this.prefix + id);
		this.#rows.delete(id);
	}
}

/** Everything that the daemon remembers. */
export interface State {
	networks: Table<NetworkRecord>;
	endpoints: Table<EndpointRecord>;
	containers: Table<ContainerRecord>;
	/** Made once per state directory; endpoints' MAC addresses are derived from it. */
	hostId: string;
}

const HOST_ID_KEY = "meta/hostId";

/** Reads the store; a new one is given its host id. */
export async function loadState(store: Store): Promise<State> {
	const hostId = store.get<string>(HOST_ID_KEY) ?? newId();
	await store.put(HOST_ID_KEY, hostId);
	return {
		networks: new Table(store, "network/"),
		endpoints: new Table(store, "endpoint/"),
		containers: new Table(store, "container/"),
		hostId,
	};
}
