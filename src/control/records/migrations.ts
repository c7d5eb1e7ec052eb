/**
 * How records of older releases become those of this one: one step for each version of the schema, all of them together
 * one write. A step knows the shapes of its time only, so it never changes again.
 */
import { VlaneError } from "../errors.js";
import { SCHEMA_KEY, SCHEMA_VERSION } from "./store.js";

/** Every record of a store by key, parsed. */
export type Records = Map<string, unknown>;

type Loose = Record<string, unknown>;

/** `STEPS[n - 1]` makes records of version n + 1 from those of version n. */
const STEPS: ((records: Records) => void)[] = [
	// 2: endpoints know when they were made, so that they are found in that order again. Nobody knows it of the old ones,
	// but none is older than its network.
	(records) => {
		for (const [key, value] of records) {
			if (!key.startsWith("endpoint/")) continue;
			const endpoint = value as Loose;
			const network = records.get(`network/${endpoint.networkId}`) as Loose | undefined;
			records.set(key, { ...endpoint, created: network?.created ?? "1970-01-01T00:00:00.000Z" });
		}
	},
];

/**
 * Brings records up to this release's schema; records without a version are a new store's.
 * @param source what they belong to, for errors
 * @throws VlaneError unavailable: written by a newer release
 */
export function migrate(records: Records, source: string): Records {
	const version = records.has(SCHEMA_KEY) ? records.get(SCHEMA_KEY) : SCHEMA_VERSION;
	if (typeof version !== "number" || !Number.isInteger(version) || version < 1) {
		throw new VlaneError("internal", `${source} is damaged: ${SCHEMA_KEY} is ${JSON.stringify(version)}`);
	}
	if (version > SCHEMA_VERSION) {
		const versions = `its schema is ${version}, this version reads up to ${SCHEMA_VERSION}`;
		throw new VlaneError(
			"unavailable",
			`${source} was written by a newer vlane (${versions}); use that vlane or another --state-dir`,
		);
	}
	const migrated = new Map(records);
	for (const step of STEPS.slice(version - 1)) step(migrated);
	return migrated.set(SCHEMA_KEY, SCHEMA_VERSION);
}
