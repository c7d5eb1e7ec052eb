/**
 * Notices when the namespaces of endpoints end, without ever polling: a `pid:N` target ends with its process (pidfd), a
 * `netns:/path` target when its name is removed (inotify on the directory).
 *
 * The device itself would never tell: a TAP's descriptor was opened inside the namespace and keeps the namespace alive
 * (tun_chr_open() in drivers/net/tun.c takes a reference), so the name has to be watched, not the interface.
 */
import { watch } from "node:fs";
import { basename, dirname } from "node:path";
import { close, POLLIN, pidfdOpen } from "../../sys/libc.js";
import type { FdPoller } from "../../sys/poller.js";
import { isTargetAlive, targetPath, targetPid } from "./target.js";

export class Lifetimes {
	readonly #stops = new Map<string, () => void>();

	/** @param onEnd called once per watched target, never from inside `watch` */
	constructor(
		readonly poller: FdPoller,
		readonly onEnd: (target: string) => void,
	) {}

	/**
	 * Starts to watch; a target that is being watched already, or has just ended, is fine.
	 * @param netnsId identity of the namespace, of which `netns:` targets are names
	 */
	watch(target: string, netnsId = ""): void {
		if (this.#stops.has(target)) return;
		const ended = () => {
			if (this.#stops.has(target)) {
				this.unwatch(target);
				this.onEnd(target);
			}
		};
		try {
			const pid = targetPid(target);
			this.#stops.set(
				target,
				pid === undefined ? watchName(target, netnsId, ended) : watchProcess(this.poller, pid, ended),
			);
		} catch {
			this.#stops.set(target, () => undefined);
			setImmediate(ended);
		}
	}

	unwatch(target: string): void {
		this.#stops.get(target)?.();
		this.#stops.delete(target);
	}

	close(): void {
		for (const target of [...this.#stops.keys()]) this.unwatch(target);
	}
}

function watchProcess(poller: FdPoller, pid: number, ended: () => void): () => void {
	const fd = pidfdOpen(pid);
	const stop = poller.watch(fd, POLLIN, ended);
	return () => {
		stop();
		close(fd);
	};
}

function watchName(target: string, netnsId: string, ended: () => void): () => void {
	const path = targetPath(target);
	const check = () => {
		if (!isTargetAlive(target, netnsId)) ended();
	};
	const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
		if (name === null || name === basename(path)) check();
	});
	watcher.on("error", check);
	// It may have ended between the caller's look and the watch.
	setImmediate(check);
	return () => watcher.close();
}
