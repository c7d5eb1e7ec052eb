/**
 * Parents by the names that the whole group has for them, and which of their addresses other hosts have. A wire is
 * named after a parent and its tags: `eth0.50`. `--parent-map eth0=enp1s0` says that this host's interface is called
 * otherwise.
 */
import type { AddressSpace } from "../control/address/ipam.js";
import { OPTION } from "../control/request/options.js";
import type { Definition } from "../control/shared.js";
import type { NetworkRecord, ParentRef } from "../control/types.js";
import { parseHolder } from "./keys.js";
import type { View } from "./view.js";

const TPID_8021Q = 0x8100;

export class Wires {
	readonly #spaces = new Map<string, Set<AddressSpace>>();

	/** @param parents the group's name of an interface, and this host's */
	constructor(
		readonly parents: ReadonlyMap<string, string>,
		readonly view: View,
		readonly hostId: string,
	) {}

	wireOf({ link, vlans }: Pick<ParentRef, "link" | "vlans">): string {
		const tags = vlans.map(({ tpid, vid }) => (tpid === TPID_8021Q ? `.${vid}` : `.${vid}@${tpid.toString(16)}`));
		return `${rename(link, new Map([...this.parents].map(([shared, own]) => [own, shared])))}${tags.join("")}`;
	}

	localParent(text: string): string {
		return rename(text, this.parents);
	}

	/** What other hosts have to know of a network. */
	definitionOf({ number, parent, createdLink, scope, ...rest }: NetworkRecord & { parent: ParentRef }): Definition {
		const shared = this.wireOf({ link: parent.name, vlans: [] });
		return { ...rest, parent: shared, options: { ...rest.options, [OPTION.parent]: shared } };
	}

	/** Keeps the addresses that other hosts have on a wire out of use in a space, from now on. */
	follow(wire: string, space: AddressSpace): void {
		this.#spaces.set(wire, (this.#spaces.get(wire) ?? new Set()).add(space));
		for (const [address, { hostId }] of this.view.addressesOn(wire)) if (hostId !== this.hostId) space.occupy(address);
	}

	/** @param holder value of the address's key; undefined: nobody has it any more */
	changed(wire: string, address: string, holder: string | undefined): void {
		if (holder !== undefined && parseHolder(holder).hostId !== this.hostId) this.occupy(wire, address);
		else this.vacate(wire, address);
	}

	occupy(wire: string, address: string): void {
		for (const space of this.#spaces.get(wire) ?? []) space.occupy(address);
	}

	vacate(wire: string, address: string): void {
		for (const space of this.#spaces.get(wire) ?? []) space.vacate(address);
	}
}

/** `eth0.50` -> `enp1s0.50`. */
function rename(text: string, names: ReadonlyMap<string, string>): string {
	for (const [from, to] of names) if (text === from || text.startsWith(`${from}.`)) return to + text.slice(from.length);
	return text;
}
