/**
 * The Go templates of docker's `--format`. What a template sees:
 *
 * - a plain object is a struct: asking it for a field that it does not have is an error;
 * - a `Map` is a map with free keys: a missing key is `<no value>`;
 * - a function is a method: `{{.Label "lab"}}`.
 */
import { CliError } from "./errors.js";
import { goText, isTrue, TEMPLATE_FUNCTIONS, type TemplateFunction } from "./templatefunctions.js";
import { type Node, type Pipeline, parseTemplate, type Term } from "./templateparser.js";

/** A parsed template, to be executed once per row. */
export class Template {
	readonly #nodes: Node[];

	/** @throws CliError when the template is malformed. */
	constructor(text: string) {
		this.#nodes = parseTemplate(text, (name) => Object.hasOwn(TEMPLATE_FUNCTIONS, name));
	}

	/**
	 * @param overrides Functions that replace the built-in ones, for table headers.
	 * @throws CliError when the data does not fit the template.
	 */
	execute(data: unknown, overrides: Record<string, TemplateFunction> = {}): string {
		const output: string[] = [];
		new Execution({ ...TEMPLATE_FUNCTIONS, ...overrides }, output).run(this.#nodes, data, new Map([["$", data]]));
		return output.join("");
	}
}

type Scope = Map<string, unknown>;

class Execution {
	readonly #functions: Record<string, TemplateFunction>;
	readonly #output: string[];

	constructor(functions: Record<string, TemplateFunction>, output: string[]) {
		this.#functions = functions;
		this.#output = output;
	}

	/** Variables declared in `nodes` stay in `scope`. */
	run(nodes: Node[], dot: unknown, scope: Scope): void {
		for (const node of nodes) {
			if (node.kind === "text") this.#output.push(node.text);
			else if (node.kind === "output") this.#print(node.pipeline, dot, scope);
			else if (node.kind === "range") this.#range(node.pipeline, node.body, node.otherwise, dot, scope);
			else {
				const inner = new Map(scope);
				const value = this.#pipeline(node.pipeline, dot, inner);
				if (!isTrue(value)) this.run(node.otherwise, dot, inner);
				else this.run(node.body, node.kind === "with" ? value : dot, inner);
			}
		}
	}

	#print(pipeline: Pipeline, dot: unknown, scope: Scope): void {
		const value = this.#pipeline(pipeline, dot, scope);
		if (pipeline.declares.length === 0) this.#output.push(value === undefined ? "<no value>" : goText(value));
	}

	#range(pipeline: Pipeline, body: Node[], otherwise: Node[], dot: unknown, scope: Scope): void {
		const value = this.#pipeline({ ...pipeline, declares: [] }, dot, scope);
		const entries = entriesOf(value);
		if (entries === undefined) {
			throw failure(pipeline.commands[0]?.[0], `range can't iterate over ${goText(value)}`);
		}
		for (const [key, element] of entries) {
			const inner = new Map(scope);
			const [first, second] = pipeline.declares;
			if (first !== undefined) inner.set(first, second === undefined ? element : key);
			if (second !== undefined) inner.set(second, element);
			this.run(body, element, inner);
		}
		if (entries.length === 0) this.run(otherwise, dot, new Map(scope));
	}

	#pipeline(pipeline: Pipeline, dot: unknown, scope: Scope): unknown {
		let value: unknown;
		pipeline.commands.forEach((terms, index) => {
			value = this.#command(terms, index > 0 ? [value] : [], dot, scope);
		});
		for (const name of pipeline.declares) scope.set(name, value);
		return value;
	}

	/** Calls the first term with the others and, behind them, the value that was piped in. */
	#command(terms: Term[], piped: unknown[], dot: unknown, scope: Scope): unknown {
		const [head, ...rest] = terms as [Term, ...Term[]];
		const callee = head.kind === "function" ? this.#functions[head.name] : this.#value(head, dot, scope);
		const given = [...rest.map((term) => this.#argument(term, dot, scope)), ...piped];
		if (typeof callee === "function") {
			try {
				return (callee as TemplateFunction)(...given);
			} catch (error) {
				if (error instanceof CliError) throw error;
				const source = terms.map((term) => term.source).join(" ");
				throw failure({ ...head, source }, `error calling ${head.source}: ${(error as Error).message}`);
			}
		}
		if (given.length > 0) throw failure(head, `can't give argument to non-function ${head.source}`);
		return callee;
	}

	#argument(term: Term, dot: unknown, scope: Scope): unknown {
		return this.#command([term], [], dot, scope);
	}

	#value(term: Term, dot: unknown, scope: Scope): unknown {
		let value: unknown = dot;
		if (term.kind === "literal") value = term.value;
		else if (term.kind === "variable") value = scope.get(term.name);
		else if (term.group !== undefined) value = this.#pipeline(term.group, dot, scope);
		for (const field of term.fields) value = fieldOf(value, field, term);
		return value;
	}
}

function fieldOf(value: unknown, field: string, term: Term): unknown {
	if (value instanceof Map) return value.get(field);
	if (value === undefined || value === null) throw failure(term, `nil pointer evaluating interface {}.${field}`);
	if (typeof value !== "object" || Array.isArray(value)) {
		throw failure(term, `can't evaluate field ${field} in type interface {}`);
	}
	if (!Object.hasOwn(value, field)) throw failure(term, `map has no entry for key "${field}"`);
	return (value as Record<string, unknown>)[field];
}

/** Keys and elements in the order Go visits them; undefined for what can not be iterated. */
function entriesOf(value: unknown): [unknown, unknown][] | undefined {
	if (value === undefined) return [];
	if (Array.isArray(value)) return [...value.entries()];
	if (value instanceof Map) return [...value.entries()].sort(([left], [right]) => (left < right ? -1 : 1));
	return undefined;
}

function failure(term: Term | undefined, message: string): CliError {
	const place = `:1:${term?.column ?? 0}: executing "" at <${term?.source ?? ""}>`;
	return new CliError(`template parsing error: template: ${place}: ${message}`);
}
