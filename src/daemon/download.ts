/** An answer that is not JSON, and may go on for as long as its reader stays. */
import type { Writable } from "node:stream";

export class Download {
	constructor(
		/** Media type. */
		readonly type: string,
		readonly headers: Record<string, string>,
		/** Begins to write; ends the target when there is no more. */
		readonly start: (target: Writable) => void,
	) {}
}
