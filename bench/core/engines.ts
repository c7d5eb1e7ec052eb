/** The packet core in V8, and its twin in C in this process, each with a scene to run. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import * as abi from "../../assembly/abi.js";
import { compileCore, createMemory, Engine } from "../../src/core/engine.js";
import { onCleanup } from "../../test/support/cleanup.js";
import { needs } from "../../test/support/needs.js";
import { must } from "../../test/support/netns.js";
import { BATCH, type Builder, build, HEAD_AT, limitsOf, Reception, type Scene } from "./scene.js";

/** Something that forwards batches. */
export interface Runner {
	/** Receives and forwards. */
	forward(batches: number): void;
	/** Receives, and drops: what is not to be counted. */
	receive(batches: number): void;
}

/** A forwarder that scenes can be set up in; one at a time. */
export interface Contestant {
	name: string;
	prepare(scene: Scene): Runner;
}

/** The core as the daemon has it; `file`: another build of it. */
export function coreInV8(name = "WebAssembly", file?: URL): Contestant {
	const module = compileCore(file);
	return {
		name,
		prepare(scene) {
			const limits = limitsOf(scene);
			const engine = new Engine(module, createMemory(module, limits), limits);
			const { core } = engine;
			const traffic = build(scene, core, engine.memory.buffer);
			const reception = new Reception(engine.memory.buffer, traffic);
			const batch = (count: number): number => {
				core.batchPrepare(BATCH);
				reception.receive(BATCH);
				const sent = core.batchForward(count);
				core.batchDone();
				return sent;
			};
			const sent = batch(BATCH);
			if (sent !== traffic.sends) throw new Error(`${sent} transmissions instead of ${traffic.sends}`);
			return {
				forward(batches) {
					for (let i = 0; i < batches; i++) batch(BATCH);
				},
				receive(batches) {
					for (let i = 0; i < batches; i++) batch(0);
				},
			};
		},
	};
}

const BENCH = fileURLToPath(new URL("../../../bench", import.meta.url));
const ROOT = join(BENCH, "..");

/** What the twin needs; undefined when it is there. */
export const twinMissing = needs({ tools: ["cc"] });

/** The same algorithm in C, by hand: bench/firmware/native.c, compiled now, at -O3. */
export function twinInC(): Contestant {
	const directory = mkdtempSync(join(tmpdir(), "vlane-bench-"));
	onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	const file = join(directory, "twin.so");
	const include = [`-I${join(ROOT, "include")}`, `-I${join(ROOT, "examples/common")}`];
	const sources = [join(BENCH, "core/rounds.c"), join(BENCH, "firmware/native.c")];
	must(["cc", "-O3", "-fPIC", "-shared", ...include, "-o", file, ...sources]);
	const library = koffi.load(file);
	const u32 = (name: string, count: number) => library.func(name, "uint32_t", Array(count).fill("uint32_t"));
	const open = library.func("engine_open", "int", ["str"]);
	const address = library.func("engine_memory", "void *", []);
	const layout = u32("vlane_layout", 5);
	const init = u32("vlane_init", 0);
	const builder = {
		portAdd: u32("vlane_portAdd", 7),
		segmentAdd: u32("vlane_segmentAdd", 3),
		fdbAdd: library.func("vlane_fdbAdd", "uint32_t", ["uint32_t", "uint64_t", "uint32_t"]),
	} as unknown as Builder;
	const setScene = library.func("twin_scene", "void", ["void *", "void *", "uint32_t", "void *"]);
	const rounds = library.func("twin_rounds", "uint32_t", ["uint32_t", "uint32_t", "uint32_t"]);
	return {
		name: "C -O3",
		prepare(scene) {
			const { portsMax, segmentsMax, tablesMax, fdbCapacity, slotsMax } = limitsOf(scene);
			if (!open("")) throw new Error("no memory for the twin");
			const bytes = layout(portsMax, segmentsMax, tablesMax, fdbCapacity, slotsMax);
			init();
			const memory = koffi.view(address(), bytes);
			const { heads, arrivals, sends } = build(scene, builder, memory);
			const slots = new DataView(memory).getUint32(abi.HEADER + abi.HEADER_SLOTS, true);
			// The twin keeps the addresses of these two, which are large enough to stay where they are.
			setScene(heads, arrivals, heads.length, new Uint8Array(memory, slots + HEAD_AT, 32));
			const kept = [heads, arrivals];
			const sent = rounds(1, BATCH, 1);
			if (sent !== sends) throw new Error(`${sent} transmissions of the twin instead of ${sends}`);
			return {
				forward: (batches) => rounds(kept.length && batches, BATCH, 1),
				receive: (batches) => rounds(batches, BATCH, 0),
			};
		},
	};
}
