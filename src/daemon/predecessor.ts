/** The daemon that runs, seen from the one that is to replace it: handover.ts is the other side. */
import { join } from "node:path";
import { VlaneError } from "../control/errors.js";
import { Heritage, type Inherited, isHeirloom } from "../control/fabric/heritage.js";
import { isErrno } from "../sys/errno.js";
import { connectFds, type FdConnection, isReadable } from "../sys/fdsocket.js";
import { close, kill, pidfdOpen } from "../sys/libc.js";
import { FdPoller } from "../sys/poller.js";
import { HANDOVER_SOCKET, HELLO, type Said } from "./handover.js";

/** The one that runs finishes a change before it answers. */
const ANSWER_MS = 60_000;
/** How long a process may take to end. */
const END_MS = 10_000;
const SIGKILL = 9;

/** What it has handed over. */
export interface Estate {
	heritage: Heritage;
	/** Descriptor of the state directory's lock. */
	lock: number;
}

export class Predecessor {
	readonly #pidfd: number;
	readonly #pid: number;

	private constructor(
		readonly connection: FdConnection,
		readonly poller: FdPoller,
	) {
		this.#pid = connection.peer().pid;
		this.#pidfd = pidfdOpen(this.#pid);
	}

	/** Undefined: nobody is there to be replaced. @throws SysError */
	static find(stateDir: string): Predecessor | undefined {
		const poller = new FdPoller();
		try {
			return new Predecessor(connectFds(join(stateDir, HANDOVER_SOCKET), poller), poller);
		} catch (error) {
			poller.close();
			if (isErrno(error, "ENOENT", "ECONNREFUSED", "ESRCH", "ENOTDIR")) return undefined;
			throw error;
		}
	}

	/**
	 * Asks for everything; from now on no change is begun there. Undefined: it has ended without, and left what a daemon
	 * leaves that ends.
	 * @throws VlaneError unavailable: it goes on
	 */
	async inherit(): Promise<Estate | undefined> {
		const items: Inherited[] = [];
		await this.#say(HELLO);
		for (;;) {
			const message = await this.#hear();
			if (!message) {
				for (const { fd } of items) close(fd);
				return undefined;
			}
			const { said, fds } = message;
			if ("refused" in said) {
				await this.#say({ stop: true });
				await this.gone();
				return undefined;
			}
			if (!("items" in said)) throw broken("it answers something else");
			for (const [index, item] of said.items.entries()) items.push({ ...item, fd: fds[index] ?? -1 });
			if (said.lock) return { heritage: new Heritage(items), lock: fds[said.items.length] ?? -1 };
		}
	}

	/**
	 * Everything is open: lets it stop forwarding. Answers the counters of its ports by key; none when it has ended
	 * meanwhile.
	 * @throws VlaneError unavailable: it goes on
	 */
	async takeOver(): Promise<Map<string, Uint8Array>> {
		const found = new Map<string, Uint8Array>();
		await this.#say({ ready: true });
		for (;;) {
			const message = await this.#hear();
			if (!message) return found;
			if (!("counters" in message.said)) throw broken("it answers something else");
			for (const [key, text] of Object.entries(message.said.counters)) found.set(key, Buffer.from(text, "base64"));
			if (message.said.last) return found;
		}
	}

	/** Waits until its process has ended, and ends it when that takes too long. */
	async gone(): Promise<void> {
		if (await this.#hasEnded()) return;
		kill(this.#pid, SIGKILL);
		await this.#hasEnded();
	}

	close(): void {
		close(this.#pidfd);
		this.connection.close();
		this.poller.close();
	}

	#hasEnded(): Promise<boolean> {
		return isReadable(this.poller, this.#pidfd, END_MS);
	}

	/** A connection that is closed is noticed by who listens next. */
	async #say(words: object): Promise<void> {
		try {
			await this.connection.send(JSON.stringify(words));
		} catch (error) {
			if (!isErrno(error, "EPIPE", "ECONNRESET", "ENOTCONN")) throw error;
		}
	}

	/** Undefined when its process has ended. */
	async #hear(): Promise<{ said: Said; fds: number[] } | undefined> {
		const message = await this.connection.receive(ANSWER_MS).catch((error: Error) => {
			throw broken(error.message);
		});
		if (!message) {
			if (await this.#hasEnded()) return undefined;
			throw broken("it has closed the connection");
		}
		const said = parse(message.text);
		if ("aborted" in said) throw broken(said.aborted);
		return { said, fds: message.fds };
	}
}

function parse(text: string): Said {
	const problem = broken("it answers something else");
	let said: Partial<Record<string, unknown>>;
	try {
		said = Object(JSON.parse(text));
	} catch {
		throw problem;
	}
	const { items, counters } = said;
	if (items !== undefined && !(Array.isArray(items) && items.every(isHeirloom))) throw problem;
	if (counters !== undefined && Object(counters) !== counters) throw problem;
	return said as Said;
}

function broken(reason: string): VlaneError {
	return new VlaneError("unavailable", `the running daemon has handed nothing over, and goes on: ${reason}`);
}
