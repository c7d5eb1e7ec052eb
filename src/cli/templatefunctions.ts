/**
 * Functions that a template can call: docker's own and the ones of Go's text/template. They throw an Error whose
 * message says what is wrong with the arguments.
 */

/** Arguments are what the template gave; a piped value comes last. */
export type TemplateFunction = (...given: unknown[]) => unknown;

/** By the name that templates use. */
export const TEMPLATE_FUNCTIONS: Record<string, TemplateFunction> = {
	json: (value) => goJson(value),
	split: (value, separator) => text(value).split(text(separator)),
	join: (value, separator) => texts(value).join(text(separator)),
	title: (value) =>
		text(value).replace(/(^|\s)(\p{Ll})/gu, (_, blank: string, letter: string) => blank + letter.toUpperCase()),
	lower: (value) => text(value).toLowerCase(),
	upper: (value) => text(value).toUpperCase(),
	pad: (value, before, after) => " ".repeat(number(before)) + text(value) + " ".repeat(number(after)),
	truncate: (value, length) => [...text(value)].slice(0, number(length)).join(""),
	print: (...values) => sprint(values),
	println: (...values) => `${values.map(goText).join(" ")}\n`,
	printf: (format, ...values) => sprintf(text(format), values),
	len: (value) => lengthOf(value),
	index: (value, ...keys) => keys.reduce(elementOf, value),
	not: (value) => !isTrue(value),
	and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
	or: (...values) => values.find(isTrue) ?? values.at(-1),
	eq: (value, ...others) => others.some((other) => compare(value, other) === 0),
	ne: (left, right) => compare(left, right) !== 0,
	lt: (left, right) => compare(left, right) < 0,
	le: (left, right) => compare(left, right) <= 0,
	gt: (left, right) => compare(left, right) > 0,
	ge: (left, right) => compare(left, right) >= 0,
};

/** Replacements under which a row template yields its table header. */
export const HEADER_FUNCTIONS: Record<string, TemplateFunction> = Object.fromEntries(
	["json", "title", "lower", "upper", "truncate", "pad", "join", "split"].map((name) => [name, (value) => value]),
);

/** Go's truth: false, 0, "", nothing and whatever is empty are false. */
export function isTrue(value: unknown): boolean {
	if (Array.isArray(value)) return value.length > 0;
	if (value instanceof Map) return value.size > 0;
	return Boolean(value);
}

/** A value as Go's `%v` prints it. */
export function goText(value: unknown): string {
	if (value === undefined || value === null) return "<nil>";
	if (Array.isArray(value)) return `[${value.map(goText).join(" ")}]`;
	if (value instanceof Map) {
		const entries = [...value].sort(([left], [right]) => (left < right ? -1 : 1));
		return `map[${entries.map(([key, element]) => `${goText(key)}:${goText(element)}`).join(" ")}]`;
	}
	if (typeof value === "object") return `{${Object.values(value).map(goText).join(" ")}}`;
	return String(value);
}

/** One line of JSON; maps are objects, methods are left out. */
export function goJson(value: unknown): string {
	return JSON.stringify(value ?? null, (_, inner) => (inner instanceof Map ? Object.fromEntries(inner) : inner));
}

function text(value: unknown): string {
	if (typeof value !== "string") throw new Error(`expected string; found ${goText(value)}`);
	return value;
}

function texts(value: unknown): string[] {
	if (!Array.isArray(value)) throw new Error(`expected list of strings; found ${goText(value)}`);
	return value.map(text);
}

function number(value: unknown): number {
	if (typeof value !== "number" || !Number.isInteger(value) || value < 0) {
		throw new Error(`expected non-negative integer; found ${goText(value)}`);
	}
	return value;
}

function lengthOf(value: unknown): number {
	if (typeof value === "string") return Buffer.byteLength(value);
	if (Array.isArray(value)) return value.length;
	if (value instanceof Map) return value.size;
	throw new Error(`len of ${goText(value)}`);
}

function elementOf(value: unknown, key: unknown): unknown {
	if (value instanceof Map) return value.get(key) ?? "";
	if (!Array.isArray(value)) throw new Error(`can't index ${goText(value)}`);
	const place = number(key);
	if (place >= value.length) throw new Error(`index out of range: ${place}`);
	return value[place];
}

/** Negative, zero or positive. Only values of one basic type can be compared. */
function compare(left: unknown, right: unknown): number {
	if (typeof left !== typeof right || (typeof left === "object" && left !== null)) {
		throw new Error("incompatible types for comparison");
	}
	if (left === right) return 0;
	return (left as string) < (right as string) ? -1 : 1;
}

/** Go's Sprint: a blank only between two operands that are both not strings. */
function sprint(values: unknown[]): string {
	return values
		.map((value, index) => {
			const separated = index > 0 && typeof value !== "string" && typeof values[index - 1] !== "string";
			return (separated ? " " : "") + goText(value);
		})
		.join("");
}

/** The verbs %v %s %d %t %q %x and %%, with a width and `-` or `0`. */
function sprintf(format: string, values: unknown[]): string {
	let next = 0;
	return format.replace(/%([-0]*)(\d*)([a-zA-Z%])/g, (whole, flags: string, width: string, verb: string) => {
		if (verb === "%") return "%";
		if (next >= values.length) return `%!${verb}(MISSING)`;
		const value = values[next++];
		const word = formatVerb(verb, value);
		if (word === undefined) throw new Error(`unsupported verb ${whole}`);
		if (flags.includes("-")) return word.padEnd(Number(width));
		return word.padStart(Number(width), flags.includes("0") ? "0" : " ");
	});
}

function formatVerb(verb: string, value: unknown): string | undefined {
	if (verb === "q") return JSON.stringify(goText(value));
	if (verb === "x" && typeof value === "number") return value.toString(16);
	if (verb === "x") return Buffer.from(goText(value)).toString("hex");
	return "vsdt".includes(verb) ? goText(value) : undefined;
}
