/**
 * The demo's stage, in private namespaces that end with it:
 *
 *   host                                     router
 *   vlane daemon, eth0 (a trunk) ============ lan0            untagged gateway addresses
 *                                              +- lan0.50     one interface for each VLAN of the LAN
 *                                              +- lan0.60
 *
 * The router's VLAN interfaces are made by a switch of our own, as the kernel may have no 802.1Q.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createSwitch, type Port, type Switch } from "../lib/index.js";
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { openPacketSocket } from "../raw/packet.js";
import { close } from "../sys/libc.js";
import { inNetns, newNetns } from "../sys/netns.js";
import { openTap } from "../tap/tap.js";

const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
const TOOL = new URL("./tool.js", import.meta.url);
/** Marks every process of a demo, so that none is left behind. */
const MARK = "VLANE_DEMO";
const DAEMON_READY_MS_MAX = 10_000;

export interface Outcome {
	status: number;
	stdout: string;
	stderr: string;
}

/** Namespaces, wire, router and daemon of one run. */
export class Stage {
	readonly #directory = mkdtempSync(join(tmpdir(), "vlane-demo-"));
	readonly #host = newNetns();
	readonly #router = newNetns();
	readonly #environment: NodeJS.ProcessEnv;
	#lan: Switch | undefined;
	#daemon: ChildProcess | undefined;
	#uplink: Port | undefined;

	constructor() {
		const tools = makeTools(join(this.#directory, "bin"));
		this.#environment = {
			...process.env,
			PATH: `${tools}${delimiter}${process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin"}`,
			VLANE_HOST: `unix://${join(this.#directory, "vlane.sock")}`,
			[MARK]: this.#directory,
		};
	}

	/** The wire and the router with its untagged addresses. `parentAddress` is the host's own address on eth0. */
	async build(parentAddress: string, gateways: string[]): Promise<void> {
		inNetns(this.#host, () => {
			const netlink = new Rtnetlink();
			netlink.addVeth("eth0", "lan0", { netnsFd: this.#router });
			skipDad("eth0");
			const eth0 = netlink.link("eth0")!;
			netlink.addAddress(eth0.index, parentAddress);
			netlink.setLink(eth0.index, { up: true });
			netlink.close();
		});
		this.#inRouter("lan0", gateways);
		this.#lan = await createSwitch();
		const lan0 = openPacketSocket({ link: "lan0", netnsFd: this.#router, promiscuous: true });
		this.#uplink = await this.#lan.addPort({ type: "fd", name: "lan0", ...lan0 });
	}

	/** A VLAN interface of the router. */
	async addVlan(vid: number, gateways: string[]): Promise<void> {
		const name = `lan0.${vid}`;
		const { fd } = openTap({ name, netnsFd: this.#router, persist: false });
		const mac = `02:00:5e:00:${(vid >> 8).toString(16).padStart(2, "0")}:${(vid & 255).toString(16).padStart(2, "0")}`;
		this.#inRouter(name, gateways, mac);
		const segment = await this.#lan!.addSegment({ uplink: this.#uplink, tags: [vid] });
		await this.#lan!.addPort({ type: "fd", name, fd, mac, segment, host: true });
	}

	#inRouter(name: string, addresses: string[], mac?: string): void {
		inNetns(this.#router, () => {
			const netlink = new Rtnetlink();
			const { index } = netlink.link(name)!;
			skipDad(name);
			netlink.setLink(index, { up: true, ...(mac ? { mac } : {}) });
			for (const address of addresses) netlink.addAddress(index, address, { noDad: true });
			netlink.close();
		});
	}

	/** Lets the router forward between its networks, or not. */
	route(isOn: boolean): void {
		inNetns(this.#router, () => writeFileSync("/proc/sys/net/ipv4/ip_forward", isOn ? "1" : "0"));
	}

	/** Starts `vlane daemon` on the host; resolves when it answers. */
	async startDaemon(): Promise<void> {
		const socket = join(this.#directory, "vlane.sock");
		const args = [VLANE, "daemon", "--state-dir", join(this.#directory, "state"), "--socket", socket];
		const daemon = inNetns(this.#host, () =>
			spawn(process.execPath, args, { env: this.#environment, stdio: ["ignore", "ignore", "pipe"] }),
		);
		this.#daemon = daemon;
		let log = "";
		await new Promise<void>((resolve, reject) => {
			const fail = () => reject(new Error(`the daemon did not start: ${log.trim().split("\n").at(-1) ?? ""}`));
			const timer = setTimeout(fail, DAEMON_READY_MS_MAX);
			daemon.on("exit", fail);
			daemon.stderr!.on("data", (chunk) => {
				log += chunk;
				if (!log.includes("ready on")) return;
				clearTimeout(timer);
				daemon.off("exit", fail);
				resolve();
			});
		});
	}

	/** Runs `vlane ARGS` on the host, as a user would. The datapath runs in other threads and processes meanwhile. */
	vlane(args: string[]): Outcome {
		return this.onHost([process.execPath, VLANE, ...args]);
	}

	/** Runs any command on the host. */
	onHost([command, ...args]: string[]): Outcome {
		const { status, stdout, stderr } = inNetns(this.#host, () =>
			spawnSync(command!, args, { env: this.#environment, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }),
		);
		return { status: status ?? 1, stdout, stderr };
	}

	/** Ends everything that was started; safe to call twice. */
	async close(): Promise<void> {
		await this.#lan?.close();
		this.#lan = undefined;
		if (this.#daemon && this.#daemon.exitCode === null) {
			const gone = new Promise((resolve) => this.#daemon!.once("exit", resolve));
			this.#daemon.kill("SIGTERM");
			await gone;
		}
		this.kill();
	}

	/** The same at once and without waiting, for a process that is about to end. */
	kill(): void {
		for (const pid of markedProcesses(this.#directory)) {
			try {
				process.kill(pid, "SIGKILL");
			} catch {
				// It ended by itself.
			}
		}
		rmSync(this.#directory, { recursive: true, force: true });
	}

	/** The namespaces vanish with their last descriptor. */
	[Symbol.dispose](): void {
		close(this.#host);
		close(this.#router);
	}
}

/** Makes the link's IPv6 addresses usable at once, so that they look the same at the beginning and at the end. */
function skipDad(name: string): void {
	const setting = `/proc/sys/net/ipv6/conf/${name}/accept_dad`;
	if (existsSync(setting)) writeFileSync(setting, "0");
}

/** Processes that were started, directly or not, with the mark in their environment. */
function markedProcesses(mark: string): number[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.map(Number)
		.filter((pid) => {
			if (pid === process.pid) return false;
			try {
				return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`${MARK}=${mark}`);
			} catch {
				return false;
			}
		});
}

/**
 * Directory with stand-ins for `ping` and `ip` where the system has none, and with `blast`, which measures throughput.
 * They run inside the containers, which share the host's file system.
 */
function makeTools(directory: string): string {
	mkdirSync(directory);
	const missing = ["ping", "ip"].filter((name) => spawnSync(name, ["-V"]).error !== undefined);
	for (const name of [...missing, "blast"]) {
		const file = join(directory, name);
		const program =
			name === "ping"
				? `process.argv.splice(2, 0, "ping"); import(${JSON.stringify(VLANE)});`
				: `import(${JSON.stringify(TOOL.href)}).then((tool) => tool.run(${JSON.stringify(name)}));`;
		writeFileSync(file, `#!${process.execPath}\n${program}\n`);
		chmodSync(file, 0o755);
	}
	return directory;
}
