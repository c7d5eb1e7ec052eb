/**
 * The command tree: commander finds the command, docker's flag dialect (flags.ts) reads the rest of the line.
 */
import { Command, type ParseOptionsResult } from "commander";
import { UsageError } from "./errors.js";
import { type FlagSpec, Flags, parseFlags } from "./flags.js";
import type { CommandSpec } from "./table/spec.js";
import { COMMANDS, GLOBAL_FLAGS, GROUPS } from "./table.js";

/** What a command line asks for. */
export type Request =
	| { kind: "help"; path: string }
	| { kind: "version" }
	| { kind: "command"; spec: CommandSpec; args: string[]; flags: Flags; globals: Flags };

/** A usage error together with the command whose help explains it. */
export class CommandLineError extends UsageError {
	/** Words after `vlane`; empty for vlane itself. */
	readonly path: string;
	readonly spec: CommandSpec | undefined;

	constructor(message: string, path: string, spec?: CommandSpec) {
		super(message);
		this.path = path;
		this.spec = spec;
	}
}

/** A commander command whose flags follow docker's dialect. */
class DialectCommand extends Command {
	flags = new Flags();
	helpWanted = false;
	readonly #path: string;
	readonly #specs: readonly FlagSpec[];
	readonly #stopAtOperand: boolean;

	constructor(name: string, path: string, specs: readonly FlagSpec[], stopAtOperand: boolean) {
		super(name);
		this.#path = path;
		this.#specs = specs;
		this.#stopAtOperand = stopAtOperand;
		this.helpOption(false).helpCommand(false).argument("[operands...]");
	}

	override parseOptions(argv: string[]): ParseOptionsResult {
		try {
			const { flags, operands, help } = parseFlags(this.#specs, argv, this.#stopAtOperand);
			this.flags = flags;
			this.helpWanted = help;
			if (help) return { operands: [], unknown: [] };
			// The words after a subcommand's name are the subcommand's own to read.
			if (this.#holds(operands[0])) return { operands: operands.slice(0, 1), unknown: operands.slice(1) };
			return { operands, unknown: [] };
		} catch (error) {
			if (!(error instanceof UsageError)) throw error;
			throw new CommandLineError(error.message, this.#path, specOf(this.#path));
		}
	}

	#holds(word: string | undefined): boolean {
		return word !== undefined && this.commands.some((child) => child.name() === word || child.aliases().includes(word));
	}
}

/** Reads a command line (without the program's name). Throws CommandLineError. */
export function readCommandLine(argv: readonly string[]): Request {
	let request: Request = { kind: "help", path: "" };
	const root = new DialectCommand("vlane", "", GLOBAL_FLAGS, true);

	root.action((operands: string[]) => {
		if (root.flags.bool("version")) request = { kind: "version" };
		else if (operands[0] === "help") request = { kind: "help", path: knownPath(operands.slice(1)) };
		else if (operands.length > 0) throw unknownCommand("", operands);
	});

	const groups = new Map<string, DialectCommand>();
	for (const name of Object.keys(GROUPS)) {
		const group = new DialectCommand(name, name, [], true);
		group.action((operands: string[]) => {
			if (operands.length > 0) throw unknownCommand(name, operands);
			request = { kind: "help", path: name };
		});
		groups.set(name, group);
		root.addCommand(group);
	}

	for (const spec of COMMANDS) {
		const words = spec.path.split(" ");
		const stop = spec.endsAtCommand ?? false;
		const command = new DialectCommand(words.at(-1) ?? "", spec.path, spec.flags, stop).aliases(spec.aliases ?? []);
		command.action((operands: string[]) => {
			const leaf = command as DialectCommand;
			if (leaf.helpWanted) {
				request = { kind: "help", path: spec.path };
				return;
			}
			checkCount(spec, operands.length);
			request = { kind: "command", spec, args: operands, flags: leaf.flags, globals: root.flags };
		});
		(groups.get(words[0] ?? "") ?? root).addCommand(command);
	}

	root.parse([...argv], { from: "user" });
	return request;
}

/** The command with these words after `vlane`. */
export function specOf(path: string): CommandSpec | undefined {
	return COMMANDS.find((spec) => spec.path === path);
}

function knownPath(words: string[]): string {
	const path = words.join(" ");
	if (path === "" || path in GROUPS || specOf(path) !== undefined) return path;
	throw unknownCommand("", words);
}

function unknownCommand(group: string, operands: string[]): CommandLineError {
	const words = ["vlane", group, operands[0]].filter(Boolean).join(" ");
	return new CommandLineError(`vlane: unknown command: ${words}`, group);
}

function checkCount(spec: CommandSpec, count: number): void {
	const { min, max } = spec.args;
	if (count >= min && (max === undefined || count <= max)) return;
	const needed = `${min === max ? "" : "at least "}${min} argument${min === 1 ? "" : "s"}`;
	const rule = max === 0 ? "accepts no arguments" : `requires ${needed}`;
	throw new CommandLineError(`vlane: 'vlane ${spec.path}' ${rule}`, spec.path, spec);
}
