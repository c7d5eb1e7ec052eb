/**
 * Hosts of a group that connect and disconnect endpoints at the same time, while daemons and members of etcd are
 * killed, frozen and cut off; and what must hold: no address is anybody's twice, in etcd, on the hosts or on the wire,
 * nothing that was acknowledged is lost, and nothing stays behind.
 */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { ApiContainer, ApiNetwork } from "../../src/control/types.js";
import { close } from "../../src/sys/libc.js";
import { newNetns } from "../../src/sys/netns.js";
import type { Group, GroupHost } from "./group.js";
import { ask } from "./kills.js";
import type { Started } from "./netns.js";

export const VLANS = [50, 51, 52];
const CLIENTS_EACH = 4;
/** Share of the changes that connect, while there is room. */
const CONNECTS = 0.6;
/** Most faults are short; some are longer than the hosts' patience with etcd. */
const FAULT_MS_MAX = 6000;
const PAUSE_MS_MAX = 800;
const SETTLE_MS_MAX = 60_000;

/** One endpoint: when it was acknowledged, and when its removal was asked for; times of `Date.now()`. */
interface Life {
	vid: number;
	ip: string;
	mac: string;
	host: string;
	fromMs: number;
	toMs: number;
}

/** A namespace and what is in it, as far as the clients know. */
interface Slot {
	readonly host: GroupHost;
	readonly name: string;
	readonly fd: number;
	/** `unknown`: a request was not answered. */
	state: "empty" | "connected" | "unknown";
	vid: number;
	life?: Life;
	isBusy: boolean;
}

export interface ChaosCounts {
	acknowledged: number;
	refused: number;
	unanswered: number;
	daemonKills: number;
	memberKills: number;
	freezes: number;
	cuts: number;
	/** ARP messages of endpoints that were seen on the wire. */
	heard: number;
}

export class Chaos {
	readonly counts: ChaosCounts = {
		...{ acknowledged: 0, refused: 0, unanswered: 0 },
		...{ daemonKills: 0, memberKills: 0, freezes: 0, cuts: 0, heard: 0 },
	};
	/** Milliseconds of each connect that was acknowledged. */
	readonly leaseMs: { calm: number[]; faults: number[] } = { calm: [], faults: [] };
	readonly #slots: Slot[];
	readonly #lives: Life[] = [];
	#sniffer: Started | undefined;
	#isOver = false;
	#hasFaults = false;

	/**
	 * @param random decides what is done; what is interrupted depends on time, too
	 * @param endpoints on each host
	 */
	constructor(
		readonly group: Group,
		readonly random: () => number,
		endpoints: number,
		readonly directory: string,
	) {
		this.#slots = group.hosts.flatMap((host) =>
			Array.from({ length: endpoints }, (_, index) => ({
				...{ host, name: `${host.name}-e${index}`, fd: newNetns() },
				...{ state: "empty" as const, vid: 0, isBusy: false },
			})),
		);
	}

	/** Makes the networks, one for each VLAN, and listens on the wire. */
	async start(): Promise<void> {
		const { trunk, hosts } = this.group;
		for (const vid of VLANS) {
			const subnet = ["--subnet", `10.${vid}.0.0/21`];
			this.group.host(0).must("network", "create", "-o", `parent=eth0.${vid}`, ...subnet, `vlan${vid}`);
			for (const host of hosts) await until(`${host.name} has vlan${vid}`, () => this.#has(host, vid));
		}
		const capture = `exec tcpdump -l -tt -e -n -i br0 vlan and arp > ${this.directory}/wire.txt`;
		this.#sniffer = trunk.ns.start(["sh", "-c", capture]);
		await this.#sniffer.waitFor(/listening on/);
	}

	async #has(host: GroupHost, vid: number): Promise<boolean> {
		return (await ask(host.vlane.socket, "GET", `/networks/vlan${vid}`)).answer === "yes";
	}

	/** Changes for some time, with or without faults. */
	async run(seconds: number, hasFaults: boolean): Promise<void> {
		this.#isOver = false;
		this.#hasFaults = hasFaults;
		const work = this.group.hosts.flatMap((host) => Array.from({ length: CLIENTS_EACH }, () => this.#client(host)));
		if (hasFaults) work.push(this.#faults());
		await delay(seconds * 1000);
		this.#isOver = true;
		await Promise.all(work);
		this.#hasFaults = false;
	}

	/** What is wrong after everything is whole again. */
	async check(): Promise<string[]> {
		const problems: string[] = [];
		await this.#settled(problems);
		await this.#resolve();
		const lives = this.#slots.flatMap(({ life }) => life ?? []);
		const seen = new Map<string, string>();
		for (const host of this.group.hosts) {
			for (const row of await this.#local(host)) {
				const owner = seen.get(row.address);
				if (owner) problems.push(`${row.address} is of ${owner} and of ${row.name}`);
				seen.set(row.address, row.name);
			}
		}
		for (const { name, life } of this.#slots) {
			if (life && seen.get(`${life.vid}/${life.ip}`) !== name)
				problems.push(`lost: ${name} with ${life.ip} on ${life.vid}`);
		}
		if (seen.size !== lives.length) problems.push(`${seen.size} endpoints on the hosts, ${lives.length} acknowledged`);
		const wanted = lives.map(({ vid, ip }) => `/vlane/address/eth0.${vid}/${ip}`).sort();
		await until("etcd has what the hosts have", async () => {
			return this.#addresses().join() === wanted.join();
		}).catch(() => {
			const has = new Set(this.#addresses());
			for (const key of wanted) if (!has.delete(key)) problems.push(`missing in etcd: ${key}`);
			for (const key of has) problems.push(`leaked in etcd: ${key}`);
		});
		return [...problems, ...this.#overlaps()];
	}

	/** Removes everything; answers what stays behind in etcd. */
	async clear(): Promise<string[]> {
		for (const slot of this.#slots) if (slot.state !== "empty") await this.#disconnect(slot);
		const rest = () =>
			["address", "mac", "endpoint"].flatMap((kind) => [...this.group.etcd.dump(`/vlane/${kind}/`).keys()]);
		await until("etcd is empty", async () => rest().length === 0).catch(() => undefined);
		return [...rest().map((key) => `left in etcd: ${key}`), ...(await this.#wire())];
	}

	async close(): Promise<void> {
		await this.#sniffer?.stop();
		for (const { fd } of this.#slots) close(fd);
	}

	async #client(host: GroupHost): Promise<void> {
		const own = this.#slots.filter((slot) => slot.host === host);
		while (!this.#isOver) {
			const isConnect = this.random() < CONNECTS;
			const free = own.filter(({ state, isBusy }) => !isBusy && state === (isConnect ? "empty" : "connected"));
			const slot = free[Math.floor(this.random() * free.length)];
			if (!slot) {
				await delay(5);
				continue;
			}
			slot.isBusy = true;
			const isDone = await (isConnect ? this.#connect(slot) : this.#disconnect(slot));
			slot.isBusy = false;
			// A daemon that is down refuses at once.
			if (!isDone) await delay(50);
		}
	}

	async #connect(slot: Slot): Promise<boolean> {
		slot.vid = VLANS[Math.floor(this.random() * VLANS.length)] ?? 0;
		const startMs = performance.now();
		const body = { Target: `netns:/proc/${process.pid}/fd/${slot.fd}`, Name: slot.name };
		const outcome = await ask(slot.host.vlane.socket, "POST", `/networks/vlan${slot.vid}/connect`, body);
		if (outcome.answer === "yes") {
			const { IPAddress, MacAddress } = outcome.body as ApiContainer["Networks"][string];
			this.leaseMs[this.#hasFaults ? "faults" : "calm"].push(performance.now() - startMs);
			this.#born(slot, IPAddress, MacAddress);
		} else slot.state = outcome.answer === "none" ? "unknown" : "empty";
		return this.#count(outcome.answer);
	}

	async #disconnect(slot: Slot): Promise<boolean> {
		const askedMs = Date.now();
		const body = { Target: `netns:/proc/${process.pid}/fd/${slot.fd}` };
		const outcome = await ask(slot.host.vlane.socket, "POST", `/networks/vlan${slot.vid}/disconnect`, body);
		if (outcome.answer !== "no" && slot.life) slot.life.toMs = askedMs;
		if (outcome.answer === "yes") Object.assign(slot, { state: "empty", life: undefined });
		if (outcome.answer === "none") slot.state = "unknown";
		return this.#count(outcome.answer);
	}

	#born(slot: Slot, ip: string, mac: string): void {
		const { host, vid } = slot;
		const life = { vid, ip, mac, host: host.name, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY };
		Object.assign(slot, { state: "connected", life });
		this.#lives.push(life);
	}

	#count(answer: "yes" | "no" | "none"): boolean {
		this.counts[({ yes: "acknowledged", no: "refused", none: "unanswered" } as const)[answer]]++;
		return answer === "yes";
	}

	/** One fault after the other: kills of daemons and members, members that freeze, wires of either that are cut. */
	async #faults(): Promise<void> {
		const { hosts, etcd } = this.group;
		while (!this.#isOver) {
			await delay(this.random() * PAUSE_MS_MAX);
			const host = this.#pick(hosts);
			const member = this.#pick(etcd.members);
			const lastsMs = this.random() ** 2 * FAULT_MS_MAX;
			const fault = this.random();
			if (fault < 0.35) {
				this.counts.daemonKills++;
				await host.stop("SIGKILL");
				await delay(lastsMs / 4);
				await host.start();
			} else if (fault < 0.6) {
				this.counts.memberKills++;
				await member.stop("SIGKILL");
				await delay(lastsMs);
				member.start();
				await member.ready();
			} else if (fault < 0.75) {
				this.counts.freezes++;
				member.freeze(true);
				await delay(lastsMs);
				member.freeze(false);
			} else {
				this.counts.cuts++;
				const port = fault < 0.88 ? member.port : host.management;
				port.cut();
				await delay(lastsMs);
				port.heal();
			}
		}
	}

	#pick<T>(list: readonly T[]): T {
		return list[Math.floor(this.random() * list.length)] as T;
	}

	/** Waits until every daemon answers and sees every host alive. */
	async #settled(problems: string[]): Promise<void> {
		for (const host of this.group.hosts) {
			await until(`${host.name} sees all hosts alive`, async () => {
				const { answer, body } = { body: undefined, ...(await ask(host.vlane.socket, "GET", "/hosts")) };
				const hosts = answer === "yes" ? (body as unknown as { Status: string }[]) : [];
				return hosts.filter(({ Status }) => Status === "alive").length === this.group.hosts.length;
			}).catch((error: Error) => problems.push(error.message));
		}
	}

	/** Finds out what became of requests that were not answered. */
	async #resolve(): Promise<void> {
		for (const host of this.group.hosts) {
			const rows = new Map((await this.#local(host)).map((row) => [row.name, row]));
			for (const slot of this.#slots.filter((each) => each.host === host && each.state === "unknown")) {
				const row = rows.get(slot.name);
				if (!row) Object.assign(slot, { state: "empty", life: undefined });
				else if (slot.life) {
					slot.life.toMs = Number.POSITIVE_INFINITY;
					slot.state = "connected";
				} else {
					slot.vid = row.vid;
					this.#born(slot, row.ip, row.mac);
				}
			}
		}
	}

	/** A host's own endpoints, from its own records. */
	async #local(host: GroupHost): Promise<{ name: string; vid: number; ip: string; mac: string; address: string }[]> {
		const rows = [];
		for (const vid of VLANS) {
			const outcome = await ask(host.vlane.socket, "GET", `/networks/vlan${vid}`);
			if (outcome.answer !== "yes") throw new Error(`${host.name} does not answer`);
			for (const each of Object.values((outcome.body as ApiNetwork).Containers)) {
				if ((each as { Host?: string }).Host !== undefined) continue;
				const ip = each.IPv4Address.split("/")[0] ?? "";
				rows.push({ name: each.Name, vid, ip, mac: each.MacAddress, address: `${vid}/${ip}` });
			}
		}
		return rows;
	}

	#addresses(): string[] {
		return [...this.group.etcd.dump("/vlane/address/").keys()].sort();
	}

	/** Lives of one address that were acknowledged at the same time. */
	#overlaps(): string[] {
		const sorted = this.#lives.toSorted((a, b) => a.vid - b.vid || compare(a.ip, b.ip) || a.fromMs - b.fromMs);
		return sorted.flatMap((life, index) => {
			const next = sorted[index + 1];
			if (!next || next.vid !== life.vid || next.ip !== life.ip || next.fromMs >= life.toMs) return [];
			return [`${life.ip} on VLAN ${life.vid} was given to ${life.host} and to ${next.host} at the same time`];
		});
	}

	/** Endpoints that said on the wire that they have an address while another one had it. */
	async #wire(): Promise<string[]> {
		await delay(500);
		const problems = new Set<string>();
		const lives = groupBy(this.#lives, ({ vid, ip }) => `${vid}/${ip}`);
		for (const line of readFileSync(`${this.directory}/wire.txt`, "utf8").split("\n")) {
			const [, seconds, mac, vid, ip] =
				/^([\d.]+) (\S+) > .* vlan (\d+),.* (?:tell|Reply) ([\d.]+)(?:,| is-at)/.exec(line) ?? [];
			if (mac === undefined || ip === undefined || ip === "0.0.0.0") continue;
			this.counts.heard++;
			const heardMs = Number(seconds) * 1000;
			for (const life of lives.get(`${vid}/${ip}`) ?? []) {
				if (life.mac === mac || heardMs <= life.fromMs || heardMs >= life.toMs) continue;
				problems.add(`${mac} has said on VLAN ${vid} that it has ${ip}, which was ${life.host}'s ${life.mac}`);
			}
		}
		return [...problems];
	}
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}

function groupBy<T>(rows: T[], keyOf: (row: T) => string): Map<string, T[]> {
	const groups = new Map<string, T[]>();
	for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
	return groups;
}

/** @throws Error when it does not become true in time */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
	const lateMs = Date.now() + SETTLE_MS_MAX;
	while (!(await isSo())) {
		if (Date.now() > lateMs) throw new Error(`not so after ${SETTLE_MS_MAX / 1000} s: ${what}`);
		await delay(100);
	}
}
