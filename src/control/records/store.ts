/** Where the daemon's records outlive it: a small ordered map with atomic, durable writes. Values are JSON. */

/** Version of the records' shape: an older store is migrated when it is opened, a newer one is refused. */
export const SCHEMA_VERSION = 2;

/** Where a store keeps the version of its records. */
export const SCHEMA_KEY = "meta/schema";

/** Writes that are made together or not at all. */
export interface Batch {
	put(key: string, value: unknown): void;
	del(key: string): void;
}

/** One record with its key. */
export interface Entry<T> {
	key: string;
	value: T;
}

/**
 * Reads are synchronous and see everything whose promise has resolved; a promise resolves when the writes are on
 * disk.
 */
export interface Store {
	get<T>(key: string): T | undefined;
	/** All records whose key begins with `prefix`, in the keys' order. */
	list<T>(prefix: string): Entry<T>[];
	/** The keys of all records, in order, also of those that can not be read. */
	keys(): string[];
	/** The value is taken as it is now; later changes to the object do not matter. */
	put(key: string, value: unknown): Promise<void>;
	del(key: string): Promise<void>;
	/** Collects what `fn` writes and makes it one atomic write; nothing is written when `fn` throws. */
	transaction(fn: (batch: Batch) => void): Promise<void>;
	/** Descriptor of the lock that keeps other daemons away; a process that has a copy of it has the lock, too. */
	readonly lock?: number;
	/** The directory may be opened again afterwards. */
	close(): Promise<void>;
}
