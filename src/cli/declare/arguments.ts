/** What `up`, `down` and `diff` are called with. */
import { existsSync, readFileSync } from "node:fs";
import { CliError, messageOf } from "../errors.js";
import type { Flags } from "../flags.js";
import { checkProject, type Declaration, readDeclaration } from "./declaration.js";

/** Looked for in this order when no file is given. */
const FILES = ["vlane.yaml", "vlane.yml", "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/** The declaration that the flags name. @throws CliError */
export function declarationOf(flags: Flags): Declaration {
	const path = flags.string("file") ?? FILES.find((name) => existsSync(name));
	if (path === undefined)
		throw new CliError(`no declaration given: use --file, or have one of ${FILES.join(", ")} here`);
	return readDeclaration(path === "-" ? "stdin" : path, readText(path), flags.string("project-name"));
}

/** The project to take down: by its name alone, or by its file. @throws CliError */
export function projectOf(flags: Flags): string {
	const name = flags.string("project-name");
	return name === undefined ? declarationOf(flags).project : checkProject(name);
}

function readText(path: string): string {
	try {
		return readFileSync(path === "-" ? 0 : path, "utf8");
	} catch (error) {
		throw new CliError(`cannot read ${path}: ${messageOf(error)}`);
	}
}
