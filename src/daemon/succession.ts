/**
 * Where a daemon comes from: from another one that runs and hands everything over, from one that has left its
 * descriptors with the supervisor, or from none.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Heirloom, Heritage, type Inherited, isHeirloom } from "../control/fabric/heritage.js";
import { messageOf } from "../control/log.js";
import { forgetFd, hasSupervisor, heard, storeFd, takePassedFds } from "../sys/notify.js";
import type { Forwarding } from "./forwarding.js";
import { Predecessor } from "./predecessor.js";

/** What is told about descriptors that the supervisor keeps, in the state directory. */
const NOTES = "handover.json";

/** Names of descriptors are passed in one variable of the environment, which can not be longer (MAX_ARG_STRLEN). */
const NAME_BYTES_MAX = 130_000;

interface Notes {
	items: Heirloom[];
	/** By key of the item, in base64. */
	counters: Record<string, string>;
}

export interface Succession {
	/** Open descriptors, and the lock of the state directory, if it is handed over with them. */
	inherit(): Promise<{ heritage: Heritage; lock?: number } | undefined>;
	/** Everything is open: begins to forward, with the counters that there were. */
	begin(forwarding: Forwarding): Promise<void>;
	/** Nobody else is there any more. */
	settle(): Promise<void>;
	close(): void;
}

/** The running daemon's successor. Undefined: there is none. @throws SysError */
export function succeedRunning(stateDir: string): Succession | undefined {
	const predecessor = Predecessor.find(stateDir);
	if (!predecessor) return undefined;
	let hasEstate = false;
	return {
		async inherit() {
			const estate = await predecessor.inherit();
			hasEstate = estate !== undefined;
			return estate;
		},
		async begin(forwarding) {
			await begin(forwarding, hasEstate ? await predecessor.takeOver() : new Map());
		},
		settle: () => predecessor.gone(),
		close: () => predecessor.close(),
	};
}

/** The successor of one that has left its descriptors with the supervisor. Undefined: there are none. */
export function succeedStored(stateDir: string): Succession | undefined {
	const passed = takePassedFds();
	const notes = readNotes(stateDir);
	if (passed.length === 0) return undefined;
	const told = new Map(notes.items.map((item) => [item.key, item]));
	const items = passed.map(({ name, fd }) => ({ port: 0, ...told.get(name), key: name, fd }));
	const counters = Object.entries(notes.counters).map(([key, text]) => [key, Buffer.from(text, "base64")] as const);
	return {
		inherit: async () => ({ heritage: new Heritage(items) }),
		begin: (forwarding) => begin(forwarding, new Map(counters)),
		// What is in use is deposited again; whoever keeps a descriptor of another device keeps the device.
		settle: async () => {
			for (const { name } of passed) forgetFd(name);
		},
		close: () => undefined,
	};
}

/**
 * What the supervisor keeps of this daemon: copies of its descriptors, always. However the daemon ends, carriers and
 * receive filters stay as they are, and frames wait in the kernel's queues for the next one.
 */
export class Deposit {
	/** Keys of what it has. */
	readonly #kept = new Set<string>();
	#nameBytes = 0;
	/** What the notes say. */
	#noted = "";
	#isLeft = false;

	private constructor(
		readonly forwarding: Forwarding,
		readonly stateDir: string,
	) {}

	/** Keeps it up to date from now on. Undefined: there is no supervisor. */
	static open(forwarding: Forwarding, stateDir: string): Deposit | undefined {
		if (!hasSupervisor()) return undefined;
		const deposit = new Deposit(forwarding, stateDir);
		forwarding.context.fabric.hooks.onClose = (key) => deposit.#giveUp(key);
		forwarding.queue.onDone.push(() => deposit.#update());
		deposit.#update();
		return deposit;
	}

	/** Stops forwarding, with counters for the next daemon; for one that is about to end. */
	leave(): Promise<void> {
		const { queue, context, mover } = this.forwarding;
		return queue.run(async () => {
			this.#isLeft = true;
			const inventory = context.fabric.inventory();
			await mover.datapath.suspend();
			this.#store(inventory);
			const counters = inventory.map(({ key, port }) => {
				return [key, Buffer.from(mover.datapath.countersOf(port)).toString("base64")] as const;
			});
			this.#note({ items: inventory.map(itemOf), counters: Object.fromEntries(counters) });
		});
	}

	#update(): void {
		if (this.#isLeft) return;
		const inventory = this.forwarding.context.fabric.inventory();
		this.#store(inventory);
		// What a descriptor does not say by itself.
		this.#note({
			items: inventory.filter(({ ifindex, waits }) => ifindex !== undefined || waits).map(itemOf),
			counters: {},
		});
	}

	#store(inventory: readonly Inherited[]): void {
		for (const { key, fd } of inventory) {
			if (this.#kept.has(key) || this.#nameBytes + key.length > NAME_BYTES_MAX || !storeFd(key, fd)) continue;
			this.#kept.add(key);
			this.#nameBytes += key.length + 1;
		}
	}

	#note(notes: Notes): void {
		const text = JSON.stringify(notes);
		if (text === this.#noted) return;
		try {
			writeFileSync(join(this.stateDir, NOTES), text, { mode: 0o600 });
			this.#noted = text;
		} catch (error) {
			this.forwarding.context.log.warn(`the next daemon will not know all of this one: ${messageOf(error)}`);
		}
	}

	/** Before it is closed: whoever has a copy of a device's descriptor keeps the device. */
	async #giveUp(key: string): Promise<void> {
		if (!this.#kept.delete(key)) return;
		this.#nameBytes -= key.length + 1;
		forgetFd(key);
		await heard(this.forwarding.poller);
	}
}

const itemOf = ({ fd: _, ...item }: Inherited): Heirloom => item;

async function begin({ context, mover }: Forwarding, counters: ReadonlyMap<string, Uint8Array>): Promise<void> {
	const { fabric, log } = context;
	const { datapath } = mover;
	for (const { key, port } of fabric.inventory()) {
		const bytes = counters.get(key);
		if (bytes) datapath.setCounters(port, bytes);
	}
	await datapath.release();
	for (const key of fabric.settleHeritage()) log.info("handed over, but not used", { key });
}

/** Once: what is told is true of the next start only. */
function readNotes(stateDir: string): Notes {
	const path = join(stateDir, NOTES);
	try {
		const text = readFileSync(path, "utf8");
		rmSync(path);
		const { items, counters }: Partial<Notes> = Object(JSON.parse(text));
		// Where they are damaged, counters begin anew.
		if (Array.isArray(items) && items.every(isHeirloom)) return { items, counters: textsOf(counters) };
	} catch {
		// There are none, or they are damaged.
	}
	return { items: [], counters: {} };
}

const textsOf = (counters: unknown): Record<string, string> =>
	Object.fromEntries(
		Object.entries(Object(counters)).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
	);
