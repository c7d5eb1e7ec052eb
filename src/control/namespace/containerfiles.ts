/**
 * `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname` of containers: files in the state directory that the container
 * mounts over the host's. The hosts file is written again, in place, when neighbours come and go.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseIp } from "../address/cidr.js";
import { type Log, messageOf } from "../log.js";
import type { State } from "../records/state.js";
import type { ContainerRecord, EndpointRecord } from "../types.js";

/** What `run --dns` and its like say; what is empty is taken from the host. */
export interface DnsSettings {
	servers: string[];
	search: string[];
	options: string[];
}

/** Changes that come together are written together. */
const REWRITE_DELAY_MS = 20;

/** As Docker's hosts files begin. */
const HOSTS_HEAD = [
	"127.0.0.1\tlocalhost",
	"::1\tlocalhost ip6-localhost ip6-loopback",
	"fe00::\tip6-localnet",
	"ff00::\tip6-mcastprefix",
	"ff02::1\tip6-allnodes",
	"ff02::2\tip6-allrouters",
];

const RESOLV_CONF = "/etc/resolv.conf";
/** Where systemd-resolved keeps the servers behind its own address on the loopback. */
const RESOLVED_CONF = "/run/systemd/resolve/resolv.conf";

/** What may stand in a hosts file as a name: anything else could be read as more than one. */
const HOST_NAME = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/;

export class ContainerFiles {
	readonly #directory: string;
	readonly #changed = new Set<string>();
	#timer: NodeJS.Timeout | undefined;

	constructor(
		readonly state: State,
		stateDir: string,
		readonly log: Log,
	) {
		this.#directory = join(stateDir, "containers");
	}

	/** Paths of a container's files. */
	pathsOf(id: string): { hosts: string; resolvConf: string; hostname: string } {
		const directory = join(this.#directory, id);
		const [hosts = "", resolvConf = "", hostname = ""] = ["hosts", "resolv.conf", "hostname"].map((name) =>
			join(directory, name),
		);
		return { hosts, resolvConf, hostname };
	}

	/** Makes the files of a container whose endpoints exist. @throws Error of node:fs */
	create(container: ContainerRecord, dns: DnsSettings): void {
		const { hosts, resolvConf, hostname } = this.pathsOf(container.id);
		mkdirSync(join(this.#directory, container.id), { recursive: true, mode: 0o700 });
		writeFileSync(hosts, this.#hostsOf(container));
		writeFileSync(resolvConf, resolvConfText(dns));
		writeFileSync(hostname, `${container.hostname}\n`);
	}

	remove(id: string): void {
		rmSync(join(this.#directory, id), { recursive: true, force: true });
	}

	/** Removes what containers left that ended while no daemon ran. */
	sweep(): void {
		let ids: string[];
		try {
			ids = readdirSync(this.#directory);
		} catch {
			return; // No container has ever run here.
		}
		for (const id of ids) if (this.state.containers.get(id)?.status !== "running") this.remove(id);
	}

	/** An endpoint came or went: its own and its neighbours' hosts files are written again, soon. */
	changed({ networkId, target }: EndpointRecord): void {
		for (const neighbour of this.state.endpointsOfNetwork(networkId)) this.#changed.add(neighbour.target);
		this.#changed.add(target);
		this.#timer ??= setTimeout(() => this.#rewrite(), REWRITE_DELAY_MS).unref();
	}

	#rewrite(): void {
		this.#timer = undefined;
		const targets = [...this.#changed];
		this.#changed.clear();
		for (const container of targets.flatMap((target) => this.state.containersOfTarget(target))) {
			try {
				// What was removed meanwhile is not made again. No rename: the container has mounted this very file.
				const { hosts } = this.pathsOf(container.id);
				if (existsSync(hosts)) writeFileSync(hosts, this.#hostsOf(container));
			} catch (error) {
				this.log.debug("hosts file was not written", { container: container.name, error: messageOf(error) });
			}
		}
	}

	#hostsOf({ name, hostname, pid, extraHosts = [] }: ContainerRecord): string {
		const target = `pid:${pid}`;
		const own = this.state.endpointsOfTarget(target);
		const neighbours = own
			.flatMap(({ networkId }) => this.state.endpointsOfNetwork(networkId))
			.filter((endpoint) => endpoint.target !== target);
		const lines = [
			...HOSTS_HEAD,
			...own.flatMap((endpoint) => hostLines(endpoint, [hostname, name])),
			...extraHosts.map(splitExtraHost).map(([host, address]) => `${address}\t${host}`),
			...neighbours.flatMap((endpoint) => hostLines(endpoint, [endpoint.name, ...(endpoint.aliases ?? [])])),
		];
		return `${[...new Set(lines)].join("\n")}\n`;
	}
}

function hostLines({ ipv4, ipv6 }: EndpointRecord, names: string[]): string[] {
	const valid = [...new Set(names)].filter((name) => HOST_NAME.test(name));
	if (valid.length === 0) return [];
	return [ipv4, ipv6].flatMap((cidr) => (cidr ? [`${cidr.slice(0, cidr.indexOf("/"))}\t${valid.join(" ")}`] : []));
}

/** `name:address`, where the address may have colons itself. */
export function splitExtraHost(text: string): [host: string, address: string] {
	const at = text.indexOf(":");
	return [text.slice(0, at), text.slice(at + 1)];
}

/** Whether `text` is `name:address`. */
export function isExtraHost(text: string): boolean {
	const [host, address] = splitExtraHost(text);
	return HOST_NAME.test(host) && parseIp(address) !== undefined;
}

/**
 * The host's settings, where others are not given, without servers on the host's loopback: the container has its own.
 */
function resolvConfText({ servers, search, options }: DnsSettings): string {
	let host = hostSettings(RESOLV_CONF);
	if (host.servers.length === 0) host = { ...host, servers: hostSettings(RESOLVED_CONF).servers };
	const chosen = {
		servers: servers.length > 0 ? servers : host.servers,
		search: search.length > 0 ? search.filter((domain) => domain !== ".") : host.search,
		options: options.length > 0 ? options : host.options,
	};
	const lines = chosen.servers.map((server) => `nameserver ${server}`);
	if (lines.length === 0) lines.push("# No name server of the host can be reached from here: see vlane run --dns");
	if (chosen.search.length > 0) lines.push(`search ${chosen.search.join(" ")}`);
	if (chosen.options.length > 0) lines.push(`options ${chosen.options.join(" ")}`);
	return `${lines.join("\n")}\n`;
}

function hostSettings(path: string): DnsSettings {
	let text = "";
	try {
		text = readFileSync(path, "utf8");
	} catch {
		// A host without it resolves nothing, and neither do its containers.
	}
	const valuesOf = (keyword: string) =>
		[...text.matchAll(new RegExp(`^${keyword}[ \\t]+(.*)$`, "gm"))].map(([, values = ""]) => values.trim());
	return {
		servers: valuesOf("nameserver").filter((server) => !/^(127\.|::1$)/.test(server)),
		search: (valuesOf("search").at(-1) ?? "").split(/\s+/).filter(Boolean),
		options: valuesOf("options").flatMap((values) => values.split(/\s+/).filter(Boolean)),
	};
}
