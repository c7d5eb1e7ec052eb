/**
 * Threads for the datapath. To begin one takes about as long as to start a program: who knows that one will be needed
 * lets it begin before there is anything to tell it.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";

let begun: Worker | undefined;

/** Lets a thread begin, and load what it runs, for the first `takeThread`. Until then it keeps nothing alive. */
export function beginThread(): void {
	begun ??= newThread();
	begun.unref();
}

/**
 * Ends the thread that nobody has taken, once it has loaded what it runs: koffi aborts the process when a thread is
 * terminated that loads it.
 */
export async function dismissThread(): Promise<void> {
	if (!begun) return;
	const thread = takeThread();
	thread.postMessage(undefined);
	await once(thread, "exit");
}

/** A thread that waits for its `WorkerSetup`, which is its first and only message (src/host/worker.ts). */
export function takeThread(): Worker {
	const thread = begun ?? newThread();
	begun = undefined;
	thread.ref();
	return thread;
}

function newThread(): Worker {
	return new Worker(new URL("./worker.cjs", import.meta.url), {
		execArgv: [], // flags of the program around us, such as --input-type, are not for this thread
		// The heap holds a few objects for control messages; frames live in the shared memory.
		resourceLimits: { maxOldGenerationSizeMb: 64 },
	});
}
