/** What a group's keys say, as far as this host has heard: the mirror of etcd, read as records and indexed. */
import { VlaneError } from "../control/errors.js";
import type { Definition, DistantEndpoint } from "../control/shared.js";
import type { Change, Mirror } from "../etcd/mirror.js";
import {
	type AliveRecord,
	type AwayRecord,
	type EndpointValue,
	type Holder,
	type HostRecord,
	type Keys,
	parseHolder,
} from "./keys.js";

/** Answers are waited for this long while a connection is lost: members change. */
const PATIENCE_MS = 3000;

type Placed = Omit<DistantEndpoint, "host">;

export class View {
	readonly #endpointsOfHost = new Map<string, Map<string, Placed>>();
	readonly #endpointsOfNetwork = new Map<string, Map<string, Placed>>();
	/** By wire. */
	readonly #addresses = new Map<string, Map<string, Holder>>();

	constructor(
		readonly mirror: Mirror,
		readonly keys: Keys,
	) {}

	/** Follows the mirror. */
	take(changes: Change[]): void {
		for (const { key, before, now } of changes) {
			const [kind, ...parts] = this.keys.parse(key);
			if (kind === "endpoint") this.#takeEndpoint(parts, now?.value);
			else if (kind === "address") {
				const [wire = "", address = ""] = parts;
				const addresses = this.#addresses.get(wire) ?? new Map<string, Holder>();
				this.#addresses.set(wire, addresses);
				if (now) addresses.set(address, parseHolder(now.value));
				else if (before) addresses.delete(address);
				if (addresses.size === 0) this.#addresses.delete(wire);
			}
		}
	}

	#takeEndpoint([networkId = "", hostId = "", id = ""]: string[], text: string | undefined): void {
		const indexes = [
			[this.#endpointsOfHost, hostId],
			[this.#endpointsOfNetwork, networkId],
		] as const;
		for (const [index, by] of indexes) {
			const rows = index.get(by) ?? new Map<string, Placed>();
			index.set(by, rows);
			if (text === undefined) rows.delete(id);
			else {
				const value = JSON.parse(text) as EndpointValue;
				rows.set(id, { id, networkId, hostId, ...value });
			}
			if (rows.size === 0) index.delete(by);
		}
	}

	endpointsOfHost(hostId: string): DistantEndpoint[] {
		return [...(this.#endpointsOfHost.get(hostId)?.values() ?? [])].map((placed) => this.#named(placed));
	}

	endpointsOfNetwork(networkId: string): DistantEndpoint[] {
		return [...(this.#endpointsOfNetwork.get(networkId)?.values() ?? [])].map((placed) => this.#named(placed));
	}

	endpoint({ hostId, id }: Holder): DistantEndpoint | undefined {
		const placed = this.#endpointsOfHost.get(hostId)?.get(id);
		return placed && this.#named(placed);
	}

	/** Who has the addresses of a wire. */
	addressesOn(wire: string): ReadonlyMap<string, Holder> {
		return this.#addresses.get(wire) ?? new Map();
	}

	holder(key: string): Holder | undefined {
		const entry = this.mirror.entries.get(key);
		return entry && parseHolder(entry.value);
	}

	/** `endpoint web of host b`. */
	describe(holder: Holder): string {
		return `endpoint ${this.endpoint(holder)?.name ?? holder.id.slice(0, 12)} of host ${this.hostName(holder.hostId)}`;
	}

	hostName(hostId: string): string {
		return this.host(hostId)?.name ?? hostId.slice(0, 12);
	}

	hostIds(): string[] {
		const start = this.keys.of("host", "");
		return [...this.mirror.entries.keys()].filter((key) => key.startsWith(start)).map((key) => key.slice(start.length));
	}

	host(hostId: string): HostRecord | undefined {
		return this.#read<HostRecord>(this.keys.of("host", hostId));
	}

	alive(hostId: string): AliveRecord | undefined {
		return this.#read<AliveRecord>(this.keys.of("alive", hostId));
	}

	away(hostId: string): AwayRecord | undefined {
		return this.#read<AwayRecord>(this.keys.of("away", hostId));
	}

	/** Whether a host is away for longer than its leases live. */
	isOver(hostId: string): boolean {
		const { entries } = this.mirror;
		const isAlive = entries.has(this.keys.of("alive", hostId));
		return !isAlive && entries.has(this.keys.of("away", hostId)) && !entries.has(this.keys.of("grace", hostId));
	}

	definition(name: string): Definition | undefined {
		return this.#read<Definition>(this.keys.of("network", name));
	}

	definitions(): Definition[] {
		const start = this.keys.of("network", "");
		return [...this.mirror.entries.values()]
			.filter(({ key }) => key.startsWith(start))
			.map(({ value }) => JSON.parse(value) as Definition)
			.sort((a, b) => a.created.localeCompare(b.created));
	}

	/** @throws VlaneError unavailable: etcd does not answer, and did not for a while */
	async requireLive(what: string): Promise<void> {
		const { lost } = this.mirror;
		if (!lost) return;
		const patienceMs = lost.sinceMs + PATIENCE_MS - Date.now();
		if (await this.mirror.wait(() => this.mirror.lost === undefined, patienceMs)) return;
		throw this.unavailable(this.mirror.lost?.error ?? lost.error, what);
	}

	/** @param what can not be done now */
	unavailable(error: unknown, what: string): VlaneError {
		const reason = error instanceof Error ? error.message : String(error);
		return new VlaneError(
			"unavailable",
			`etcd at ${this.mirror.etcd.name} does not answer (${reason}); ${what}; running endpoints are not affected`,
			{ cause: error },
		);
	}

	/** With its host's name, which may have been read later. */
	#named(placed: Placed): DistantEndpoint {
		return { ...placed, host: this.hostName(placed.hostId) };
	}

	#read<T>(key: string): T | undefined {
		const entry = this.mirror.entries.get(key);
		return entry && (JSON.parse(entry.value) as T);
	}
}
