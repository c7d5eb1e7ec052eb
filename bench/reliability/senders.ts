/** Endpoints that send to each other, faster than the switch forwards, and what becomes of their frames. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { close } from "../../src/sys/libc.js";
import { inNetns, openNetns } from "../../src/sys/netns.js";
import { type Started, start } from "../../test/support/netns.js";

/** Until senders have seen a new rate, and their queues are as full as they will be. */
const SETTLE_MS = 500;
const TOOL = fileURLToPath(new URL("./overload-tool.js", import.meta.url));

/** An endpoint, `eth0` of a namespace. */
export interface Member {
	/** The namespace's. */
	path: string;
	mac: string;
}

/** Who sends to which MAC address. */
export interface Flow {
	from: Member;
	to: string;
}

/** What interfaces have counted, one number for each member. */
export interface Counts {
	/** Frames that the switch has read. */
	taken: number[];
	/** Frames that the queue in front of the switch had no room for. */
	dropped: number[];
	/** Frames that the switch has written. */
	arrived: number[];
}

/** All that members send, from one process of the test's. */
export class Senders {
	readonly #members: Member[];
	readonly #flows: number;
	readonly #file: string;
	readonly #process: Started;

	/** @param directory for the file that says what is offered */
	constructor(members: Member[], flows: Flow[], directory: string) {
		this.#members = members;
		this.#flows = flows.length;
		this.#file = join(directory, "rate");
		this.setRate(0);
		const argv = flows.flatMap(({ from, to }) => [from.path, "eth0", from.mac, to]);
		this.#process = start([process.execPath, TOOL, this.#file, ...argv]);
	}

	get pid(): number | undefined {
		return this.#process.process.pid;
	}

	async ready(): Promise<void> {
		await this.#process.waitFor(/ready/);
	}

	/** Frames per second of all together; 0: nothing. */
	setRate(rate: number): void {
		writeFileSync(this.#file, `${rate / this.#flows}`);
	}

	counts(): Counts {
		const counters = this.#members.map(({ path }) => countersOf(path));
		return {
			taken: counters.map((fields) => fields[9]!),
			dropped: counters.map((fields) => fields[11]!),
			arrived: counters.map((fields) => fields[1]!),
		};
	}

	/** What is counted as long as `during` takes. */
	async load(rate: number, during: () => Promise<void>): Promise<Counts & { seconds: number }> {
		this.setRate(rate);
		await sleep(SETTLE_MS);
		const before = this.counts();
		const startMs = performance.now();
		await during();
		const seconds = (performance.now() - startMs) / 1000;
		return { seconds, ...difference(this.counts(), before) };
	}

	/** Ends what is sent, and resolves once nothing moves any more: with all that was counted until then. */
	async settle(): Promise<Counts> {
		this.setRate(0);
		for (let before = ""; ; await sleep(SETTLE_MS)) {
			const counts = this.counts();
			const now = JSON.stringify(counts);
			if (now === before) return counts;
			before = now;
		}
	}

	async stop(): Promise<void> {
		await this.#process.stop("SIGKILL");
	}
}

/** What has been counted since `before`. */
export function difference(now: Counts, before: Counts): Counts {
	const since = (kind: keyof Counts) => now[kind].map((frames, index) => frames - before[kind][index]!);
	return { taken: since("taken"), dropped: since("dropped"), arrived: since("arrived") };
}

/** Fields of `eth0` in /proc/net/dev. */
function countersOf(path: string): number[] {
	const netns = openNetns(path);
	const text = inNetns(netns, () => readFileSync("/proc/thread-self/net/dev", "latin1"));
	close(netns);
	const [, counters = ""] = /eth0:\s*(.*)/.exec(text) ?? [];
	return counters.split(/\s+/).map(Number);
}
