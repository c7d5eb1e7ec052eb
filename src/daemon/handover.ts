/**
 * The handover of a daemon that runs to its successor, seen from the one that runs: `vlane daemon --replace`. Frames
 * are forwarded until the successor has everything open; then this one stops, and that one starts.
 *
 *   successor                                        this daemon
 *     connects to STATE/handover.sock, hello  ->     finishes the change under way, begins no other
 *     opens what the records say, with     <- items + descriptors, in several messages; the lock of the state directory
 *     the descriptors; reads no frame
 *     ready                                   ->     stops forwarding; nothing is under way any more
 *     counts on, forwards                  <- counters, in several messages
 *     waits for the end of this process, serves      ends
 *
 * Whatever fails before the counters are sent: this daemon goes on.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { VlaneError } from "../control/errors.js";
import type { Heirloom } from "../control/fabric/heritage.js";
import { messageOf } from "../control/log.js";
import { SCHEMA_VERSION } from "../control/records/store.js";
import { FDS_MAX, type FdConnection, listenFds } from "../sys/fdsocket.js";
import { close } from "../sys/libc.js";
import type { Forwarding } from "./forwarding.js";

/** Version of these messages: who has another one is not handed anything. */
const FORMAT = 1;

/** Beside the records, where nobody else can look. */
export const HANDOVER_SOCKET = "handover.sock";

export const HELLO = { hello: { format: FORMAT, schema: SCHEMA_VERSION } };

/** What this daemon says. */
export type Said =
	| { refused: string }
	/** Each item's descriptor, in their order; with `lock`, that of the state directory's lock behind them: the last. */
	| { items: Heirloom[]; lock: boolean }
	| { aborted: string }
	/** By key of the item, in base64. */
	| { counters: Record<string, string>; last: boolean };

const HELLO_MS = 10_000;
/** How long a successor may take to open everything. */
const READY_MS = 60_000;
/** Their texts have to fit into a message. */
const COUNTERS_MAX = 100;

/** Hears successors. */
export class HandoverPoint {
	#close: (() => void) | undefined;
	readonly #path: string;

	/** @param onDone the successor has everything, this process can end; `pid` is the successor's */
	constructor(
		readonly forwarding: Forwarding,
		stateDir: string,
		readonly onDone: (pid: number) => void,
		/** A successor of another version wants this daemon to stop as it does otherwise. */
		readonly onStop: () => void,
	) {
		this.#path = join(stateDir, HANDOVER_SOCKET);
	}

	/** @throws SysError */
	open(): void {
		rmSync(this.#path, { force: true }); // An earlier daemon's, which was killed.
		this.#close = listenFds(this.#path, this.forwarding.poller, (connection) => void this.#serve(connection));
	}

	close(): void {
		if (!this.#close) return;
		this.#close();
		this.#close = undefined;
		rmSync(this.#path, { force: true });
	}

	/** Ends with the connection; after a handover that goes with the process. */
	async #serve(connection: FdConnection): Promise<void> {
		const { queue, context } = this.forwarding;
		let isDone = false;
		try {
			const { pid, uid } = connection.peer();
			if (uid !== 0 && uid !== process.getuid?.()) throw new Error(`process ${pid} belongs to user ${uid}`);
			const hello = await said(connection, HELLO_MS);
			if (JSON.stringify(hello) !== JSON.stringify(HELLO)) {
				await connection.send(JSON.stringify({ refused: "it is of another release" } satisfies Said));
				if ((await said(connection, HELLO_MS)).stop) this.onStop();
				return;
			}
			context.log.info("handing over", { pid });
			await queue.run(() => this.#handOver(connection));
			isDone = true;
			queue.close(new VlaneError("unavailable", "the daemon is being replaced; try again"));
			this.close();
			this.onDone(pid);
		} catch (error) {
			context.log.warn(`nothing was handed over, this daemon goes on: ${messageOf(error)}`);
			const aborted = JSON.stringify({ aborted: messageOf(error) } satisfies Said);
			await connection.send(aborted).catch(() => undefined);
		} finally {
			if (!isDone) connection.close();
		}
	}

	async #handOver(connection: FdConnection): Promise<void> {
		const { context, mover, lock } = this.forwarding;
		const inventory = context.fabric.inventory();
		const items = [...inventory];
		do {
			const part = items.splice(0, FDS_MAX - 1);
			const fds = part.map(({ fd }) => fd);
			const isLast = items.length === 0;
			if (isLast) fds.push(lock);
			const heirlooms = part.map(({ fd: _, ...heirloom }) => heirloom);
			await connection.send(JSON.stringify({ items: heirlooms, lock: isLast } satisfies Said), fds);
		} while (items.length > 0);
		if (!(await said(connection, READY_MS)).ready) throw new Error("the successor has not said that it is ready");
		await mover.datapath.suspend();
		try {
			const counters = inventory.map(({ key, port }) => [key, toBase64(mover.datapath.countersOf(port))] as const);
			do {
				const part = Object.fromEntries(counters.splice(0, COUNTERS_MAX));
				await connection.send(JSON.stringify({ counters: part, last: counters.length === 0 } satisfies Said));
			} while (counters.length > 0);
		} catch (error) {
			await mover.datapath.resume();
			throw error;
		}
	}
}

/** What a successor says. */
async function said(connection: FdConnection, waitMs: number): Promise<{ ready?: true; stop?: true }> {
	const message = await connection.receive(waitMs);
	if (!message) throw new Error("the successor has ended");
	// Nobody has asked for any.
	for (const fd of message.fds) close(fd);
	try {
		return Object(JSON.parse(message.text));
	} catch {
		throw new Error("the successor has said something else");
	}
}

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
