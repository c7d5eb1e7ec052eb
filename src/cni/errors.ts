/** What CNI calls an error: a number that runtimes understand, and a line for people (CNI 1.1.0, "Error"). */

/** Codes of the specification, and ours from 100 on. */
export const CODE = {
	incompatibleVersion: 1,
	unsupportedField: 2,
	/** The container is not known, or its namespace is gone: the runtime has nothing to clean up. */
	unknownContainer: 3,
	invalidEnvironment: 4,
	io: 5,
	decoding: 6,
	invalidConfig: 7,
	tryAgainLater: 11,
	/** STATUS: no ADD can succeed. */
	notAvailable: 50,
	/** STATUS: as above, and containers that are there may be cut off. */
	limitedConnectivity: 51,
	/** A name, an address or a parent is in use. */
	conflict: 100,
	/** An address management plugin failed without saying why, or answered nonsense. */
	delegateFailed: 101,
	/** CHECK: something is not as ADD has left it. */
	notAsAdded: 102,
	/** The daemon's own failure; see its log. */
	internal: 999,
} as const;

/** A failure as a runtime gets to see it. `message`: one line, what failed and what to do. */
export class CniError extends Error {
	override readonly name = "CniError";

	constructor(
		readonly code: number,
		message: string,
		readonly details?: string,
	) {
		super(message.trim().replace(/\s*[\r\n]+\s*/g, "; "));
	}
}
