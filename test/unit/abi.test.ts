/**
 * One interface, said in four places: assembly/abi.ts, the C header, the TypeScript host and the binaries. They say the
 * same, and the baseline build needs nothing but what WebAssembly began with.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { instantiateSync } from "@assemblyscript/loader";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import type { CoreExports } from "../../src/core/engine.js";
import { CORE_STANDALONE, CORES, type CoreBuild, compileCores, openCore, ROOT } from "../support/firmware.js";
import { testOrSkip } from "../support/needs.js";
import { must } from "../support/netns.js";

const HEADER_FILE = join(ROOT, "include/vlane_core.h");
const BASELINE_BYTES_MAX = 32 << 10;
const BUILDS = Object.keys(CORES) as CoreBuild[];
const LIMITS = { portsMax: 32, segmentsMax: 32, tablesMax: 4, fdbCapacity: 128, slotsMax: 64 };
/** Records with a structure in the header; the constants of each that are no offsets. */
const RECORDS: Record<string, RegExp> = {
	HEADER: /^HEADER_BYTES$/,
	PORT: /^PORT_BYTES$/,
	SEGMENT: /^SEGMENT_BYTES$/,
	RX: /^RX_BYTES$/,
	TX: /^TX_BYTES$/,
	PARSED: /^PARSED_(BYTES$|F_)/,
};

const constants = Object.entries(abi) as [string, number][];
const header = readFileSync(HEADER_FILE, "utf8");
const bytesOf = (build: CoreBuild): Buffer => readFileSync(fileURLToPath(CORES[build]));

const tests = suite("abi");

/** Exported functions of a module as `name(i32,i64)i32`, by its type, function and export sections (spec 5.5). */
function signatures(module: Buffer): string[] {
	let at = 8;
	const leb = (): number => {
		let value = 0;
		for (let shift = 0; ; shift += 7) {
			const byte = module[at++]!;
			value |= (byte & 0x7f) << shift;
			if (byte < 0x80) return value;
		}
	};
	const list = <T>(item: () => T): T[] => Array.from({ length: leb() }, item);
	const valueTypes = (): string => list(() => (module[at++] === 0x7e ? "i64" : "i32")).join(",");
	const types: string[] = [];
	const functions: number[] = [];
	const found: string[] = [];
	while (at < module.length) {
		const id = module[at++];
		const end = leb() + at;
		const sections: Record<number, () => void> = {
			1: () => {
				types.push(
					...list(() => {
						at++; // 0x60: a function
						return `(${valueTypes()})${valueTypes()}`;
					}),
				);
			},
			3: () => {
				functions.push(...list(leb)); // no function is imported, so they are numbered from 0
			},
			7: () => {
				list(() => {
					const length = leb();
					const name = module.toString("latin1", at, at + length);
					at += length + 1;
					found.push(`${name}${types[functions[leb()]!]}`);
				});
			},
		};
		sections[id!]?.();
		at = end;
	}
	return found.sort();
}

/** The header's prototypes in the same form. */
function prototypes(): string[] {
	const wasm = (type: string): string => ({ uint32_t: "i32", uint64_t: "i64", void: "" })[type] ?? type;
	return [...header.matchAll(/^(\w+) vlane_(\w+)\(([^)]*)\);$/gm)]
		.map(([, result, name, parameters]) => {
			const types = parameters!.split(",").map((parameter) => wasm(parameter.trim().split(" ")[0]!));
			return `${name}(${types.join(",")})${wasm(result!)}`;
		})
		.sort();
}

tests("the header is what scripts/header.mjs makes of the sources", () => {
	const made = spawnSync(process.execPath, [join(ROOT, "scripts/header.mjs"), "--stdout"], { encoding: "utf8" });
	assert.is(made.status, 0, made.stderr);
	assert.is(header, made.stdout, "run `node scripts/header.mjs`");
});

testOrSkip(tests, "a C compiler sees every constant, offset and size of assembly/abi.ts", { tools: ["cc"] }, () => {
	const checks = constants.map(([name, value]) => `_Static_assert(VLANE_${name} == ${value}, "${name}");`);
	for (const [record, not] of Object.entries(RECORDS)) {
		const type = `struct vlane_${record.toLowerCase()}`;
		for (const [name, value] of constants) {
			if (!name.startsWith(`${record}_`) || not.test(name)) continue;
			const field = name.slice(record.length + 1).toLowerCase();
			checks.push(`_Static_assert(offsetof(${type}, ${field}) == ${value}, "${name}");`);
		}
		checks.push(`_Static_assert(sizeof(${type}) == VLANE_${record}_BYTES, "${record}_BYTES");`);
	}
	assert.ok(checks.length > constants.length + 60);
	const source = `#include <stddef.h>\n#include "vlane_core.h"\n${checks.join("\n")}\n`;
	const compile = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", `-I${join(ROOT, "include")}`];
	must([...compile, "-x", "c", "-"], { input: source });
});

tests("the binaries export what the header and the TypeScript host declare, and import a memory", () => {
	const typescript = readFileSync(join(ROOT, "src/core/engine.ts"), "utf8");
	const declared = /export interface CoreExports \{([\s\S]*?)\n\}/.exec(typescript)![1]!;
	const methods = [...declared.matchAll(/^\t(\w+)\(/gm)].map(([, name]) => name).sort();
	const modules = compileCores();
	for (const build of BUILDS) {
		const found = signatures(bytesOf(build));
		assert.equal(found, prototypes(), build);
		const exported = WebAssembly.Module.exports(modules[build]);
		assert.equal(exported.map(({ name }) => name).sort(), methods, build);
		assert.equal(WebAssembly.Module.imports(modules[build]), [{ module: "env", name: "memory", kind: "memory" }]);
	}
});

tests("each build lays the memory out alike, and says its version", () => {
	const modules = compileCores();
	const maps = BUILDS.map((build) => {
		const engine = openCore(build, modules, LIMITS);
		assert.is(engine.header(abi.HEADER_ABI_VERSION), abi.ABI_VERSION);
		const field = (name: string): number => engine.header(constants.find(([constant]) => constant === name)![1]);
		assert.is(field("HEADER_SEGMENTS") - field("HEADER_PORTS"), LIMITS.portsMax * abi.PORT_BYTES);
		assert.ok(field("HEADER_BYTES_TOTAL") >= field("HEADER_SLOTS") + LIMITS.slotsMax * abi.SLOT_BYTES);
		return Buffer.from(engine.view(abi.HEADER, abi.HEADER_BYTES)).toString("hex");
	});
	assert.is(new Set(maps).size, 1);
});

/** Bytes of each section of a module, by number (spec 5.5). */
function sections(module: Buffer): Map<number, string> {
	const found = new Map<number, string>();
	for (let at = 8; at < module.length; ) {
		const id = module[at++]!;
		let bytes = 0;
		for (let shift = 0, byte = 0x80; byte >= 0x80; shift += 7) {
			byte = module[at++]!;
			bytes |= (byte & 0x7f) << shift;
		}
		found.set(id, module.toString("hex", at, at + bytes));
		at += bytes;
	}
	return found;
}

tests("the standalone build is the baseline with a memory of its own, which init grows", () => {
	const bytes = readFileSync(fileURLToPath(CORE_STANDALONE));
	const [alone, baseline] = [sections(bytes), sections(bytesOf("baseline"))];
	const memory = [2, 5, 7]; // imports, memories, exports
	for (const id of memory) {
		alone.delete(id);
		baseline.delete(id);
	}
	assert.equal(alone, baseline);
	const module = new WebAssembly.Module(bytes);
	assert.equal(WebAssembly.Module.imports(module), []);
	const exports = instantiateSync(module, {}).exports as unknown as CoreExports & {
		memory: WebAssembly.Memory;
	};
	const total = exports.layout(32, 32, 4, 128, 64);
	assert.is(exports.memory.buffer.byteLength, 65536);
	assert.is(exports.init(), 1);
	assert.is(exports.memory.buffer.byteLength, Math.ceil(total / 65536) * 65536);
	assert.is(exports.portAdd(abi.KIND_UPLINK, 0, 0, 0, 2, 0, 1500), 1);
});

testOrSkip(tests, "the glue for engines with the standard C interface compiles", { tools: ["make", "cc"] }, () => {
	const directory = mkdtempSync(join(tmpdir(), "vlane-abi-"));
	const object = join(directory, "engine.o");
	const flags = "CFLAGS=-O1 -Wall -Wextra -Werror";
	must(["make", "-s", "-C", join(ROOT, "examples/c-api"), `OUT=${directory}`, flags, object]);
	rmSync(directory, { recursive: true });
});

tests("the baseline build is small", () => {
	const bytes = statSync(CORES.baseline).size;
	assert.ok(bytes < BASELINE_BYTES_MAX, `${bytes} bytes`);
});

testOrSkip(tests, "the baseline build is valid without any later feature", { tools: ["wasm-validate"] }, () => {
	const later = [
		"mutable-globals",
		"saturating-float-to-int",
		"sign-extension",
		"simd",
		"multi-value",
		"bulk-memory",
		"reference-types",
	];
	const validate = ["wasm-validate", ...later.map((feature) => `--disable-${feature}`)];
	must([...validate, fileURLToPath(CORES.baseline)]);
});

tests.run();
