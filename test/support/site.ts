/** The tutorial's scene: a LAN, and the real daemon on its host. */
import { request } from "node:http";
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { ApiPort } from "../../src/control/types.js";
import { type Lan, type LanOptions, makeLan, PARENT } from "./lan.js";
import { type Need, needs, testOrSkip } from "./needs.js";
import { Namespace } from "./netns.js";
import { startVlane, type Vlane } from "./vlane.js";

const WAIT_MS_MAX = 10_000;
const POLL_MS = 20;
const DAEMON_SAID = "Error response from daemon: ";

export interface SiteOptions extends LanOptions {
	/** Programs that the tests need besides `ip` and `ping`. */
	tools?: string[];
	/** The oldest kernel that will do, as in `Need`. */
	linux?: string;
	/** Further arguments of `vlane daemon`. */
	daemon?: string[];
}

/** What a test asks of an endpoint. */
export interface Wish {
	ip?: string;
	ip6?: string;
	mac?: string;
}

/** Polls until something is so. @throws AssertionError when it is not within ten seconds */
export async function eventually(
	what: string,
	isSo: () => boolean | Promise<boolean>,
	waitMsMax = WAIT_MS_MAX,
): Promise<void> {
	for (const end = Date.now() + waitMsMax; Date.now() < end; ) {
		if (await isSo()) return;
		await new Promise((resolve) => setTimeout(resolve, POLL_MS));
	}
	assert.unreachable(`within ${waitMsMax} ms: ${what}`);
}

/** Lines without the blanks that `ip` puts at their ends. */
export function linesOf(text: string): string[] {
	return text
		.split("\n")
		.map((line) => line.trim())
		.filter(Boolean);
}

export function macOf(ns: Namespace, ifname = "eth0"): string {
	return ns.ip("link", "show", ifname)[0].address;
}

/** Global addresses of an interface in CIDR form. */
export function addressesOf(ns: Namespace, ifname = "eth0"): string[] {
	const found: { local: string; prefixlen: number; scope: string }[] = ns.ip("address", "show", "dev", ifname)[0]
		.addr_info;
	return found.filter(({ scope }) => scope === "global").map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

/** Names of a namespace's links. */
export function linksOf(ns: Namespace): string[] {
	return ns.ip("link", "show").map(({ ifname }) => ifname);
}

export class Site {
	readonly #joined: Namespace[] = [];

	constructor(
		readonly lan: Lan,
		readonly vlane: Vlane,
	) {}

	/** `vlane network create -d macvlan FLAG... NAME`; answers the id. */
	create(name: string, ...flags: string[]): string {
		return this.vlane.must("network", "create", "-d", "macvlan", ...flags, name);
	}

	/** A network namespace of its own, connected to `network` by the request that `vlane network connect` makes. */
	async join(network: string, wish: Wish = {}): Promise<Namespace> {
		const ns = this.namespace("c");
		await this.connect(network, ns, wish);
		return ns;
	}

	/** A network namespace that ends with the test. */
	namespace(label: string): Namespace {
		const ns = new Namespace(label);
		this.#joined.push(ns);
		return ns;
	}

	async connect(network: string, ns: Namespace, { ip, ip6, mac }: Wish = {}): Promise<void> {
		const body = { Target: `netns:${ns.path}`, IPv4Address: ip, IPv6Address: ip6, MacAddress: mac };
		await this.ask("POST", `/networks/${network}/connect`, body);
	}

	async disconnect(network: string, ns: Namespace): Promise<void> {
		await this.ask("POST", `/networks/${network}/disconnect`, { Target: `netns:${ns.path}` });
	}

	/** `vlane run -d FLAG... sleep infinity`; answers the name, for `exec`. */
	run(name: string, ...flags: string[]): string {
		this.vlane.must("run", "-d", "--name", name, ...flags, "sleep", "infinity");
		return name;
	}

	/** Standard output of a command in a container. */
	exec(container: string, ...argv: string[]): string {
		return this.vlane.must("exec", container, ...argv);
	}

	/** `vlane network inspect`. */
	// biome-ignore lint/suspicious/noExplicitAny: what it prints is what is tested
	inspect(network: string): any {
		return JSON.parse(this.vlane.must("network", "inspect", network))[0];
	}

	/** What the daemon says when it refuses a command. @throws AssertionError unless it does so, in one line */
	refusal(...argv: string[]): string {
		const { status, stdout, stderr } = this.vlane.vlane(...argv);
		assert.is.not(status, 0, `${argv.join(" ")} succeeded: ${stdout}`);
		assert.ok(stderr.startsWith(DAEMON_SAID) && stderr.indexOf("\n") === stderr.length - 1, stderr);
		return stderr.slice(DAEMON_SAID.length, -1);
	}

	/** The ports of the switch by their names. */
	ports(): Map<string, ApiPort> {
		const ports: ApiPort[] = JSON.parse(this.vlane.must("ports", "--json"));
		return new Map(ports.map((port) => [port.name, port]));
	}

	/** The port of the endpoint in `ns`. */
	port(network: string, ns: Namespace): ApiPort {
		const port = this.ports().get(`${network}/${ns.name}`);
		if (!port) throw new Error(`${ns.name} has no port on ${network}`);
		return port;
	}

	/** Everything of the host's network that a user sees, and what decides about its packets. */
	hostView(): string {
		const views = [
			["-d", "link"],
			["address"],
			["route", "show", "table", "all"],
			["-6", "route", "show", "table", "all"],
			["rule"],
		];
		const seen = views.map((view) => this.lan.host.must(["ip", ...view]));
		seen.push(
			this.lan.host.must([
				"sh",
				"-c",
				"ls /proc/net; cat /proc/sys/net/ipv4/ip_forward /proc/net/ip_tables_names 2>&1",
			]),
		);
		// Receiving for others is the one thing that a raw socket asks of a link; no frame is treated in another way for it.
		return seen.join("\n").replaceAll(/(promiscuity|allmulti) \d+/g, "$1");
	}

	/** Removes all containers, endpoints and networks. */
	async removeAll(): Promise<void> {
		for (const { Id } of (await this.ask("GET", "/containers?all=1")) as { Id: string }[]) {
			await this.ask("DELETE", `/containers/${Id}?force=1`);
		}
		type Network = { Id: string; Containers: Record<string, { Name: string }> };
		for (const { Id, Containers } of (await this.ask("GET", "/networks")) as Network[]) {
			for (const { Name: Target } of Object.values(Containers)) {
				await this.ask("POST", `/networks/${Id}/disconnect`, { Target });
			}
			await this.ask("DELETE", `/networks/${Id}`);
		}
	}

	/** Takes away what a test made with the methods above, links that it added to the host, and all addresses. */
	async reset(): Promise<void> {
		await this.removeAll();
		for (const ns of this.#joined.splice(0)) ns.close();
		// The other half of a pair goes with the first one.
		const added = linksOf(this.lan.host).filter((name) => name !== "lo" && name !== PARENT);
		for (const ifname of added) this.lan.host.run(["ip", "link", "del", ifname]);
		for (const ns of [this.lan.host, this.lan.far]) {
			ns.sysctl("net/ipv4/ip_forward", 0);
			for (const ifname of linksOf(ns).filter((name) => name !== "lo")) {
				ns.must(["ip", "address", "flush", "dev", ifname]);
			}
			ns.must(["ip", "neighbour", "flush", "all"]);
		}
	}

	async close(): Promise<void> {
		await this.vlane.cleanup();
		for (const ns of this.#joined) ns.close();
		this.lan.close();
	}

	/** One request to the daemon. @throws Error with its message when it refuses */
	ask(method: string, path: string, body?: object): Promise<unknown> {
		return new Promise((resolve, reject) => {
			const outgoing = request({ socketPath: this.vlane.socket, method, path, agent: false }, (response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk: string) => {
					text += chunk;
				});
				response.on("end", () => {
					if ((response.statusCode ?? 0) < 300) resolve(text === "" ? undefined : JSON.parse(text));
					else reject(new Error(`${method} ${path}: ${text}`));
				});
			});
			outgoing.on("error", reject);
			outgoing.end(body && JSON.stringify(body));
		});
	}
}

type Body = (site: Site) => void | Promise<void>;

/** A site that the tests of a file share; each finds it as if it were new. Answers how to register them. */
export function sharedSite(tests: Test, options: SiteOptions = {}): (name: string, body: Body) => void {
	const need = needOf(options);
	let site: Site | undefined;
	tests.before(async () => {
		if (needs(need) === undefined) site = await openSite(options);
	});
	tests.after.each(() => site?.reset());
	tests.after(() => site?.close());
	return (name, body) => testOrSkip(tests, name, need, () => body(site!));
}

/** Registers a test that has a site of its own, because it changes what the others rely on. */
export function siteTest(tests: Test, name: string, body: Body, options: SiteOptions = {}): void {
	testOrSkip(tests, name, needOf(options), async () => {
		const site = await openSite(options);
		try {
			await body(site);
		} finally {
			await site.close();
		}
	});
}

function needOf({ tools = [], linux }: SiteOptions): Need {
	return { root: true, tun: true, tools: ["ip", "ping", ...tools], linux };
}

async function openSite(options: SiteOptions): Promise<Site> {
	const lan = await makeLan(options);
	return new Site(lan, await startVlane(lan.host, ...(options.daemon ?? [])));
}
