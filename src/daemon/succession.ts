/**
 * Where a daemon comes from: from another one that runs and hands everything over, from one that has left its
 * descriptors with the supervisor, or from none.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Heirloom, Heritage } from "../control/fabric/heritage.js";
import { messageOf } from "../control/log.js";
import { forgetFd, hasSupervisor, storeFd, takePassedFds } from "../sys/notify.js";
import type { Forwarding } from "./forwarding.js";
import { Predecessor } from "./predecessor.js";

/** What is told about descriptors that the supervisor keeps, in the state directory. */
const NOTES = "handover.json";

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
		// Whoever keeps a descriptor of a device keeps the device.
		settle: async () => {
			for (const { name } of passed) forgetFd(name);
		},
		close: () => undefined,
	};
}

/** Leaves the descriptors with the supervisor, and stops forwarding; for a daemon that is about to end. */
export async function leaveWithSupervisor({ queue, context, mover }: Forwarding, stateDir: string): Promise<void> {
	if (!hasSupervisor()) return;
	await queue.run(async () => {
		const inventory = context.fabric.inventory();
		await mover.datapath.suspend();
		const notes: Notes = { items: [], counters: {} };
		for (const { fd, ...item } of inventory) {
			if (!storeFd(item.key, fd)) continue;
			notes.items.push(item);
			notes.counters[item.key] = Buffer.from(mover.datapath.countersOf(item.port)).toString("base64");
		}
		try {
			writeFileSync(join(stateDir, NOTES), JSON.stringify(notes), { mode: 0o600 });
		} catch (error) {
			context.log.warn(`counters begin anew after this: ${messageOf(error)}`);
		}
	});
}

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
		const notes = JSON.parse(readFileSync(path, "utf8")) as Notes;
		rmSync(path);
		return notes;
	} catch {
		return { items: [], counters: {} };
	}
}
