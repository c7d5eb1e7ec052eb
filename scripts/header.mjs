/**
 * Makes include/vlane_core.h, the packet core's interface for hosts in C, from the sources that the core is compiled
 * from: constants and structures from assembly/abi.ts, calls from the exports of assembly/index.ts.
 *
 * `node scripts/header.mjs` writes the file, `node scripts/header.mjs --stdout` prints it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const HEADER_FILE = "include/vlane_core.h";
const COLUMNS_MAX = 120;

/** Records of the memory: the constants PREFIX_* that give offsets, but for those that say something else. */
const STRUCTURES = [
	{
		prefix: "HEADER",
		about: "At VLANE_HEADER; u32 fields are addresses of regions, or their sizes.",
		otherwise: "u32",
	},
	{ prefix: "PORT", about: "HEADER_PORTS + number * VLANE_PORT_BYTES." },
	{ prefix: "SEGMENT", about: "HEADER_SEGMENTS + number * VLANE_SEGMENT_BYTES." },
	{ prefix: "RX", about: "A received frame, from the host to the core: HEADER_RX + index * VLANE_RX_BYTES." },
	{ prefix: "TX", about: "A frame to send, from the core to the host: HEADER_TX + index * VLANE_TX_BYTES." },
	{ prefix: "PARSED", about: "What `parse` writes.", not: /^PARSED_F_/ },
];

const TYPES = { u8: 1, u16: 2, u32: 4, u64: 8, i32: 4 };
const C_TYPES = { usize: "uint32_t", bool: "uint32_t", void: "void" };
const cType = (type) => C_TYPES[type] ?? `${type.replace("u", "uint").replace(/^i/, "int")}_t`;

function read(path) {
	return readFileSync(join(ROOT, path), "utf8");
}

/** `{name, value, comment}` of every constant; `{section}` for comments that stand alone, empty for an empty line. */
function constantsOf(source) {
	const body = source.slice(source.indexOf("export const"));
	return body
		.replace(/(?<=^\/\/ .*)\n\/\/ (?!----)/gm, " ")
		.trim()
		.split("\n")
		.map((line) => {
			const constant = /^export const (\w+) = (\w+);(?: \/\/ (.*))?$/.exec(line);
			if (constant) return { name: constant[1], value: constant[2], comment: constant[3] };
			return { section: line.replace(/^\/\/ (---- )?/, "") };
		});
}

function fieldsOf(constants, { prefix, otherwise, not }) {
	let typeOfRest = otherwise;
	return constants
		.filter(({ name }) => name?.startsWith(`${prefix}_`) && name !== `${prefix}_BYTES` && !not?.test(name))
		.map(({ name, value, comment = "" }) => {
			const bytes = /^(\d+) bytes/.exec(comment)?.[1];
			const type = bytes ? "u8" : (/^([ui]\d+)\b/.exec(comment)?.[1] ?? typeOfRest);
			if (!TYPES[type]) throw new Error(`${name}: its comment in assembly/abi.ts does not begin with its type`);
			if (comment.endsWith("from here on")) typeOfRest = type;
			const length = bytes ?? (/^u64 per DROP/.test(comment) ? "VLANE_DROP_REASONS" : undefined);
			return { name: name.slice(prefix.length + 1).toLowerCase(), at: Number(value), type, length, comment };
		})
		.sort((a, b) => a.at - b.at);
}

function structureOf(constants, structure) {
	const numberOf = (name) => Number(constants.find((constant) => constant.name === name).value);
	const total = numberOf(`${structure.prefix}_BYTES`);
	const lines = [`/* ${structure.about} */`, `struct vlane_${structure.prefix.toLowerCase()} {`];
	let end = 0;
	const pad = (to) => {
		if (to > end) lines.push(`\tuint8_t reserved_${end}[${to - end}];`);
	};
	for (const { name, at, type, length, comment } of fieldsOf(constants, structure)) {
		pad(at);
		const note = comment.replace(/^u64 per (DROP_\w*\*).*/, "one for each $1 reason").replace(/^[ui]\d+(, | )?/, "");
		lines.push(`\t${cType(type)} ${name}${length ? `[${length}]` : ""};${note ? ` /* ${note} */` : ""}`);
		const count = length === "VLANE_DROP_REASONS" ? numberOf("DROP_REASONS") : Number(length ?? 1);
		end = at + TYPES[type] * count;
	}
	pad(total);
	return [...lines, "};", ""];
}

/** Exported functions in the order of assembly/index.ts: `{name, result, parameters: {name, type}[], comment}`. */
function calls() {
	const index = read("assembly/index.ts");
	const reexported = [...index.matchAll(/^export \{([^}]+)\} from "\.\/(\w+)";$/gm)].flatMap(([, names, file]) => {
		const source = read(`assembly/${file}.ts`);
		return names.split(",").map((name) => callOf(source, name.trim()));
	});
	return [callOf(index, "layout"), callOf(index, "init"), ...reexported.filter(({ name }) => name)];
}

function callOf(source, name) {
	if (!name) return {};
	const declaration = new RegExp(
		`(?:/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\n(?:// @ts-ignore: decorator\\n@inline\\n)?)?` +
			`export function ${name}\\(([^)]*)\\): (\\w+) \\{`,
	).exec(source);
	if (!declaration) throw new Error(`assembly: no declaration of ${name}`);
	const [, comment = "", list, result] = declaration;
	const parameters = [...list.matchAll(/(\w+): (\w+)/g)].map(([, parameter, type]) => ({ name: parameter, type }));
	const text = comment
		.replace(/^\s*\*? ?/gm, "")
		.trim()
		.replace(/\s*\n\s*/g, " ");
	return { name, result: cType(result), parameters, comment: text };
}

/** A comment, broken into lines. */
function comment(text, indent = "") {
	if (!text) return [];
	const lines = [""];
	for (const word of text.split(" ")) {
		if (`${indent} * ${lines.at(-1)} ${word}`.length > COLUMNS_MAX - 3) lines.push("");
		lines[lines.length - 1] += `${lines.at(-1) && " "}${word}`;
	}
	return lines.map((line, i) => `${indent}${i ? " *" : "/*"} ${line}${i === lines.length - 1 ? " */" : ""}`);
}

/** Breaks a line between words; `more` ends each line but the last. */
function wrap(text, indent, more) {
	const lines = [];
	let rest = text;
	while (rest.length > COLUMNS_MAX - 12) {
		const at = rest.lastIndexOf(", ", COLUMNS_MAX - 12) + 1;
		lines.push(rest.slice(0, at) + more);
		rest = indent + rest.slice(at + 1);
	}
	return [...lines, rest];
}

const parameterName = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function declarationsOf({ parameters }) {
	return parameters.map(({ name, type }) => `${cType(type)} ${parameterName(name)}`).join(", ");
}

function makeHeader() {
	const constants = constantsOf(read("assembly/abi.ts"));
	const functions = calls();
	const out = [
		"/*",
		" * The binary interface of vlane's packet core (docs/abi.md). Made from the core's own sources by",
		" * scripts/header.mjs: do not edit.",
		" *",
		" * Numbers are little endian, addresses are byte offsets in the core's linear memory. The structures are laid out",
		" * alike by every C compiler on little-endian machines.",
		" */",
		"#ifndef VLANE_CORE_H",
		"#define VLANE_CORE_H",
		"",
		"#include <stdint.h>",
		"",
	];
	for (const { name, value, comment: note, section } of constants) {
		if (name) out.push(`#define VLANE_${name} ${value}${note ? ` /* ${note} */` : ""}`);
		else out.push(...(section ? comment(section) : [""]));
	}
	out.push("");
	for (const structure of STRUCTURES) out.push(...structureOf(constants, structure));
	out.push("#ifdef __cplusplus", 'extern "C" {', "#endif", "");
	out.push(
		...comment(
			"The core's exports, as the glue of an engine offers them: the WebAssembly export NAME is vlane_NAME here. " +
				"Where the core answers true or false it is 1 or 0.",
		),
		"",
	);
	for (const call of functions) {
		const prototype = `${call.result} vlane_${call.name}(${declarationsOf(call) || "void"});`;
		out.push(...comment(call.comment), ...wrap(prototype, "\t", ""), "");
	}
	out.push("#ifdef __cplusplus", "}", "#endif", "");
	out.push(...comment("X(result, name, (declared parameters), (arguments)) for each export, to make such glue."));
	const rows = functions.map((call) => {
		const names = call.parameters.map(({ name }) => parameterName(name)).join(", ");
		const row = `\tX(${call.result}, ${call.name}, (${declarationsOf(call) || "void"}), (${names}))`;
		return wrap(row, "\t\t", " \\").join("\n");
	});
	out.push("#define VLANE_CALLS(X) \\", rows.join(" \\\n"), "", "#endif");
	return `${out.join("\n")}\n`;
}

if (process.argv[2] === "--stdout") process.stdout.write(makeHeader());
else writeFileSync(join(ROOT, HEADER_FILE), makeHeader());
