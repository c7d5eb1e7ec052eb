/**
 * Kills the daemon at random instants while clients create, connect, disconnect and remove, and compares what is there
 * after each restart with what was acknowledged (test/model/controlplane.ts), with the kernel, and with itself.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { request } from "node:http";
import { checkState } from "../../src/control/records/stateexport.js";
import type { ApiContainer, ApiNetwork } from "../../src/control/types.js";
import { Rtnetlink } from "../../src/netlink/rtnetlink.js";
import { close } from "../../src/sys/libc.js";
import { inNetns, newNetns, openNetns } from "../../src/sys/netns.js";
import { ControlPlaneModel, type Seen } from "../model/controlplane.js";
import { onCleanup } from "./cleanup.js";
import type { Namespace } from "./netns.js";
import type { Vlane } from "./vlane.js";

const NAMESPACES = 8;
const NETWORKS = 6;
/** Others are somebody else's. */
const OWN_NETWORK = /^n\d$/;
const OWN_LINK = /^eth0\.1\d$/;
const CONTAINERS = 3;
const CLIENTS = 3;
/** A burst ends so many answers, and then so many milliseconds, after it has begun. */
const BURST_ANSWERS_MAX = 16;
const BURST_MS_MAX = 15;
/** Of all kills, so many hit a daemon that has not yet finished starting. */
const EARLY = 0.15;
const START_MS_MAX = 400;

/** Numbers that a seed decides (mulberry32). */
export function randomOf(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** What became of a request. */
export type Outcome = { answer: "yes"; body: unknown } | { answer: "no" } | { answer: "none" };

/** One request to a daemon; `none`: there was no answer, so nobody knows what became of it. */
export function ask(socketPath: string, method: string, path: string, body?: object): Promise<Outcome> {
	return new Promise((resolve) => {
		const none = () => resolve({ answer: "none" });
		const outgoing = request({ socketPath, method, path, agent: false }, (response) => {
			let text = "";
			response.on("error", none);
			response.on("close", () => response.complete || none());
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () => {
				if (!response.complete) return none();
				const isGood = (response.statusCode ?? 500) < 300;
				resolve(isGood ? { answer: "yes", body: text === "" ? undefined : JSON.parse(text) } : { answer: "no" });
			});
		});
		outgoing.on("error", none);
		outgoing.end(body && JSON.stringify(body));
	});
}

/** What `Kills` has seen. */
export interface KillCounts {
	kills: number;
	/** Requests that were acknowledged, refused, and left without an answer. */
	yes: number;
	no: number;
	none: number;
}

export class Kills {
	readonly counts: KillCounts = { kills: 0, yes: 0, no: 0, none: 0 };
	readonly #model = new ControlPlaneModel();
	readonly #namespaces = Array.from({ length: NAMESPACES }, () => newNetns());
	readonly #processes = new Map<string, ChildProcess>();
	readonly #busy = new Set<string>();
	#isDown = false;

	/** @param host the daemon's namespace, which has `eth0` */
	constructor(
		readonly vlane: Vlane,
		readonly host: Namespace,
		readonly random: () => number,
	) {}

	/** One burst of requests with a kill in it, a restart, and a comparison; returns what is wrong. */
	async round(): Promise<string[]> {
		this.#isDown = false;
		const clients = Array.from({ length: CLIENTS }, () => this.#client());
		const enough = this.#answers() + Math.floor(this.random() * BURST_ANSWERS_MAX);
		while (this.#answers() < enough) await new Promise((resolve) => setImmediate(resolve));
		await new Promise((resolve) => setTimeout(resolve, this.random() * BURST_MS_MAX));
		this.#isDown = true;
		await this.vlane.stopDaemon("SIGKILL");
		this.counts.kills++;
		await Promise.all(clients);
		if (this.random() < EARLY) {
			const started = this.vlane.startDaemon().catch(() => undefined);
			await new Promise((resolve) => setTimeout(resolve, this.random() * START_MS_MAX));
			await this.vlane.stopDaemon("SIGKILL");
			this.counts.kills++;
			await started;
		}
		await this.vlane.startDaemon();
		return this.#look();
	}

	/** Requests for so long, without a kill, and a comparison; returns what is wrong. */
	async churn(ms: number): Promise<string[]> {
		this.#isDown = false;
		const clients = Array.from({ length: CLIENTS }, () => this.#client());
		await new Promise((resolve) => setTimeout(resolve, ms));
		this.#isDown = true;
		await Promise.all(clients);
		return this.#look();
	}

	close(): void {
		for (const child of this.#processes.values()) child.kill("SIGKILL");
		for (const fd of this.#namespaces) close(fd);
	}

	#answers(): number {
		return this.counts.yes + this.counts.no;
	}

	async #client(): Promise<void> {
		while (!this.#isDown) {
			const step = this.#pick([
				() => this.#createNetwork(),
				() => this.#removeNetwork(),
				() => this.#connect(),
				() => this.#connect(),
				() => this.#connect(),
				() => this.#disconnect(),
				() => this.#disconnect(),
				() => this.#run(),
				() => this.#remove(),
			]);
			await step();
		}
	}

	#pick<T>(list: readonly T[]): T {
		return list[Math.floor(this.random() * list.length)] as T;
	}

	/** Keeps the other clients away from what a request is about: the model has one fact for each. */
	async #alone(keys: string[], body: () => Promise<void>): Promise<void> {
		if (keys.some((key) => this.#busy.has(key))) return new Promise((resolve) => setImmediate(resolve));
		for (const key of keys) this.#busy.add(key);
		try {
			await body();
		} finally {
			for (const key of keys) this.#busy.delete(key);
		}
	}

	async #ask(method: string, path: string, body?: object): Promise<Outcome> {
		const outcome = await ask(this.vlane.socket, method, path, body);
		this.counts[outcome.answer]++;
		return outcome;
	}

	#createNetwork(): Promise<void> {
		const index = Math.floor(this.random() * NETWORKS);
		const name = `n${index}`;
		return this.#alone([name], async () => {
			const Options = index % 3 === 0 ? {} : { parent: `eth0.${10 + index}` };
			const IPAM = { Config: [{ Subnet: `10.${index}.0.0/28` }] };
			const { answer } = await this.#ask("POST", "/networks/create", { Name: name, IPAM, Options });
			if (answer === "yes") this.#model.networks.set(name, true);
			if (answer === "none") this.#model.networks.doubt(name);
		});
	}

	#removeNetwork(): Promise<void> {
		const name = this.#pick(this.#model.networks.keys());
		if (name === undefined) return this.#createNetwork();
		return this.#alone([name], async () => {
			const { answer } = await this.#ask("DELETE", `/networks/${name}`);
			if (answer === "yes") this.#model.networks.delete(name);
			if (answer === "none") this.#model.networks.doubt(name);
		});
	}

	#targetOf(index: number): string {
		return `netns:/proc/${process.pid}/fd/${this.#namespaces[index]}`;
	}

	#connect(): Promise<void> {
		const network = this.#pick(this.#model.networks.keys());
		const Target = this.#targetOf(Math.floor(this.random() * NAMESPACES));
		if (network === undefined) return this.#createNetwork();
		const key = this.#model.key({ network, holder: Target });
		return this.#alone([key], async () => {
			const wish =
				this.random() < 0.3 ? { IPv4Address: `10.${network.slice(1)}.0.${1 + Math.floor(this.random() * 14)}` } : {};
			const outcome = await this.#ask("POST", `/networks/${network}/connect`, {
				Target,
				Name: Target.replace(/\W/g, "-"),
				...wish,
			});
			if (outcome.answer === "none") this.#model.endpoints.doubt(key);
			if (outcome.answer !== "yes") return;
			const { IPAddress, MacAddress } = outcome.body as ApiContainer["Networks"][string];
			this.#model.endpoints.set(key, { ip: IPAddress, mac: MacAddress });
		});
	}

	#disconnect(): Promise<void> {
		const key = this.#pick(this.#model.endpoints.keys().filter((known) => known.includes("netns:")));
		if (key === undefined) return this.#connect();
		const [network, Target] = key.split(" ");
		return this.#alone([key], async () => {
			const { answer } = await this.#ask("POST", `/networks/${network}/disconnect`, { Target });
			if (answer === "yes") this.#model.endpoints.delete(key);
			if (answer === "none") this.#model.endpoints.doubt(key);
		});
	}

	/** A container on two networks: both endpoints and its record are one change. */
	#run(): Promise<void> {
		const name = `c${Math.floor(this.random() * CONTAINERS)}`;
		const known = this.#model.networks.keys();
		const networks = [...new Set([this.#pick(known), this.#pick(known)])].filter((network) => network !== undefined);
		if (networks.length === 0 || this.#processes.has(name)) return this.#remove();
		const keys = networks.map((network) => this.#model.key({ network, holder: name }));
		return this.#alone([name, ...keys], async () => {
			const child = spawn("unshare", ["--net", "sh", "-c", "echo; exec sleep 3600"], {
				stdio: ["ignore", "pipe", "ignore"],
			});
			this.#processes.set(name, child);
			const forget = onCleanup(() => child.kill("SIGKILL"));
			child.on("exit", forget);
			await new Promise((resolve) => child.stdout?.once("data", resolve));
			const outcome = await this.#ask("POST", "/containers", {
				Name: name,
				Pid: child.pid,
				Command: ["sleep"],
				AutoRemove: true,
				Networks: networks.map((Network) => ({ Network })),
			});
			if (outcome.answer === "no") return this.#end(name);
			if (outcome.answer === "none") {
				this.#model.containers.doubt(name);
				for (const key of keys) this.#model.endpoints.doubt(key);
				return;
			}
			const { body } = (await ask(this.vlane.socket, "GET", `/containers/${name}`)) as { body?: ApiContainer };
			this.#model.containers.set(name, true);
			for (const [index, key] of keys.entries()) {
				const seen = body?.Networks[networks[index] ?? ""];
				if (seen) this.#model.endpoints.set(key, { ip: seen.IPAddress, mac: seen.MacAddress });
				else this.#model.endpoints.doubt(key);
			}
		});
	}

	#remove(): Promise<void> {
		const name = this.#pick(this.#model.containers.keys());
		if (name === undefined) return this.#connect();
		const keys = this.#model.endpoints.keys().filter((key) => key.endsWith(` ${name}`));
		return this.#alone([name, ...keys], async () => {
			const { answer } = await this.#ask("DELETE", `/containers/${name}?force=1`);
			if (answer === "no") return;
			// Its process is gone at any rate, and everything else goes with that.
			for (const [facts, key] of [
				[this.#model.containers, name] as const,
				...keys.map((endpoint) => [this.#model.endpoints, endpoint] as const),
			]) {
				if (answer === "yes") facts.delete(key);
				else facts.doubt(key);
			}
			if (answer === "yes") await this.#end(name);
		});
	}

	async #end(name: string): Promise<void> {
		const child = this.#processes.get(name);
		this.#processes.delete(name);
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		child.kill("SIGKILL");
		await new Promise((resolve) => child.once("exit", resolve));
	}

	/** Looks at everything there is. */
	async #look(): Promise<string[]> {
		const seen = await this.#see();
		const problems = this.#model.compare(seen);
		// What nobody has answered for has not become a container: its process waits for nothing.
		for (const name of [...this.#processes.keys()]) if (!seen.containers.includes(name)) await this.#end(name);
		problems.push(...(await checkState(this.vlane.stateDirectory)).map((text) => `check: ${text}`));
		problems.push(...this.#links(seen));
		const reconciled = await ask(this.vlane.socket, "POST", "/reconcile", {});
		const { Done = ["no answer"], Left = [] } =
			reconciled.answer === "yes" ? (reconciled.body as { Done: string[]; Left: string[] }) : {};
		return [...problems, ...[...Done, ...Left].map((text) => `not whole after the start: ${text}`)];
	}

	async #see(): Promise<Seen> {
		const networks = await ask(this.vlane.socket, "GET", "/networks");
		const containers = await ask(this.vlane.socket, "GET", "/containers");
		if (networks.answer !== "yes" || containers.answer !== "yes") throw new Error("the daemon does not answer");
		const listed = (networks.body as ApiNetwork[]).filter(({ Name }) => OWN_NETWORK.test(Name));
		const fds = new Map(
			this.#namespaces.map((_, index) => [this.#targetOf(index).replace(/\W/g, "-"), this.#targetOf(index)]),
		);
		return {
			networks: listed.map(({ Name }) => Name),
			containers: (containers.body as ApiContainer[]).map(({ Name }) => Name),
			endpoints: listed.flatMap((network) =>
				Object.values(network.Containers).map(({ Name, IPv4Address, MacAddress }) => ({
					network: network.Name,
					holder: fds.get(Name) ?? Name,
					ip: IPv4Address.split("/")[0] ?? "",
					mac: MacAddress,
				})),
			),
		};
	}

	/** TAPs that nobody knows of, and endpoints without a TAP of their own address. */
	#links({ networks, endpoints }: Seen): string[] {
		const problems: string[] = [];
		const expect = (where: string, fd: number, wanted: string[]) => {
			const found = inNetns(fd, tapsHere);
			for (const tap of found) if (!wanted.includes(tap)) problems.push(`leaked: ${tap} in ${where}`);
			for (const tap of wanted) if (!found.includes(tap)) problems.push(`missing: ${tap} in ${where}`);
		};
		for (const [index, fd] of this.#namespaces.entries()) {
			const own = endpoints.filter(({ holder }) => holder === this.#targetOf(index));
			expect(
				this.#targetOf(index),
				fd,
				own.map(({ ip, mac }) => `${mac} ${ip}`),
			);
		}
		for (const [name, { pid }] of this.#processes) {
			const own = endpoints.filter(({ holder }) => holder === name);
			const fd = openNetns(`/proc/${pid}/ns/net`);
			expect(
				name,
				fd,
				own.map(({ ip, mac }) => `${mac} ${ip}`),
			);
			close(fd);
		}
		const host = openNetns(this.host.path);
		const found = inNetns(host, tapNamesHere).filter((name) => OWN_LINK.test(name));
		close(host);
		const wanted = networks
			.map((name) => Number(name.slice(1)))
			.filter((index) => index % 3 !== 0)
			.map((index) => `eth0.${10 + index}`);
		for (const name of found) if (!wanted.includes(name)) problems.push(`leaked: ${name} in the host`);
		for (const name of wanted) if (!found.includes(name)) problems.push(`missing: ${name} in the host`);
		return problems;
	}
}

/** `MAC ADDRESS` of every TAP in the thread's namespace. */
function tapsHere(): string[] {
	const netlink = new Rtnetlink();
	try {
		return netlink
			.links()
			.filter(({ kind }) => kind === "tun")
			.map(({ index, mac }) => {
				const [address] = netlink.addresses(index).filter(({ family }) => family === 4);
				return `${mac} ${address?.address ?? "without address"}`;
			});
	} finally {
		netlink.close();
	}
}

function tapNamesHere(): string[] {
	const netlink = new Rtnetlink();
	try {
		return netlink
			.links()
			.filter(({ kind }) => kind === "tun")
			.map(({ name }) => name);
	} finally {
		netlink.close();
	}
}
