/**
 * Opens and closes what segments and endpoints need: their uplinks, their interfaces, and the ports of these on the
 * switch. Which of them there are to be is the fabric's business (fabric.ts).
 */
import type { Switch } from "../../lib/index.js";
import type { Rtnetlink } from "../../netlink/rtnetlink.js";
import { VlaneError } from "../errors.js";
import { type Log, messageOf } from "../log.js";
import { openEndpointTap } from "../namespace/endpointtap.js";
import type { Inside } from "../namespace/interface.js";
import type { EndpointRecord } from "../types.js";
import { withUndo } from "../undo.js";
import { endpointKey, type Heritage } from "./heritage.js";
import { allowSources, type Device, disallowSources, openHostPort, openPort } from "./ports.js";
import { type Attached, type Joined, networkMtuBytes, type Segment, segmentCarrier, usesFilter } from "./segment.js";
import { findParent, Uplinks } from "./uplinks.js";

/** What the owner of the records has to know. */
export interface WiringHooks {
	/** An endpoint that was cut off reaches the wire (again): it may have to say where it is. */
	onReconnect: (endpoint: EndpointRecord) => void;
	/** The interface of an endpoint that is not new is being opened, and the thread is in its namespace. */
	onVisit: (endpoint: EndpointRecord, visit: Inside) => void;
	/** A record on disk has been corrected to what the parent has now. */
	onCorrect: (endpoint: EndpointRecord) => Promise<void>;
	/** `Fabric.ensureUplink` is to be called for this link. */
	onRetry: (link: string) => void;
	/** A descriptor is about to be closed that the inventory has under this key: whoever has a copy gives it up now. */
	onClose: (key: string) => Promise<void>;
}

export class Wiring {
	readonly uplinks: Uplinks;

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
		readonly hooks: WiringHooks,
		readonly heritage: Heritage,
	) {
		this.uplinks = new Uplinks(datapath, log, hooks, heritage);
	}

	/** Opens what the segment needs. A failure is noted as its problem; strict: it throws, and nothing is left behind. */
	async raise(segment: Segment, strict: boolean): Promise<void> {
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
			const { parent, hostIfname, promiscuous } = segment;
			const uplink = parent
				? await attempt(() => this.uplinks.acquire(findParent(this.netlink, parent), promiscuous))
				: undefined;
			if (uplink) undo.add(() => this.uplinks.release(uplink, promiscuous));
			const domain = await this.datapath.addSegment(uplink ? { uplink: uplink.port, tags: parent?.vlans } : {});
			undo.add(() => domain.remove());
			segment.raised = { domain, uplink };
			undo.add(() => {
				segment.raised = undefined;
			});
			for (const joined of segment.networks.values()) await attempt(() => allowSources(joined));
			for (const joined of segment.networks.values()) {
				await this.speedUp(joined);
				undo.add(() => this.slowDown(joined));
			}
			if (!uplink || !hostIfname) return;
			segment.raised.host = await attempt(() => openHostPort(this.datapath, this.netlink, segment, this.heritage));
		});
	}

	/** Gives a network what `-o uplink=xdp` asks for, once its segment is raised. */
	async speedUp({ options, segment }: Joined): Promise<void> {
		const uplink = options.uplink === "xdp" ? segment.raised?.uplink : undefined;
		const link = uplink && this.netlink.link(uplink.link);
		if (link) await uplink.fast.acquire(link);
	}

	/** Takes back what `speedUp` did. */
	async slowDown({ options, segment }: Joined): Promise<void> {
		if (options.uplink === "xdp") await segment.raised?.uplink?.fast.release();
	}

	#dropStation({ open, endpoint, joined: { options, segment } }: Attached): void {
		if (!open || options.uplink !== "xdp") return;
		segment.raised?.uplink?.fast.removeStation(endpoint.mac, segment.parent?.vlans[0]);
	}

	/** Closes the segment's ports; the devices stay if they are persistent. */
	async lower(segment: Segment): Promise<void> {
		const { raised } = segment;
		if (!raised) return;
		for (const attached of segment.endpoints) {
			this.#dropStation(attached);
			await this.#closePort(attached);
		}
		await this.closeHost(segment);
		for (const joined of segment.networks.values()) {
			await disallowSources(joined);
			await this.slowDown(joined);
		}
		segment.raised = undefined;
		await raised.domain.remove();
		if (raised.uplink) await this.uplinks.release(raised.uplink, segment.promiscuous);
	}

	async reopen(attached: Attached): Promise<string[]> {
		try {
			const repaired = await this.open(attached, false);
			attached.problem = "";
			this.hooks.onReconnect(attached.endpoint);
			return repaired;
		} catch (error) {
			attached.problem = messageOf(error);
			this.log.warn("endpoint has no interface", { endpoint: attached.endpoint.name, error: attached.problem });
			return [];
		}
	}

	/** Writes down what a parent has decided, if it is new. */
	async correct(endpoint: EndpointRecord, now: Partial<Pick<EndpointRecord, "mac" | "mtuBytes">>): Promise<void> {
		const { mac = endpoint.mac, mtuBytes = endpoint.mtuBytes } = now;
		if (mac === endpoint.mac && mtuBytes === endpoint.mtuBytes) return;
		await this.hooks.onCorrect(Object.assign(endpoint, now));
	}

	/** Closes the port of the host's interface on a VLAN; the device stays if it is persistent. */
	async closeHost({ raised, hostIfname }: Segment): Promise<void> {
		const host = raised?.host;
		if (!raised || !host) return;
		raised.host = undefined;
		await this.hooks.onClose(`host ${hostIfname}`);
		await host.port.remove();
	}

	async #closePort(attached: Attached): Promise<void> {
		const { open } = attached;
		if (!open) return;
		attached.open = undefined;
		await this.hooks.onClose(endpointKey(attached.endpoint.id));
		await open.port.remove();
	}

	/** Closes an endpoint's port; the device stays if it is persistent. */
	async close(attached: Attached): Promise<void> {
		const { open, endpoint, joined } = attached;
		const { uplink } = joined.segment.raised ?? {};
		this.#dropStation(attached);
		if (open && uplink && usesFilter(joined.segment)) this.uplinks.dropMac(uplink, endpoint.mac);
		await this.#closePort(attached);
	}

	/** See `Fabric.visit`. */
	async visit<T>(
		{ network, segment }: Joined,
		mac: string,
		onFrame: (frame: Uint8Array) => void,
		talk: (send: (frames: Uint8Array[]) => Promise<void>) => Promise<T>,
	): Promise<T> {
		const { domain, uplink } = segment.raised ?? {};
		if (!domain) throw new VlaneError("internal", `network ${network.name} is not raised`);
		const port = await this.datapath.addPort({
			...{ type: "memory", name: `${network.name}/vlane`, mac, segment: domain, network: network.number },
			onFrame: ({ bytes }) => onFrame(bytes),
		});
		const filtered = usesFilter(segment) ? uplink : undefined;
		try {
			if (filtered) this.uplinks.addMac(filtered, mac);
			return await talk((frames) => port.send(frames));
		} finally {
			if (filtered) this.uplinks.dropMac(filtered, mac);
			await port.remove();
		}
	}

	/** @returns what an interface that was there, or should have been, had lost */
	async open(attached: Attached, isNew: boolean): Promise<string[]> {
		const { endpoint, joined, persistent } = attached;
		const { network, segment, options } = joined;
		const raised = segment.raised;
		if (!raised) throw new VlaneError("internal", `network ${network.name} is not raised`);
		const sharesMac = network.driver === "ipvlan";
		// What the parent has now counts: the record, too, follows.
		const mac = (sharesMac && raised.uplink?.mac) || endpoint.mac;
		const mtuBytes = networkMtuBytes(joined);
		if (isNew) Object.assign(endpoint, { mac, mtuBytes });
		else await this.correct(endpoint, { mac, mtuBytes });
		const { owner, heritage } = this;
		const inside = (visit: Inside) => isNew || this.hooks.onVisit(endpoint, visit);
		const tap = openEndpointTap(this.netlink, endpoint, { isNew, persistent, sharesMac, owner, heritage, inside });
		const { fd, repaired } = tap;
		attached.waits = tap.waits;
		const device: Device = {
			...{ fd, name: `${network.name}/${endpoint.name}`, mac, mtuBytes },
			...{ segment: raised.domain, network: network.number, mode: options.mode },
			addresses: addressesOf(endpoint),
			security: options.security,
		};
		await withUndo(async (undo) => {
			const open = await openPort(this.datapath, device, segmentCarrier(segment) && !attached.waits);
			undo.add(() => open.port.remove());
			if (raised.uplink && usesFilter(segment)) this.uplinks.addMac(raised.uplink, mac);
			if (options.uplink === "xdp") raised.uplink?.fast.addStation(mac, segment.parent?.vlans[0]);
			attached.open = open;
		});
		return repaired;
	}
}

/** The endpoint's addresses without their prefix lengths. */
function addressesOf({ ipv4, ipv6 }: EndpointRecord): string[] {
	return [ipv4, ipv6].flatMap((cidr) => (cidr ? [cidr.slice(0, cidr.indexOf("/"))] : []));
}
