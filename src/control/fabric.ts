/**
 * Turns records into kernel objects and datapath objects, and back: uplinks, segments, the host's interfaces on VLANs,
 * and endpoints. Knows nothing of names, addresses in use, or the store.
 *
 * A segment can be lowered (its ports closed, devices left alone) and raised again at any time; that is how a daemon
 * finds its devices after a restart, and how a parent that was deleted and made again is taken back into use.
 *
 * Every method must be called from the queue (queue.ts).
 */
import type { Datapath } from "../host/types.js";
import type { Rtnetlink } from "../netlink/rtnetlink.js";
import { close } from "../sys/libc.js";
import { VlaneError } from "./errors.js";
import { keepDevice, openEndpointInterface, openHostInterface } from "./interface.js";
import { type Log, messageOf } from "./log.js";
import { parentKey } from "./parent.js";
import { createSandboxInterface, deleteSandboxInterface, isSandbox, openSandboxInterface } from "./sandbox.js";
import { isTargetAlive, targetPath } from "./target.js";
import type { ApiNetwork, EndpointRecord, NetworkRecord, ParentRef } from "./types.js";
import { withUndo } from "./undo.js";
import { type Uplink, Uplinks } from "./uplinks.js";

/** A descriptor that the datapath owns, and the number it has there. */
interface OpenPort {
	fd: number;
	port: number;
}

/** One broadcast domain; networks that share a parent share it. */
interface Segment {
	readonly parent: ParentRef | null;
	/** Name of the host's TAP on this VLAN; absent for existing links, and where the name does not fit. */
	readonly hostIfname?: string;
	readonly networks: Set<string>;
	/** Whether its devices outlive the daemon: not before the network is on disk. */
	persistent: boolean;
	/** Present while it is raised. */
	raised?: { number: number; uplink: Uplink | null; host?: OpenPort };
	/** Why it does not reach the wire or the host; empty when it does. */
	problem: string;
}

interface Attached {
	readonly endpoint: EndpointRecord;
	readonly network: NetworkRecord;
	readonly segment: Segment;
	persistent: boolean;
	open?: OpenPort;
	/** Why it has no working interface; empty when it has. */
	problem: string;
}

/** Networks with the same key are on the same wire: one segment, one address space. */
export function segmentKey(network: Pick<NetworkRecord, "id" | "parent">): string {
	return network.parent ? parentKey(network.parent) : `private/${network.id}`;
}

/** Layer-3 MTU where there is no parent to take it from (RFC 894). */
const MTU_BYTES_DEFAULT = 1500;

export class Fabric {
	readonly #uplinks: Uplinks;
	readonly #segments = new Map<string, Segment>();
	readonly #attached = new Map<string, Attached>();

	/** @param netlink socket in the host's namespace */
	constructor(
		readonly datapath: Datapath,
		readonly netlink: Rtnetlink,
		readonly log: Log,
	) {
		this.#uplinks = new Uplinks(datapath);
	}

	/**
	 * Raises the network's segment, unless one that shares its parent has done so.
	 * @param restored it was made by an earlier daemon: its devices are taken over, a missing parent only degrades it
	 * @throws SysError, VlaneError; nothing is left behind then
	 */
	async attachNetwork(network: NetworkRecord, restored: boolean): Promise<void> {
		const key = segmentKey(network);
		const shared = this.#segments.get(key);
		if (shared) {
			shared.networks.add(network.id);
			return;
		}
		const segment: Segment = {
			parent: network.parent,
			hostIfname: network.createdLink ? network.parent?.name : undefined,
			networks: new Set([network.id]),
			persistent: restored,
			problem: "",
		};
		await this.#raise(segment, !restored);
		this.#segments.set(key, segment);
	}

	/** Lets the network's devices outlive the daemon, once the record is on disk. */
	keepNetwork(network: NetworkRecord): void {
		const segment = this.#segmentOf(network);
		segment.persistent = true;
		if (segment.raised?.host) keepDevice(segment.raised.host.fd, true);
	}

	/** Gives up the network, which has no endpoints; with the last one of a segment, the devices that we made go too. */
	async detachNetwork(network: NetworkRecord): Promise<void> {
		const segment = this.#segmentOf(network);
		segment.networks.delete(network.id);
		if (segment.networks.size > 0) return;
		this.#segments.delete(segmentKey(network));
		const host = segment.raised?.host;
		if (host) keepDevice(host.fd, false);
		await this.#lower(segment);
		const left = !host && segment.hostIfname ? this.netlink.link(segment.hostIfname) : undefined;
		if (left?.kind === "tun") this.netlink.deleteLink(left.index);
	}

	/**
	 * Makes the endpoint's interface and connects it.
	 * @param restored it was made by an earlier daemon: a failure is noted as its problem
	 * @throws SysError, VlaneError unless restored; nothing is left behind then
	 */
	async attachEndpoint(network: NetworkRecord, endpoint: EndpointRecord, restored: boolean): Promise<void> {
		const segment = this.#segmentOf(network);
		const attached: Attached = { endpoint, network, segment, persistent: restored, problem: "" };
		if (restored) await this.#reopen(attached);
		else await this.#open(attached, true);
		this.#attached.set(endpoint.id, attached);
	}

	/** Lets the endpoint's device outlive the daemon, once the record is on disk. */
	keepEndpoint(id: string): void {
		const attached = this.#attached.get(id);
		if (!attached?.open) return;
		attached.persistent = true;
		keepDevice(attached.open.fd, true);
	}

	/** Removes the endpoint's interface; what is gone already is fine. */
	async detachEndpoint(id: string): Promise<void> {
		const attached = this.#attached.get(id);
		if (!attached) return;
		this.#attached.delete(id);
		if (!attached.open) {
			if (isSandbox(attached.endpoint.target)) deleteSandboxInterface(this.netlink, attached.endpoint);
			return;
		}
		const uplink = attached.segment.raised?.uplink;
		if (uplink && isUntagged(attached.segment)) this.#uplinks.dropMac(uplink, attached.endpoint.mac);
		try {
			keepDevice(attached.open.fd, false);
		} finally {
			await this.datapath.removePort(attached.open.port);
		}
	}

	/** MAC address that endpoints of the network must not take; undefined without a (present) parent. */
	parentMac(network: NetworkRecord): string | undefined {
		return this.#segmentOf(network).raised?.uplink?.mac;
	}

	/** Layer-3 MTU of the network's parent. */
	mtuBytes(network: NetworkRecord): number {
		return this.#segmentOf(network).raised?.uplink?.mtuBytes ?? MTU_BYTES_DEFAULT;
	}

	/** @throws VlaneError unavailable when the network's parent can not be used right now */
	checkUsable(network: NetworkRecord): void {
		const segment = this.#segmentOf(network);
		if (segment.parent && !segment.raised?.uplink) {
			throw new VlaneError("unavailable", `network ${network.name} is degraded: ${this.status(network).Detail}`);
		}
	}

	/** What `inspect` says about the wire. */
	status(network: NetworkRecord): ApiNetwork["Status"] {
		const segment = this.#segmentOf(network);
		const problems = [this.#parentProblem(segment)];
		for (const {
			endpoint,
			network: { id },
			problem,
		} of this.#attached.values()) {
			if (id === network.id && problem) problems.push(`endpoint ${endpoint.name}: ${problem}`);
		}
		const details = problems.filter((problem) => problem !== "");
		const { name = "", link = "", vlans = [] } = network.parent ?? {};
		const notes =
			vlans.length > 0 && !segment.hostIfname ? [`${name} is too long for a host interface: none was made`] : [];
		return {
			Parent: name,
			Link: link,
			Vlans: vlans.map(({ vid }) => String(vid)),
			HostInterface: vlans.length === 0 ? link : segment.raised?.host ? (segment.hostIfname ?? "") : "",
			State: details.length > 0 ? "degraded" : "up",
			Detail: [...details, ...notes].join("; "),
		};
	}

	/**
	 * A port failed for good.
	 * @returns the endpoint to release, when its namespace is gone
	 */
	async portFailed(port: number, errnoName: string): Promise<EndpointRecord | undefined> {
		for (const attached of this.#attached.values()) {
			if (attached.open?.port !== port) continue;
			const { endpoint } = attached;
			if (!isTargetAlive(endpoint.target, endpoint.netnsId)) return endpoint;
			attached.problem = `interface ${endpoint.ifname} failed: ${errnoName}`;
			this.log.warn(attached.problem, { endpoint: endpoint.name, network: attached.network.name });
			return undefined;
		}
		for (const segment of this.#segments.values()) {
			if (segment.raised?.host?.port !== port) continue;
			segment.problem = `host interface ${segment.hostIfname} failed: ${errnoName}`;
			this.log.warn(segment.problem);
			return undefined;
		}
		const uplink = this.#uplinks.all().find((candidate) => candidate.port === port);
		if (uplink) {
			uplink.failure = errnoName;
			this.log.warn("uplink failed", { link: uplink.link, errno: errnoName });
			await this.ensureUplink(uplink.link);
		}
		return undefined;
	}

	/** Links whose events matter. */
	hasLink(name: string, ifindex: number): boolean {
		return this.#onLink(name).length > 0 || this.#uplinks.all().some((uplink) => uplink.ifindex === ifindex);
	}

	/** Looks at every parent again, after link events were lost. */
	async ensureUplinks(): Promise<void> {
		const links = [...this.#segments.values()].flatMap(({ parent }) => (parent ? [parent.link] : []));
		for (const link of new Set(links)) await this.ensureUplink(link);
	}

	/** Makes what is open on a parent agree with the kernel: raises its segments anew when it came, went or failed. */
	async ensureUplink(name: string): Promise<void> {
		const link = this.netlink.link(name);
		const uplink = this.#uplinks.get(name);
		if (link?.index === uplink?.ifindex && uplink?.failure === undefined) return;
		// A socket on a link that is only down works again once it is up.
		if (link && !link.up && link.index === uplink?.ifindex) return;
		const segments = this.#onLink(name);
		if (segments.length === 0) return;
		this.log.info(link ? "parent is there, connecting" : "parent is gone", { link: name });
		for (const segment of segments) await this.#lower(segment);
		for (const segment of segments) {
			await this.#raise(segment, false);
			for (const attached of this.#attached.values()) {
				if (attached.segment === segment) await this.#reopen(attached);
			}
		}
	}

	#onLink(name: string): Segment[] {
		return [...this.#segments.values()].filter(({ parent }) => parent?.link === name);
	}

	#segmentOf(network: NetworkRecord): Segment {
		const segment = this.#segments.get(segmentKey(network));
		if (!segment) throw new VlaneError("internal", `network ${network.name} has no segment`);
		return segment;
	}

	#parentProblem({ parent, problem }: Segment): string {
		if (!parent) return "";
		const link = this.netlink.link(parent.link);
		if (!link) return `parent interface ${parent.link} was not found on the host`;
		return link.up ? problem : `parent interface ${parent.link} is down`;
	}

	/** Opens what the segment needs. A failure is noted as its problem; strict: it throws, and nothing is left behind. */
	async #raise(segment: Segment, strict: boolean): Promise<void> {
		segment.problem = "";
		const attempt = async <T>(step: () => T | Promise<T>): Promise<T | undefined> => {
			try {
				return await step();
			} catch (error) {
				if (strict) throw error;
				segment.problem = messageOf(error);
				return undefined;
			}
		};
		await withUndo(async (undo) => {
			const { parent, hostIfname } = segment;
			const tags = parent?.vlans ?? [];
			const uplink = parent ? ((await attempt(() => this.#uplinks.acquire(parent))) ?? null) : null;
			if (parent && uplink) undo.add(() => this.#uplinks.release(uplink, parent));
			const number = await this.datapath.addSegment({ uplink: uplink?.port ?? null, tags });
			undo.add(() => this.datapath.removeSegment(number));
			const host =
				uplink && hostIfname ? await attempt(() => this.#openHost(segment, hostIfname, number, uplink)) : undefined;
			segment.raised = { number, uplink, host };
		});
	}

	async #openHost(segment: Segment, ifname: string, number: number, uplink: Uplink): Promise<OpenPort> {
		const { mac, mtuBytes } = uplink;
		const fd = openHostInterface(this.netlink, { ifname, mac, mtuBytes, persist: segment.persistent });
		return this.#addPort(fd, () =>
			this.datapath.addPort({ kind: "host", fd, name: ifname, mac, mtuBytes, segment: number }),
		);
	}

	/** Closes the segment's ports; the devices stay if they are persistent. */
	async #lower(segment: Segment): Promise<void> {
		const { raised } = segment;
		if (!raised) return;
		segment.raised = undefined;
		for (const attached of this.#attached.values()) {
			if (attached.segment !== segment || !attached.open) continue;
			await this.datapath.removePort(attached.open.port);
			attached.open = undefined;
		}
		if (raised.host) await this.datapath.removePort(raised.host.port);
		await this.datapath.removeSegment(raised.number);
		if (segment.parent && raised.uplink) await this.#uplinks.release(raised.uplink, segment.parent);
	}

	async #reopen(attached: Attached): Promise<void> {
		try {
			await this.#open(attached, false);
			attached.problem = "";
		} catch (error) {
			attached.problem = messageOf(error);
			this.log.warn("endpoint has no interface", { endpoint: attached.endpoint.name, error: attached.problem });
		}
	}

	async #open(attached: Attached, isNew: boolean): Promise<void> {
		const { endpoint, network, segment, persistent } = attached;
		const raised = segment.raised;
		if (!raised) throw new VlaneError("internal", `network ${network.name} is not raised`);
		const { mac, mtuBytes } = endpoint;
		const sandboxed = isSandbox(endpoint.target) && (isNew ? createSandboxInterface : openSandboxInterface);
		const fd = sandboxed
			? sandboxed(this.netlink, endpoint)
			: openEndpointInterface(targetPath(endpoint.target), { ...endpoint, persist: persistent });
		await withUndo(async (undo) => {
			const name = `${network.name}/${endpoint.name}`;
			const open = await this.#addPort(fd, () =>
				this.datapath.addPort({
					...{ kind: "endpoint", fd, name, mac, mtuBytes },
					...{ segment: raised.number, network: network.number, mode: "bridge" },
				}),
			);
			undo.add(() => this.datapath.removePort(open.port));
			if (raised.uplink && isUntagged(segment)) this.#uplinks.addMac(raised.uplink, mac);
			attached.open = open;
		});
	}

	/** The datapath owns `fd` once it has taken it; until then it is ours to close. */
	async #addPort(fd: number, add: () => Promise<number>): Promise<OpenPort> {
		try {
			return { fd, port: await add() };
		} catch (error) {
			close(fd);
			throw error;
		}
	}
}

/** Untagged endpoints are known to the NIC's filter; tagged ones need promiscuous mode anyway. */
function isUntagged(segment: Segment): boolean {
	return segment.parent !== null && segment.parent.vlans.length === 0;
}
