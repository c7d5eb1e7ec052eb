/**
 * Completion: what can stand at the end of an unfinished command line, found in the command table. The shells' scripts
 * (completionscripts.ts) ask for it at every press of the key, so there is nothing in them that could be out of date.
 */
import type { ApiContainer, ApiNetwork } from "../control/types.js";
import type { PortStats } from "../host/types.js";
import type { Client } from "./client.js";
import { cutPair, type FlagSpec } from "./flags.js";
import type { CommandSpec } from "./table/spec.js";
import { COMMANDS, GLOBAL_FLAGS, GROUPS } from "./table.js";

/** A word that fits, and a few words about it, which may be none. */
export type Candidate = [word: string, about: string];

/** What the shell adds from its own knowledge. */
export type Shells = "nothing" | "files" | "directories" | "commands";

export interface Completion {
	candidates: Candidate[];
	shells: Shells;
}

/** Names that the daemon knows; asked for only where one can stand. Never throws. */
export interface Names {
	networks(): Promise<Candidate[]>;
	containers(): Promise<Candidate[]>;
	ports(): Promise<Candidate[]>;
}

/** What stands before the unfinished word. */
interface Place {
	/** Words of commands so far; of a group, or nothing, as long as the command is not complete. */
	path: string;
	spec?: CommandSpec;
	/** The flag whose value is to come. */
	flag?: FlagSpec;
	operands: number;
	/** `--` was met: no more flags. */
	flagsEnded: boolean;
}

const NOTHING: Completion = { candidates: [], shells: "nothing" };

/** @param words after `vlane`; the last one is unfinished, and may be empty */
export async function complete(words: readonly string[], names: Names): Promise<Completion> {
	const current = words.at(-1) ?? "";
	const place = placeOf(words.slice(0, -1));
	const [flagName, begun] = cutPair(current);
	let found: Completion;
	let prefix = "";
	if (place.flag) {
		found = await valuesOf(place.flag, names);
	} else if (current.startsWith("-") && !place.flagsEnded) {
		const flag = begun === undefined ? undefined : findFlag(flagsAt(place), flagName);
		if (begun !== undefined) prefix = `${flagName}=`;
		found = flag ? await valuesOf(flag, names) : { candidates: flagWords(flagsAt(place)), shells: "nothing" };
	} else if (place.spec) {
		found = await operandsOf(place.spec, place.operands, names);
	} else {
		found = { candidates: commandWords(place.path), shells: "nothing" };
	}
	const candidates = found.candidates
		.map(([word, about]): Candidate => [prefix + word, about])
		.filter(([word]) => word.startsWith(current));
	return { ...found, candidates };
}

/** The daemon's names; none when it does not answer. */
export function namesFrom(client: Client): Names {
	const attempt = async (names: Promise<Candidate[]>): Promise<Candidate[]> => {
		try {
			return await names;
		} catch {
			return [];
		}
	};
	return {
		networks: () =>
			attempt(client.get<ApiNetwork[]>("/networks").then((all) => all.map(({ Name, Driver }) => [Name, Driver]))),
		containers: () =>
			attempt(
				client
					.get<ApiContainer[]>("/containers?all=1")
					.then((all) => all.map(({ Name, Command }) => [Name, Command.join(" ")])),
			),
		ports: () => attempt(client.get<PortStats[]>("/ports").then((all) => all.map(({ name, kind }) => [name, kind]))),
	};
}

function placeOf(words: readonly string[]): Place {
	const place: Place = { path: "", operands: 0, flagsEnded: false };
	for (const word of words) {
		if (place.flag) {
			place.flag = undefined;
		} else if (word === "--" && !place.flagsEnded) {
			place.flagsEnded = true;
		} else if (word.startsWith("-") && word !== "-" && !place.flagsEnded) {
			const flag = findFlag(flagsAt(place), word);
			if (flag && flag.type !== "bool") place.flag = flag;
		} else if (place.spec) {
			place.operands++;
			place.flagsEnded ||= place.spec.endsAtCommand ?? false;
		} else {
			place.path = place.path === "" ? word : `${place.path} ${word}`;
			place.spec = COMMANDS.find((spec) => spellings(spec).includes(place.path));
		}
	}
	return place;
}

/** A command's path, and the same with each alias as its last word. */
function spellings({ path, aliases = [] }: CommandSpec): string[] {
	const stem = path.replace(/[^ ]+$/, "");
	return [path, ...aliases.map((alias) => stem + alias)];
}

function flagsAt({ path, spec }: Place): readonly FlagSpec[] {
	return spec?.flags ?? (path === "" ? GLOBAL_FLAGS : []);
}

/** The flag that `--name` means, or the last letter of `-xyz`. */
function findFlag(flags: readonly FlagSpec[], word: string): FlagSpec | undefined {
	if (!word.startsWith("--")) return flags.find(({ short }) => short === word.at(-1));
	return flags.find(({ name, aliases = [] }) => [name, ...aliases].includes(word.slice(2)));
}

function flagWords(flags: readonly FlagSpec[]): Candidate[] {
	return [...flags.map(({ name, help }): Candidate => [`--${name}`, help]), ["--help", "Print usage"]];
}

/** Commands below `path`: of a group, or all. */
function commandWords(path: string): Candidate[] {
	if (path !== "") {
		const inside = COMMANDS.filter((spec) => spec.path.startsWith(`${path} `));
		return inside.map((spec) => [spec.path.slice(path.length + 1), spec.summary]);
	}
	const single = COMMANDS.filter((spec) => !spec.path.includes(" "));
	const groups = Object.entries(GROUPS);
	return [...single.map((spec): Candidate => [spec.path, spec.summary]), ...groups];
}

async function valuesOf(flag: FlagSpec, names: Names): Promise<Completion> {
	if (flag.values) return { candidates: flag.values.map((value) => [value, ""]), shells: "nothing" };
	return (flag.metavar && (await kindOf(flag.metavar, names))) || NOTHING;
}

/** What stands at an operand's place, by the word that the usage line has there; the last one may repeat. */
async function operandsOf(spec: CommandSpec, index: number, names: Names): Promise<Completion> {
	if (spec.args.max !== undefined && index >= spec.args.max) return NOTHING;
	const places = spec.operands.split(" ");
	const place = places[Math.min(index, places.length - 1)] ?? "";
	const kinds = place.replace(/[[\].]/g, "").split("|");
	// What is no kind of thing and in small letters is meant as it stands.
	const literal = (kind: string): Completion =>
		/^[a-z]+$/.test(kind) ? { candidates: [[kind, ""]], shells: "nothing" } : NOTHING;
	const found = await Promise.all(kinds.map(async (kind) => (await kindOf(kind, names)) ?? literal(kind)));
	return {
		candidates: found.flatMap(({ candidates }) => candidates),
		shells: found.find(({ shells }) => shells !== "nothing")?.shells ?? "nothing",
	};
}

/** Things of a kind, as usage lines and help texts call it; undefined when it is no kind that has any. */
async function kindOf(kind: string, names: Names): Promise<Completion | undefined> {
	switch (kind.toLowerCase()) {
		case "network":
			return { candidates: await names.networks(), shells: "nothing" };
		case "container":
			return { candidates: await names.containers(), shells: "nothing" };
		case "port":
			return { candidates: await names.ports(), shells: "nothing" };
		case "command":
			return { candidates: [], shells: "commands" };
		case "arg":
		case "file":
		case "path":
			return { candidates: [], shells: "files" };
		case "directory":
			return { candidates: [], shells: "directories" };
		default:
			return undefined;
	}
}
