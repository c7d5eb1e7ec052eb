/** `vlane daemon --store etcd://h1:2379,h2:2379[?OPTION=VALUE&...]`: where the group's records are. */
import { readFileSync } from "node:fs";
import { VlaneError } from "../control/errors.js";
import type { EtcdOptions } from "../etcd/client.js";
import type { Endpoint } from "../etcd/transport.js";

export interface Location extends EtcdOptions {
	/** What every key of the group begins with; ends with a slash. */
	prefix: string;
	/** A host that has not been heard of for this long is away. */
	aliveSeconds: number;
}

const PORT_DEFAULT = 2379;
const PREFIX_DEFAULT = "/vlane/";
const ALIVE_SECONDS_DEFAULT = 10;
const ALIVE_SECONDS_MAX = 3600;
const OPTIONS = ["alive", "cacert", "cert", "key", "password-file", "prefix", "user"];

/**
 * Reads a location and the files that it names.
 * @throws VlaneError invalid
 */
export function parseLocation(text: string): Location {
	const [, members = "", query = ""] = /^etcd:\/\/([^/?]+)\/?(?:\?(.*))?$/.exec(text) ?? [];
	if (members === "") {
		throw new VlaneError("invalid", `--store ${text}: expected etcd://HOST:PORT,HOST:PORT[?OPTION=VALUE&...]`);
	}
	const options = new Map(new URLSearchParams(query));
	const unknown = [...options.keys()].find((key) => !OPTIONS.includes(key));
	if (unknown !== undefined) {
		throw new VlaneError(
			"invalid",
			`--store: unknown option ${JSON.stringify(unknown)}; there are ${OPTIONS.join(", ")}`,
		);
	}
	const files = ["cacert", "cert", "key"].map((key) => readOption(options, key));
	const [ca, cert, key] = files;
	if ((cert === undefined) !== (key === undefined)) {
		throw new VlaneError("invalid", "--store: cert and key belong together; give both or none");
	}
	const name = options.get("user");
	const password = readOption(options, "password-file")?.replace(/\r?\n$/, "");
	if ((name === undefined) !== (password === undefined)) {
		throw new VlaneError("invalid", "--store: user and password-file belong together; give both or none");
	}
	return {
		endpoints: members.split(",").map(parseEndpoint),
		tls: files.some((file) => file !== undefined) ? { ca, cert, key } : undefined,
		user: name === undefined || password === undefined ? undefined : { name, password },
		prefix: `${(options.get("prefix") ?? PREFIX_DEFAULT).replace(/\/+$/, "")}/`,
		aliveSeconds: parseAlive(options.get("alive")),
	};
}

function parseEndpoint(text: string): Endpoint {
	const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
	const host = bracketed ?? plain;
	const number = port === undefined ? PORT_DEFAULT : Number(port);
	if (host !== undefined && number > 0 && number < 65536) return { host, port: number };
	throw new VlaneError("invalid", `--store: ${JSON.stringify(text)} is not HOST:PORT`);
}

function parseAlive(text: string | undefined): number {
	if (text === undefined) return ALIVE_SECONDS_DEFAULT;
	const seconds = Number(text);
	if (/^\d+$/.test(text) && seconds >= 2 && seconds <= ALIVE_SECONDS_MAX) return seconds;
	throw new VlaneError("invalid", `--store: alive must be 2 to ${ALIVE_SECONDS_MAX} seconds, received: ${text}`);
}

function readOption(options: Map<string, string>, key: string): string | undefined {
	const path = options.get(key);
	if (path === undefined) return undefined;
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		const { code = "" } = error as NodeJS.ErrnoException;
		throw new VlaneError("invalid", `--store: cannot read ${key} ${path}: ${code}`);
	}
}

/** `24h`, `90m`, `30s`, `1h30m`: in seconds. @throws VlaneError invalid */
export function parseDuration(text: string, flag: string): number {
	const [, hours = 0, minutes = 0, seconds = 0] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text) ?? [];
	const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
	if (total > 0 && Number.isSafeInteger(total)) return total;
	throw new VlaneError("invalid", `${flag} must be a duration such as 24h, 90m or 30s, received: ${text}`);
}

/** `trunk=enp1s0` of `--parent-map`: the group's name, and this host's. @throws VlaneError invalid */
export function parseParentMap(entries: string[]): Map<string, string> {
	const map = new Map<string, string>();
	for (const entry of entries) {
		const [, shared, own] = /^([^\s/:=]+)=([^\s/:=]{1,15})$/.exec(entry) ?? [];
		if (shared === undefined || own === undefined) {
			throw new VlaneError("invalid", `--parent-map must be NAME=INTERFACE, received: ${entry}`);
		}
		if (map.has(shared) || [...map.values()].includes(own)) {
			throw new VlaneError("invalid", `--parent-map ${entry}: ${map.has(shared) ? shared : own} is mapped already`);
		}
		map.set(shared, own);
	}
	return map;
}
