/**
 * What systemd is to a service with FileDescriptorStoreMax=: it keeps copies of descriptors, and passes them to the
 * next process (sd_notify(3), sd_listen_fds(3)).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { receiveFds } from "../../src/sys/fdsocket.js";
import { AF_UNIX, bind, close, POLLIN, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, socket } from "../../src/sys/libc.js";
import { FdPoller } from "../../src/sys/poller.js";
import { onCleanup } from "./cleanup.js";

const SAID_MS_MAX = 30_000;

export class Supervisor {
	/** What it has got, in the order in which it came; one descriptor for each name. */
	readonly kept = new Map<string, number>();
	readonly #poller = new FdPoller();
	readonly #fd: number;
	#said: string[] = [];
	#listeners: (() => void)[] = [];
	readonly #remove: () => void;

	/** What every process of the service is told. */
	readonly env: { NOTIFY_SOCKET: string };

	constructor() {
		const directory = mkdtempSync(join(tmpdir(), "vlane-supervisor-"));
		this.#remove = onCleanup(() => rmSync(directory, { recursive: true, force: true }));
		const path = join(directory, "notify");
		this.env = { NOTIFY_SOCKET: path };
		const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		const address = Buffer.alloc(2 + Buffer.byteLength(path) + 1);
		address.writeUInt16LE(AF_UNIX, 0);
		address.write(path, 2);
		bind(fd, address, path);
		this.#fd = fd;
		this.#poller.watch(fd, POLLIN, () => this.#listen());
		this.#poller.rearm(fd);
	}

	/** How a command is started that is to be the service's process: with what is kept. */
	get passing(): { prefix: string[]; env: Record<string, string>; fds: number[] } {
		const env = {
			...this.env,
			LISTEN_FDS: `${this.kept.size}`,
			LISTEN_FDNAMES: [...this.kept.keys()].join(":"),
		};
		return { prefix: ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"], env, fds: [...this.kept.values()] };
	}

	/** Resolves once `word` has been said since the last time that one was waited for. */
	async hear(word: string): Promise<void> {
		const endMs = performance.now() + SAID_MS_MAX;
		while (!this.#said.includes(word)) {
			if (performance.now() > endMs) throw new Error(`the daemon has not said ${word}, but ${this.#said.join(", ")}`);
			await new Promise<void>((resolve) => {
				const timer = setTimeout(resolve, 1000);
				this.#listeners.push(() => {
					clearTimeout(timer);
					resolve();
				});
			});
		}
		this.#said = [];
	}

	close(): void {
		this.#poller.close();
		close(this.#fd);
		for (const fd of this.kept.values()) close(fd);
		this.kept.clear();
		this.#remove();
	}

	#listen(): void {
		for (let message = receiveFds(this.#fd); message && message !== "end"; message = receiveFds(this.#fd)) {
			this.#take(message.text.split("\n"), message.fds);
		}
		this.#poller.rearm(this.#fd);
	}

	#take(lines: string[], fds: number[]): void {
		const name = lines.find((line) => line.startsWith("FDNAME="))?.slice("FDNAME=".length) ?? "";
		const fd = fds[0];
		if (lines.includes("FDSTORE=1") && fd !== undefined && !this.kept.has(name)) this.kept.set(name, fd);
		else for (const each of fds) close(each);
		const removed = lines.includes("FDSTOREREMOVE=1") ? this.kept.get(name) : undefined;
		if (removed !== undefined) {
			this.kept.delete(name);
			close(removed);
		}
		this.#said.push(...lines);
		for (const call of this.#listeners.splice(0)) call();
	}
}
