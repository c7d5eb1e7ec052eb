/** The store on disk: one LMDB file in the state directory, which one daemon at a time may have open. */

import { mkdirSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { open, type RootDatabase } from "lmdb";
import { isErrno } from "../../sys/errno.js";
import * as libc from "../../sys/libc.js";
import { VlaneError } from "../errors.js";
import { damageOf, NO_DATABASE } from "./lmdbfile.js";
import { migrate, type Records } from "./migrations.js";
import type { Batch, Entry, Store } from "./store.js";

const FILE_NAME = "vlane.lmdb";
const PROBE_NAME = "vlane.probe";

/** What LMDB writes before the first record: two pages and the table of readers. */
const NEW_STORE_BYTES = 65536;
/** A file system with less than this left is full, whatever errno LMDB makes of a write that was cut short. */
const FULL_BYTES = 1 << 20;

/**
 * Opens the store, making the directory (mode 0700) and the file when they are missing, and migrating what an older
 * release has written.
 * @param inherited descriptor of the directory's lock, of which this process got a copy
 * @throws VlaneError conflict: another process has it open; unavailable: written by a newer version, or no room for a
 * new one; internal: damaged, file system errors
 */
export async function openLmdbStore(stateDir: string, inherited?: number): Promise<Store> {
	return openLocked(stateDir, inherited ?? lockDirectory(stateDir), true);
}

/** As `openLmdbStore`, for records that are about to be replaced: nothing is migrated, and none has to be readable. */
export async function openLmdbStoreToReplace(stateDir: string): Promise<Store> {
	return openLocked(stateDir, lockDirectory(stateDir), false);
}

async function openLocked(stateDir: string, lock: number, isRead: boolean): Promise<Store> {
	try {
		return await LmdbStore.open(stateDir, lock, isRead);
	} catch (error) {
		libc.close(lock);
		if (error instanceof VlaneError) throw error;
		throw new VlaneError("internal", `cannot open state directory ${stateDir}: ${reason(error)}`, { cause: error });
	}
}

/**
 * Reads a store as it is, without migrating it, also while a daemon has it open: all records as of one moment. A value
 * that is not JSON is a text, which no record is.
 * @throws VlaneError notFound: there is none; internal
 */
export async function readLmdbStore(stateDir: string): Promise<Records> {
	const path = join(stateDir, FILE_NAME);
	if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) {
		throw new VlaneError("notFound", `there is no state in ${stateDir}; name the right directory with --state-dir`);
	}
	try {
		refuseDamage(path);
		const database = open<string, string>({ path, noSubdir: true, encoding: "string", readOnly: true });
		const range = database.getRange({ snapshot: true });
		const records = new Map(Array.from(range, ({ key, value }) => [key, parsed(value) ?? value]));
		await database.close();
		return records;
	} catch (error) {
		throw new VlaneError("internal", `cannot read state directory ${stateDir}: ${reason(error)}`, { cause: error });
	}
}

/**
 * LMDB holds the texts; JSON is made and read here, so that what is written is what the caller had at the time of
 * the call.
 */
class LmdbStore implements Store {
	private constructor(
		readonly stateDir: string,
		readonly database: RootDatabase<string, string>,
		/** Descriptor of the directory's lock. */
		readonly lock: number,
	) {}

	static async open(stateDir: string, lock: number, isRead: boolean): Promise<LmdbStore> {
		const path = join(stateDir, FILE_NAME);
		refuseDamage(path);
		requireRoom(stateDir);
		// The umask because LMDB makes its files 0664.
		const umask = process.umask(0o077);
		let database: RootDatabase<string, string>;
		try {
			database = open({ path, noSubdir: true, encoding: "string", overlappingSync: false });
		} finally {
			process.umask(umask);
		}
		const store = new LmdbStore(stateDir, database, lock);
		try {
			if (isRead) await store.#migrate();
			return store;
		} catch (error) {
			await database.close();
			throw error;
		}
	}

	async #migrate(): Promise<void> {
		const before = new Map(this.list("").map(({ key, value }) => [key, value]));
		const after = migrate(before, `state directory ${this.stateDir}`);
		const changed = [...after].filter(([key, value]) => before.get(key) !== value);
		const removed = [...before.keys()].filter((key) => !after.has(key));
		if (changed.length + removed.length === 0) return;
		await this.transaction((batch) => {
			for (const [key, value] of changed) batch.put(key, value);
			for (const key of removed) batch.del(key);
		});
	}

	get<T>(key: string): T | undefined {
		const text = this.database.get(key);
		return text === undefined ? undefined : (parse(key, text) as T);
	}

	list<T>(prefix: string): Entry<T>[] {
		const range = this.database.getRange({ start: prefix, end: `${prefix}\uffff` });
		return Array.from(range, ({ key, value }) => ({ key, value: parse(key, value) as T }));
	}

	keys(): string[] {
		return Array.from(this.database.getKeys());
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
		try {
			// Writes, syncs and returns: an asynchronous one that fails rejects promises that nobody can wait for.
			this.database.transactionSync(() => {
				for (const { key, text } of writes) {
					if (text === undefined) this.database.remove(key);
					else this.database.put(key, text);
				}
			});
		} catch (error) {
			throw writeError(this.stateDir, error);
		}
	}

	async close(): Promise<void> {
		await this.database.close();
		libc.close(this.lock);
	}
}

/** LMDB believes what stands in its file: damage in there ends the process, or hides records. */
function refuseDamage(path: string): void {
	if (!statSync(path, { throwIfNoEntry: false })) return;
	const damage = damageOf(path);
	if (damage === NO_DATABASE) throw new Error(`${FILE_NAME} is not a vlane database; move it away`);
	if (damage === undefined) return;
	const next = "move it away, and begin anew, or with a backup: vlane state import";
	throw new Error(`${FILE_NAME} is damaged: ${damage}; ${next}`);
}

/**
 * LMDB maps its table of readers before there is room for it: on a full disk, a new store would end the process with
 * SIGBUS. So the room is asked for in a way that can be refused.
 */
function requireRoom(stateDir: string): void {
	if (statSync(join(stateDir, `${FILE_NAME}-lock`), { throwIfNoEntry: false })) return;
	const probe = join(stateDir, PROBE_NAME);
	try {
		writeFileSync(probe, Buffer.alloc(NEW_STORE_BYTES));
	} catch (error) {
		throw writeError(stateDir, error);
	} finally {
		rmSync(probe, { force: true });
	}
}

/** What a failed write is for users: nothing has been written then. */
function writeError(stateDir: string, error: unknown): VlaneError {
	const { bavail, bsize } = statfsSync(stateDir);
	const isFull = bavail * bsize < FULL_BYTES;
	const problem = isFull ? "ENOSPC, no space left on device; make room and try again" : reason(error);
	return new VlaneError(
		isFull ? "unavailable" : "internal",
		`cannot write to state directory ${stateDir}: ${problem}`,
		{
			cause: error,
		},
	);
}

/** Undefined: it is not JSON, of which no value is undefined. */
function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

function parse(key: string, text: string): unknown {
	const value = parsed(text);
	if (value === undefined) throw new Error(`record ${key} is not JSON; see vlane state check`);
	return value;
}

/**
 * Takes the directory for this process: flock(2) on the directory itself. The kernel drops it with the process, however
 * it ends, so that nothing stale is ever left; it holds across namespaces, as the directory does.
 * @returns descriptor that holds the lock until it is closed
 */
function lockDirectory(stateDir: string): number {
	try {
		const isOther = statSync(stateDir, { throwIfNoEntry: false })?.isDirectory() === false;
		if (isOther) throw new Error("it is not a directory; move it away or give another --state-dir");
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
