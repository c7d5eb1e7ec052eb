/** The one error class of the control plane: every refusal has a kind, from which the API's HTTP status follows. */

/**
 * `invalid` (400): the request is wrong; `notFound` (404): what it names does not exist; `conflict` (409): it collides
 * with what exists; `forbidden` (403): never allowed; `unavailable` (503): not now; `internal` (500): our own failure.
 */
export type ErrorKind = "invalid" | "notFound" | "conflict" | "forbidden" | "unavailable" | "internal";

const STATUS: Record<ErrorKind, number> = {
	invalid: 400,
	forbidden: 403,
	notFound: 404,
	conflict: 409,
	internal: 500,
	unavailable: 503,
};

/**
 * A refusal that is shown to users as it is: `message` is one line, says what failed on which object, and what to
 * do next.
 */
export class VlaneError extends Error {
	override readonly name = "VlaneError";

	/**
	 * @param kind decides the HTTP status
	 * @param message one line; line breaks (for instance from a wrapped error) become "; "
	 * @param options `cause`: the error this one was made from; never shown to users
	 */
	constructor(
		readonly kind: ErrorKind,
		message: string,
		options?: { cause?: unknown },
	) {
		super(message.replace(/\s*[\r\n]+\s*/g, "; "), options);
	}
}

/** HTTP status of any error; what is not a VlaneError is our own failure: 500. */
export function httpStatus(error: unknown): number {
	return error instanceof VlaneError ? STATUS[error.kind] : STATUS.internal;
}
