/** Helpers of the benchmark in processes of their own, inside a namespace, spoken to with messages. */
import { type ChildProcess, fork as forkProcess } from "node:child_process";
import { once } from "node:events";
import { close } from "../../src/sys/libc.js";
import { inNetns, openNetns } from "../../src/sys/netns.js";
import { onCleanup } from "../../test/support/cleanup.js";
import type { Namespace } from "../../test/support/netns.js";

/** A helper that runs. */
export interface Helper {
	/** Sends a message and waits for the answer. @throws Error when the helper ends instead */
	ask<Answer>(message: unknown): Promise<Answer>;
	/** Ends it; resolves when it is gone. */
	stop(): Promise<void>;
}

/** Runs a synchronous function with this thread inside the namespace. */
export function inside<Result>(ns: Namespace, visit: () => Result): Result {
	const fd = openNetns(ns.path);
	try {
		return inNetns(fd, visit);
	} finally {
		close(fd);
	}
}

/** Starts a module in the namespace; resolves with its first message, which says that it is ready. */
export async function fork(ns: Namespace, module: string, argv: string[]): Promise<Helper> {
	const child = inside(ns, () => forkProcess(module, argv, { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
	const forget = onCleanup(() => child.kill("SIGKILL"));
	child.on("exit", forget);
	await answerOf(child);
	return {
		async ask<Answer>(message: unknown) {
			child.send(message as object);
			return (await answerOf(child)) as Answer;
		},
		async stop() {
			if (child.exitCode !== null || child.signalCode !== null) return;
			const gone = once(child, "exit");
			child.kill("SIGKILL");
			await gone;
		},
	};
}

async function answerOf(child: ChildProcess): Promise<unknown> {
	const waits = new AbortController();
	const options = { signal: waits.signal };
	try {
		return await Promise.race([
			once(child, "message", options).then(([message]) => message),
			once(child, "exit", options).then(([status]) => {
				throw new Error(`${child.spawnargs.slice(1).join(" ")} ended with status ${status}`);
			}),
		]);
	} finally {
		waits.abort();
	}
}
