/**
 * Taking back what was done when a change fails half way, so that nothing half made is left behind.
 */

/** Steps to take back, newest first. */
export class Undo {
	readonly #steps: (() => void | Promise<void>)[] = [];

	/** Says how to take back what has just been done. */
	add(step: () => void | Promise<void>): void {
		this.#steps.push(step);
	}

	/** Takes everything back. A step that fails does not keep the older ones from running; its error is returned. */
	async run(): Promise<unknown[]> {
		const errors: unknown[] = [];
		for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
			try {
				await step();
			} catch (error) {
				errors.push(error);
			}
		}
		return errors;
	}
}

/** Runs `body`; when it throws, everything that it added to the undo stack is taken back before the error goes on. */
export async function withUndo<T>(body: (undo: Undo) => Promise<T>): Promise<T> {
	const undo = new Undo();
	try {
		return await body(undo);
	} catch (error) {
		await undo.run();
		throw error;
	}
}
