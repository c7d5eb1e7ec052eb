/**
 * AF_XDP beside the raw socket of a parent, for networks that ask for it with `-o uplink=xdp`: sockets for its receive
 * queues, and the program that says what goes to them (src/raw/xdp.ts). Where it can not be, all frames come through
 * the raw socket as ever, and the reason is kept.
 */
import type { Port, Switch } from "../../lib/index.js";
import type { Link } from "../../netlink/link.js";
import { checkXdpLink, type OuterTag, XdpProgram } from "../../raw/xdp.js";
import { bindXsk, openXsk } from "../../raw/xsk.js";
import { isErrno } from "../../sys/errno.js";
import { close } from "../../sys/libc.js";
import { type Log, messageOf } from "../log.js";

/** Until it is tried again, when somebody else's program or socket was there: a daemon's that ends, for example. */
const RETRY_MS = 2000;

interface Station {
	mac: string;
	tag?: OuterTag;
	users: number;
}

export class FastUplink {
	/** Networks that want it. */
	#users = 0;
	/** By address and tag, whether it is running or not. */
	readonly #stations = new Map<string, Station>();
	#running: { program: XdpProgram; isZeroCopy: boolean; removals: (() => Promise<void>)[] } | undefined;
	#retry: NodeJS.Timeout | undefined;
	/** Why it does not run, though somebody wants it; empty when it does. */
	problem = "";

	/**
	 * @param port the uplink's, with its raw socket
	 * @param mac the parent's own address, whose frames are the host's
	 * @param onRetry has to lead to `follow`
	 */
	constructor(
		readonly datapath: Switch,
		readonly port: Port,
		readonly mac: string,
		readonly log: Log,
		readonly onRetry: () => void,
	) {}

	/** How frames come in, for people. */
	get kind(): string {
		if (!this.#running) return "packet";
		return this.#running.isZeroCopy ? "xdp (zero copy)" : "xdp (copy)";
	}

	/** One more network wants it. A failure becomes `problem`. */
	async acquire(link: Link): Promise<void> {
		this.#users++;
		await this.follow(link);
	}

	/** One network less; nobody is told of a problem that nobody has. */
	async release(): Promise<void> {
		if (--this.#users > 0) return;
		await this.#stop();
		this.problem = "";
	}

	/** The parent has changed, perhaps what prevents it. */
	async follow(link: Link): Promise<void> {
		if (this.#users === 0) return;
		try {
			// Frames of a queue without a socket are not lost, they come by the raw socket.
			if (checkXdpLink(link) !== this.#running?.program.queues) {
				await this.#stop();
				await this.#start(link);
			}
			this.problem = "";
		} catch (error) {
			await this.#stop();
			const reason = messageOf(error);
			if (reason !== this.problem) this.log.warn("AF_XDP is not used, the raw socket is", { link: link.name, reason });
			this.problem = reason;
			if (isErrno(error, "EBUSY")) this.#retry = setTimeout(this.onRetry, RETRY_MS).unref();
		}
	}

	/** The thread that had the sockets has died, and they with it. */
	async recover(link: Link | undefined): Promise<void> {
		await this.#stop();
		if (link) await this.follow(link);
	}

	/** Frames to an endpoint come this way; `tag` is the outer one that they wear. */
	addStation(mac: string, tag: OuterTag | undefined): void {
		if (mac === this.mac) return;
		const key = keyOf(mac, tag);
		const station = this.#stations.get(key) ?? { mac, tag, users: 0 };
		if (station.users++ === 0) this.#running?.program.addStation(mac, tag);
		this.#stations.set(key, station);
	}

	removeStation(mac: string, tag: OuterTag | undefined): void {
		const station = this.#stations.get(keyOf(mac, tag));
		if (!station || --station.users > 0) return;
		this.#stations.delete(keyOf(mac, tag));
		this.#running?.program.removeStation(mac, tag);
	}

	async #start(link: Link): Promise<void> {
		clearTimeout(this.#retry);
		const program = XdpProgram.attach(link);
		this.#running = { program, isZeroCopy: true, removals: [] };
		for (let queue = 0; queue < program.queues; queue++) {
			const fd = openXsk();
			try {
				// Hardware has its frames from a wire; a virtual link has them from a sender that may have left work to it.
				this.#running.removals.push(await this.datapath.addXsk(this.port, { fd, isVirtual: link.kind !== "" }));
			} catch (error) {
				close(fd);
				throw error;
			}
			if (!bindXsk(fd, link.index, queue, link.name)) this.#running.isZeroCopy = false;
			program.setSocket(queue, fd);
		}
		for (const { mac, tag } of this.#stations.values()) program.addStation(mac, tag);
		this.log.info("parent uses AF_XDP", { link: link.name, uplink: this.kind, queues: program.queues });
	}

	/** All frames pass before the sockets go. */
	async #stop(): Promise<void> {
		clearTimeout(this.#retry);
		const running = this.#running;
		this.#running = undefined;
		running?.program.close();
		for (const remove of running?.removals ?? []) await remove();
	}
}

function keyOf(mac: string, tag: OuterTag | undefined): string {
	return `${mac} ${tag?.tpid ?? 0} ${tag?.vid ?? 0}`;
}
