/**
 * `vlane-cni`: one call of a container runtime (CNI 1.1.0). It asks the daemon, and runs the address management plugin
 * that the configuration names. It starts for every call, so it loads nothing but Node itself.
 */
import { existsSync } from "node:fs";
import { Client, Unreachable } from "./client.js";
import type { Addressing, Delegate } from "./delegate.js";
import { CniError, CODE } from "./errors.js";
import {
	type Attachment,
	checkEnvironment,
	type Environment,
	invalid,
	type NetworkConfig,
	parseArgs,
	parseConfig,
	parseObject,
	readEnvironment,
	readInput,
	VERSIONS,
} from "./invocation.js";
import { attachedIn, type MadeInterface, resultOf } from "./result.js";

/** `ipam.type` of addresses that the daemon gives. */
const OWN_IPAM = "vlane";

/** What the daemon answers to `add`. */
interface Added extends MadeInterface {
	/** Addresses and routes that it has decided on itself. */
	addressing: Addressing;
}

/** One call. */
class Call {
	readonly client: Client;

	/** @param delegate undefined: addresses are the daemon's, or there are none */
	constructor(
		readonly config: NetworkConfig,
		readonly environment: Environment,
		readonly delegate: Delegate | undefined,
	) {
		this.client = new Client(config.host ?? environment.host);
	}

	async add(): Promise<object> {
		const { config, environment, delegate } = this;
		checkEnvironment(environment, ["containerId", "netns", "ifname"]);
		const { addressing: own, ...made } = await this.client.ask<Added>("add", {
			...this.#attachment(),
			netns: environment.netns,
			args: parseArgs(environment.args),
			config,
		});
		try {
			const addressing = delegate ? await this.#delegateAddresses(delegate) : own;
			return resultOf(config.cniVersion, made, { ...addressing, dns: config.dns ?? addressing.dns }, config.prevResult);
		} catch (error) {
			// The failure is what counts: what can not be taken back either, DEL and GC will.
			await this.del().catch(() => undefined);
			throw error;
		}
	}

	/** The plugin may need the interface to find addresses (dhcp), so it comes after the daemon. */
	async #delegateAddresses(delegate: Delegate): Promise<Addressing> {
		const addressing = await delegate.run("ADD");
		if (!addressing?.ips?.length) {
			throw new CniError(CODE.delegateFailed, `IPAM plugin ${delegate.type} returned missing IP config`);
		}
		const { ips, routes = [], dns } = addressing;
		await this.client.ask("configure", { ...this.#attachment(), ips, routes });
		return { ips, routes, dns };
	}

	/** Takes back what ADD has made. What is not there is fine, and one failure does not keep the rest. */
	async del(): Promise<void> {
		checkEnvironment(this.environment, ["containerId", "ifname"]);
		await this.#release(this.#attachment());
	}

	async #release(attachment: Attachment): Promise<void> {
		const { delegate, environment } = this;
		const isOwn = attachment.containerId === environment.containerId && attachment.ifname === environment.ifname;
		const netns = (isOwn && environment.netns) || "";
		const variables = { CNI_CONTAINERID: attachment.containerId, CNI_IFNAME: attachment.ifname, CNI_NETNS: netns };
		const problem = await delegate?.run("DEL", variables).then(
			() => undefined,
			(error: unknown) => error,
		);
		try {
			await this.client.ask("del", { ...attachment, isLeased: problem !== undefined });
		} catch (error) {
			// The daemon releases endpoints of namespaces that are gone by itself when it comes back.
			if (!(error instanceof Unreachable) || (netns !== "" && existsSync(netns))) throw error;
		}
		if (problem) throw problem;
	}

	async check(): Promise<void> {
		const { config, environment } = this;
		checkEnvironment(environment, ["containerId", "netns", "ifname"]);
		if (!config.prevResult) throw new CniError(CODE.invalidConfig, "required prevResult missing");
		const attached = attachedIn(config.prevResult, environment.ifname ?? "");
		if (!attached) {
			throw new CniError(CODE.notAsAdded, `prevResult does not have the interface ${environment.ifname}`);
		}
		await this.client.ask("check", { ...this.#attachment(), netns: environment.netns, ...attached });
		await this.delegate?.run("CHECK");
	}

	async status(): Promise<void> {
		try {
			await this.client.ask("status", { config: this.config });
		} catch (error) {
			// Without its daemon nothing is forwarded.
			throw error instanceof Unreachable ? new CniError(CODE.limitedConnectivity, error.message) : error;
		}
		await this.delegate?.status();
	}

	/** Releases every attachment to the network that the runtime does not name. */
	async gc(): Promise<void> {
		const { config, delegate } = this;
		const valid = config["cni.dev/valid-attachments"];
		if (!Array.isArray(valid)) throw new CniError(CODE.invalidConfig, 'required "cni.dev/valid-attachments" missing');
		const isValid = ({ containerId, ifname }: Attachment) =>
			valid.some((entry) => entry?.containerID === containerId && entry?.ifname === ifname);
		const known = await this.client.ask<Attachment[]>("list", { network: config.name });
		const problems: unknown[] = [];
		for (const attachment of known.filter((candidate) => !isValid(candidate))) {
			await this.#release(attachment).catch((error: unknown) => problems.push(error));
		}
		// It may know of addresses whose attachment was lost; most plugins have no such command.
		await delegate?.run("GC").catch(() => undefined);
		if (problems.length > 0) throw problems[0];
	}

	#attachment(): Attachment {
		const { containerId = "", ifname = "" } = this.environment;
		return { network: this.config.name, containerId, ifname };
	}
}

function version(text: string): object {
	const { cniVersion = VERSIONS.at(-1) } = text.trim() === "" ? {} : parseObject(text);
	return { cniVersion, supportedVersions: VERSIONS };
}

/** Loaded only where it is needed: running programs is a big part of Node. */
async function delegateOf(config: NetworkConfig, environment: Environment): Promise<Delegate | undefined> {
	const type = config.ipam?.type;
	if (!type || type === OWN_IPAM) return undefined;
	const { Delegate } = await import("./delegate.js");
	return new Delegate(type, config, environment);
}

async function answer(): Promise<object | undefined> {
	const environment = readEnvironment(process.env);
	const { command } = environment;
	if (!command) throw invalid("required env variables [CNI_COMMAND] missing");
	const commands = ["ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION"];
	if (!commands.includes(command)) throw invalid(`unknown CNI_COMMAND: ${command}; one of ${commands.join(", ")}`);
	const input = readInput();
	if (command === "VERSION") return version(input);
	const config = parseConfig(input, command);
	const call = new Call(config, environment, await delegateOf(config, environment));
	const answered = await call[command.toLowerCase() as "add" | "check" | "del" | "gc" | "status"]();
	return answered ?? undefined;
}

/** Runs the call that the environment describes; answers the exit status. */
export async function main(): Promise<number> {
	try {
		const result = await answer();
		if (result) process.stdout.write(`${JSON.stringify(result)}\n`);
		return 0;
	} catch (error) {
		const { code, message, details } = error instanceof CniError ? error : new CniError(CODE.internal, String(error));
		process.stdout.write(`${JSON.stringify({ cniVersion: VERSIONS.at(-1), code, msg: message, details })}\n`);
		return 1;
	}
}
