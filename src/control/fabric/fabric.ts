/**
 * Turns records into kernel objects and objects of the switch, and back: uplinks, segments, the host's interfaces on
 * VLANs, and endpoints. Knows nothing of names, addresses in use, or the store.
 *
 * A segment can be lowered (its ports closed, devices left alone) and raised again at any time; that is how a daemon
 * finds its devices after a restart, and how a parent that was deleted and made again is taken back into use.
 *
 * Every method must be called from the queue (queue.ts).
 */
import type { Port, Switch } from "../../lib/index.js";
import { IN6_ADDR_GEN_MODE_RANDOM, type Link } from "../../netlink/link.js";
import type { Rtnetlink } from "../../netlink/rtnetlink.js";
import { locateTap, type TapPlace } from "../../tap/tap.js";
import { VlaneError } from "../errors.js";
import { type Log, messageOf } from "../log.js";
import { adjustDevice, isDeviceGone, keepDevice, repairInterface } from "../namespace/interface.js";
import { deleteSandboxInterface, isSandbox, setAddressMode } from "../namespace/sandbox.js";
import { parseDriverOptions } from "../request/options.js";
import type { ApiNetwork, EndpointRecord, NetworkRecord, ParentRef } from "../types.js";
import { withUndo } from "../undo.js";
import { endpointKey, Heritage, type Inherited } from "./heritage.js";
import { adaptPort, allowSources, disallowSources, openHostPort } from "./ports.js";
import {
	type Attached,
	type Joined,
	mtuWarning,
	networkMtuBytes,
	type Segment,
	segmentCarrier,
	segmentMtuBytes,
	statusOf,
	uplinkWarning,
	usesFilter,
} from "./segment.js";
import { SegmentIndex } from "./segmentindex.js";
import { hasCarrier, type Uplink } from "./uplinks.js";
import { Wiring, type WiringHooks } from "./wiring.js";

export class Fabric {
	readonly #wiring: Wiring;
	/** Set by whoever owns the records. */
	readonly hooks: WiringHooks = {
		onReconnect: () => undefined,
		onVisit: () => undefined,
		onCorrect: async () => undefined,
		onRetry: () => undefined,
		onClose: async () => undefined,
	};
	readonly #segments = new SegmentIndex();
	readonly #joined = new Map<string, Joined>();
	readonly #attached = new Map<string, Attached>();

	/**
	 * @param netlink socket in the host's namespace
	 * @param owner id of the state that the records are from
	 * @param heritage where to look before something is opened
	 */
	constructor(
		readonly datapath: Switch,
		readonly netlink: Rtnetlink,
		readonly owner: string,
		readonly log: Log,
		readonly heritage = new Heritage(),
	) {
		this.#wiring = new Wiring(datapath, netlink, owner, log, this.hooks, heritage);
	}

	/**
	 * Raises the network's segment, unless one that shares its parent has done so.
	 * @param restored it was made by an earlier daemon: its devices are taken over, a missing parent only degrades it
	 * @throws SysError, VlaneError; nothing is left behind then
	 */
	async attachNetwork(network: NetworkRecord, restored: boolean): Promise<void> {
		const options = parseDriverOptions(network.options, network.driver);
		const shared = this.#segments.of(network);
		const segment: Segment = shared ?? {
			parent: network.parent,
			hostIfname: network.createdLink ? network.parent?.name : undefined,
			promiscuous: options.mode === "passthru" || (network.parent?.vlans.length ?? 0) > 0,
			networks: new Map(),
			endpoints: new Set(),
			persistent: restored,
			problem: "",
		};
		const joined: Joined = { network, options, segment };
		await withUndo(async (undo) => {
			segment.networks.set(network.id, joined);
			undo.add(() => {
				segment.networks.delete(network.id);
			});
			if (shared) {
				await allowSources(joined);
				await this.#wiring.speedUp(joined);
			} else await this.#wiring.raise(segment, !restored);
		});
		this.#joined.set(network.id, joined);
		if (!shared) this.#segments.add(network, segment);
	}

	/** Lets the network's devices outlive the daemon, once the record is on disk. */
	keepNetwork(network: NetworkRecord): void {
		const { segment } = this.#joinedOf(network);
		segment.persistent = true;
		if (segment.raised?.host) keepDevice(segment.raised.host.fd, true);
	}

	/**
	 * The network's devices go with the daemon from now on, however it ends; `keepNetwork` takes that back. Between this
	 * and `detachNetwork` its record is removed: a daemon that is killed on the way leaves no device behind.
	 */
	loosenNetwork(network: NetworkRecord): void {
		const { segment } = this.#joinedOf(network);
		if (segment.networks.size > 1) return;
		segment.persistent = false;
		if (segment.raised?.host) keepDevice(segment.raised.host.fd, false);
	}

	/** Gives up the network, which has no endpoints; with the last one of a segment, the devices that we made go too. */
	async detachNetwork(network: NetworkRecord): Promise<void> {
		const joined = this.#joinedOf(network);
		const { segment } = joined;
		this.#joined.delete(network.id);
		if (segment.networks.size > 1) {
			segment.networks.delete(network.id);
			await disallowSources(joined);
			await this.#wiring.slowDown(joined);
			return;
		}
		const host = segment.raised?.host;
		if (host) keepDevice(host.fd, false);
		await this.#wiring.lower(segment);
		segment.networks.delete(network.id);
		this.#segments.delete(network, segment);
		const left = !host && segment.hostIfname ? this.netlink.link(segment.hostIfname) : undefined;
		if (left?.kind === "tun") this.netlink.deleteLink(left.index);
	}

	/**
	 * Makes the endpoint's interface and connects it.
	 * @param restored it was made by an earlier daemon: a failure is noted as its problem
	 * @returns what a restored one had lost meanwhile, in a few words each
	 * @throws SysError, VlaneError unless restored; nothing is left behind then
	 */
	async attachEndpoint(network: NetworkRecord, endpoint: EndpointRecord, restored: boolean): Promise<string[]> {
		const joined = this.#joinedOf(network);
		const attached: Attached = { endpoint, joined, persistent: restored, waits: false, problem: "" };
		if (!restored) await this.#wiring.open(attached, true);
		this.#attached.set(endpoint.id, attached);
		joined.segment.endpoints.add(attached);
		// Only what is attached can be told about: whoever hears that it is connected again asks where it is.
		return restored ? await this.#wiring.reopen(attached) : [];
	}

	/** Whether the network or endpoint with this id is attached. */
	has(id: string): boolean {
		return this.#joined.has(id) || this.#attached.has(id);
	}

	/**
	 * Gives an attached endpoint what it has lost: its interface, or addresses of it.
	 * @returns what was done, in a few words each
	 * @throws SysError, VlaneError
	 */
	async repairEndpoint(id: string): Promise<string[]> {
		const attached = this.#attached.get(id);
		if (!attached) return [];
		const { endpoint, open } = attached;
		if (open && !attached.problem && !isDeviceGone(open.fd)) {
			if (isSandbox(endpoint.target)) return [];
			const { repaired, link } = repairInterface(open.fd, endpoint);
			if (link && link.mac !== endpoint.mac) return [...repaired, ...(await this.#followMac(attached, link))];
			if (repaired.length > 0) this.hooks.onReconnect(endpoint);
			return repaired;
		}
		return this.#reconnect(attached);
	}

	/**
	 * Somebody in the endpoint's namespace has changed its MAC address: from now on frames to that one are the endpoint's,
	 * as with the kernel's macvlan (macvlan_set_mac_address() in drivers/net/macvlan.c). One that is another's is taken
	 * back. Where the address is not the endpoint's to choose, nothing is done.
	 */
	async #followMac(attached: Attached, { mac, mtuBytes }: Link): Promise<string[]> {
		const { endpoint, joined, open } = attached;
		const { segment, network, options } = joined;
		if (!open || network.driver === "ipvlan" || options.security !== "none") return [];
		const about = { endpoint: endpoint.name, network: network.name, mac };
		const isTaken = [...segment.endpoints].some((other) => other !== attached && other.endpoint.mac === mac);
		if (isTaken || mac === segment.raised?.uplink?.mac) {
			adjustDevice(open.fd, { mac: endpoint.mac });
			this.log.warn("MAC address is in use on this VLAN", about);
			return [`MAC address ${mac} is in use, ${endpoint.mac} given back`];
		}
		this.log.info("MAC address was changed", about);
		await this.#wiring.close(attached);
		await this.#wiring.correct(endpoint, { mac });
		await this.#reconnect(attached);
		// Its MTU, too, may be its own: a smaller one than the network's.
		const { open: again } = attached;
		if (again && mtuBytes < again.mtuBytes) adjustDevice(again.fd, { mtuBytes });
		return [`MAC address ${mac} taken over`];
	}

	async #reconnect(attached: Attached): Promise<string[]> {
		const { endpoint } = attached;
		await this.#wiring.close(attached);
		try {
			const repaired = await this.#wiring.open(attached, false);
			attached.problem = "";
			this.hooks.onReconnect(endpoint);
			return repaired.length > 0 ? repaired : ["connected again"];
		} catch (error) {
			attached.problem = messageOf(error);
			throw error;
		}
	}

	/**
	 * Gives a network what it has lost: its parent, the host's interface.
	 * @returns as `repairEndpoint`
	 * @throws SysError, VlaneError
	 */
	async repairNetwork(network: NetworkRecord): Promise<string[]> {
		const { segment } = this.#joinedOf(network);
		if (segment.parent) await this.ensureUplink(segment.parent.link);
		const { raised, hostIfname } = segment;
		if (!raised?.uplink || !hostIfname) return [];
		if (raised.host && !segment.problem && !isDeviceGone(raised.host.fd)) return [];
		await this.#wiring.closeHost(segment);
		raised.host = await openHostPort(this.datapath, this.netlink, segment, this.heritage);
		segment.problem = "";
		return [`host interface ${hostIfname} made again`];
	}

	/** Lets the endpoint's device outlive the daemon, once the record is on disk. */
	keepEndpoint(id: string): void {
		const attached = this.#attached.get(id);
		if (!attached?.open) return;
		attached.persistent = true;
		keepDevice(attached.open.fd, true);
	}

	/** Looks whether Docker has moved the endpoint's interface; one that has waited for it is connected then. */
	async followMove(id: string): Promise<void> {
		const attached = this.#attached.get(id);
		if (!attached?.open || !attached.waits || this.netlink.link(attached.endpoint.ifname)) return;
		setAddressMode(attached.open.fd, attached.endpoint, IN6_ADDR_GEN_MODE_RANDOM);
		attached.waits = false;
		await adaptPort(attached.open, attached.open.mtuBytes, segmentCarrier(attached.joined.segment), this.log);
	}

	/** Ids of the endpoints that wait for Docker to move their interface. */
	waiting(): string[] {
		return [...this.#attached].filter(([, { waits }]) => waits).map(([id]) => id);
	}

	/** As `loosenNetwork`, with `detachEndpoint`; `keepEndpoint` takes it back. */
	loosenEndpoint(id: string): void {
		const attached = this.#attached.get(id);
		if (!attached?.open) return;
		attached.persistent = false;
		keepDevice(attached.open.fd, false);
	}

	/** Removes the endpoint's interface; what is gone already is fine. */
	async detachEndpoint(id: string): Promise<void> {
		const attached = this.#attached.get(id);
		if (!attached) return;
		const { segment } = attached.joined;
		this.#attached.delete(id);
		segment.endpoints.delete(attached);
		if (!attached.open) {
			if (isSandbox(attached.endpoint.target)) deleteSandboxInterface(this.netlink, attached.endpoint);
			return;
		}
		try {
			keepDevice(attached.open.fd, false);
		} finally {
			await this.#wiring.close(attached);
		}
	}

	/** Whether frames can pass between the network and its wire now. */
	reachesWire(network: NetworkRecord): boolean {
		return segmentCarrier(this.#joinedOf(network).segment);
	}

	/**
	 * Makes this program a station of its own on a network, for as long as `talk` takes.
	 * @param onFrame gets each frame that comes
	 * @throws SysError, Error of the switch
	 */
	visit<T>(
		network: NetworkRecord,
		mac: string,
		onFrame: (frame: Uint8Array) => void,
		talk: (send: (frames: Uint8Array[]) => Promise<void>) => Promise<T>,
	): Promise<T> {
		return this.#wiring.visit(this.#joinedOf(network), mac, onFrame, talk);
	}

	/** Where the endpoint's interface is by now; undefined when it has none. The descriptor is the caller's to close. */
	placeOf(id: string): TapPlace | undefined {
		const open = this.#attached.get(id)?.open;
		return open && locateTap(open.fd);
	}

	/** What another daemon needs to go on with the same descriptors, which stay ours. */
	inventory(): Inherited[] {
		const found: Inherited[] = [];
		for (const { link, fd, port, ifindex, promiscuousUsers, failure } of this.#wiring.uplinks.all()) {
			const macs = this.#segments
				.onLink(link)
				.filter(usesFilter)
				.flatMap(({ endpoints }) => [...endpoints].flatMap(({ open, endpoint }) => (open ? endpoint.mac : [])));
			const filters = { ifindex, promiscuous: promiscuousUsers > 0, macs };
			if (failure === undefined) found.push({ key: `uplink ${link}`, fd, port: port.number, ...filters });
		}
		for (const { hostIfname, raised, problem } of this.#segments.all()) {
			const { fd, port } = raised?.host ?? {};
			if (fd !== undefined && port && !problem) found.push({ key: `host ${hostIfname}`, fd, port: port.number });
		}
		for (const { endpoint, open, waits, problem } of this.#attached.values()) {
			if (open && !problem) found.push({ key: endpointKey(endpoint.id), fd: open.fd, port: open.port.number, waits });
		}
		return found;
	}

	/** Everything that was inherited has been asked for by now. @returns keys of what nobody had a use for */
	settleHeritage(): string[] {
		this.#wiring.uplinks.dropInherited();
		return this.heritage.closeRest();
	}

	/** What is there, for those who look at it. */
	segments(): Iterable<Segment> {
		return this.#segments.all();
	}

	/** A network that is on exactly this parent. */
	parentUser(parent: ParentRef): NetworkRecord | undefined {
		const [joined] = this.#segments.onParent(parent)?.networks.values() ?? [];
		return joined?.network;
	}

	/** The parent that the host's interface of this name was made for by us, if it was. */
	hostInterfaceParent(ifname: string): ParentRef | undefined {
		return this.#segments.ofHostInterface(ifname)?.parent ?? undefined;
	}

	/** Whether there is a link of this name that others have made. */
	isLink(name: string): boolean {
		return this.hostInterfaceParent(name) === undefined && this.netlink.link(name) !== undefined;
	}

	/** MAC address that endpoints of the network must not take; undefined without a (present) parent. */
	parentMac(network: NetworkRecord): string | undefined {
		return this.#joinedOf(network).segment.raised?.uplink?.mac;
	}

	/** Layer-3 MTU of the network's endpoints. */
	mtuBytes(network: NetworkRecord): number {
		return networkMtuBytes(this.#joinedOf(network));
	}

	/**
	 * @throws VlaneError unavailable when the network's parent can not be used right now; conflict when it takes no more
	 * endpoints
	 */
	checkUsable(network: NetworkRecord): void {
		const { segment, options } = this.#joinedOf(network);
		if (segment.parent && !segment.raised?.uplink) {
			throw new VlaneError("unavailable", `network ${network.name} is degraded: ${this.status(network).Detail}`);
		}
		const [holder] = options.mode === "passthru" ? segment.endpoints : [];
		if (holder) {
			const limit = `network ${network.name} is in mode passthru, which takes one endpoint only`;
			throw new VlaneError("conflict", `${limit}; disconnect ${holder.endpoint.name} first`);
		}
	}

	/** What will not work as the user asked for it; empty when everything does. */
	warning(network: NetworkRecord): string {
		const joined = this.#joinedOf(network);
		return [mtuWarning(joined), uplinkWarning(joined)].filter(Boolean).join("; ");
	}

	/**
	 * What `inspect` says about the wire.
	 * @param linkOf asks the kernel; a caller that looks at many networks need not ask again for each
	 */
	status(network: NetworkRecord, linkOf = (name: string) => this.netlink.link(name)): ApiNetwork["Status"] {
		return statusOf(this.#joinedOf(network), network.parent ? linkOf(network.parent.link) : undefined);
	}

	/**
	 * A port failed for good.
	 * @returns the endpoint or the network to repair; neither, when it was an uplink's, which is done
	 */
	async portFailed(port: Port, errnoName: string): Promise<{ endpoint?: EndpointRecord; network?: NetworkRecord }> {
		for (const attached of this.#attached.values()) {
			if (attached.open?.port !== port) continue;
			const { endpoint, joined } = attached;
			attached.problem = `interface ${endpoint.ifname} failed: ${errnoName}`;
			this.log.warn(attached.problem, { endpoint: endpoint.name, network: joined.network.name });
			return { endpoint };
		}
		for (const segment of this.#segments.all()) {
			if (segment.raised?.host?.port !== port) continue;
			segment.problem = `host interface ${segment.hostIfname} failed: ${errnoName}`;
			this.log.warn(segment.problem);
			const [joined] = segment.networks.values();
			return { network: joined?.network };
		}
		const uplink = this.#wiring.uplinks.all().find((candidate) => candidate.port === port);
		if (uplink && errnoName === "EOWNERDEAD") await uplink.fast.recover(this.netlink.link(uplink.link));
		else if (uplink) {
			uplink.failure = errnoName;
			this.log.warn("uplink failed", { link: uplink.link, errno: errnoName });
			await this.ensureUplink(uplink.link);
		}
		return {};
	}

	/** Names of the parents that news about a link concern: it may be called otherwise than when it was opened. */
	parentsOf({ name, index }: Link): string[] {
		const opened = this.#wiring.uplinks.all().find(({ ifindex }) => ifindex === index)?.link;
		return [...new Set([name, opened ?? name])].filter((parent) => this.#segments.onLink(parent).length > 0);
	}

	/** Looks at every parent again, after link events were lost. */
	async ensureUplinks(): Promise<void> {
		for (const link of this.#segments.links()) await this.ensureUplink(link);
	}

	/**
	 * Makes what is open on a parent agree with the kernel: raises its segments anew when it came, went, failed or got
	 * another address, and passes carrier and MTU on.
	 */
	async ensureUplink(name: string): Promise<void> {
		const link = this.netlink.link(name);
		const uplink = this.#wiring.uplinks.get(name);
		const segments = this.#segments.onLink(name);
		if (segments.length === 0 || (!link && !uplink)) return;
		if (link && uplink && link.index === uplink.ifindex) {
			// A socket on a link that is only down works again once it is up.
			const isUsable = uplink.failure === undefined || !link.up;
			if (isUsable && link.mac === uplink.mac) return this.#follow(uplink, link, segments);
		}
		this.log.info(link ? "parent is there, connecting" : "parent is gone", { link: name });
		for (const segment of segments) await this.#wiring.lower(segment);
		for (const segment of segments) {
			await this.#wiring.raise(segment, false);
			for (const attached of segment.endpoints) await this.#wiring.reopen(attached);
		}
	}

	/** Passes carrier and MTU of a parent on to all interfaces on it. */
	async #follow(uplink: Uplink, link: Link, segments: Segment[]): Promise<void> {
		const carrier = hasCarrier(link);
		await uplink.fast.follow(link);
		if (link.mtuBytes === uplink.mtuBytes && carrier === uplink.carrier) return;
		const { mtuBytes } = link;
		this.log.info("parent has changed", { link: link.name, mtuBytes, carrier });
		if (mtuBytes !== uplink.mtuBytes) await uplink.port.setMtu(mtuBytes);
		Object.assign(uplink, { mtuBytes, carrier });
		for (const segment of segments) {
			const { host } = segment.raised ?? {};
			if (host) await adaptPort(host, segmentMtuBytes(segment), carrier, this.log);
			for (const { open, joined, endpoint, waits } of segment.endpoints) {
				if (!open) continue;
				const theirs = carrier && !waits;
				const returns = theirs && !open.carrier;
				await adaptPort(open, networkMtuBytes(joined), theirs, this.log);
				await this.#wiring.correct(endpoint, { mtuBytes: networkMtuBytes(joined) });
				if (returns) this.hooks.onReconnect(endpoint);
			}
		}
	}

	#joinedOf(network: NetworkRecord): Joined {
		const joined = this.#joined.get(network.id);
		if (!joined) throw new VlaneError("internal", `network ${network.name} has no segment`);
		return joined;
	}
}
