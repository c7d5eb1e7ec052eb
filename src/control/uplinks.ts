/**
 * Raw sockets on parent links, one per link, shared by every segment on it. The link itself is never changed: what its
 * receive filter has to let through is asked for by memberships of our socket, and forgotten with it.
 */
import type { Datapath } from "../host/types.js";
import { addUnicastMac, dropUnicastMac, openPacketSocket, setPromiscuous } from "../raw/packet.js";
import { close } from "../sys/libc.js";
import type { ParentRef } from "./types.js";

export interface Uplink {
	readonly link: string;
	readonly fd: number;
	readonly port: number;
	readonly ifindex: number;
	readonly mac: string;
	readonly mtuBytes: number;
	/** Name of the error that stopped the socket; it has to be opened again. */
	failure?: string;
	/** Segments on it, and how many of them are tagged. */
	users: number;
	taggedUsers: number;
}

export class Uplinks {
	readonly #byLink = new Map<string, Uplink>();

	constructor(readonly datapath: Datapath) {}

	get(link: string): Uplink | undefined {
		return this.#byLink.get(link);
	}

	all(): Uplink[] {
		return [...this.#byLink.values()];
	}

	/**
	 * Takes one segment's share of the socket on the parent's link, which is opened for the first one. Tagged segments
	 * make it promiscuous: userspace can not tell a NIC's VLAN filter about single VLANs.
	 * @throws SysError
	 */
	async acquire(parent: ParentRef): Promise<Uplink> {
		const uplink = this.#byLink.get(parent.link) ?? (await this.#open(parent.link));
		try {
			if (isTagged(parent) && uplink.taggedUsers === 0) setPromiscuous(uplink.fd, uplink.ifindex, true);
		} catch (error) {
			if (uplink.users === 0) await this.#close(uplink);
			throw error;
		}
		uplink.users++;
		if (isTagged(parent)) uplink.taggedUsers++;
		return uplink;
	}

	/** Gives one segment's share back; the last one closes the socket. */
	async release(uplink: Uplink, parent: ParentRef): Promise<void> {
		uplink.users--;
		if (isTagged(parent)) uplink.taggedUsers--;
		if (uplink.users === 0) await this.#close(uplink);
		else if (isTagged(parent) && uplink.taggedUsers === 0 && uplink.failure === undefined) {
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

	async #open(link: string): Promise<Uplink> {
		const socket = openPacketSocket({ link, promiscuous: false });
		try {
			const { fd, mac, mtuBytes } = socket;
			const port = await this.datapath.addPort({ kind: "uplink", fd, name: link, mac, mtuBytes });
			const uplink = { link, port, ...socket, users: 0, taggedUsers: 0 };
			this.#byLink.set(link, uplink);
			return uplink;
		} catch (error) {
			close(socket.fd);
			throw error;
		}
	}

	async #close(uplink: Uplink): Promise<void> {
		this.#byLink.delete(uplink.link);
		await this.datapath.removePort(uplink.port);
	}
}

function isTagged(parent: ParentRef): boolean {
	return parent.vlans.length > 0;
}
