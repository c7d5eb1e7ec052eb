/**
 * Names and ids of networks and containers: what is allowed, how new ones are made, and how references are
 * resolved.
 */

import { randomBytes, randomInt } from "node:crypto";
import { VlaneError } from "../errors.js";

/** What can be referred to by name, id or the beginning of an id. */
export interface Named {
	id: string;
	name: string;
}

/** Docker's rule for names of networks and containers. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const NAME_RULE = "[a-zA-Z0-9][a-zA-Z0-9_.-]";
const NAME_LENGTH_MAX = 255;

/** Names that Docker's own networks have; `--net=host` must never mean a network of ours. */
const PREDEFINED = new Set(["bridge", "default", "host", "none"]);

/** @throws VlaneError invalid (empty, too long, bad characters) or forbidden (a name that Docker predefines) */
export function checkNetworkName(name: string): void {
	if (name.trim() === "") throw new VlaneError("invalid", "invalid name: name is empty");
	if (!NAME.test(name)) {
		throw new VlaneError(
			"invalid",
			`invalid name: ${show(name)} includes invalid characters, only ${NAME_RULE} are allowed`,
		);
	}
	if (name.length > NAME_LENGTH_MAX) {
		throw new VlaneError("invalid", `invalid name: it has ${name.length} characters, the limit is ${NAME_LENGTH_MAX}`);
	}
	if (PREDEFINED.has(name)) {
		throw new VlaneError("forbidden", `operation is not permitted on predefined ${name} network`);
	}
}

/** @throws VlaneError invalid */
export function checkContainerName(name: string): void {
	if (!NAME.test(name)) {
		throw new VlaneError("invalid", `Invalid container name (${show(name)}), only ${NAME_RULE} are allowed`);
	}
	if (name.length > NAME_LENGTH_MAX) {
		const reason = `it has ${name.length} characters, the limit is ${NAME_LENGTH_MAX}`;
		throw new VlaneError("invalid", `Invalid container name (${name.slice(0, 32)}...), ${reason}`);
	}
}

/** A bad name as it is shown: control characters escaped, so that the error stays one line. */
function show(name: string): string {
	return JSON.stringify(name).slice(1, -1);
}

/** A new id: 64 lower-case hex digits. */
export function newId(): string {
	return randomBytes(32).toString("hex");
}

/**
 * Finds what `ref` names: the exact name, else the exact id, else the only id that begins with `ref`. A container may
 * also be written with Docker's leading slash.
 * @throws VlaneError notFound, or invalid when several ids begin with `ref`; texts are Docker's
 */
export function resolveRef<T extends Named>(
	list: Iterable<T>,
	ref: string,
	kind: "network" | "container" = "network",
): T {
	const items = [...list];
	const name = kind === "container" ? ref.replace(/^\//, "") : ref;
	const exact = items.find((item) => item.name === name) ?? items.find((item) => item.id === ref);
	if (exact !== undefined) return exact;
	const matches = ref === "" ? [] : items.filter((item) => item.id.startsWith(ref));
	if (matches.length > 1) {
		throw new VlaneError(
			"invalid",
			kind === "network"
				? `network ${ref} is ambiguous (${matches.length} matches found based on ID prefix)`
				: `multiple IDs found with provided prefix: ${ref}`,
		);
	}
	if (matches[0] !== undefined) return matches[0];
	throw new VlaneError("notFound", kind === "network" ? `network ${ref} not found` : `No such container: ${ref}`);
}

const ADJECTIVES = (
	"agile amber brave bright calm clever crisp daring eager fair fleet gentle glad happy jolly keen kind lively lucid " +
	"merry mellow noble nimble placid polite proud quick quiet ready serene sharp silent smart steady sunny swift tidy " +
	"vivid warm wise"
).split(" ");

/** People whose work frames, bridges and routes stand on. */
const SURNAMES = (
	"abramson baran bellman boggs cerf clark dalal davies deering dijkstra feinler floyd hamming hopper jacobson kahn " +
	"karels kleinrock lamport liskov lynch metcalfe mockapetris nyquist perlman postel pouzin reynolds roberts seifert " +
	"shannon spurgeon thacker tomlinson turing varghese wing zimmermann"
).split(" ");

/** A name for a container that was given none, such as `nimble_perlman`; digits are appended when all else is taken. */
export function randomName(taken: { has(name: string): boolean }): string {
	for (let attempt = 0; ; attempt++) {
		const adjective = ADJECTIVES[randomInt(ADJECTIVES.length)];
		const surname = SURNAMES[randomInt(SURNAMES.length)];
		const name = `${adjective}_${surname}${attempt < 8 ? "" : randomInt(10 ** Math.min(attempt - 7, 9))}`;
		if (!taken.has(name)) return name;
	}
}
