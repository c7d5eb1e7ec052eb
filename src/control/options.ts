/** `-d DRIVER` and `-o KEY=VALUE` of a network: the keys that exist, and what is said about those that do not. */

import { VlaneError } from "./errors.js";

/** The meaning of a network's `-o` options. */
export interface DriverOptions {
	/** Unparsed, see `parseParent`; undefined: the network never leaves the host. */
	parent?: string;
	mode: "bridge";
	/** May join a parent that another network already uses. */
	shareParent: boolean;
	/** Undefined: the parent's. */
	mtuBytes?: number;
}

/** Docker's names of the options. */
export const OPTION = {
	parent: "parent",
	mode: "macvlan_mode",
	shareParent: "share_parent",
	mtu: "com.docker.network.driver.mtu",
} as const;

/** Smallest MTU that carries IPv4 (RFC 791) and the largest that a link can be given. */
const MTU_BYTES_MIN = 68;
const MTU_BYTES_MAX = 65535;

/** Modes of the kernel's macvlan driver that are not forwarded yet. */
const OTHER_MODES = new Set(["private", "vepa", "passthru", "source"]);

/**
 * Checks `-d`; absent means macvlan.
 * @throws VlaneError invalid
 */
export function parseDriver(driver: string | undefined): "macvlan" {
	if (driver === undefined || driver === "" || driver === "macvlan") return "macvlan";
	const problem =
		driver === "ipvlan" ? "network driver ipvlan is not in this version" : `network driver ${driver} is not known`;
	throw new VlaneError("invalid", `${problem}; use -d macvlan`);
}

/**
 * Checks and reads the `-o` options of a macvlan network.
 * @throws VlaneError invalid: unknown key (with the nearest known one) or malformed value
 */
export function parseDriverOptions(options: Record<string, string>): DriverOptions {
	const parsed: DriverOptions = { mode: "bridge", shareParent: false };
	for (const [key, value] of Object.entries(options)) {
		switch (key) {
			case OPTION.parent:
				parsed.parent = value;
				break;
			case OPTION.mode:
				checkMode(value);
				break;
			case OPTION.shareParent:
				parsed.shareParent = parseBool(key, value);
				break;
			case OPTION.mtu:
				parsed.mtuBytes = parseMtu(key, value);
				break;
			default:
				throw new VlaneError("invalid", `unknown driver option ${JSON.stringify(key)}; ${suggestion(key)}`);
		}
	}
	return parsed;
}

function checkMode(mode: string): void {
	if (mode === "bridge" || mode === "") return;
	if (OTHER_MODES.has(mode)) {
		throw new VlaneError(
			"invalid",
			`macvlan mode '${mode}' is not in this version; use -o macvlan_mode=bridge or leave it out`,
		);
	}
	throw new VlaneError(
		"invalid",
		`requested macvlan mode '${mode}' is not valid, 'bridge' mode is the macvlan driver default`,
	);
}

/** The spellings of Go's strconv.ParseBool, which Docker's options are read with. */
function parseBool(key: string, value: string): boolean {
	if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
	if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
	throw new VlaneError(
		"invalid",
		`driver-opt ${JSON.stringify(key)} is not a valid bool: ${JSON.stringify(value)}; use true or false`,
	);
}

function parseMtu(key: string, value: string): number {
	const mtuBytes = /^[1-9][0-9]{0,5}$/.test(value) ? Number(value) : Number.NaN;
	if (mtuBytes >= MTU_BYTES_MIN && mtuBytes <= MTU_BYTES_MAX) return mtuBytes;
	const range = `a whole number of bytes from ${MTU_BYTES_MIN} to ${MTU_BYTES_MAX}`;
	throw new VlaneError(
		"invalid",
		`driver-opt ${JSON.stringify(key)} must be ${range}, received: ${JSON.stringify(value)}`,
	);
}

/** What to say about an unknown key: the known one that was probably meant, else all of them. */
function suggestion(key: string): string {
	const known = Object.values(OPTION);
	const word = key.toLowerCase();
	const part = known.find((name) => word.length >= 3 && name.includes(word));
	const [nearest = "", edits = 0] = known
		.map((name): [string, number] => [name, editDistance(word, name)])
		.sort((a, b) => a[1] - b[1])[0] ?? ["", 0];
	const meant = part ?? (edits <= Math.max(2, nearest.length / 4) ? nearest : undefined);
	return meant === undefined ? `known options: ${known.join(", ")}` : `did you mean ${JSON.stringify(meant)}?`;
}

/** Levenshtein distance: the fewest single-character insertions, deletions and replacements that make `a` into `b`. */
function editDistance(a: string, b: string): number {
	let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (let row = 1; row <= a.length; row++) {
		const current = [row];
		for (let column = 1; column <= b.length; column++) {
			const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
			current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
		}
		previous = current;
	}
	return previous[b.length] ?? 0;
}
