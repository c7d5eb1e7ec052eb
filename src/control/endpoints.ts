/** Endpoints: a network's interface in somebody's namespace (`vlane network connect|disconnect`, `vlane run`). */

import { mustParseCidr } from "./address/cidr.js";
import { takeIdentity } from "./address/identity.js";
import type { Allocation } from "./address/ipam.js";
import { parseMac, stableMac } from "./address/mac.js";
import { type Context, endpointsOf } from "./context.js";
import { VlaneError } from "./errors.js";
import { segmentKey } from "./fabric/segment.js";
import { messageOf } from "./log.js";
import { Announcer } from "./namespace/announcer.js";
import { checkRouteConflicts, type Exit, settleGateways, settleGatewaysHere } from "./namespace/gateways.js";
import { chooseIfname, configureInterface, withNetns } from "./namespace/interface.js";
import { deleteSandboxInterface, isSandbox } from "./namespace/sandbox.js";
import { isTargetAlive, type Target, targetPath } from "./namespace/target.js";
import type { Changes } from "./records/state.js";
import { parseEndpointOptions } from "./request/endpointopts.js";
import { checkEndpointAddresses } from "./request/ipamconfig.js";
import { newId } from "./request/names.js";
import { OPTION, parseDriverOptions } from "./request/options.js";
import type { CreateContainerBody } from "./request/schema.js";
import { isOnWire } from "./shared.js";
import type { ApiContainer, ApiEndpoint, EndpointRecord, NetworkRecord, RouteRecord } from "./types.js";
import { type Undo, withUndo } from "./undo.js";

/** What the user asked of an endpoint; what is absent is chosen. */
export interface EndpointWish {
	name: string;
	ipv4?: string;
	ipv6?: string;
	mac?: string;
	ifname?: string;
	driverOpts?: Record<string, string>;
	gwPriority?: number;
	aliases?: string[];
	labels?: Record<string, string>;
}

/** What requests to connect have in common. */
type EndpointRequest = Omit<CreateContainerBody["Networks"][number], "Network">;

/** A request in our own words. */
export function wishOf(name: string, request: EndpointRequest): EndpointWish {
	return {
		name,
		ipv4: request.IPv4Address,
		ipv6: request.IPv6Address,
		mac: request.MacAddress,
		driverOpts: request.DriverOpts,
		gwPriority: request.GwPriority,
		aliases: request.Aliases,
	};
}

/** Docker's defaults. */
const ADVERTISE_COUNT = 3;
const ADVERTISE_MS = 1000;

export class Endpoints {
	readonly #announcer: Announcer;
	/** Ids of endpoints whose default routes are right: somebody has been there just now. */
	readonly #settled = new Set<string>();

	constructor(readonly context: Context) {
		const { fabric, log } = context;
		this.#announcer = new Announcer((id) => fabric.placeOf(id), log);
		fabric.hooks.onCorrect = async (endpoint) => {
			try {
				await context.state.endpoints.put(endpoint);
			} catch (error) {
				// It is found out again after the next start.
				log.warn("endpoint's record was not corrected", { endpoint: endpoint.name, error: messageOf(error) });
			}
		};
		fabric.hooks.onVisit = (endpoint, { netlink, netnsId }) => {
			if (netnsId !== endpoint.netnsId) return;
			this.#tryTo(endpoint, "default route was not set", () => settleGatewaysHere(netlink, this.#exitsOf(endpoint)));
			this.#tryTo(endpoint, "namespace is not watched", () => context.watches.watchHere(netnsId));
			this.#settled.add(endpoint.id);
		};
		fabric.hooks.onReconnect = (endpoint) => {
			if (!this.#settled.delete(endpoint.id)) this.#settle(endpoint);
			this.#announce(endpoint);
		};
	}

	/**
	 * Makes an endpoint that lives as long as its target.
	 * @throws VlaneError, SysError; nothing is left behind then
	 */
	async connect(network: NetworkRecord, target: Target, wish: EndpointWish): Promise<EndpointRecord> {
		const endpoint = await withUndo(async (undo) => {
			const made = await this.make(network, target, wish, undo);
			await this.context.state.endpoints.put(made);
			return made;
		});
		this.begin(endpoint);
		return endpoint;
	}

	/**
	 * Makes an endpoint: addresses, interface, port. Every step is added to `undo`. It is among the records in memory, so
	 * that what is made with it sees it, but not yet on disk; when it is, it begins.
	 * @throws VlaneError, SysError
	 */
	async make(network: NetworkRecord, target: Target, wish: EndpointWish, undo: Undo): Promise<EndpointRecord> {
		const { state, fabric } = this.context;
		if (network.owner === "docker") {
			throw new VlaneError("forbidden", `network ${network.name} belongs to Docker; use docker network connect`);
		}
		if (network.configOnly) {
			throw new VlaneError("forbidden", "cannot create endpoint on configuration-only network");
		}
		fabric.checkUsable(network);
		const options = parseEndpointOptions(wish.driverOpts);
		this.#checkFree(network, target, wish.name);
		checkEndpointAddresses(network.ipam, wish);
		const ifname = chooseIfname(target.path, wish.ifname ?? options.ifname);
		const id = newId();
		const choose = () => this.chooseMac(network, wish);
		const { mac, ...leases } = await takeIdentity(this.context, network, { ...wish, id }, choose, undo);
		const [v4, v6] = [leases.ipv4, leases.ipv6].map((lease) => lease && leased(lease, network));
		checkRouteConflicts(
			target.path,
			[v4, v6].flatMap((lease) => lease?.cidr ?? []),
		);
		const endpoint: EndpointRecord = {
			id,
			networkId: network.id,
			created: new Date().toISOString(),
			name: wish.name,
			target: target.text,
			netnsId: target.netnsId,
			ifname,
			mac,
			ipv4: v4?.cidr,
			ipv6: v6?.cidr,
			gateway4: v4?.gateway,
			gateway6: v6?.gateway,
			mtuBytes: Number(network.options[OPTION.mtu] ?? fabric.mtuBytes(network)),
			gwPriority: wish.gwPriority,
			sysctls: options.sysctls,
			aliases: wish.aliases,
			labels: wish.labels,
		};
		undo.add(() => this.#settle(endpoint));
		await fabric.attachEndpoint(network, endpoint, false);
		undo.add(() => fabric.detachEndpoint(endpoint.id));
		state.endpoints.set(endpoint);
		undo.add(() => state.endpoints.unset(endpoint.id));
		this.#settleOrThrow(endpoint);
		return endpoint;
	}

	/**
	 * Gives an endpoint that has been made the addresses and routes that somebody else has decided on.
	 * @param addresses CIDR texts; the first of each family is the endpoint's own
	 * @throws VlaneError, SysError; the endpoint should be released then
	 */
	async configure(endpoint: EndpointRecord, addresses: string[], routes: RouteRecord[]): Promise<void> {
		const ipv4 = addresses.find((address) => !address.includes(":"));
		const ipv6 = addresses.find((address) => address.includes(":"));
		const furtherAddresses = addresses.filter((address) => address !== ipv4 && address !== ipv6);
		const change = { ipv4, ipv6, furtherAddresses, routes };
		configureInterface(targetPath(endpoint.target), { ifname: endpoint.ifname, ...change });
		await this.context.state.endpoints.put(Object.assign(endpoint, change));
		this.#announce(endpoint);
		this.context.files.changed(endpoint);
	}

	/** The endpoint is on disk: from now on it outlives the daemon, and ends with its target. */
	begin(endpoint: EndpointRecord): void {
		const { state, fabric, files, log } = this.context;
		const { name, mac, ipv4 = "", ipv6 = "" } = endpoint;
		fabric.keepEndpoint(endpoint.id);
		this.watch(endpoint);
		this.#announce(endpoint);
		files.changed(endpoint);
		const network = state.networks.get(endpoint.networkId)?.name ?? "";
		log.info("endpoint connected", { network, endpoint: name, mac, ipv4, ipv6 });
	}

	/** Notices from now on when the endpoint's namespace ends, and when somebody changes interfaces in it. */
	watch({ target, netnsId }: EndpointRecord): void {
		const { lifetimes, watches, log } = this.context;
		lifetimes.watch(target, netnsId);
		try {
			watches.watch(targetPath(target), netnsId);
		} catch (error) {
			log.debug("namespace is not watched", { target, error: messageOf(error) });
		}
	}

	/** Removes an endpoint and its interface; what is gone already is fine. @throws VlaneError; it is still there then */
	release(endpoint: EndpointRecord): Promise<void> {
		return this.releaseAll([endpoint]);
	}

	/**
	 * Removes endpoints and their interfaces; what is gone already is fine.
	 * @param more changes that are written together with it
	 * @throws VlaneError when it can not be written; all of them are still there then
	 */
	async releaseAll(released: EndpointRecord[], more?: (changes: Changes) => void): Promise<void> {
		const { state, fabric } = this.context;
		for (const { id } of released) fabric.loosenEndpoint(id);
		try {
			await state.commit((changes) => {
				for (const { id } of released) changes.del(state.endpoints, id);
				more?.(changes);
			});
		} catch (error) {
			for (const { id } of released) fabric.keepEndpoint(id);
			throw error;
		}
		for (const endpoint of released) await this.#forget(endpoint);
	}

	/** Removes an endpoint that must not say anything any more, be it connected yet or not. @throws VlaneError */
	async expel(endpoint: EndpointRecord): Promise<void> {
		if (!this.context.fabric.has(endpoint.id)) deleteInterface(endpoint, this.context);
		await this.release(endpoint);
	}

	/** Takes away what a record that is gone stood for. */
	async #forget(endpoint: EndpointRecord): Promise<void> {
		const { state, fabric, spaces, lifetimes, watches, files, shared, log } = this.context;
		this.#announcer.cancel(endpoint.id);
		await fabric.detachEndpoint(endpoint.id);
		shared?.released(endpoint.id);
		const network = state.networks.get(endpoint.networkId);
		for (const cidr of network ? [endpoint.ipv4, endpoint.ipv6] : []) {
			if (network && cidr) spaces.of(network).release(network.id, addressOf(cidr));
		}
		const isLast = state.endpointsOfTarget(endpoint.target).length === 0;
		if (isLast && state.containersOfTarget(endpoint.target).length === 0) lifetimes.unwatch(endpoint.target);
		if (state.endpointsInNetns(endpoint.netnsId).length === 0) watches.unwatch(endpoint.netnsId);
		this.#settle(endpoint);
		files.changed(endpoint);
		log.info("endpoint released", { network: network?.name ?? "", endpoint: endpoint.name });
	}

	ofTarget(target: string): EndpointRecord[] {
		return this.context.state.endpointsOfTarget(target);
	}

	/** The endpoint that a user means by `ref`: its name, its target as typed at connect, or the beginning of its id. */
	find(network: NetworkRecord, ref: string): EndpointRecord | undefined {
		const endpoints = endpointsOf(this.context.state, network.id);
		const byName = endpoints.find(({ name, target }) => name === ref || target === ref);
		const byId = endpoints.filter(({ id }) => ref.length > 0 && id.startsWith(ref));
		return byName ?? (byId.length === 1 ? byId[0] : undefined);
	}

	/** What a container sees of its endpoint, in Docker's field names. */
	describe(endpoint: EndpointRecord): ApiContainer["Networks"][string] {
		return {
			NetworkID: endpoint.networkId,
			EndpointID: endpoint.id,
			IPAddress: endpoint.ipv4 ? addressOf(endpoint.ipv4) : "",
			IPPrefixLen: endpoint.ipv4 ? mustParseCidr(endpoint.ipv4).prefixLength : 0,
			GlobalIPv6Address: endpoint.ipv6 ? addressOf(endpoint.ipv6) : "",
			GlobalIPv6PrefixLen: endpoint.ipv6 ? mustParseCidr(endpoint.ipv6).prefixLength : 0,
			Gateway: endpoint.gateway4 ?? "",
			IPv6Gateway: endpoint.gateway6 ?? "",
			MacAddress: endpoint.mac,
			Interface: endpoint.ifname,
			GwPriority: endpoint.gwPriority ?? 0,
			Aliases: endpoint.aliases ?? [],
		};
	}

	/** All endpoints, by the names of their networks and their own. */
	list(): ApiEndpoint[] {
		const { state } = this.context;
		return state.endpoints
			.all()
			.map((endpoint) => ({
				...this.describe(endpoint),
				Name: endpoint.name,
				Network: state.networks.get(endpoint.networkId)?.name ?? "",
				Target: endpoint.target,
				Labels: endpoint.labels ?? {},
			}))
			.sort((left, right) => (`${left.Network}/${left.Name}` < `${right.Network}/${right.Name}` ? -1 : 1));
	}

	/**
	 * A link has left the host's namespace. If Docker took it, its container is about to have its addresses: older
	 * engines do not announce them, and once more does no harm. The first announcement is early for some.
	 */
	async linkLeft(ifname: string): Promise<void> {
		const endpoint = this.context.state.endpoints.all().find((candidate) => candidate.ifname === ifname);
		if (!endpoint || !isSandbox(endpoint.target)) return;
		await this.context.fabric.followMove(endpoint.id);
		this.#announce(endpoint);
	}

	/** Tells the endpoint's neighbours where it is. */
	#announce(endpoint: EndpointRecord): void {
		const network = this.context.state.networks.get(endpoint.networkId);
		if (!network) return;
		const options = parseDriverOptions(network.options, network.driver);
		this.#announcer.announce(endpoint, {
			count: options.advertiseCount ?? ADVERTISE_COUNT,
			intervalMs: options.advertiseMs ?? ADVERTISE_MS,
		});
	}

	/** Gives the default routes of the endpoint's namespace to whom they belong now. @throws SysError */
	#settleOrThrow(endpoint: EndpointRecord): void {
		settleGateways(targetPath(endpoint.target), this.#exitsOf(endpoint));
	}

	/** All ways out of the endpoint's namespace. */
	#exitsOf({ netnsId }: EndpointRecord): Exit[] {
		const { state } = this.context;
		return state.endpointsInNetns(netnsId).flatMap((endpoint) => {
			const network = state.networks.get(endpoint.networkId);
			return network && network.owner !== "docker" ? [{ ...endpoint, networkName: network.name }] : [];
		});
	}

	/** As `#settleOrThrow`, where a failure must not stop what goes on. */
	#settle(endpoint: EndpointRecord): void {
		if (this.context.state.networks.get(endpoint.networkId)?.owner === "docker") return;
		if (!isTargetAlive(endpoint.target, endpoint.netnsId)) return;
		this.#tryTo(endpoint, "default route was not set", () => this.#settleOrThrow(endpoint));
	}

	#tryTo({ name }: EndpointRecord, failure: string, body: () => void): void {
		try {
			body();
		} catch (error) {
			this.context.log.warn(failure, { endpoint: name, error: messageOf(error) });
		}
	}

	#checkFree(network: NetworkRecord, target: Target, name: string): void {
		const others = endpointsOf(this.context.state, network.id);
		// What CNI attaches is told apart by its name: a namespace may be on a network twice.
		const isTwice = (other: EndpointRecord) => network.owner !== "cni" && other.target === target.text;
		if (others.some((other) => other.name === name || isTwice(other))) {
			throw new VlaneError("conflict", `endpoint with name ${name} already exists in network ${network.name}`);
		}
	}

	/**
	 * The given address, or a stable one; unique on the wire that the network is on.
	 * @param seed together with the wish's name, what a stable address is derived from
	 * @param leaving endpoints whose addresses are free, because they go when this one comes
	 * @throws VlaneError invalid, conflict
	 */
	chooseMac(
		network: NetworkRecord,
		wish: Pick<EndpointWish, "name" | "mac">,
		seed = network.name,
		leaving: EndpointRecord[] = [],
	): string {
		const { state, fabric } = this.context;
		if (network.driver === "ipvlan") {
			if (wish.mac !== undefined) {
				throw new VlaneError("invalid", "ipvlan interfaces do not support custom mac address assignment");
			}
			// All endpoints wear the parent's address; without a parent, one of the network's own.
			return fabric.parentMac(network) ?? stableMac(state.hostId, network.name, "", new Set());
		}
		const key = segmentKey(network);
		const parentMac = fabric.parentMac(network);
		const { shared } = this.context;
		const wire = network.parent && isOnWire(network) ? shared?.wireOf(network.parent) : undefined;
		const holderOf = (mac: string): string | undefined => {
			if (mac === parentMac) return `parent interface ${network.parent?.link}`;
			const distant = wire === undefined ? undefined : shared?.holderOf("mac", wire, mac);
			if (distant) return distant;
			for (const other of state.endpointsWithMac(mac)) {
				if (leaving.includes(other)) continue;
				const neighbour = state.networks.get(other.networkId);
				if (neighbour && segmentKey(neighbour) === key) return `endpoint ${other.name} of network ${neighbour.name}`;
			}
			return undefined;
		};
		const taken = { has: (mac: string) => holderOf(mac) !== undefined };
		if (wish.mac === undefined) return stableMac(state.hostId, seed, wish.name, taken);
		const mac = parseMac(wish.mac);
		const holder = holderOf(mac);
		if (holder)
			throw new VlaneError("conflict", `MAC address ${mac} is already in use by ${holder}; choose another one`);
		return mac;
	}
}

/** Deletes the interface of an endpoint that nothing here has opened; one that is gone already is fine. */
function deleteInterface(endpoint: EndpointRecord, { fabric, log }: Context): void {
	try {
		if (isSandbox(endpoint.target)) return deleteSandboxInterface(fabric.netlink, endpoint);
		if (!isTargetAlive(endpoint.target, endpoint.netnsId)) return;
		withNetns(targetPath(endpoint.target), (netlink) => {
			const link = netlink.link(endpoint.ifname);
			if (link?.kind === "tun") netlink.deleteLink(link.index);
		});
	} catch (error) {
		log.warn("interface was not deleted", { endpoint: endpoint.name, error: messageOf(error) });
	}
}

/** What an endpoint gets from its subnet. There is nothing behind the gateway of an internal network. */
function leased({ address, prefixLength, pool }: Allocation, { internal }: NetworkRecord) {
	return { cidr: `${address}/${prefixLength}`, gateway: internal ? undefined : pool.gateway };
}

/** `172.16.86.2/24` -> `172.16.86.2`. */
function addressOf(cidr: string): string {
	return cidr.slice(0, cidr.indexOf("/"));
}
