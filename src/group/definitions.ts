/** Networks of the group: made known to all hosts, and taken from all of them. */
import { VlaneError } from "../control/errors.js";
import type { Definition } from "../control/shared.js";
import type { NetworkRecord } from "../control/types.js";
import { type Compare, type Etcd, endOf, type Transaction } from "../etcd/client.js";
import { EtcdError } from "../etcd/errors.js";
import type { Keys } from "./keys.js";
import type { View } from "./view.js";

const NO_CHANGE = "networks of the group can not be changed";

export class Definitions {
	constructor(
		readonly etcd: Etcd,
		readonly view: View,
		readonly keys: Keys,
	) {}

	/** That a network of the group is the one that this host knows; a condition that never holds when it is not. */
	guardOf({ id, name }: Pick<NetworkRecord, "id" | "name">): Compare[] {
		const key = this.keys.of("network", name);
		const isKnown = this.view.definition(name)?.id === id;
		return [{ key, modRevision: isKnown ? (this.view.mirror.entries.get(key)?.modRevision ?? -1) : -1 }];
	}

	/**
	 * @throws VlaneError conflict: there is one of its name, or another one has come to its wire that this host has not
	 * seen yet; unavailable
	 */
	async publish(definition: Definition): Promise<void> {
		const key = this.keys.of("network", definition.name);
		const value = JSON.stringify(definition);
		const catalog = this.keys.of("catalog", definition.parent);
		const modRevision = this.view.mirror.entries.get(catalog)?.modRevision;
		const { succeeded, found } = await this.#txn({
			compare: [
				{ key, createRevision: 0 },
				modRevision === undefined ? { key: catalog, createRevision: 0 } : { key: catalog, modRevision },
			],
			success: [
				{ put: key, value },
				{ put: catalog, value: definition.id },
			],
			failure: [{ get: key }],
		});
		const [there] = found[0] ?? [];
		// An answer that was lost.
		if (succeeded || there?.value === value) return;
		if (there) throw new VlaneError("conflict", `network with name ${definition.name} already exists in the group`);
		throw new VlaneError("conflict", `networks on ${definition.parent} have changed meanwhile; try again`);
	}

	/** What is not there is fine. @throws VlaneError conflict: it has endpoints; unavailable */
	async unpublish({ id, name }: Pick<NetworkRecord, "id" | "name">): Promise<void> {
		const definition = this.view.definition(name);
		if (definition?.id !== id) return;
		const start = this.keys.of("endpoint", id, "");
		const [guard] = this.guardOf({ id, name });
		const { succeeded, found } = await this.#txn({
			compare: [...(guard ? [guard] : []), { key: start, end: endOf(start), createRevision: 0 }],
			success: [{ del: this.keys.of("network", name) }, { put: this.keys.of("catalog", definition.parent), value: "" }],
			failure: [{ get: start, end: endOf(start) }],
		});
		const endpoints = found[0] ?? [];
		if (succeeded || endpoints.length === 0) return;
		const list = endpoints.map(({ key, value }) => {
			const [, , hostId = "", endpointId = ""] = this.keys.parse(key);
			const endpoint = (JSON.parse(value) as { name: string }).name;
			return `name:"${endpoint}" id:"${endpointId.slice(0, 12)}" host:"${this.view.hostName(hostId)}"`;
		});
		throw new VlaneError(
			"conflict",
			`error while removing network: network ${name} has active endpoints (${list.join(", ")})`,
		);
	}

	async #txn(transaction: Transaction) {
		try {
			return await this.etcd.txn(transaction);
		} catch (error) {
			if (error instanceof EtcdError) throw this.view.unavailable(error, NO_CHANGE);
			throw error;
		}
	}
}
