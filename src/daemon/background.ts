/**
 * Changes that nobody waits for: what the kernel reports, and what follows from it. One that fails, because the disk is
 * full for instance, is not lost: everything is compared with the records again after a while, until nothing fails.
 */
import { type Log, messageOf } from "../control/log.js";
import type { Queue } from "../control/queue.js";
import type { Reconciliation } from "../control/reconcile.js";

const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;

export class Background {
	#timer: NodeJS.Timeout | undefined;
	#delayMs = RETRY_MS_MIN;

	/** @param reconcile compares everything; called from the queue */
	constructor(
		readonly queue: Queue,
		readonly log: Log,
		readonly reconcile: () => Promise<Reconciliation>,
	) {}

	/** Runs a change from the queue. What it says has failed, and what it throws, is tried again. */
	async run(task: () => Promise<Reconciliation> | Promise<void>): Promise<void> {
		try {
			const result = await this.queue.run<Reconciliation | undefined>(async () => (await task()) ?? undefined);
			if (result?.failed) this.#retry();
		} catch (error) {
			this.log.error(messageOf(error));
			this.#retry();
		}
	}

	close(): void {
		clearTimeout(this.#timer);
	}

	#retry(): void {
		this.#timer ??= setTimeout(() => {
			this.#timer = undefined;
			this.#delayMs = Math.min(this.#delayMs * 2, RETRY_MS_MAX);
			void this.run(async () => {
				const result = await this.reconcile();
				if (!result.failed) this.#delayMs = RETRY_MS_MIN;
				return result;
			});
		}, this.#delayMs).unref();
	}
}
