/**
 * Flags: how they are declared in the command table, how their values are read, and how a command asks for them.
 */
import { UsageError } from "./errors.js";

/**
 * What a flag's value is. `list` repeats; `strings` repeats and splits at commas, as docker's `--subnet` does; `map` is
 * repeated `key=value`; `labels` also takes a bare key; `filters` is repeated `name=value`.
 */
export type FlagType = "bool" | "string" | "int" | "list" | "strings" | "map" | "labels" | "filters";

/** One flag of one command. */
export interface FlagSpec {
	/** Long name without the dashes. */
	name: string;
	/** One letter. */
	short?: string;
	/** Other long names that mean the same and are not shown in the help. */
	aliases?: string[];
	type: FlagType;
	help: string;
	/** Word for the value in the help text, when the type's own name is not the best. */
	metavar?: string;
	/** What completion offers as its value. */
	values?: readonly string[];
}

type FlagValue = boolean | number | string | string[] | Map<string, string>;

const TRUE_WORDS = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE_WORDS = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** The flags given on one command line, by long name. */
export class Flags {
	readonly #values = new Map<string, FlagValue>();

	/** Reads one more value of `spec`; throws UsageError when it is malformed. */
	add(spec: FlagSpec, text: string): void {
		const refuse = (reason: string): UsageError =>
			new UsageError(`invalid argument "${text}" for "${flagLabel(spec)}" flag: ${reason}`);
		switch (spec.type) {
			case "bool":
				if (!TRUE_WORDS.has(text) && !FALSE_WORDS.has(text)) throw refuse("expected true or false");
				this.#values.set(spec.name, TRUE_WORDS.has(text));
				return;
			case "int":
				if (!/^[+-]?\d{1,15}$/.test(text)) throw refuse("expected a whole number");
				this.#values.set(spec.name, Number(text));
				return;
			case "string":
				this.#values.set(spec.name, text);
				return;
			case "list":
				this.#values.set(spec.name, [...this.list(spec.name), text]);
				return;
			case "strings":
				this.#values.set(spec.name, [...this.list(spec.name), ...text.split(",")]);
				return;
			case "map":
			case "labels":
			case "filters":
				this.#addPair(spec, text, refuse);
		}
	}

	/** Undefined when the flag was not given. */
	bool(name: string): boolean | undefined {
		return this.#values.get(name) as boolean | undefined;
	}

	/** Undefined when the flag was not given. */
	int(name: string): number | undefined {
		return this.#values.get(name) as number | undefined;
	}

	/** Undefined when the flag was not given. */
	string(name: string): string | undefined {
		return this.#values.get(name) as string | undefined;
	}

	/** The values of a repeatable flag in the order given. For `filters`: `name=value` texts. */
	list(name: string): string[] {
		return (this.#values.get(name) as string[] | undefined) ?? [];
	}

	/** The pairs of a `map` or `labels` flag; the last value of a key wins. */
	record(name: string): Record<string, string> {
		return Object.fromEntries((this.#values.get(name) as Map<string, string> | undefined) ?? []);
	}

	#addPair(spec: FlagSpec, text: string, refuse: (reason: string) => UsageError): void {
		const [key, value] = cutPair(text);
		if (spec.type === "filters") {
			if (value === undefined || key === "") throw refuse("bad format of filter (expected name=value)");
			this.#values.set(spec.name, [...this.list(spec.name), text]);
			return;
		}
		if (key === "") throw refuse(spec.type === "labels" ? `invalid label '${text}': empty name` : "empty key");
		if (value === undefined && spec.type === "map") throw refuse("expected key=value");
		const pairs = (this.#values.get(spec.name) as Map<string, string> | undefined) ?? new Map<string, string>();
		this.#values.set(spec.name, pairs.set(key, value ?? ""));
	}
}

/** Splits at the first `=`; the value is undefined when there is none. */
export function cutPair(text: string): [key: string, value: string | undefined] {
	const at = text.indexOf("=");
	return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** `-d, --driver`, as messages name a flag. */
export function flagLabel(spec: FlagSpec): string {
	return spec.short === undefined ? `--${spec.name}` : `-${spec.short}, --${spec.name}`;
}

/**
 * Reads a command line in the dialect of docker's flag library (spf13/pflag): `--flag value`, `--flag=value`,
 * `-f value`, `-fvalue`, `-f=value`, booleans joined (`-itd`) or with a value (`--ipv6=false`), `--` ends the flags.
 * @param stopAtOperand The first operand ends the flags too: what follows belongs to COMMAND or to a subcommand.
 * @returns The flags, the operands, and whether `--help` was met before anything else.
 * @throws UsageError for unknown flags and malformed values.
 */
export function parseFlags(
	specs: readonly FlagSpec[],
	argv: readonly string[],
	stopAtOperand: boolean,
): { flags: Flags; operands: string[]; help: boolean } {
	const flags = new Flags();
	const operands: string[] = [];
	let index = 0;

	function takeValue(missing: string): string {
		const value = argv[index++];
		if (value === undefined) throw new UsageError(`flag needs an argument: ${missing}`);
		return value;
	}

	while (index < argv.length) {
		const argument = argv[index++] ?? "";
		if (argument === "--") {
			operands.push(...argv.slice(index));
			break;
		}
		if (argument === "-" || !argument.startsWith("-")) {
			operands.push(argument);
			if (!stopAtOperand) continue;
			operands.push(...argv.slice(index));
			break;
		}
		if (argument.startsWith("--")) {
			const [name, value] = cutPair(argument.slice(2));
			const spec = specs.find((candidate) => candidate.name === name || candidate.aliases?.includes(name));
			if (spec === undefined && name === "help") return { flags, operands, help: true };
			if (spec === undefined) throw new UsageError(`unknown flag: --${name}`);
			flags.add(spec, value ?? (spec.type === "bool" ? "true" : takeValue(`--${name}`)));
			continue;
		}
		for (let letters = argument.slice(1); letters !== ""; ) {
			const letter = letters[0];
			const rest = letters.slice(1);
			const spec = specs.find((candidate) => candidate.short === letter);
			if (spec === undefined && letter === "h") return { flags, operands, help: true };
			if (spec === undefined) throw new UsageError(`unknown shorthand flag: '${letter}' in -${letters}`);
			if (rest.startsWith("=")) {
				flags.add(spec, rest.slice(1));
				break;
			}
			if (spec.type === "bool") {
				flags.add(spec, "true");
				letters = rest;
				continue;
			}
			flags.add(spec, rest === "" ? takeValue(`'${letter}' in -${letters}`) : rest);
			break;
		}
	}
	return { flags, operands, help: false };
}
