/**
 * Parser for the subset of Go templates (text/template) that docker's `--format` is used with: fields, variables,
 * literals, pipelines, function calls, `if`, `else if`, `range`, `with`, comments and trim markers.
 *
 * Messages follow Go's, so that an answer found for docker applies here.
 */
import { CliError } from "./errors.js";

/** A value: what stands between two blanks of an action. `source` and `column` are for error messages. */
export interface Term {
	kind: "dot" | "variable" | "literal" | "function" | "group";
	/** Variable or function name. */
	name: string;
	/** Literal value. */
	value: unknown;
	/** `( ... )`. */
	group?: Pipeline;
	/** Fields taken from the value, outermost first: `.IPAM.Config` is dot with two. */
	fields: string[];
	source: string;
	column: number;
}

/** `$a, $b := command | command`. The first term of a command is called with the others. */
export interface Pipeline {
	declares: string[];
	commands: Term[][];
}

/** A piece of a template. */
export type Node =
	| { kind: "text"; text: string }
	| { kind: "output"; pipeline: Pipeline }
	| { kind: "if" | "with" | "range"; pipeline: Pipeline; body: Node[]; otherwise: Node[] };

/** Parses a template. @throws CliError `template parsing error: template: :1: ...` */
export function parseTemplate(text: string, isFunction: (name: string) => boolean): Node[] {
	const parser = new Parser(splitActions(text), isFunction);
	return parser.parse();
}

/** A syntax error on a line of the template. */
export function templateError(line: number, message: string): CliError {
	return new CliError(`template parsing error: template: :${line}: ${message}`);
}

type Piece = { kind: "text"; text: string } | { kind: "action"; text: string; line: number; column: number };

/** Cuts a template into text and `{{ actions }}`; comments and trim markers are gone afterwards. */
function splitActions(text: string): Piece[] {
	const pieces: Piece[] = [];
	let at = 0;
	let trimNext = false;
	while (at < text.length) {
		const open = text.indexOf("{{", at);
		const end = open < 0 ? text.length : open;
		let literal = text.slice(at, end);
		if (trimNext) literal = literal.trimStart();
		trimNext = false;
		const trimsBefore = open >= 0 && /^\{\{-\s/.test(text.slice(open, open + 4));
		if (trimsBefore) literal = literal.trimEnd();
		if (literal !== "") pieces.push({ kind: "text", text: literal });
		if (open < 0) break;
		const line = text.slice(0, open).split("\n").length;
		const close = findClose(text, open + 2, line);
		let start = open + (trimsBefore ? 3 : 2);
		let body = text.slice(start, close);
		if (/\s-$/.test(body)) {
			trimNext = true;
			body = body.slice(0, -1);
		}
		start += body.length - body.trimStart().length;
		body = body.trim();
		const column = start - (text.lastIndexOf("\n", open) + 1);
		if (!/^\/\*[\s\S]*\*\/$/.test(body)) pieces.push({ kind: "action", text: body, line, column });
		at = close + 2;
	}
	return pieces;
}

/** Place of the `}}` that ends the action starting at `from`, quotes skipped. */
function findClose(text: string, from: number, line: number): number {
	const comment = /^-?\s*\/\*/.test(text.slice(from));
	for (let at = from; at < text.length; at++) {
		if (text.startsWith("}}", at)) return at;
		if (comment) continue;
		const quote = text[at];
		if (quote !== '"' && quote !== "`") continue;
		for (at++; text[at] !== quote; at++) {
			if (at >= text.length || (quote === '"' && text[at] === "\n")) {
				throw templateError(line, quote === "`" ? "unterminated raw quoted string" : "unterminated quoted string");
			}
			if (quote === '"' && text[at] === "\\") at++;
		}
	}
	throw templateError(line, "unclosed action");
}

/** `$x.Field`, `.Field.Field`, literals, names and punctuation, tried in this order at each place. */
const TOKEN = new RegExp(
	[
		/\s+|:=|[|(),]/,
		/"(?:\\.|[^"\\])*"|`[^`]*`|[+-]?\d+(?:\.\d+)?/,
		/\$?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|\$(?:\.[A-Za-z_]\w*)*/,
		/(?:\.[A-Za-z_]\w*)+|\./,
	]
		.map((part) => part.source)
		.join("|"),
	"y",
);

interface Token {
	text: string;
	column: number;
	/** Follows the previous token without a blank: `).Field`. */
	joined: boolean;
}

class Parser {
	readonly #pieces: Piece[];
	readonly #isFunction: (name: string) => boolean;
	readonly #variables: string[] = ["$"];
	#next = 0;
	#line = 1;

	constructor(pieces: Piece[], isFunction: (name: string) => boolean) {
		this.#pieces = pieces;
		this.#isFunction = isFunction;
	}

	parse(): Node[] {
		const { nodes, end } = this.#list();
		if (end !== undefined) throw this.#error(`unexpected {{${end}}}`);
		return nodes;
	}

	/** Nodes up to `{{end}}`, `{{else ...}}` or the end of the text; `end` is the action that ended the list. */
	#list(): { nodes: Node[]; end: string | undefined; column: number } {
		const nodes: Node[] = [];
		for (;;) {
			const piece = this.#pieces[this.#next++];
			if (piece === undefined) return { nodes, end: undefined, column: 0 };
			if (piece.kind === "text") {
				nodes.push(piece);
				continue;
			}
			this.#line = piece.line;
			const keyword = /^[a-z]+(?![\w])/.exec(piece.text)?.[0];
			if (keyword === "end" || keyword === "else") return { nodes, end: piece.text, column: piece.column };
			if (keyword === "if" || keyword === "with" || keyword === "range") {
				nodes.push(this.#block(keyword, piece.text.slice(keyword.length), piece.column + keyword.length));
			} else {
				nodes.push({ kind: "output", pipeline: this.#pipeline(piece.text, piece.column, false) });
			}
		}
	}

	#block(kind: "if" | "with" | "range", text: string, column: number): Node {
		const depth = this.#variables.length;
		const pipeline = this.#pipeline(text, column, kind === "range");
		const body = this.#list();
		let otherwise: Node[] = [];
		let end = body.end;
		const chained = /^else\s+(if|with)\b/.exec(end ?? "");
		if (end !== undefined && chained !== null) {
			const keyword = chained[1] as "if" | "with";
			otherwise = [this.#block(keyword, end.slice(chained[0].length), body.column + chained[0].length)];
			end = "end";
		} else if (end === "else") {
			const rest = this.#list();
			otherwise = rest.nodes;
			end = rest.end;
		}
		if (end === undefined) throw this.#error("unexpected EOF");
		if (end !== "end") throw this.#error(`unexpected {{${end}}}`);
		this.#variables.length = depth;
		return { kind, pipeline, body: body.nodes, otherwise };
	}

	#pipeline(text: string, column: number, range: boolean): Pipeline {
		const tokens = this.#tokens(text, column);
		const pipeline = this.#commands(tokens, range);
		if (tokens.length > 0) throw this.#error(`unexpected ${JSON.stringify(tokens[0]?.text)} in command`);
		return pipeline;
	}

	#tokens(text: string, column: number): Token[] {
		const tokens: Token[] = [];
		let joined = false;
		TOKEN.lastIndex = 0;
		while (TOKEN.lastIndex < text.length) {
			const at = TOKEN.lastIndex;
			const match = TOKEN.exec(text);
			if (match === null) throw this.#error(`unexpected ${JSON.stringify(text[at])} in command`);
			const blank = match[0].trim() === "";
			if (!blank) tokens.push({ text: match[0], column: column + at, joined });
			joined = !blank;
		}
		return tokens;
	}

	/** Reads commands off the front of `tokens`, up to their end or a closing parenthesis. */
	#commands(tokens: Token[], range: boolean): Pipeline {
		const declares = this.#declarations(tokens, range);
		const commands: Term[][] = [];
		for (;;) {
			const terms: Term[] = [];
			while (tokens.length > 0 && tokens[0]?.text !== "|" && tokens[0]?.text !== ")") terms.push(this.#term(tokens));
			if (terms.length === 0) throw this.#error("missing value for command");
			commands.push(terms);
			if (tokens[0]?.text !== "|") break;
			tokens.shift();
		}
		this.#variables.push(...declares);
		return { declares, commands };
	}

	/** `$x :=` or, in a range, `$k, $v :=`. */
	#declarations(tokens: Token[], range: boolean): string[] {
		const end = tokens.findIndex((token) => token.text === ":=");
		if (end < 0) return [];
		const names = tokens.splice(0, end + 1).filter((token) => token.text !== "," && token.text !== ":=");
		if (names.length < 1 || names.length > (range ? 2 : 1) || names.some((name) => !/^\$\w+$/.test(name.text))) {
			throw this.#error("bad declaration in pipeline");
		}
		return names.map((name) => name.text);
	}

	#term(tokens: Token[]): Term {
		const token = tokens.shift() as Token;
		const term: Term = {
			kind: "dot",
			name: "",
			value: undefined,
			fields: [],
			source: token.text,
			column: token.column,
		};
		const text = token.text;
		if (text === "(") {
			const inside = [...tokens];
			const group = this.#commands(tokens, false);
			if (tokens.shift()?.text !== ")") throw this.#error("unclosed left paren");
			const consumed = inside.slice(0, inside.length - tokens.length);
			term.source = ["(", ...consumed.map((part) => (part.joined ? "" : " ") + part.text)].join("");
			term.kind = "group";
			term.group = group;
			if (tokens[0]?.joined && /^\.\w/.test(tokens[0].text)) this.#addFields(term, (tokens.shift() as Token).text);
		} else if (text === "." || text.startsWith(".")) {
			if (text !== ".") this.#addFields(term, text);
		} else if (text.startsWith("$")) {
			const [name = "", ...fields] = text.split(".");
			if (!this.#variables.includes(name)) throw this.#error(`undefined variable ${JSON.stringify(name)}`);
			Object.assign(term, { kind: "variable", name, fields });
		} else if (/^["`\d+-]/.test(text)) {
			Object.assign(term, { kind: "literal", value: readLiteral(text) });
		} else if (text === "true" || text === "false" || text === "nil") {
			Object.assign(term, { kind: "literal", value: text === "nil" ? undefined : text === "true" });
		} else if (/^\w+$/.test(text)) {
			if (!this.#isFunction(text)) throw this.#error(`function ${JSON.stringify(text)} not defined`);
			Object.assign(term, { kind: "function", name: text });
		} else {
			throw this.#error(`unexpected ${JSON.stringify(text)} in command`);
		}
		return term;
	}

	/** Go names the place of the last field in its messages. */
	#addFields(term: Term, text: string): void {
		term.fields = text.slice(1).split(".");
		term.column += text.lastIndexOf(".");
	}

	#error(message: string): CliError {
		return templateError(this.#line, message);
	}
}

function readLiteral(text: string): unknown {
	if (text.startsWith("`")) return text.slice(1, -1);
	if (!text.startsWith('"')) return Number(text);
	return text.slice(1, -1).replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)/g, (_, code: string) => {
		const simple = { n: "\n", t: "\t", r: "\r" }[code];
		if (simple !== undefined) return simple;
		return code.length > 1 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : code;
	});
}
