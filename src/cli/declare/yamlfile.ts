/**
 * Reading YAML so that every complaint has the line that it is about: the place of each value is kept beside what it
 * means.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from "yaml";
import type * as z from "zod";
import { CliError } from "../errors.js";
import { interpolate } from "./interpolate.js";

/** Places of a document below its top, of which only some may be a part of this program's business. */
type Path = readonly PropertyKey[];

export class YamlFile {
	readonly #name: string;
	readonly #lines = new LineCounter();
	readonly #document: Document;

	/**
	 * @param name as messages call it
	 * @throws CliError when it is no YAML
	 */
	constructor(name: string, text: string) {
		this.#name = name;
		this.#document = parseDocument(text, { lineCounter: this.#lines, merge: true });
		const [error] = this.#document.errors;
		if (!error) return;
		const message = error.message.split("\n")[0]!.replace(/ at line \d+, column \d+:?$/, "");
		throw this.#problem(error.pos[0], message);
	}

	/**
	 * The values that the schema gives, with variables replaced in the sections that it is about.
	 * @param sections keys at the top whose texts may name variables
	 * @throws CliError with all problems, each with its line
	 */
	read<T>(schema: z.ZodType<T>, sections: readonly string[], variables: NodeJS.ProcessEnv): T {
		this.#interpolate(sections, variables);
		let value: unknown;
		try {
			value = withoutExtensions(this.#document.toJS() ?? {});
		} catch (error) {
			throw new CliError(`${this.#name}: ${(error as Error).message}`);
		}
		const result = schema.safeParse(value);
		if (result.success) return result.data;
		const problems = result.error.issues.flatMap((issue) => this.#describe(issue));
		throw new CliError(problems.join("; "));
	}

	/** An error about the value at `path`. */
	error(path: Path, message: string): CliError {
		return this.#problem(this.#offset(path), message);
	}

	#problem(offset: number, message: string): CliError {
		return new CliError(`${this.#name}:${this.#lines.linePos(offset).line}: ${message}`);
	}

	#interpolate(sections: readonly string[], variables: NodeJS.ProcessEnv): void {
		for (const section of sections) {
			const node = this.#document.get(section, true) as Node | undefined;
			if (!node) continue;
			visit(node, {
				Scalar: (key, scalar) => {
					if (key === "key" || typeof scalar.value !== "string") return;
					try {
						scalar.value = interpolate(scalar.value, variables);
					} catch (error) {
						throw this.#problem(scalar.range?.[0] ?? 0, (error as Error).message);
					}
				},
			});
		}
	}

	#describe(issue: z.core.$ZodIssue): string[] {
		const place = issue.path.map(String).join(".");
		if (issue.code === "unrecognized_keys") {
			return issue.keys.map((key) => {
				const where = place === "" ? "" : ` in ${place}`;
				return this.error([...issue.path, key], `unknown key ${JSON.stringify(key)}${where}`).message;
			});
		}
		const problem = issue.message.replace(/^Invalid input: /, "");
		return [this.error(issue.path, place === "" ? problem : `${place}: ${problem}`).message];
	}

	/** Where the key at the end of the path stands; of a path that leads nowhere, the last place that is there. */
	#offset(path: Path): number {
		let node: unknown = this.#document.contents;
		let offset = 0;
		for (const part of path) {
			if (isAlias(node)) node = node.resolve(this.#document);
			let next: unknown;
			if (isMap(node)) {
				const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
				offset = (pair?.key as Node | undefined)?.range?.[0] ?? offset;
				next = pair?.value;
			} else if (isSeq(node)) {
				next = node.items[Number(part)];
				offset = (next as Node | undefined)?.range?.[0] ?? offset;
			}
			node = next;
		}
		return offset;
	}
}

/** Keys that begin with `x-` are the author's own, wherever they stand. */
function withoutExtensions(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(withoutExtensions);
	if (typeof value !== "object" || value === null) return value;
	const kept = Object.entries(value).filter(([key]) => !key.startsWith("x-"));
	return Object.fromEntries(kept.map(([key, inner]) => [key, withoutExtensions(inner)]));
}
