/**
 * How far the processors are from each other: how long one takes to see what another has written. Where two of them
 * share a cache it is some 50 ns, else several times as much; hypervisors move virtual processors from one place to
 * another, and what a frame costs moves with them.
 */
import { fileURLToPath } from "node:url";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const TURNS = 20_000;
const HANDOVERS_TIMED = 5;

/** Waits for `turns` even numbers and answers each with the next odd one. */
function answer(cell: Int32Array): void {
	for (let turn = 0; turn < TURNS * HANDOVERS_TIMED; turn++) {
		while (Atomics.load(cell, 0) !== 2 * turn + 1);
		Atomics.store(cell, 0, 2 * turn + 2);
	}
}

/** Nanoseconds from one processor to another, the shortest of a few measurements of milliseconds. */
export async function handoverNs(): Promise<number> {
	const cell = new Int32Array(new SharedArrayBuffer(4));
	const worker = new Worker(fileURLToPath(import.meta.url), { workerData: cell });
	await new Promise((resolve) => worker.once("online", resolve));
	let [shortest, turn] = [Number.POSITIVE_INFINITY, 0];
	for (let timed = 0; timed < HANDOVERS_TIMED; timed++) {
		const startMs = performance.now();
		for (const end = turn + TURNS; turn < end; turn++) {
			Atomics.store(cell, 0, 2 * turn + 1);
			while (Atomics.load(cell, 0) !== 2 * turn + 2);
		}
		shortest = Math.min(shortest, ((performance.now() - startMs) * 1e6) / TURNS / 2);
	}
	await worker.terminate();
	return shortest;
}

if (!isMainThread && workerData instanceof Int32Array) answer(workerData);
