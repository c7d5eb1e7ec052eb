/**
 * One change at a time: requests, process exits and link events all go through one queue, so that no two interleave.
 */
export class Queue {
	#tail: Promise<unknown> = Promise.resolve();
	#closed: Error | undefined;
	/** Called after each task, whether it has failed or not. */
	readonly onDone: (() => void)[] = [];

	/** Runs `task` after everything that was queued before it; settles as `task` does. */
	run<T>(task: () => T | Promise<T>): Promise<T> {
		const result = this.#tail.then(() => {
			if (this.#closed) throw this.#closed;
			return task();
		});
		this.#tail = result
			.catch(() => undefined)
			.then(() => {
				for (const call of this.onDone) call();
			});
		return result;
	}

	/** What has not begun fails with this error from now on. */
	close(error: Error): void {
		this.#closed = error;
	}
}
