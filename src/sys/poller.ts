/**
 * Descriptors that Node has no class for (pidfds, netlink sockets) in Node's own event loop: no thread, and no
 * wake-up while nothing happens.
 */

import { POLLIN, POLLOUT, type PollHandle, pollInLoop } from "./libc.js";

interface Watch {
	handle: PollHandle;
	/** Tells libuv to report the descriptor (once). */
	arm: () => void;
}

/** Watches descriptors; never keeps the process alive by itself. */
export class FdPoller {
	readonly #watches = new Map<number, Watch>();
	// A handle that fires while Node tears its environment down would call into JavaScript that is gone, and abort.
	readonly #onExit = () => this.close();

	constructor() {
		process.on("exit", this.#onExit);
	}

	/**
	 * Calls back once when the descriptor is ready; `rearm` asks for the next time. Errors and hang-ups count as
	 * ready: the call that follows on the descriptor reports them.
	 * @param events POLLIN, POLLOUT or both.
	 * @returns Stops watching. Must be called before the descriptor is closed.
	 * @throws SysError EBADF when the descriptor is not open.
	 */
	watch(fd: number, events: number, callback: () => void): () => void {
		if (this.#watches.has(fd)) {
			throw new Error(`fd ${fd} is already watched`);
		}
		const options = { readable: (events & POLLIN) !== 0, writable: (events & POLLOUT) !== 0 };
		const onReady = () => {
			handle.stop();
			// libuv's callback is outside of Node's callback scope; an immediate of the same turn of the loop is
			// inside.
			setImmediate(() => {
				if (this.#watches.get(fd) === watch) {
					callback();
				}
			});
		};
		const handle = pollInLoop(fd, options, onReady);
		handle.unref();
		const watch: Watch = { handle, arm: () => handle.start(options, onReady) };
		this.#watches.set(fd, watch);
		return () => {
			if (this.#watches.get(fd) === watch) {
				this.#watches.delete(fd);
				handle.close();
			}
		};
	}

	/**
	 * Watches for the next event of a descriptor whose callback has run; does nothing when it is not watched any
	 * more.
	 */
	rearm(fd: number): void {
		this.#watches.get(fd)?.arm();
	}

	/** Stops watching everything; the descriptors stay open. */
	close(): void {
		process.off("exit", this.#onExit);
		for (const { handle } of this.#watches.values()) {
			handle.close();
		}
		this.#watches.clear();
	}
}
