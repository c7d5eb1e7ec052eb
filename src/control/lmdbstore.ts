/** The store on disk: one LMDB file in the state directory, which one daemon at a time may have open. */

import { closeSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { open, type RootDatabase } from "lmdb";
import { isErrno } from "../sys/errno.js";
import * as libc from "../sys/libc.js";
import { VlaneError } from "./errors.js";
import { type Batch, type Entry, SCHEMA_VERSION, type Store } from "./store.js";

const FILE_NAME = "vlane.lmdb";
const SCHEMA_KEY = "meta/schema";

/** MDB_MAGIC of LMDB's mdb.c, behind the first page's header of 24 bytes. */
const MAGIC = 0xbeefc0de;
const MAGIC_OFFSET_BYTES = 24;

/**
 * Opens the store, making the directory (mode 0700) and the file when they are missing.
 * @throws VlaneError conflict: another process has it open; unavailable: written by a newer version; internal: file
 * system errors
 */
export async function openLmdbStore(stateDir: string): Promise<Store> {
	const lock = lockDirectory(stateDir);
	try {
		return await LmdbStore.open(stateDir, lock);
	} catch (error) {
		libc.close(lock);
		if (error instanceof VlaneError) throw error;
		throw new VlaneError("internal", `cannot open state directory ${stateDir}: ${reason(error)}`, { cause: error });
	}
}

/**
 * LMDB holds the texts; JSON is made and read here, so that what is written is what the caller had at the time of
 * the call.
 */
class LmdbStore implements Store {
	private constructor(
		readonly database: RootDatabase<string, string>,
		/** Descriptor of the directory's lock. */
		readonly lock: number,
	) {}

	static async open(stateDir: string, lock: number): Promise<LmdbStore> {
		const path = join(stateDir, FILE_NAME);
		refuseForeignFile(path);
		// The umask because LMDB makes its files 0664.
		const umask = process.umask(0o077);
		let database: RootDatabase<string, string>;
		try {
			// Without overlappingSync a write's promise resolves after its fsync, not before.
			database = open({ path, noSubdir: true, encoding: "string", overlappingSync: false });
		} finally {
			process.umask(umask);
		}
		const store = new LmdbStore(database, lock);
		const version = store.get<number>(SCHEMA_KEY);
		if (version === undefined) await store.put(SCHEMA_KEY, SCHEMA_VERSION);
		else if (version > SCHEMA_VERSION) {
			await database.close();
			const versions = `its schema is ${version}, this version reads up to ${SCHEMA_VERSION}`;
			throw new VlaneError(
				"unavailable",
				`state directory ${stateDir} was written by a newer vlane (${versions}); use that vlane or another --state-dir`,
			);
		}
		return store;
	}

	get<T>(key: string): T | undefined {
		const text = this.database.get(key);
		return text === undefined ? undefined : (JSON.parse(text) as T);
	}

	list<T>(prefix: string): Entry<T>[] {
		const range = this.database.getRange({ start: prefix, end: `${prefix}\uffff` });
		return Array.from(range, ({ key, value }) => ({ key, value: JSON.parse(value) as T }));
	}

	put(key: string, value: unknown): Promise<void> {
		return this.transaction((batch) => batch.put(key, value));
	}

	del(key: string): Promise<void> {
		return this.transaction((batch) => batch.del(key));
	}

	async transaction(fn: (batch: Batch) => void): Promise<void> {
		const writes: { key: string; text?: string }[] = [];
		fn({
			put: (key, value) => writes.push({ key, text: JSON.stringify(value) }),
			del: (key) => writes.push({ key }),
		});
		await this.database.transaction(() => {
			for (const { key, text } of writes) {
				if (text === undefined) this.database.remove(key);
				else this.database.put(key, text);
			}
		});
	}

	async close(): Promise<void> {
		await this.database.close();
		libc.close(this.lock);
	}
}

/**
 * The lmdb package ends the process with a segmentation fault on a file that is not LMDB's, so this is looked at
 * before.
 */
function refuseForeignFile(path: string): void {
	if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return;
	const header = Buffer.alloc(MAGIC_OFFSET_BYTES + 4);
	const fd = openSync(path, "r");
	try {
		readSync(fd, header, 0, header.length, 0);
	} finally {
		closeSync(fd);
	}
	if (header.readUInt32LE(MAGIC_OFFSET_BYTES) !== MAGIC)
		throw new Error(`${FILE_NAME} is not a vlane database; move it away`);
}

/**
 * Takes the directory for this process: flock(2) on the directory itself. The kernel drops it with the process, however
 * it ends, so that nothing stale is ever left; it holds across namespaces, as the directory does.
 * @returns descriptor that holds the lock until it is closed
 */
function lockDirectory(stateDir: string): number {
	try {
		mkdirSync(stateDir, { recursive: true, mode: 0o700 });
		const fd = libc.open(stateDir, libc.O_RDONLY | libc.O_CLOEXEC);
		try {
			libc.flock(fd, libc.LOCK_EX | libc.LOCK_NB, stateDir);
			return fd;
		} catch (error) {
			libc.close(fd);
			throw error;
		}
	} catch (error) {
		const isTaken = isErrno(error, "EAGAIN");
		throw new VlaneError(
			isTaken ? "conflict" : "internal",
			isTaken
				? `state directory ${stateDir} is in use by another vlane daemon; stop it or use another --state-dir`
				: `cannot use state directory ${stateDir}: ${reason(error)}`,
			{ cause: error },
		);
	}
}

function reason(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
