/**
 * Hosts that share networks and addresses through etcd:
 *
 *   etcd0 etcd1 ...                     management bridge 10.99.0.0/16
 *     |     |         \-- mgmt of every host (10.99.1.1, 10.99.1.2 ...)
 *   host0, host1 ... each with a daemon; their eth0 are ports of the trunk bridge, which passes tagged frames
 *
 * Daemons and members can be killed and started again, and each of the two wires of a host can be cut.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCleanup } from "./cleanup.js";
import { Bridge, type BridgePort, type Certificates, Cluster, makeCertificates } from "./etcd.js";
import { Namespace } from "./netns.js";
import { startVlane, type Vlane } from "./vlane.js";

export interface GroupOptions {
	/** Members of etcd; 1 when absent. */
	members?: number;
	/** Hosts with a daemon each; 2 when absent. */
	hosts?: number;
	/** Behind `?` of the store's location; `alive` is short when absent. */
	query?: string;
	/** Further arguments of every daemon. */
	daemon?: string[];
	/** Clients and members show each other certificates. */
	tls?: boolean;
	/** Name of the trunk's interface on each host, by position; `eth0` when absent. */
	parents?: string[];
	/** Further arguments of single daemons, by position. */
	daemonOf?: string[][];
}

/** A host that does not say anything for this long is away, in seconds: etcd allows no less by default. */
const ALIVE_SECONDS = 2;

export class GroupHost {
	vlane!: Vlane;
	readonly ns: Namespace;
	/** Its way to etcd, and its way to the other hosts' containers. */
	readonly management: BridgePort;
	readonly trunk: BridgePort;
	/** Arguments of its daemon. */
	readonly daemon: string[];

	constructor(
		readonly name: string,
		readonly number: number,
		group: Group,
		parent: string,
		daemon: string[],
	) {
		this.ns = new Namespace(name);
		this.management = group.management.plug(this.ns, "mgmt");
		this.ns.must(["ip", "address", "add", `10.99.1.${number + 1}/16`, "dev", "mgmt"]);
		this.trunk = group.trunk.plug(this.ns, parent);
		this.ns.sysctl(`net/ipv6/conf/${parent}/disable_ipv6`, 1);
		this.daemon = ["--host-name", name, ...daemon];
	}

	/** Starts the daemon, for the first time or again with the state of the one before. */
	async start(): Promise<void> {
		if (this.vlane) await this.vlane.startDaemon(...this.daemon);
		else this.vlane = await startVlane(this.ns, ...this.daemon);
	}

	/** Ends the daemon and nothing else; its containers stay. */
	async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
		await this.vlane.stopDaemon(signal);
	}

	/** `vlane ARGUMENT...` that has to succeed. */
	must(...argv: string[]): string {
		return this.vlane.must(...argv);
	}

	/** `vlane run -d --name NAME --network NETWORK FLAG... sleep infinity`; answers its address. */
	run(name: string, network: string, ...flags: string[]): string {
		this.must("run", "-d", "--name", name, "--network", network, ...flags, "sleep", "infinity");
		return this.addressOf(name);
	}

	/** Address of a running container on its first network. */
	addressOf(container: string): string {
		const rows = this.must("ps", "--format", "{{.Names}} {{.IPAddress}}").split("\n");
		const [, addresses = ""] = rows.map((row) => row.split(" ")).find(([name]) => name === container) ?? [];
		return addresses.split(",")[0] ?? "";
	}

	/** How many of `count` echo requests from a container were answered. */
	ping(container: string, address: string, count = 1): number {
		const argv = ["ping", "-n", "-c", `${count}`, "-i", "0.2", "-W", "1", address];
		const { stdout } = this.vlane.vlane("exec", container, ...argv);
		return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
	}

	/** `vlane host ls` by name; `State` is `alive` or `away`. */
	hosts(): Map<string, { ID: string; Name: string; State: string; Status: string; Endpoints: string }> {
		const lines = this.must("host", "ls", "--format", "json", "--no-trunc").split("\n").filter(Boolean);
		return new Map(lines.map((line) => JSON.parse(line)).map((row) => [row.Name, row]));
	}

	/** What `vlane network inspect` says. */
	// biome-ignore lint/suspicious/noExplicitAny: what it prints is what is tested
	inspect(network: string): any {
		return JSON.parse(this.must("network", "inspect", network))[0];
	}

	async cleanup(): Promise<void> {
		await this.vlane?.cleanup();
		this.ns.close();
	}
}

export class Group {
	readonly management = new Bridge("mgmt");
	readonly trunk = new Bridge("trunk");
	readonly etcd: Cluster;
	readonly hosts: GroupHost[] = [];
	readonly #remove: () => void;

	constructor(options: GroupOptions) {
		const directory = mkdtempSync(join(tmpdir(), "vlane-group-"));
		this.#remove = onCleanup(() => rmSync(directory, { recursive: true, force: true }));
		const { members = 1, hosts = 2, tls = false } = options;
		const addresses = Array.from({ length: members }, (_, at) => `10.99.0.${11 + at}`);
		const certificates = tls ? makeCertificates(directory, [...addresses, "127.0.0.1"]) : undefined;
		this.etcd = new Cluster(this.management, members, certificates);
		const store = this.etcd.store(queryOf(options.query ?? `alive=${ALIVE_SECONDS}`, certificates));
		for (let at = 0; at < hosts; at++) {
			const own = options.daemonOf?.[at] ?? [];
			const daemon = ["--store", store, ...(options.daemon ?? []), ...own];
			this.hosts.push(new GroupHost(`host${at}`, at, this, options.parents?.[at] ?? "eth0", daemon));
		}
	}

	/** The host at a position. */
	host(at: number): GroupHost {
		const host = this.hosts[at];
		if (!host) throw new Error(`there is no host ${at}`);
		return host;
	}

	async close(): Promise<void> {
		for (const host of this.hosts) await host.cleanup();
		await this.etcd.close();
		this.management.close();
		this.trunk.close();
		this.#remove();
	}
}

/** Builds the wires, starts etcd and then the daemons. */
export async function makeGroup(options: GroupOptions = {}): Promise<Group> {
	const group = new Group(options);
	await group.etcd.start();
	for (const host of group.hosts) await host.start();
	return group;
}

function queryOf(query: string, certificates: Certificates | undefined): string {
	if (!certificates) return query;
	const { ca, cert, key } = certificates;
	return [query, `cacert=${ca}`, `cert=${cert}`, `key=${key}`].filter(Boolean).join("&");
}
