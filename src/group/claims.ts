/**
 * Addresses of a group: taken by one transaction that makes a key for each of them, if nobody has made it before; and
 * given back. A claim's id is unique, and stands in every key that it has made. So whoever does not know whether a
 * transaction was carried out, because its answer was lost, sends it again, and finds either nothing or its own id.
 */
import type { Claim, Taken } from "../control/shared.js";
import { type Compare, type Etcd, OPERATIONS_MAX, type Operation } from "../etcd/client.js";
import { EtcdError } from "../etcd/errors.js";
import { endpointValue, type Holder, holderText, type Keys, parseHolder } from "./keys.js";
import type { View } from "./view.js";

/** What became of a claim: `gone`: the network that it is for; `lost`: who has what it asked for. */
export type Outcome = "won" | "gone" | { lost: (Omit<Taken, "holder"> & { by: Holder })[] };

const NO_NEW = "new addresses can not be given out";

export class Claims {
	constructor(
		readonly etcd: Etcd,
		readonly view: View,
		readonly keys: Keys,
		readonly hostId: string,
	) {}

	/**
	 * Takes everything that a claim asks for, or nothing. What it has already is fine.
	 * @param guard what has to hold besides: that its network is there
	 * @throws VlaneError unavailable: whether it was taken is not known, `drop` makes sure that it is not
	 */
	async take(claim: Claim, guard: Compare[] = []): Promise<Outcome> {
		await this.view.requireLive(NO_NEW);
		const own = holderText({ hostId: this.hostId, id: claim.id });
		const taken = this.keys.taken(claim);
		const record = { put: this.keys.endpoint(claim, this.hostId), value: endpointValue(claim) };
		let ours = new Set<string>();
		for (;;) {
			const result = await this.#txn({
				compare: [
					...guard,
					...taken.map(({ key }) => (ours.has(key) ? { key, value: own } : { key, createRevision: 0 })),
				],
				success: [...taken.filter(({ key }) => !ours.has(key)).map(({ key }) => ({ put: key, value: own })), record],
				failure: [...guard, ...taken].map(({ key }) => ({ get: key })),
			});
			if (result.succeeded) return "won";
			const guards = result.found.splice(0, guard.length);
			const isKept = (compare: Compare, at: number) =>
				"modRevision" in compare && guards[at]?.[0]?.modRevision === compare.modRevision;
			if (!guard.every(isKept)) return "gone";
			const holders = taken.flatMap((each, at) => {
				const [found] = result.found[at] ?? [];
				return found ? [{ ...each, by: parseHolder(found.value) }] : [];
			});
			const lost = holders.filter(({ by }) => holderText(by) !== own);
			if (lost.length > 0) return { lost: lost.map(({ kind, value, by }) => ({ kind, value, by })) };
			// An earlier try went through, or a part of what it took was lost since.
			ours = new Set(holders.map(({ key }) => key));
		}
	}

	/**
	 * Gives back what claims have taken and still have; what others have by now is left alone.
	 * @throws VlaneError unavailable
	 */
	async drop(claims: (Claim & { hostId: string })[], guard: Compare[] = []): Promise<boolean> {
		const operations = claims.flatMap((claim): Operation[] => {
			const value = holderText({ hostId: claim.hostId, id: claim.id });
			return [
				{ del: this.keys.endpoint(claim, claim.hostId) },
				...this.keys.taken(claim).map(({ key }) => ({ txn: { compare: [{ key, value }], success: [{ del: key }] } })),
			];
		});
		for (let at = 0; at < operations.length; at += OPERATIONS_MAX) {
			const { succeeded } = await this.#txn({ compare: guard, success: operations.slice(at, at + OPERATIONS_MAX) });
			if (!succeeded) return false;
		}
		return true;
	}

	async #txn(transaction: Parameters<Etcd["txn"]>[0]) {
		try {
			return await this.etcd.txn(transaction);
		} catch (error) {
			if (error instanceof EtcdError) throw this.view.unavailable(error, NO_NEW);
			throw error;
		}
	}
}
