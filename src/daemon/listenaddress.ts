/** Where something is served on TCP: never beyond this host, unless the user says so. */
import { BlockList, isIP } from "node:net";
import { isAbsolute, resolve } from "node:path";
import { VlaneError } from "../control/errors.js";

/** An address to listen on. */
export interface ListenAddress {
	/** An IP address, without brackets. */
	host: string;
	/** 0: any that is free. */
	port: number;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/**
 * Reads `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`.
 * @param flag that it was given with, for messages
 * @param remoteFlag that allows addresses beyond the loopback, and whether it was given
 * @throws VlaneError invalid, forbidden
 */
export function parseListenAddress(
	text: string,
	flag: string,
	remoteFlag: [name: string, given: boolean],
): ListenAddress {
	const { name, bracketed, port } =
		/^(?:\[(?<bracketed>[^\]]+)\]|(?<name>[^:]+)):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
	const host = bracketed ?? (name === "localhost" ? "127.0.0.1" : name);
	if (host === undefined || isIP(host) !== (bracketed === undefined ? 4 : 6) || Number(port) > 65535) {
		throw new VlaneError("invalid", `invalid ${flag} ${JSON.stringify(text)}: expected 127.0.0.1:PORT or [::1]:PORT`);
	}
	if (!LOOPBACK.check(host, isIP(host) === 4 ? "ipv4" : "ipv6") && !remoteFlag[1]) {
		throw new VlaneError(
			"forbidden",
			`${flag} ${text} can be reached from other hosts, over plain HTTP; add ${remoteFlag[0]} to allow that`,
		);
	}
	return { host, port: Number(port) };
}

/** As a URL has it. */
export function addressText({ host, port }: ListenAddress): string {
	return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

const UNIX = "unix:";

/** Path of a socket, or an address. */
export type MetricsPlace = string | ListenAddress;

/**
 * Reads `unix:PATH` or `ADDRESS:PORT`.
 * @throws VlaneError invalid, forbidden
 */
export function parseMetricsPlace(text: string, remote: boolean): MetricsPlace {
	if (!text.startsWith(UNIX)) return parseListenAddress(text, "--metrics", ["--metrics-remote", remote]);
	const path = text.slice(UNIX.length).replace(/^\/\/(?=\/)/, "");
	if (isAbsolute(path)) return resolve(path);
	throw new VlaneError("invalid", `invalid --metrics ${JSON.stringify(text)}: expected unix:/PATH`);
}
