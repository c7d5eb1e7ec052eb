/** A state directory as one JSON text, and back: for backups, for moving to another host, for people. */
import { VlaneError } from "../errors.js";
import { openLmdbStoreToReplace, readLmdbStore } from "./lmdbstore.js";
import { migrate, type Records } from "./migrations.js";
import { firstOf } from "./recordschema.js";
import { problemsOf } from "./statecheck.js";

const FORMAT = "vlane state";

/** What an export is: records by key, in the schema that they were stored in. */
interface Exported {
	format: typeof FORMAT;
	records: Record<string, unknown>;
}

/** The text of an export. @throws VlaneError notFound, internal */
export async function exportState(stateDir: string): Promise<string> {
	const exported: Exported = { format: FORMAT, records: Object.fromEntries(await readLmdbStore(stateDir)) };
	return `${JSON.stringify(exported, undefined, "\t")}\n`;
}

/** What is wrong with a state directory, one line each. @throws VlaneError notFound, unavailable (newer), internal */
export async function checkState(stateDir: string): Promise<string[]> {
	return problemsOf(migrate(await readLmdbStore(stateDir), `state directory ${stateDir}`));
}

/**
 * Writes an export, of this release or an older one, to a state directory: all of it or nothing.
 * @param replace whether what is there goes; otherwise the directory must have no records
 * @returns how many records were written
 * @throws VlaneError invalid (not an export, or a wrong one), conflict (in use, or not empty), unavailable (newer, no
 * room), internal
 */
export async function importState(stateDir: string, text: string, replace: boolean): Promise<number> {
	const records = migrate(recordsOf(text), "the import");
	const problems = problemsOf(records);
	if (problems.length > 0) {
		throw new VlaneError("invalid", `the import is not consistent: ${firstOf(problems)}; nothing was changed`);
	}
	const store = await openLmdbStoreToReplace(stateDir);
	try {
		const present = store.keys().filter((key) => !key.startsWith("meta/"));
		if (present.length > 0 && !replace) {
			const remedy = "give --force to replace them, or another --state-dir";
			throw new VlaneError("conflict", `state directory ${stateDir} has ${present.length} records; ${remedy}`);
		}
		await store.transaction((batch) => {
			for (const key of store.keys()) batch.del(key);
			for (const [key, value] of records) batch.put(key, value);
		});
		return [...records.keys()].filter((key) => !key.startsWith("meta/")).length;
	} finally {
		await store.close();
	}
}

function recordsOf(text: string): Records {
	let value: Partial<Exported> | undefined;
	try {
		value = Object(JSON.parse(text));
	} catch {
		// Falls through to the refusal below.
	}
	if (value?.format !== FORMAT || typeof value.records !== "object" || value.records === null) {
		throw new VlaneError("invalid", "the import is not what vlane state export has written");
	}
	return new Map(Object.entries(value.records));
}
