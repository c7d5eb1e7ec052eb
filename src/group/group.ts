/**
 * This host's part in a group of hosts that share networks and addresses through etcd. What the host itself needs to go
 * on is in its own store; etcd is asked before something is given out, and told when it is given back.
 *
 * What was given back is not written down anywhere: it is what etcd has under this host's id and no record here knows.
 * So whatever happened meanwhile, `settle` makes the two agree again.
 */

import type { AddressSpace } from "../control/address/ipam.js";
import type { Context } from "../control/context.js";
import { VlaneError } from "../control/errors.js";
import type { Log } from "../control/log.js";
import type { AddressTest, Claim, DistantEndpoint, Shared, Taken } from "../control/shared.js";
import type { ApiGroupEndpoint, ApiHost, NetworkRecord, ParentRef } from "../control/types.js";
import { type Compare, Etcd } from "../etcd/client.js";
import { type Change, Mirror } from "../etcd/mirror.js";
import { Claims } from "./claims.js";
import { Definitions } from "./definitions.js";
import { type Holder, Keys } from "./keys.js";
import { Liveness, type Self } from "./liveness.js";
import type { Location } from "./location.js";
import { findAnswering } from "./probe.js";
import { View } from "./view.js";
import { Wires } from "./wires.js";

/** How many addresses are asked for on the wire together. */
const PROBED_MAX = 16;
/** What users are told of is kept for this many events. */
const NOTES_MAX = 16;

export interface GroupOptions extends Self {
	location: Location;
	parents: ReadonlyMap<string, string>;
	log: Log;
	/** Does something from the daemon's queue, and again if it fails. */
	run: (task: () => Promise<void>) => void;
}

/** What the group does to this host's own records; each is called from the queue. */
export interface GroupHooks {
	/** Everything here that has something of the group's. */
	claims(): Claim[];
	/** A holder has lost what it had: it must not go on using it. */
	onLost(claim: Claim): Promise<void>;
	/** The group's networks may have changed. */
	onNetworks(): Promise<void>;
}

export class Group implements Shared {
	readonly etcd: Etcd;
	readonly mirror: Mirror;
	readonly view: View;
	readonly definitions: Definitions;
	readonly #keys: Keys;
	readonly #claims: Claims;
	readonly #liveness: Liveness;
	readonly #wires: Wires;
	readonly #options: GroupOptions;
	/** What holders had that are gone here, and which etcd may still have. */
	readonly #released = new Map<string, Claim>();
	/** Claims of this daemon's time, by id. */
	readonly #known = new Map<string, Claim>();
	readonly #notes = new Map<string, string[]>();
	/** Ids of holders that etcd says something about that was not done here. */
	readonly #suspects = new Set<string>();
	#hooks: GroupHooks | undefined;
	#context: Context | undefined;
	#flushing: Promise<void> | undefined;

	constructor(options: GroupOptions) {
		const { location, hostId, log } = options;
		this.#options = options;
		this.#keys = new Keys(location.prefix);
		this.etcd = new Etcd(location);
		this.mirror = new Mirror(this.etcd, location.prefix, (location.aliveSeconds * 1000) / 2, {
			onChange: (changes) => this.#take(changes),
			onLive: () => this.#live(),
			onLost: (error) => log.warn(`lost etcd at ${this.etcd.name}: ${error.message}; running endpoints go on`),
		});
		this.view = new View(this.mirror, this.#keys);
		this.#claims = new Claims(this.etcd, this.view, this.#keys, hostId);
		this.definitions = new Definitions(this.etcd, this.view, this.#keys);
		this.#liveness = new Liveness(this.etcd, this.view, this.#keys, options, location.aliveSeconds, log);
		this.#wires = new Wires(options.parents, this.view, hostId);
	}

	/**
	 * Begins to follow the group. Resolves when its records have been read, or after a moment: without etcd, what is here
	 * goes on.
	 */
	async start(waitMs: number): Promise<void> {
		this.mirror.start();
		this.#liveness.beat();
		if (await this.mirror.wait(() => this.mirror.lost === undefined, waitMs)) return;
		const { error } = this.mirror.lost ?? {};
		this.#options.log.warn(this.view.unavailable(error, "starting from the local copy").message);
	}

	/** From now on, what the group says is done here. */
	attach(context: Context, hooks: GroupHooks): void {
		this.#context = context;
		this.#hooks = hooks;
	}

	async close(): Promise<void> {
		await this.#flush().catch(() => undefined);
		await this.#liveness.close();
		await this.mirror.close();
		this.etcd.close();
	}

	wireOf(parent: ParentRef): string {
		return this.#wires.wireOf(parent);
	}

	localParent(text: string): string {
		return this.#wires.localParent(text);
	}

	follow(network: Pick<NetworkRecord, "parent">, space: AddressSpace): void {
		if (network.parent) this.#wires.follow(this.wireOf(network.parent), space);
	}

	holderOf(kind: Taken["kind"], wire: string, value: string): string | undefined {
		const holder = this.view.holder(this.#keys.of(kind, wire, value));
		return holder && holder.hostId !== this.#options.hostId ? this.view.describe(holder) : undefined;
	}

	async take(claim: Claim): Promise<Taken[]> {
		if (this.#liveness.problem) throw new VlaneError("unavailable", this.#liveness.problem);
		await this.view.requireLive("new addresses can not be given out");
		await this.#flush();
		this.#known.set(claim.id, claim);
		const outcome = await this.#claims.take(claim, this.#guardOf(claim.networkId));
		if (outcome === "won") return [];
		if (outcome === "gone") {
			throw new VlaneError(
				"notFound",
				`network ${claim.network} has been removed from the group; see vlane network ls`,
			);
		}
		if (await this.#dropForgotten(outcome.lost.map(({ by }) => by))) return this.take(claim);
		for (const { kind, value } of outcome.lost) {
			// The watch will say so, too; but the next try must not wait for it.
			if (kind === "address") this.#wires.occupy(claim.wire, value);
		}
		return outcome.lost.map(({ kind, value, by }) => ({ kind, value, holder: this.view.describe(by) }));
	}

	released(id: string): void {
		const claim = this.#known.get(id) ?? this.view.endpoint({ hostId: this.#options.hostId, id });
		this.#known.delete(id);
		if (!claim) return;
		this.#released.set(id, claim);
		void this.#flush().catch(() => undefined);
	}

	async reclaim(network: NetworkRecord, wire: string, isWanted: AddressTest): Promise<boolean> {
		if (!network.parent || !this.#context?.fabric.reachesWire(network)) return false;
		const wanted = [...this.view.addressesOn(wire)]
			.filter(([address]) => isWanted(address, address.includes(":") ? 6 : 4))
			.filter(([, { hostId }]) => hostId !== this.#options.hostId && this.view.isOver(hostId));
		const holders = wanted.slice(0, PROBED_MAX).flatMap(([, holder]) => this.view.endpoint(holder) ?? []);
		if (holders.length === 0) return false;
		const addresses = [...new Set(holders.flatMap((holder) => holder.addresses))];
		const answering = await findAnswering(this.#context.fabric, network, addresses);
		let isAny = false;
		for (const holder of holders) {
			const answer = holder.addresses.find((address) => answering.has(address));
			const { name, host, hostId } = holder;
			if (answer !== undefined) {
				this.#options.log.info(`${answer} is kept: somebody answers for it`, { endpoint: name, host });
				continue;
			}
			if (!(await this.#claims.drop([holder], this.#overGuard(hostId)))) continue;
			this.#options.log.info("address taken back from a host that is away", { endpoint: name, host });
			for (const address of holder.addresses) this.#wires.vacate(wire, address);
			isAny = true;
		}
		return isAny;
	}

	endpointsOf(networkId: string): DistantEndpoint[] {
		const { hostId } = this.#options;
		return this.view.endpointsOfNetwork(networkId).filter((endpoint) => endpoint.hostId !== hostId);
	}

	/** Endpoints and leases of all hosts. */
	endpoints(): ApiGroupEndpoint[] {
		return this.view
			.hostIds()
			.flatMap((hostId) => this.view.endpointsOfHost(hostId))
			.map(({ host, id, name, network, addresses, mac = "" }) => ({
				...{ Host: host, EndpointID: id, Name: name, Network: network, IPAddresses: addresses, MacAddress: mac },
			}))
			.sort((a, b) => (`${a.Host}/${a.Network}/${a.Name}` < `${b.Host}/${b.Network}/${b.Name}` ? -1 : 1));
	}

	notesOf(networkId: string): string[] {
		const { problem } = this.#liveness;
		return [...(this.#notes.get(networkId) ?? []), ...(problem ? [problem] : [])];
	}

	async publish(network: NetworkRecord & { parent: ParentRef }): Promise<void> {
		await this.view.requireLive("networks of the group can not be changed");
		await this.definitions.publish(this.#wires.definitionOf(network));
	}

	async unpublish(network: NetworkRecord): Promise<void> {
		await this.view.requireLive("networks of the group can not be changed");
		await this.#flush();
		await this.definitions.unpublish(network);
	}

	hosts(): ApiHost[] {
		return this.view
			.hostIds()
			.map((id) => {
				const { name, version, joined } = this.view.host(id) ?? { name: "", version: "", joined: "" };
				const alive = this.view.alive(id);
				return {
					Id: id,
					Name: name,
					Status: alive ? ("alive" as const) : ("away" as const),
					Since: (alive ?? this.view.away(id))?.since ?? "",
					LeasesOver: this.view.isOver(id),
					Endpoints: this.view.endpointsOfHost(id).length,
					Version: version,
					Joined: joined,
					Self: id === this.#options.hostId,
				};
			})
			.sort((a, b) => (a.Name < b.Name ? -1 : 1));
	}

	/**
	 * Forgets a host, and everything that it has: an operator says that it will not come back.
	 * @throws VlaneError notFound, invalid (ambiguous), conflict (it is alive), unavailable
	 */
	async removeHost(ref: string, force: boolean): Promise<void> {
		await this.view.requireLive("hosts can not be removed");
		const hosts = this.hosts();
		const named = hosts.filter(({ Name, Id }) => Name === ref || Id === ref);
		const found = named.length > 0 ? named : hosts.filter(({ Id }) => ref.length > 0 && Id.startsWith(ref));
		const [host] = found;
		if (!host) throw new VlaneError("notFound", `host ${ref} not found`);
		if (found.length > 1) throw new VlaneError("invalid", `host ${ref} is ambiguous; give more of its id`);
		if (host.Self) throw new VlaneError("forbidden", `host ${host.Name} is this one; remove it from another one`);
		if (host.Status === "alive" && !force) {
			throw new VlaneError("conflict", `host ${host.Name} is alive; stop its daemon first, or use --force`);
		}
		const guard = force ? [] : [{ key: this.#keys.of("alive", host.Id), createRevision: 0 }];
		if (!(await this.#claims.drop(this.view.endpointsOfHost(host.Id), guard))) {
			throw new VlaneError("conflict", `host ${host.Name} has just come back`);
		}
		const keys = ["host", "alive", "away", "grace"].map((kind) => this.#keys.of(kind, host.Id));
		const { revision } = await this.etcd
			.txn({ compare: guard, success: keys.map((del) => ({ del })) })
			.catch((error) => {
				throw this.view.unavailable(error, "hosts can not be removed");
			});
		await this.mirror.wait(() => this.mirror.revision >= revision, 1000);
		this.#options.log.info("host removed", { host: host.Name, endpoints: host.Endpoints });
	}

	/** Makes etcd and this host's records agree. From the queue only. @throws VlaneError unavailable */
	async settle(): Promise<void> {
		if (!this.#hooks || this.mirror.lost) return;
		await this.#hooks.onNetworks();
		await this.settleClaims();
	}

	/**
	 * Takes what is missing in etcd, gives back what is not needed here, and says what is lost. From the queue only.
	 * @param ids of holders; absent: all
	 * @throws VlaneError unavailable
	 */
	async settleClaims(ids?: ReadonlySet<string>): Promise<void> {
		if (!this.#hooks || this.mirror.lost) return;
		const { hostId } = this.#options;
		const here = new Map(this.#hooks.claims().map((claim) => [claim.id, claim]));
		for (const claim of here.values()) {
			if (ids && !ids.has(claim.id)) continue;
			this.#known.set(claim.id, claim);
			const isOurs = ({ key }: { key: string }) => this.view.holder(key)?.id === claim.id;
			if (this.#keys.taken(claim).every(isOurs) && this.view.endpoint({ hostId, id: claim.id })) continue;
			const outcome = await this.#claims.take(claim, this.#guardOf(claim.networkId));
			if (outcome === "won" || outcome === "gone") continue;
			const [first] = outcome.lost;
			if (first) await this.#lose(claim, first.value, this.view.describe(first.by));
		}
		const surplus = this.view
			.endpointsOfHost(hostId)
			.filter(({ id }) => !here.has(id) && (!ids || ids.has(id)) && !this.#released.has(id));
		if (surplus.length === 0) return;
		await this.#claims.drop(surplus);
		this.#options.log.info("given back what no record here knows", { endpoints: surplus.length });
	}

	async #lose(claim: Claim, what: string, winner: string): Promise<void> {
		const { log } = this.#options;
		const text = `endpoint ${claim.name} was disconnected: ${what} was given to ${winner} while this host was away`;
		log.error(text, { network: claim.network });
		this.#notes.set(claim.networkId, [...(this.#notes.get(claim.networkId) ?? []), text].slice(-NOTES_MAX));
		await this.#hooks?.onLost(claim);
	}

	/** What is of this host, but no record here knows: an earlier daemon's, which was killed. Answers if there was any. */
	async #dropForgotten(holders: Holder[]): Promise<boolean> {
		const { hostId } = this.#options;
		const here = new Set(this.#hooks?.claims().map(({ id }) => id));
		const forgotten = holders
			.filter((holder) => holder.hostId === hostId && !here.has(holder.id))
			.flatMap((holder) => this.view.endpoint(holder) ?? []);
		if (forgotten.length > 0) await this.#claims.drop(forgotten);
		return forgotten.length > 0;
	}

	/** Gives back what is gone here. One request at a time; what comes meanwhile goes with the next one. */
	#flush(): Promise<void> {
		if (this.#released.size === 0) return this.#flushing ?? Promise.resolve();
		this.#flushing = (this.#flushing ?? Promise.resolve())
			.catch(() => undefined)
			.then(async () => {
				const { hostId } = this.#options;
				const batch = [...this.#released.values()].map((claim) => ({ ...claim, hostId }));
				if (batch.length === 0 || this.mirror.lost) return;
				await this.#claims.drop(batch);
				for (const { id } of batch) this.#released.delete(id);
			});
		return this.#flushing;
	}

	#live(): void {
		this.#options.log.info(`following etcd at ${this.etcd.name}`);
		this.#liveness.beat();
		for (const hostId of this.view.hostIds()) if (!this.view.alive(hostId)) this.#liveness.missed(hostId);
		if (!this.#hooks) return;
		this.#options.run(async () => {
			await this.#flush();
			await this.settle();
		});
	}

	#take(changes: Change[]): void {
		this.view.take(changes);
		const { hostId, run } = this.#options;
		let isCatalog = false;
		for (const { key, before, now } of changes) {
			const [kind = "", first = "", second = "", third = ""] = this.#keys.parse(key);
			if (kind === "address") this.#wires.changed(first, second, now?.value);
			if (kind === "alive" && !now) {
				if (first === hostId) this.#liveness.forgotten();
				else this.#liveness.missed(first);
			}
			if (kind === "host" && !now && first === hostId) this.#liveness.forgotten();
			if (kind === "catalog" || kind === "network") isCatalog = true;
			if (kind === "endpoint" && second === hostId && Boolean(now) !== this.#known.has(third))
				this.#suspects.add(third);
			if (kind !== "address" && kind !== "mac") continue;
			const [had, has] = [before?.value, now?.value].map((value) =>
				value?.startsWith(`${hostId}/`) ? value : undefined,
			);
			const id = (had ?? has)?.slice(hostId.length + 1);
			if (id !== undefined && had !== has && Boolean(has) !== this.#known.has(id)) this.#suspects.add(id);
		}
		if (!this.#hooks || this.mirror.lost) return;
		if (isCatalog) run(() => this.settle());
		else if (this.#suspects.size > 0) {
			run(async () => {
				const ids = new Set(this.#suspects);
				this.#suspects.clear();
				if (ids.size > 0) await this.settleClaims(ids);
			});
		}
	}

	/** That the group's network is still there; nothing for what is on no network of the group. */
	#guardOf(networkId: string): Compare[] {
		const network = this.#context?.state.networks.get(networkId);
		if (network?.scope !== "global") return [];
		return this.definitions.guardOf(network);
	}

	/** That a host is still away for too long. */
	#overGuard(hostId: string): Compare[] {
		const away = this.#keys.of("away", hostId);
		return [
			...["alive", "grace"].map((kind) => ({ key: this.#keys.of(kind, hostId), createRevision: 0 })),
			// The absence that was seen: one that began meanwhile has its own time.
			{ key: away, modRevision: this.mirror.entries.get(away)?.modRevision ?? -1 },
		];
	}
}
