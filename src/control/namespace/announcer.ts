/** Sends an endpoint's announcements from inside its namespace, as if its own stack had: when it appears, and again. */
import { sendFrame } from "../../raw/packet.js";
import { close } from "../../sys/libc.js";
import { inNetns } from "../../sys/netns.js";
import type { TapPlace } from "../../tap/tap.js";
import { type Log, messageOf } from "../log.js";
import type { EndpointRecord } from "../types.js";
import { announcement } from "./announce.js";

/** How often an endpoint announces its addresses, and how far apart. */
export interface Advertising {
	count: number;
	intervalMs: number;
}

/**
 * After a start, all endpoints announce themselves at the same times. To send so many at once would keep everything
 * else waiting, and be a burst on the wire: so many are sent in so long a time.
 */
const SLICE_MS = 10;
const SENT_IN_SLICE_MAX = 10;

export class Announcer {
	readonly #timers = new Map<string, NodeJS.Timeout>();
	/** By id; sent in the next slices. */
	readonly #waiting = new Map<string, EndpointRecord>();
	/** Set for the time of a slice. */
	#slice: NodeJS.Timeout | undefined;
	#sentInSlice = 0;

	/** @param locate where an endpoint's interface is; its namespace's descriptor is the caller's to close */
	constructor(
		readonly locate: (endpointId: string) => TapPlace | undefined,
		readonly log: Log,
	) {}

	/** Announces the endpoint's addresses now and, as often as `advertising` says, later. */
	announce(endpoint: EndpointRecord, advertising: Advertising): void {
		this.cancel(endpoint.id);
		if (advertising.count <= 0) return;
		this.#waiting.set(endpoint.id, endpoint);
		this.#sendWaiting();
		const { count, intervalMs } = advertising;
		const again = () => this.announce(endpoint, { count: count - 1, intervalMs });
		// A daemon that is told to end does not wait for them.
		if (count > 1) this.#timers.set(endpoint.id, setTimeout(again, intervalMs).unref());
	}

	/** Sends nothing more for an endpoint. */
	cancel(endpointId: string): void {
		clearTimeout(this.#timers.get(endpointId));
		this.#timers.delete(endpointId);
		this.#waiting.delete(endpointId);
	}

	#sendWaiting(): void {
		for (const [id, endpoint] of this.#waiting) {
			if (this.#sentInSlice >= SENT_IN_SLICE_MAX) return;
			this.#waiting.delete(id);
			this.#sentInSlice++;
			this.#send(endpoint);
			this.#slice ??= setTimeout(() => {
				this.#slice = undefined;
				this.#sentInSlice = 0;
				this.#sendWaiting();
			}, SLICE_MS).unref();
		}
	}

	/** An interface that is down or gone has nobody to tell. */
	#send(endpoint: EndpointRecord): void {
		try {
			const place = this.locate(endpoint.id);
			if (!place) return;
			try {
				inNetns(place.netnsFd, () => {
					for (const cidr of [endpoint.ipv4, endpoint.ipv6]) {
						const [address] = cidr?.split("/") ?? [];
						if (address !== undefined) sendFrame(place.name, announcement(endpoint.mac, address));
					}
				});
			} finally {
				close(place.netnsFd);
			}
		} catch (error) {
			this.log.debug("address was not announced", { endpoint: endpoint.name, error: messageOf(error) });
		}
	}
}
