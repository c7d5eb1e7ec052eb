/** `-d DRIVER` and `-o KEY=VALUE` of a network: the keys that exist, and what is said about those that do not. */

import type { ForwardingMode, PortSecurity } from "../../host/types.js";
import { parseMac } from "../address/mac.js";
import { VlaneError } from "../errors.js";
import type { NetworkRecord } from "../types.js";
import type { VlanProtocol } from "./parent.js";

export type Driver = NetworkRecord["driver"];

/** A raw socket, or AF_XDP sockets for all frames that the host does not need to see. */
export type UplinkKind = "packet" | "xdp";

/** The meaning of a network's `-o` options. */
export interface DriverOptions {
	/** Unparsed, see `parseParent`; undefined: the network never leaves the host. */
	parent?: string;
	mode: ForwardingMode;
	/** Source mode: addresses that its endpoints receive from. */
	sources: string[];
	/** May join a parent that another network already uses. */
	shareParent: boolean;
	/** Which addresses its endpoints may send from. */
	security: PortSecurity;
	/** How the parent's frames reach the switch, and leave it. */
	uplink: UplinkKind;
	/** Undefined: the parent's. */
	mtuBytes?: number;
	/** Of a sub-interface's outer tag; undefined: 802.1Q. */
	vlanProtocol?: VlanProtocol;
	/** How many times an endpoint that appears announces its addresses; undefined: Docker's 3. */
	advertiseCount?: number;
	/** Time between announcements; undefined: Docker's 1000. */
	advertiseMs?: number;
}

/** Docker's names of the options; those that Docker does not have come last. */
export const OPTION = {
	parent: "parent",
	mode: "macvlan_mode",
	ipvlanMode: "ipvlan_mode",
	ipvlanFlag: "ipvlan_flag",
	mtu: "com.docker.network.driver.mtu",
	advertiseCount: "com.docker.network.advertise_addr_nmsgs",
	advertiseMs: "com.docker.network.advertise_addr_ms",
	shareParent: "share_parent",
	sources: "source_macs",
	security: "port_security",
	vlanProtocol: "vlan_protocol",
	uplink: "uplink",
} as const;

/** Options that the other driver does not have. */
const ONLY_OF: Record<string, Driver> = {
	[OPTION.mode]: "macvlan",
	[OPTION.shareParent]: "macvlan",
	[OPTION.sources]: "macvlan",
	[OPTION.uplink]: "macvlan",
	[OPTION.ipvlanMode]: "ipvlan",
	[OPTION.ipvlanFlag]: "ipvlan",
};

/** Smallest MTU that carries IPv4 (RFC 791) and the largest that a link can be given. */
const MTU_BYTES_MIN = 68;
const MTU_BYTES_MAX = 65535;

const MACVLAN_MODES: readonly ForwardingMode[] = ["bridge", "private", "vepa", "passthru", "source"];
const IPVLAN_FLAGS: Record<string, ForwardingMode> = {
	bridge: "ipvlan-bridge",
	private: "ipvlan-private",
	vepa: "ipvlan-vepa",
};
/** Modes of the kernel's ipvlan driver that route instead of switching. */
const IPVLAN_MODES_LATER = new Set(["l3", "l3s"]);

/**
 * Checks `-d`; absent means macvlan.
 * @throws VlaneError invalid
 */
export function parseDriver(driver: string | undefined): Driver {
	if (driver === undefined || driver === "" || driver === "macvlan") return "macvlan";
	if (driver === "ipvlan") return driver;
	throw new VlaneError("invalid", `network driver ${driver} is not known; use -d macvlan or -d ipvlan`);
}

/**
 * Checks and reads the `-o` options of a network.
 * @throws VlaneError invalid: unknown key (with the nearest known one) or malformed value
 */
export function parseDriverOptions(options: Record<string, string>, driver: Driver = "macvlan"): DriverOptions {
	const parsed: DriverOptions = {
		mode: driver === "ipvlan" ? "ipvlan-bridge" : "bridge",
		sources: [],
		shareParent: false,
		security: "none",
		uplink: "packet",
	};
	for (const [key, value] of Object.entries(options)) {
		const only = ONLY_OF[key];
		if (only !== undefined && only !== driver) {
			throw new VlaneError("invalid", `driver option ${JSON.stringify(key)} is for -d ${only}, not for -d ${driver}`);
		}
		switch (key) {
			case OPTION.parent:
				parsed.parent = value;
				break;
			case OPTION.mode:
				parsed.mode = parseMacvlanMode(value);
				break;
			case OPTION.ipvlanMode:
				checkIpvlanMode(value);
				break;
			case OPTION.ipvlanFlag:
				parsed.mode = parseIpvlanFlag(value);
				break;
			case OPTION.sources:
				parsed.sources = parseSources(value);
				break;
			case OPTION.shareParent:
				parsed.shareParent = parseBool(key, value);
				break;
			case OPTION.security:
				parsed.security = parseChoice(key, value, ["none", "mac", "mac,ip"]);
				break;
			case OPTION.mtu:
				parsed.mtuBytes = parseMtu(key, value);
				break;
			case OPTION.advertiseCount:
				parsed.advertiseCount = parseInteger(key, value, "an integer", 0, 3);
				break;
			case OPTION.advertiseMs:
				parsed.advertiseMs = parseInteger(key, value, "integer milliseconds", 100, 2000);
				break;
			case OPTION.uplink:
				parsed.uplink = parseChoice(key, value, ["packet", "xdp"]);
				break;
			case OPTION.vlanProtocol:
				parsed.vlanProtocol = parseVlanProtocol(key, value);
				break;
			default:
				throw new VlaneError("invalid", `unknown driver option ${JSON.stringify(key)}; ${suggestion(key, driver)}`);
		}
	}
	checkSources(parsed);
	return parsed;
}

function parseMacvlanMode(text: string): ForwardingMode {
	const mode = MACVLAN_MODES.find((known) => known === (text || "bridge"));
	if (mode !== undefined) return mode;
	throw new VlaneError(
		"invalid",
		`requested macvlan mode '${text}' is not valid, 'bridge' mode is the macvlan driver default`,
	);
}

function checkIpvlanMode(text: string): void {
	if (text === "" || text === "l2") return;
	if (IPVLAN_MODES_LATER.has(text)) {
		throw new VlaneError(
			"invalid",
			`ipvlan mode '${text}' is not in this version; use -o ${OPTION.ipvlanMode}=l2 or leave it out`,
		);
	}
	throw new VlaneError(
		"invalid",
		`requested ipvlan mode '${text}' is not valid, 'l2' mode is the ipvlan driver default`,
	);
}

function parseIpvlanFlag(text: string): ForwardingMode {
	const mode = Object.hasOwn(IPVLAN_FLAGS, text || "bridge") ? IPVLAN_FLAGS[text || "bridge"] : undefined;
	if (mode !== undefined) return mode;
	throw new VlaneError(
		"invalid",
		`requested ipvlan flag '${text}' is not valid, 'bridge' is the ipvlan driver default`,
	);
}

/** `aa:bb:cc:dd:ee:ff,...`, in any of Docker's spellings. */
function parseSources(value: string): string[] {
	return [...new Set(value.split(",").map((mac) => parseMac(mac.trim())))];
}

function checkSources({ mode, sources }: DriverOptions): void {
	if (mode === "source" && sources.length === 0) {
		const need = "macvlan mode 'source' needs the addresses to receive from";
		throw new VlaneError("invalid", `${need}; add -o ${OPTION.sources}=aa:bb:cc:dd:ee:ff,...`);
	}
	if (mode !== "source" && sources.length > 0) {
		const limit = `driver-opt "${OPTION.sources}" is for macvlan mode 'source' only`;
		throw new VlaneError("invalid", `${limit}; add -o ${OPTION.mode}=source or leave it out`);
	}
}

/** One of some words. @throws VlaneError that names them */
function parseChoice<T extends string>(
	key: string,
	value: string,
	choices: readonly T[],
	isSame = (choice: T) => choice === value,
): T {
	const chosen = choices.find(isSame);
	if (chosen !== undefined) return chosen;
	const known = `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
	throw new VlaneError(
		"invalid",
		`driver-opt ${JSON.stringify(key)} must be ${known}, received: ${JSON.stringify(value)}`,
	);
}

function parseVlanProtocol(key: string, value: string): VlanProtocol {
	const given = value.toLowerCase();
	return parseChoice(key, value, ["802.1Q", "802.1ad"], (known) => known.toLowerCase() === given);
}

/** The spellings of Go's strconv.ParseBool, which Docker's options are read with. */
export function parseBool(key: string, value: string): boolean {
	if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
	if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
	throw new VlaneError(
		"invalid",
		`driver-opt ${JSON.stringify(key)} is not a valid bool: ${JSON.stringify(value)}; use true or false`,
	);
}

/** Docker's texts. */
function parseInteger(key: string, value: string, kind: string, min: number, max: number): number {
	const problem = `value for option ${key} ${JSON.stringify(value)} must be`;
	if (!/^[+-]?\d{1,9}$/.test(value)) throw new VlaneError("invalid", `${problem} ${kind}`);
	const number = Number(value);
	if (number < min || number > max) throw new VlaneError("invalid", `${problem} in the range ${min} to ${max}`);
	return number;
}

function parseMtu(key: string, value: string): number {
	const mtuBytes = /^[1-9][0-9]{0,5}$/.test(value) ? Number(value) : Number.NaN;
	if (mtuBytes >= MTU_BYTES_MIN && mtuBytes <= MTU_BYTES_MAX) return mtuBytes;
	const range = `a whole number of bytes from ${MTU_BYTES_MIN} to ${MTU_BYTES_MAX}`;
	throw new VlaneError(
		"invalid",
		`driver-opt ${JSON.stringify(key)} must be ${range}, received: ${JSON.stringify(value)}`,
	);
}

/** What to say about an unknown key: the known one that was probably meant, else all of them. */
function suggestion(key: string, driver: Driver): string {
	const known = Object.values(OPTION).filter((name) => (ONLY_OF[name] ?? driver) === driver);
	const word = key.toLowerCase();
	const part = known.find((name) => word.length >= 3 && name.includes(word));
	const [nearest = "", edits = 0] = known
		.map((name): [string, number] => [name, editDistance(word, name)])
		.sort((a, b) => a[1] - b[1])[0] ?? ["", 0];
	const meant = part ?? (edits <= Math.max(2, nearest.length / 4) ? nearest : undefined);
	return meant === undefined ? `known options: ${known.join(", ")}` : `did you mean ${JSON.stringify(meant)}?`;
}

/** Levenshtein distance: the fewest single-character insertions, deletions and replacements that make `a` into `b`. */
function editDistance(a: string, b: string): number {
	let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (let row = 1; row <= a.length; row++) {
		const current = [row];
		for (let column = 1; column <= b.length; column++) {
			const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
			current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
		}
		previous = current;
	}
	return previous[b.length] ?? 0;
}
