/** Containers: processes in a network namespace of their own (`vlane run|ps|stop|rm`). */
import { readdirSync } from "node:fs";
import { isErrno } from "../sys/errno.js";
import { close, kill } from "../sys/libc.js";
import { netnsId, openNetns } from "../sys/netns.js";
import { withCapability } from "../sys/privileges.js";
import type { Context } from "./context.js";
import { type Endpoints, wishOf } from "./endpoints.js";
import { VlaneError } from "./errors.js";
import { processStart, resolveTarget, targetPath } from "./namespace/target.js";
import type { Networks } from "./networks.js";
import type { Queue } from "./queue.js";
import { checkContainerName, newId, randomName, resolveRef } from "./request/names.js";
import type { CreateContainerBody } from "./request/schema.js";
import type { ApiContainer, ContainerRecord, EndpointRecord } from "./types.js";
import { withUndo } from "./undo.js";

const SIGTERM = 15;
const SIGKILL = 9;

/** How long a process that was sent SIGKILL may take to be gone. */
const KILL_GRACE_MS = 5000;

export class Containers {
	/** Namespaces of running containers, by container id: held open, so that their identity is not given to a new one. */
	readonly #netnsFds = new Map<string, number>();
	/** Called when a container's process has been seen to exit, by container id. */
	readonly #waiters = new Map<string, ((error?: unknown) => void)[]>();

	constructor(
		readonly context: Context,
		readonly networks: Networks,
		readonly endpoints: Endpoints,
		readonly queue: Queue,
	) {}

	/**
	 * Takes a process in as a container and connects it to its networks: all of them, or none.
	 * @throws VlaneError, SysError; nothing is left behind then
	 */
	async create(body: CreateContainerBody): Promise<ContainerRecord> {
		const { state, files, log } = this.context;
		const target = resolveTarget(`pid:${body.Pid}`);
		const pidStart = processStart(body.Pid);
		if (pidStart === undefined) throw new VlaneError("notFound", `process ${body.Pid} has exited`);
		const id = newId();
		const name = this.#chooseName(body.Name);
		const container: ContainerRecord = {
			id,
			name,
			command: body.Command,
			created: new Date().toISOString(),
			pid: body.Pid,
			pidStart,
			status: "running",
			autoRemove: body.AutoRemove,
			hostname: body.Hostname ?? id.slice(0, 12),
			extraHosts: body.ExtraHosts,
		};
		const wanted = body.Networks.map((wish) => ({ wish, network: this.networks.find(wish.Network) }));
		const made = await withUndo(async (undo) => {
			const endpoints: EndpointRecord[] = [];
			for (const { wish, network } of wanted) {
				endpoints.push(await this.endpoints.make(network, target, wishOf(name, wish), undo));
			}
			undo.add(() => files.remove(id));
			files.create(container, {
				servers: body.Dns ?? [],
				search: body.DnsSearch ?? [],
				options: body.DnsOptions ?? [],
			});
			await state.commit((changes) => {
				for (const endpoint of endpoints) changes.put(state.endpoints, endpoint);
				changes.put(state.containers, container);
			});
			return endpoints;
		});
		this.watch(container);
		for (const endpoint of made) this.endpoints.begin(endpoint);
		log.info("container started", { container: name, id, pid: body.Pid });
		return container;
	}

	list(all: boolean): ContainerRecord[] {
		return this.context.state.containers.all().filter(({ status }) => all || status === "running");
	}

	/** @throws VlaneError notFound, invalid (ambiguous) */
	find(ref: string): ContainerRecord {
		return resolveRef(this.context.state.containers.all(), ref, "container");
	}

	/** The running container whose process a `pid:N` target is. */
	ofTarget(target: string): ContainerRecord | undefined {
		return this.context.state.containersOfTarget(target)[0];
	}

	/** Notices the container's exit from now on; also for containers of an earlier daemon. */
	watch({ id, pid }: ContainerRecord): void {
		const target = `pid:${pid}`;
		const path = targetPath(target);
		try {
			this.#netnsFds.set(id, openNetns(path));
		} catch (error) {
			if (!isErrno(error, "ENOENT", "ESRCH")) throw error;
		}
		this.context.lifetimes.watch(target);
	}

	/**
	 * The process or namespace of a target has ended (queue only): its endpoints go. What else runs in a container ends
	 * with its process, as Docker's containers do; the record says so, or goes.
	 * @throws VlaneError when it can not be written; records and interfaces are still there then
	 */
	async ended(target: string): Promise<void> {
		const container = this.ofTarget(target);
		const left = this.endpoints.ofTarget(target);
		if (!container) return this.endpoints.releaseAll(left);
		const { id, name, autoRemove } = container;
		const { state, files, log } = this.context;
		this.#killAll(container);
		try {
			await this.endpoints.releaseAll(left, (changes) => {
				if (autoRemove) changes.del(state.containers, id);
				else changes.put(state.containers, { ...container, pid: 0, status: "exited" });
			});
		} catch (error) {
			this.#wake(id, error);
			throw error;
		}
		files.remove(id);
		const netnsFd = this.#netnsFds.get(id);
		if (netnsFd !== undefined) close(netnsFd);
		this.#netnsFds.delete(id);
		log.info("container exited", { container: name, id });
		this.#wake(id);
	}

	#wake(id: string, error?: unknown): void {
		for (const wake of this.#waiters.get(id) ?? []) wake(error);
		this.#waiters.delete(id);
	}

	/**
	 * Asks the process to end, and ends it when it does not. Does not hold up the queue while it waits.
	 * @throws VlaneError notFound, invalid (ambiguous), internal (it survived SIGKILL)
	 */
	async stop(ref: string, timeoutSeconds: number): Promise<void> {
		const container = this.find(ref);
		if (container.status !== "running") return;
		const exited = this.#exit(container);
		this.#signal(container.pid, container.pidStart, SIGTERM);
		if (await settlesWithin(exited, timeoutSeconds * 1000)) return;
		await this.#destroy(container, exited);
	}

	/** @throws VlaneError notFound, invalid (ambiguous), conflict (running and not forced), internal */
	async remove(ref: string, force: boolean): Promise<void> {
		const container = this.find(ref);
		if (container.status === "running") {
			if (!force) {
				const advice = "stop the container before removing or force remove";
				throw new VlaneError(
					"conflict",
					`cannot remove container "/${container.name}": container is running: ${advice}`,
				);
			}
			await this.#destroy(container, this.#exit(container));
		}
		await this.queue.run(() => this.context.state.containers.del(container.id));
	}

	/** A container as the API shows it. */
	describe(container: ContainerRecord): ApiContainer {
		const { state } = this.context;
		const endpoints = container.status === "running" ? this.endpoints.ofTarget(`pid:${container.pid}`) : [];
		return {
			Id: container.id,
			Name: container.name,
			Command: container.command,
			Created: container.created,
			State: container.status,
			Pid: container.pid,
			...(container.status === "running" && this.#filesOf(container)),
			Networks: Object.fromEntries(
				endpoints.map((endpoint) => [
					state.networks.get(endpoint.networkId)?.name ?? endpoint.networkId,
					this.endpoints.describe(endpoint),
				]),
			),
		};
	}

	#filesOf({ id }: ContainerRecord): Pick<ApiContainer, "HostsPath" | "ResolvConfPath" | "HostnamePath"> {
		const { hosts, resolvConf, hostname } = this.context.files.pathsOf(id);
		return { HostsPath: hosts, ResolvConfPath: resolvConf, HostnamePath: hostname };
	}

	#chooseName(wanted: string | undefined): string {
		const taken = new Map(this.context.state.containers.all().map(({ name, id }) => [name, id]));
		if (wanted === undefined) return randomName(taken);
		const name = wanted.replace(/^\//, "");
		checkContainerName(name);
		const holder = taken.get(name);
		if (holder === undefined) return name;
		throw new VlaneError(
			"conflict",
			`Conflict. The container name "/${name}" is already in use by container "${holder}". ` +
				"You have to remove (or rename) that container to be able to reuse that name.",
		);
	}

	/** Resolves once the container's exit has been dealt with; rejects when it could not be written. */
	#exit({ id }: ContainerRecord): Promise<void> {
		const exited = new Promise<void>((resolve, reject) => {
			const wake = (error?: unknown) => (error === undefined ? resolve() : reject(error));
			this.#waiters.set(id, [...(this.#waiters.get(id) ?? []), wake]);
		});
		// Nobody may be waiting by then.
		exited.catch(() => undefined);
		return exited;
	}

	async #destroy(container: ContainerRecord, exited: Promise<void>): Promise<void> {
		this.#killAll(container);
		this.#signal(container.pid, container.pidStart, SIGKILL);
		if (await settlesWithin(exited, KILL_GRACE_MS)) return;
		throw new VlaneError(
			"internal",
			`cannot stop container ${container.name}: process ${container.pid} survived SIGKILL`,
		);
	}

	/** Ends every process in the container's network namespace. */
	#killAll(container: ContainerRecord): void {
		const netnsFd = this.#netnsFds.get(container.id);
		if (netnsFd === undefined) return;
		const netns = netnsId(netnsFd);
		for (const entry of readdirSync("/proc")) {
			const pid = Number(entry);
			if (!Number.isInteger(pid)) continue;
			try {
				if (netnsId(`/proc/${pid}/ns/net`) === netns) this.#kill(pid, SIGKILL);
			} catch {
				// It ended between the look and the signal.
			}
		}
	}

	/** Sends a signal unless the pid belongs to another process by now. */
	#signal(pid: number, pidStart: string, signal: number): void {
		if (processStart(pid) !== pidStart) return;
		try {
			this.#kill(pid, signal);
		} catch (error) {
			if (!isErrno(error, "ESRCH")) throw error;
		}
	}

	/** What runs in a container may have become another user. */
	#kill(pid: number, signal: number): void {
		withCapability("CAP_KILL", () => kill(pid, signal));
	}
}

/** False when the promise has not settled after that many milliseconds. */
async function settlesWithin(promise: Promise<void>, timeoutMs: number): Promise<boolean> {
	let timer: NodeJS.Timeout | undefined;
	const timeout = new Promise<boolean>((resolve) => {
		// A daemon that is told to end does not wait for a container that is being stopped.
		timer = setTimeout(resolve, timeoutMs, false).unref();
	});
	try {
		return await Promise.race([promise.then(() => true), timeout]);
	} finally {
		clearTimeout(timer);
	}
}
