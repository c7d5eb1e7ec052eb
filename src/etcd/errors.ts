/** Failures of etcd, by what can be done about them. */

/**
 * `unavailable`: no answer, or none from a cluster with a majority: whether the request was carried out is not known.
 * `compacted`: what was asked for has been forgotten. `unauthenticated`: a new token is needed. `denied`: the user may
 * not, or is nobody. `refused`: the request can never succeed.
 */
export type EtcdErrorKind = "unavailable" | "compacted" | "unauthenticated" | "denied" | "refused";

export class EtcdError extends Error {
	override readonly name = "EtcdError";

	/** @param message errno's name, or what etcd says */
	constructor(
		readonly kind: EtcdErrorKind,
		message: string,
		options?: { cause?: unknown },
	) {
		super(message, options);
	}
}
