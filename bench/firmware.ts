/**
 * `npm run bench:firmware [-- OPTION...]`: the packet core in every engine, one run, one machine.
 *
 * The table is ns per frame of the core alone, in batches of 64 frames of 64 bytes: V8 with two builds, the baseline
 * build as C (wasm2c -O2), in the interpreter, and the same algorithm written in C at -O3 (bench/firmware/native.c).
 * VLANE_C_API=/path/to/libwasmtime.so adds an engine with WebAssembly's standard C interface. Every engine sends the
 * same bytes, or the run fails. Engines take turns in each row. Then the static host of examples/wasm2c: size, memory,
 * start-up, throughput beside the Node host.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onCleanup } from "../test/support/cleanup.js";
import { buildProgram, CORE_BASELINE, CORES, coreOf, NATIVE_ENGINES, ROOT } from "../test/support/firmware.js";
import { needs } from "../test/support/needs.js";
import { must } from "../test/support/netns.js";
import { measureAppliance } from "./firmware/appliance.js";
import { readOptions } from "./flag.js";

const ROWS: [target: string, stations: number][] = [
	["sibling", 64],
	["sibling", 4096],
	["sibling", 100_000],
	["sibling", 1_000_000],
	["to-wire", 4096],
	["from-wire", 4096],
	["broadcast", 4096],
];
const NAMES: Record<string, string> = {
	"to-wire": "wire, tag pushed",
	"from-wire": "from the wire, tagged",
	broadcast: "broadcast, 15 and the wire",
};
const V8 = fileURLToPath(new URL("./firmware/v8.js", import.meta.url));
const CELL = 20;

const USAGE = `usage: npm run bench:firmware [-- OPTION...]

  --samples N   of each engine and row (25)
  --no-host     leaves out the static host of examples/wasm2c`;

const values = readOptions(USAGE, {
	samples: { type: "string", default: "25" },
	"no-host": { type: "boolean", default: false },
});

const missing = needs({ tools: ["make", "cc", "g++", "wasm2c"] });
if (missing) {
	console.error(`vlane bench:firmware: ${missing}`);
	process.exit(1);
}

/** The measuring program of the hand-written C. */
function buildNative(): string {
	const directory = mkdtempSync(join(tmpdir(), "vlane-firmware-"));
	onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	const sources = ["measure.c", "native.c"].map((file) => join(ROOT, "bench/firmware", file));
	const include = [`-I${join(ROOT, "include")}`, `-I${join(ROOT, "examples/common")}`];
	must(["cc", "-O3", ...include, "-o", join(directory, "native"), ...sources]);
	return join(directory, "native");
}

const baseline = fileURLToPath(CORE_BASELINE);
const engines: [name: string, command: string[]][] = [
	["V8 release", [process.execPath, V8, "release"]],
	["V8 baseline", [process.execPath, V8, "baseline"]],
	["wasm2c -O2", [buildProgram("wasm2c", "measure"), baseline]],
	["interpreter", [buildProgram("interpreter", "measure"), baseline]],
	...(NATIVE_ENGINES.includes("c-api")
		? [["C API", [buildProgram("c-api", "measure"), coreOf("c-api")]] as [string, string[]]]
		: []),
	["C -O3", [buildNative(), baseline]],
];

const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const machine = `${cpus()[0]?.model} x ${cpus().length}, Linux ${release()}, Node ${process.versions.node}`;
console.log(`vlane ${version}, ${machine}, ${new Date().toISOString().slice(0, 10)}`);
console.log(
	`core: ${Object.entries(CORES)
		.map(([build, file]) => `${build} ${readFileSync(file).length} bytes`)
		.join(", ")}`,
);
console.log(`ns per frame: median of ${values.samples} samples (lowest)\n`);
console.log(["target".padEnd(28), "addresses".padStart(10), ...engines.map(([name]) => name.padStart(CELL))].join(""));
for (const [target, stations] of ROWS) {
	const sums = new Set<string>();
	const cells = engines.map(([, command]) => {
		const output = must([...command, target, String(stations), values.samples]);
		const [median = "", lowest = "", , sum = ""] = output.trim().split(" ");
		sums.add(sum);
		return `${Number(median).toFixed(1)} (${Number(lowest).toFixed(1)})`.padStart(CELL);
	});
	console.log([(NAMES[target] ?? target).padEnd(28), String(stations).padStart(10), ...cells].join(""));
	if (sums.size !== 1) {
		console.error(`vlane bench:firmware: ${target}: the engines do not send the same bytes`);
		process.exit(1);
	}
}

const noHost = values["no-host"] ? "not asked for" : needs({ root: true, tun: true, tools: ["ip", "iperf3"] });
if (noHost) console.log(`\nstatic host: ${noHost}`);
else {
	const host = await measureAppliance();
	const kib = (bytes: number): string => `${Math.round(bytes)} KiB`;
	console.log(`\nstatic host (examples/wasm2c): ${kib(host.fileBytes / 1024)} on disk`);
	console.log(`resident with 16 ports: ${kib(host.residentKib)}, of it anonymous ${kib(host.anonymousKib)}`);
	console.log(`resident at most with TCP in 64 KiB frames on 14 of 16 ports: ${kib(host.residentLoadedKib)}`);
	console.log(`start-up with a parent and two TAPs: ${host.startMs.toFixed(1)} ms`);
	for (const { host: name, gbits } of host.throughput) {
		console.log(`TCP between two TAPs, ${name}: ${gbits.toFixed(2)} Gbit/s`);
	}
}
