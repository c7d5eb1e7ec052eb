/**
 * Debian's etcd, members of a cluster each in a namespace of its own, on a bridge that only management traffic uses.
 * Members can be killed, started again, and cut off from the bridge.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCleanup } from "./cleanup.js";
import type { Need } from "./needs.js";
import { must, Namespace, type Started } from "./netns.js";

/** What tests with etcd need: Debian's etcd-server and etcd-client. */
export const ETCD: Need = { root: true, tun: true, tools: ["ip", "ping", "etcd", "etcdctl"] };

const CLIENT_PORT = 2379;
const PEER_PORT = 2380;
/** An election among three on a busy machine, and another one. */
const START_MS_MAX = 60_000;

/** Files of a certificate authority and of certificates that it has signed. */
export interface Certificates {
	ca: string;
	cert: string;
	key: string;
}

/** A kernel bridge in a namespace of its own; what is plugged in shares one Ethernet segment, tags and all. */
export class Bridge {
	readonly ns: Namespace;
	#count = 0;

	constructor(label: string) {
		this.ns = new Namespace(label);
		this.ns.must(["ip", "link", "add", "br0", "type", "bridge"]);
		this.ns.must(["ip", "link", "set", "br0", "up"]);
	}

	/** Gives a namespace an interface whose other end is a port of the bridge; answers the port. */
	plug(ns: Namespace, ifname: string): BridgePort {
		const port = `port${this.#count++}`;
		must(["ip", "-n", ns.name, "link", "add", ifname, "type", "veth", "peer", "name", port, "netns", this.ns.name]);
		this.ns.sysctl(`net/ipv6/conf/${port}/disable_ipv6`, 1);
		this.ns.must(["ip", "link", "set", port, "master", "br0", "up"]);
		ns.must(["ip", "link", "set", ifname, "up"]);
		return new BridgePort(this, port);
	}

	close(): void {
		this.ns.close();
	}
}

export class BridgePort {
	constructor(
		readonly bridge: Bridge,
		readonly name: string,
	) {}

	/** Frames are lost from now on, in both directions; the interface behind it notices nothing. */
	cut(): void {
		this.bridge.ns.must(["ip", "link", "set", this.name, "nomaster"]);
	}

	heal(): void {
		this.bridge.ns.must(["ip", "link", "set", this.name, "master", "br0"]);
	}
}

export class Member {
	readonly ns: Namespace;
	readonly port: BridgePort;
	#process: Started | undefined;

	constructor(
		readonly cluster: Cluster,
		readonly name: string,
		readonly address: string,
	) {
		this.ns = new Namespace(name);
		this.port = cluster.bridge.plug(this.ns, "mgmt");
		this.ns.must(["ip", "address", "add", `${address}/16`, "dev", "mgmt"]);
	}

	/** `ADDRESS:PORT` for clients. */
	get endpoint(): string {
		return `${this.address}:${CLIENT_PORT}`;
	}

	/** Starts the member, with the data of an earlier one; does not wait. */
	start(): void {
		const { certificates, directory, members, flags } = this.cluster;
		const scheme = certificates ? "https" : "http";
		const client = `${scheme}://${this.endpoint}`;
		const peer = `http://${this.address}:${PEER_PORT}`;
		const all = members.map(({ name, address }) => `${name}=http://${address}:${PEER_PORT}`).join(",");
		const tls = certificates
			? ["--cert-file", certificates.cert, "--key-file", certificates.key, "--trusted-ca-file", certificates.ca]
			: [];
		const auth = certificates ? ["--client-cert-auth"] : [];
		this.#process = this.ns.start([
			...["etcd", "--name", this.name, "--data-dir", join(directory, this.name), "--logger", "zap"],
			...["--listen-client-urls", client, "--advertise-client-urls", client],
			...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
			...["--initial-cluster", all, "--initial-cluster-token", "vlane-test", ...tls, ...auth, ...flags],
		]);
	}

	/** Resolves when the member serves clients. */
	async ready(): Promise<void> {
		await this.#process?.waitFor(/ready to serve client requests|serving (insecure )?client/, START_MS_MAX);
	}

	/** Ends the member; its data stays. */
	async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
		await this.#process?.stop(signal);
		this.#process = undefined;
	}

	/** Stops and continues its process: it answers nobody, and its connections stay open. */
	freeze(isFrozen: boolean): void {
		this.#process?.process.kill(isFrozen ? "SIGSTOP" : "SIGCONT");
	}
}

/** Members of one etcd cluster at addresses 10.99.0.11, 10.99.0.12 and so on. */
export class Cluster {
	readonly directory = mkdtempSync(join(tmpdir(), "vlane-etcd-"));
	readonly members: Member[] = [];
	readonly #remove: () => void;

	constructor(
		readonly bridge: Bridge,
		count: number,
		readonly certificates?: Certificates,
		readonly flags: string[] = [],
	) {
		this.#remove = onCleanup(() => rmSync(this.directory, { recursive: true, force: true }));
		for (let at = 0; at < count; at++) this.members.push(new Member(this, `etcd${at}`, `10.99.0.${11 + at}`));
	}

	/** Starts every member; resolves when all serve. */
	async start(): Promise<void> {
		for (const member of this.members) member.start();
		for (const member of this.members) await member.ready();
	}

	/** `etcd://...` of all members, for `vlane daemon --store`. */
	store(query = ""): string {
		return `etcd://${this.members.map(({ endpoint }) => endpoint).join(",")}${query && `?${query}`}`;
	}

	/** `etcdctl ARGUMENT...` in a member's namespace; answers its output. */
	ctl(...argv: string[]): string {
		const [member] = this.members;
		if (!member) throw new Error("the cluster has no members");
		const { certificates } = this;
		const tls = certificates
			? ["--cacert", certificates.ca, "--cert", certificates.cert, "--key", certificates.key]
			: [];
		const all = this.members.map(({ endpoint }) => `${certificates ? "https" : "http"}://${endpoint}`).join(",");
		return member.ns.must(["etcdctl", "--endpoints", all, ...tls, ...argv], { env: { ETCDCTL_API: "3" } });
	}

	/** Every key below a prefix with its value. */
	dump(prefix = "/vlane/"): Map<string, string> {
		const lines = this.ctl("get", "--prefix", prefix).split("\n");
		const found = new Map<string, string>();
		for (let at = 0; at + 1 < lines.length; at += 2) found.set(lines[at] ?? "", lines[at + 1] ?? "");
		return found;
	}

	async close(): Promise<void> {
		for (const member of this.members) {
			await member.stop("SIGKILL");
			member.ns.close();
		}
		this.#remove();
	}
}

/**
 * A certificate authority, and one certificate of it for servers at these addresses and for clients alike.
 * @param directory where the files go
 */
export function makeCertificates(directory: string, addresses: string[]): Certificates {
	const [ca, caKey, key, request, cert] = ["ca.pem", "ca.key", "peer.key", "peer.csr", "peer.pem"].map((name) =>
		join(directory, name),
	) as [string, string, string, string, string];
	const names = `subjectAltName=${addresses.map((address) => `IP:${address}`).join(",")}`;
	const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
	must(["openssl", "req", "-x509", ...curve, "-keyout", caKey, "-out", ca, "-days", "2", "-subj", "/CN=vlane test CA"]);
	must(["openssl", "req", ...curve, "-keyout", key, "-out", request, "-subj", "/CN=vlane"]);
	const extensions = join(directory, "peer.ext");
	must(["tee", extensions], { input: `${names}\nextendedKeyUsage=serverAuth,clientAuth\n` });
	const signer = ["-CA", ca, "-CAkey", caKey, "-CAcreateserial", "-days", "2", "-extfile", extensions];
	must(["openssl", "x509", "-req", "-in", request, "-out", cert, ...signer]);
	return { ca, cert, key };
}
