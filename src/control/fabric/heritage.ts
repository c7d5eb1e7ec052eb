/**
 * What a daemon takes over from another one: open descriptors, by what they are for. Who opens something looks here
 * first; what nobody has asked for in the end is closed.
 */
import { close } from "../../sys/libc.js";

/** What is told about a descriptor. */
export interface Heirloom {
	/** `uplink LINK`, `host IFNAME`, or an `endpointKey`. */
	key: string;
	/** Number of its port where it comes from. */
	port: number;
	/** Uplinks: the link that the socket is bound to, and the receive filters that it has asked for. */
	ifindex?: number;
	promiscuous?: boolean;
	macs?: string[];
	/** Endpoints: Docker has still to move it, see sandbox.ts. */
	waits?: boolean;
}

/** Whether something read from elsewhere can be one. */
export function isHeirloom(value: unknown): value is Heirloom {
	const { key, port } = Object(value) as Partial<Heirloom>;
	return typeof key === "string" && Number.isInteger(port);
}

/** An heirloom with its descriptor in this process. */
export interface Inherited extends Heirloom {
	fd: number;
}

/**
 * Key of an endpoint. Short, because a supervisor passes the names of all descriptors in one variable of the
 * environment.
 */
export const endpointKey = (id: string): string => `endpoint ${id.slice(0, 16)}`;

export class Heritage {
	readonly #items = new Map<string, Inherited>();
	readonly #taken: Inherited[] = [];

	constructor(items: readonly Inherited[] = []) {
		for (const item of items) this.#items.set(item.key, item);
	}

	/** What there is for a key, once. The descriptor is the caller's. */
	take(key: string): Inherited | undefined {
		const item = this.#items.get(key);
		this.#items.delete(key);
		if (item) this.#taken.push(item);
		return item;
	}

	/** What has been taken. */
	get taken(): readonly Inherited[] {
		return this.#taken;
	}

	/** Closes what nobody has taken; answers its keys. */
	closeRest(): string[] {
		const keys = [...this.#items.keys()];
		for (const { fd } of this.#items.values()) close(fd);
		this.#items.clear();
		return keys;
	}
}
