/** What the page knows: the daemon's last answers, and how the counters have moved. */
import type { ApiEndpoint, ApiNetwork, ApiPort, Info } from "./api.js";

/** Rates between two looks at the counters. */
export interface Rate {
	/** Bits per second that came into the switch through the port, and left it there. */
	inBits: number;
	outBits: number;
	/** Frames per second. */
	drops: number;
}

/** Rates over time, oldest first; `null` where nothing is known, as while the daemon was away. */
export interface History {
	times: number[];
	inBits: (number | null)[];
	outBits: (number | null)[];
	drops: (number | null)[];
}

/** Five minutes. */
const SAMPLES_MAX = 300;
/** Longer without an answer is a gap in the plots. */
const GAP_SECONDS = 5;

export class Model {
	info: Info | undefined;
	ports: ApiPort[] = [];
	networks: ApiNetwork[] = [];
	endpoints: ApiEndpoint[] = [];
	/** By the port's name: numbers are given anew by every daemon. */
	readonly #histories = new Map<string, History>();
	#before: { time: number; pid: number; ports: Map<string, ApiPort> } | undefined;

	/** Takes the counters as they are at `time`, seconds since 1970. */
	update(info: Info, ports: ApiPort[], time: number): void {
		const before = this.#before;
		this.info = info;
		this.ports = ports;
		this.#before = { time, pid: info.Pid, ports: new Map(ports.map((port) => [port.name, port])) };
		for (const port of ports) {
			const old = before?.pid === info.Pid ? before.ports.get(port.name) : undefined;
			if (!before || !old || old.port !== port.port) {
				this.#push(port.name, time, undefined);
				continue;
			}
			const seconds = Math.max(time - before.time, 0.001);
			const rate = (now: number, then: number): number => Math.max(0, now - then) / seconds;
			if (seconds > GAP_SECONDS) this.#push(port.name, time - seconds / 2, undefined);
			this.#push(port.name, time, {
				inBits: 8 * rate(port.rxBytes, old.rxBytes),
				outBits: 8 * rate(port.txBytes, old.txBytes),
				drops: rate(dropsOf(port), dropsOf(old)),
			});
		}
	}

	history(name: string): History {
		return this.#histories.get(name) ?? { times: [], inBits: [], outBits: [], drops: [] };
	}

	/** The port's last rate; undefined as long as there is none. */
	rate(name: string): Rate | undefined {
		const { inBits, outBits, drops } = this.history(name);
		const [into, out, dropped] = [inBits.at(-1), outBits.at(-1), drops.at(-1)];
		if (typeof into !== "number" || typeof out !== "number" || typeof dropped !== "number") return undefined;
		return { inBits: into, outBits: out, drops: dropped };
	}

	#push(name: string, time: number, rate: Rate | undefined): void {
		const history = this.#histories.get(name) ?? { times: [], inBits: [], outBits: [], drops: [] };
		this.#histories.set(name, history);
		history.times.push(time);
		history.inBits.push(rate?.inBits ?? null);
		history.outBits.push(rate?.outBits ?? null);
		history.drops.push(rate?.drops ?? null);
		if (history.times.length <= SAMPLES_MAX) return;
		for (const list of [history.times, history.inBits, history.outBits, history.drops]) list.shift();
	}
}

/** Frames dropped so far, for any reason. */
export function dropsOf(port: ApiPort): number {
	return Object.values(port.drops).reduce((sum, dropped) => sum + dropped, 0);
}

/** Name of an endpoint's port. */
export function portName(endpoint: Pick<ApiEndpoint, "Network" | "Name">): string {
	return `${endpoint.Network}/${endpoint.Name}`;
}
