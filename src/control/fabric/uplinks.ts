/**
 * Raw sockets on parent links, one per link, shared by every segment on it. The link itself is never changed: what its
 * receive filter has to let through is asked for by memberships of our socket, and forgotten with it.
 */
import type { Port, Switch } from "../../lib/index.js";
import type { Link } from "../../netlink/link.js";
import type { Rtnetlink } from "../../netlink/rtnetlink.js";
import {
	addUnicastMac,
	dropUnicastMac,
	openPacketSocket,
	type PacketSocket,
	setPromiscuous,
} from "../../raw/packet.js";
import { close } from "../../sys/libc.js";
import { VlaneError } from "../errors.js";
import type { Log } from "../log.js";
import type { ParentRef } from "../types.js";
import { FastUplink } from "./fastuplink.js";
import { Heritage, type Inherited } from "./heritage.js";
import type { WiringHooks } from "./wiring.js";

export interface Uplink {
	readonly link: string;
	readonly fd: number;
	readonly port: Port;
	readonly ifindex: number;
	readonly mac: string;
	/** As of the last look at the link, as is `carrier`: up, and something is connected to it. */
	mtuBytes: number;
	carrier: boolean;
	/** What brings its frames if a network wants that. */
	readonly fast: FastUplink;
	/** Name of the error that stopped the socket; it has to be opened again. */
	failure?: string;
	/** Segments on it, and how many of them need frames to every address. */
	users: number;
	promiscuousUsers: number;
}

/** Whether frames can pass a link now. */
export function hasCarrier({ up, carrier }: Link): boolean {
	return up && carrier;
}

/** A parent's link. @throws VlaneError notFound: there is none of that name */
export function findParent(netlink: Rtnetlink, parent: ParentRef): Link {
	const link = netlink.link(parent.link);
	if (!link) throw new VlaneError("notFound", `-o parent interface was not found on the host: ${parent.link}`);
	return link;
}

export class Uplinks {
	readonly #byLink = new Map<string, Uplink>();

	/** Sockets of an earlier daemon's, with what they have asked of their links' filters. */
	readonly #inherited: Inherited[] = [];

	/**
	 * @param hooks onRetry: what has prevented a link's AF_XDP may be gone
	 * @param heritage where to look before a socket is opened
	 */
	constructor(
		readonly datapath: Switch,
		readonly log: Log,
		readonly hooks: Pick<WiringHooks, "onRetry" | "onClose">,
		readonly heritage = new Heritage(),
	) {}

	get(link: string): Uplink | undefined {
		return this.#byLink.get(link);
	}

	all(): Uplink[] {
		return [...this.#byLink.values()];
	}

	/**
	 * Takes one segment's share of the socket on a link, which is opened for the first one.
	 * @param promiscuous frames to every address are wanted: tagged segments ask for it, because userspace can not tell a
	 * NIC's VLAN filter about single VLANs, and passthru
	 * @throws SysError
	 */
	async acquire(link: Link, promiscuous: boolean): Promise<Uplink> {
		const uplink = this.#byLink.get(link.name) ?? (await this.#open(link));
		try {
			if (promiscuous && uplink.promiscuousUsers === 0) setPromiscuous(uplink.fd, uplink.ifindex, true);
		} catch (error) {
			if (uplink.users === 0) await this.#close(uplink);
			throw error;
		}
		uplink.users++;
		if (promiscuous) uplink.promiscuousUsers++;
		return uplink;
	}

	/** Gives one segment's share back; the last one closes the socket. */
	async release(uplink: Uplink, promiscuous: boolean): Promise<void> {
		uplink.users--;
		if (promiscuous) uplink.promiscuousUsers--;
		if (uplink.users === 0) await this.#close(uplink);
		else if (promiscuous && uplink.promiscuousUsers === 0 && uplink.failure === undefined) {
			setPromiscuous(uplink.fd, uplink.ifindex, false);
		}
	}

	/** Lets the NIC accept frames for an endpoint without promiscuous mode. */
	addMac(uplink: Uplink, mac: string): void {
		addUnicastMac(uplink.fd, uplink.ifindex, mac);
	}

	dropMac(uplink: Uplink, mac: string): void {
		// The membership is gone already when the link is: the kernel dropped it with the device.
		if (uplink.failure === undefined) dropUnicastMac(uplink.fd, uplink.ifindex, mac);
	}

	/**
	 * Gives up what earlier daemons have asked for, once everything is asked for anew: the kernel counts, and what is
	 * wanted never ends on the way.
	 */
	dropInherited(): void {
		for (const { fd, ifindex = 0, promiscuous, macs = [] } of this.#inherited.splice(0)) {
			if (!this.all().some((uplink) => uplink.fd === fd)) continue;
			if (promiscuous) setPromiscuous(fd, ifindex, false);
			for (const mac of macs) dropUnicastMac(fd, ifindex, mac);
		}
	}

	/** The socket on a link that an earlier daemon had, if it is still the same link. */
	#inherit(link: Link): PacketSocket | undefined {
		const item = this.heritage.take(`uplink ${link.name}`);
		if (!item) return undefined;
		if (item.ifindex !== link.index) {
			close(item.fd);
			return undefined;
		}
		this.#inherited.push(item);
		return { fd: item.fd, ifindex: link.index, mac: link.mac, mtuBytes: link.mtuBytes };
	}

	async #open(link: Link): Promise<Uplink> {
		const socket = this.#inherit(link) ?? openPacketSocket({ link: link.name, promiscuous: false });
		try {
			const { fd, mac, mtuBytes } = socket;
			const port = await this.datapath.addPort({ type: "fd", fd, name: link.name, mac, mtuBytes });
			const counts = { users: 0, promiscuousUsers: 0 };
			const fast = new FastUplink(this.datapath, port, mac, this.log, () => this.hooks.onRetry(link.name));
			const uplink = { link: link.name, port, fast, ...socket, carrier: hasCarrier(link), ...counts };
			this.#byLink.set(link.name, uplink);
			return uplink;
		} catch (error) {
			close(socket.fd);
			throw error;
		}
	}

	async #close(uplink: Uplink): Promise<void> {
		this.#byLink.delete(uplink.link);
		await this.hooks.onClose(`uplink ${uplink.link}`);
		await uplink.port.remove();
	}
}
