/**
 * What a runtime hands to the plugin: environment variables and a network configuration on standard input (CNI 1.1.0,
 * section 2). Only what decides about the call itself is looked at here; the daemon checks the rest.
 */
import { readFileSync } from "node:fs";
import { CniError, CODE } from "./errors.js";

/** Versions of the specification that the plugin speaks, oldest first. */
export const VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type Version = (typeof VERSIONS)[number];

/** A network configuration, as far as the plugin itself reads it. */
export interface NetworkConfig {
	cniVersion: Version;
	name: string;
	ipam?: { type?: string };
	dns?: object;
	prevResult?: PreviousResult;
	/** `unix:///path` of the daemon's socket. */
	host?: string;
	[key: string]: unknown;
}

/** What the plugins before this one, or the ADD before this CHECK, have answered. */
export interface PreviousResult {
	interfaces?: { name?: string; mac?: string; sandbox?: string }[];
	ips?: { address?: string; gateway?: string; interface?: number }[];
	routes?: { dst?: string; gw?: string }[];
	[key: string]: unknown;
}

/** Environment variables of a call; what is not set is undefined. */
export interface Environment {
	command: string | undefined;
	containerId: string | undefined;
	netns: string | undefined;
	ifname: string | undefined;
	args: string | undefined;
	/** Directories of plugins. */
	path: string[];
	/** `VLANE_HOST`. */
	host: string | undefined;
}

/** One attachment: the key that the specification gives plugins with a memory. */
export interface Attachment {
	network: string;
	containerId: string;
	ifname: string;
}

/** First version that has the command. */
const SINCE: Record<string, Version> = { CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0" };

/** A network's name and a container's id, by the specification. */
const WORD = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const IFNAME = /^[^\s/:]{1,15}$/;

export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
	return {
		command: env.CNI_COMMAND,
		containerId: env.CNI_CONTAINERID || undefined,
		netns: env.CNI_NETNS || undefined,
		ifname: env.CNI_IFNAME || undefined,
		args: env.CNI_ARGS || undefined,
		path: (env.CNI_PATH ?? "").split(":").filter(Boolean),
		host: env.VLANE_HOST || undefined,
	};
}

/**
 * The text on standard input.
 * @throws CniError io
 */
export function readInput(): string {
	try {
		return readFileSync(0, "utf8");
	} catch (error) {
		throw new CniError(CODE.io, `cannot read the network configuration from standard input: ${codeOf(error)}`);
	}
}

/**
 * The parsed configuration of any command but VERSION.
 * @throws CniError decoding; incompatibleVersion: a version that we do not speak, or that has no such command;
 * invalidConfig: no name
 */
export function parseConfig(text: string, command: string): NetworkConfig {
	const config = parseObject(text);
	const { cniVersion = "0.1.0", name } = config;
	const version = VERSIONS.find((known) => known === cniVersion);
	if (version === undefined) {
		const speaks = `config is ${JSON.stringify(cniVersion)}, plugin supports ${JSON.stringify(VERSIONS)}`;
		throw new CniError(CODE.incompatibleVersion, `incompatible CNI versions; ${speaks}`);
	}
	const since = SINCE[command];
	if (since !== undefined && VERSIONS.indexOf(version) < VERSIONS.indexOf(since)) {
		throw new CniError(CODE.incompatibleVersion, `config version does not allow ${command}; it needs ${since}`);
	}
	if (typeof name !== "string" || !WORD.test(name)) {
		const problem = name === undefined ? "missing network name" : "invalid characters found in network name";
		throw new CniError(CODE.invalidConfig, `${problem}: ${JSON.stringify(name)}`);
	}
	const shaped = {
		...config,
		...{ ipam: config.ipam ?? undefined, dns: config.dns ?? undefined, prevResult: config.prevResult ?? undefined },
	};
	checkShapes(shaped);
	return { ...(shaped as Partial<NetworkConfig>), cniVersion: version, name };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

/** Fields that the plugin itself reads are what they should be, or absent. @throws CniError invalidConfig */
function checkShapes(config: Record<string, unknown>): void {
	const { host = "", dns = {}, ipam = {}, prevResult = {} } = config;
	const isList = (value: unknown) => Array.isArray(value) && value.every(isObject);
	const good: Record<string, boolean> = {
		host: typeof host === "string",
		dns: isObject(dns),
		ipam: isObject(ipam) && typeof (ipam.type ?? "") === "string",
		prevResult: isObject(prevResult) && ["interfaces", "ips", "routes"].every((key) => isList(prevResult[key] ?? [])),
	};
	for (const [field, isGood] of Object.entries(good)) {
		if (!isGood) throw new CniError(CODE.invalidConfig, `invalid ${field}: ${JSON.stringify(config[field])}`);
	}
}

/** @throws CniError decoding */
export function parseObject(text: string): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new CniError(CODE.decoding, `error unmarshall network config: ${(error as Error).message}`);
	}
	if (isObject(value)) return value;
	throw new CniError(CODE.decoding, "error unmarshall network config: it is not a JSON object");
}

/**
 * Checks the variables that a command needs.
 * @param names of those that must be set
 * @throws CniError invalidEnvironment, which names the variables
 */
export function checkEnvironment(environment: Environment, names: ("containerId" | "netns" | "ifname")[]): void {
	const variables = { containerId: "CNI_CONTAINERID", netns: "CNI_NETNS", ifname: "CNI_IFNAME" };
	const missing = names.filter((name) => environment[name] === undefined).map((name) => variables[name]);
	if (missing.length > 0) throw invalid(`required env variables [${missing.join(",")}] missing`);
	const { containerId, netns, ifname } = environment;
	if (containerId !== undefined && !WORD.test(containerId)) {
		throw invalid(`CNI_CONTAINERID: invalid characters in container ID ${JSON.stringify(containerId)}`);
	}
	if (netns !== undefined && !netns.startsWith("/")) {
		throw invalid(`CNI_NETNS: ${JSON.stringify(netns)} is not an absolute path`);
	}
	if (ifname !== undefined && (!IFNAME.test(ifname) || ifname === "." || ifname === "..")) {
		throw invalid(`CNI_IFNAME: ${JSON.stringify(ifname)} is not an interface name`);
	}
}

/** Error for a variable, which the message must name. */
export function invalid(message: string): CniError {
	return new CniError(CODE.invalidEnvironment, message);
}

/**
 * Reads `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`. Unknown keys are errors unless one of them is `IgnoreUnknown=1`.
 * @throws CniError invalidEnvironment
 */
export function parseArgs(text: string | undefined): { mac?: string; ip?: string } {
	if (text === undefined) return {};
	const pairs = text.split(";").map((pair): [string, string] => {
		const end = pair.indexOf("=");
		if (end <= 0) throw invalid(`CNI_ARGS: invalid pair ${JSON.stringify(pair)}; it should be KEY=VALUE`);
		return [pair.slice(0, end), pair.slice(end + 1)];
	});
	const args = new Map(pairs);
	const unknown = [...args.keys()].filter((key) => !["IgnoreUnknown", "MAC", "IP", "GATEWAY"].includes(key));
	if (unknown.length > 0 && !/^(1|true)$/i.test(args.get("IgnoreUnknown") ?? "")) {
		throw invalid(`CNI_ARGS: unknown args ${JSON.stringify(unknown)}; add IgnoreUnknown=1 to have them ignored`);
	}
	return { mac: args.get("MAC"), ip: args.get("IP") };
}

/** `ENOENT` of a failed system call. */
export function codeOf(error: unknown): string {
	return (error as NodeJS.ErrnoException).code ?? String(error);
}
