/**
 * Notices when somebody changes links or addresses in the namespaces of endpoints: one rtnetlink socket in each. What
 * has changed is not read: whoever is told looks for himself. A namespace that changes all the time is reported now and
 * then only.
 */
import { watchChanges } from "../../netlink/events.js";
import { close } from "../../sys/libc.js";
import { netnsId as identityOf, inNetns, openNetns } from "../../sys/netns.js";
import type { FdPoller } from "../../sys/poller.js";

export class NetnsWatches {
	readonly #stops = new Map<string, () => void>();

	/** @param onChange called with the namespace's identity, never from inside `watch` */
	constructor(
		readonly poller: FdPoller,
		readonly onChange: (netnsId: string) => void,
	) {}

	/**
	 * Starts to watch; a namespace that is watched already is fine.
	 * @param netnsId identity that the namespace at the path should have; another one is not watched
	 * @throws SysError
	 */
	watch(path: string, netnsId: string): void {
		if (this.#stops.has(netnsId)) return;
		const fd = openNetns(path);
		try {
			if (identityOf(fd) === netnsId) inNetns(fd, () => this.watchHere(netnsId));
		} finally {
			close(fd);
		}
	}

	/** As `watch`, for a thread that is in the namespace. */
	watchHere(netnsId: string): void {
		if (this.#stops.has(netnsId)) return;
		this.#stops.set(
			netnsId,
			watchChanges(this.poller, () => this.onChange(netnsId)),
		);
	}

	unwatch(netnsId: string): void {
		this.#stops.get(netnsId)?.();
		this.#stops.delete(netnsId);
	}

	close(): void {
		for (const netnsId of [...this.#stops.keys()]) this.unwatch(netnsId);
	}
}
