/** All segments, found by wire, by the link that they need, and by the host's interface on them. */
import { parentKey } from "../request/parent.js";
import type { NetworkRecord, ParentRef } from "../types.js";
import { type Segment, segmentKey } from "./segment.js";

type Wire = Pick<NetworkRecord, "id" | "parent">;

export class SegmentIndex {
	readonly #byKey = new Map<string, Segment>();
	readonly #byLink = new Map<string, Set<Segment>>();
	readonly #byHostIfname = new Map<string, Segment>();

	add(network: Wire, segment: Segment): void {
		this.#byKey.set(segmentKey(network), segment);
		if (segment.hostIfname) this.#byHostIfname.set(segment.hostIfname, segment);
		if (!segment.parent) return;
		const neighbours = this.#byLink.get(segment.parent.link) ?? new Set();
		this.#byLink.set(segment.parent.link, neighbours.add(segment));
	}

	delete(network: Wire, segment: Segment): void {
		this.#byKey.delete(segmentKey(network));
		if (segment.hostIfname) this.#byHostIfname.delete(segment.hostIfname);
		if (!segment.parent) return;
		const neighbours = this.#byLink.get(segment.parent.link);
		neighbours?.delete(segment);
		if (neighbours?.size === 0) this.#byLink.delete(segment.parent.link);
	}

	/** The segment that a network is on, or would be. */
	of(network: Wire): Segment | undefined {
		return this.#byKey.get(segmentKey(network));
	}

	/** The segment on exactly this parent. */
	onParent(parent: ParentRef): Segment | undefined {
		return this.#byKey.get(parentKey(parent));
	}

	/** The segments on a link, whatever their tags. */
	onLink(link: string): Segment[] {
		return [...(this.#byLink.get(link) ?? [])];
	}

	/** Names of the links that segments are on. */
	links(): string[] {
		return [...this.#byLink.keys()];
	}

	/** The segment whose interface on the host has this name. */
	ofHostInterface(ifname: string): Segment | undefined {
		return this.#byHostIfname.get(ifname);
	}

	all(): Iterable<Segment> {
		return this.#byKey.values();
	}
}
