/**
 * Names in a container of `vlane run`: `--add-host`, `--dns`, `--dns-search` and `--dns-option`. Texts are docker's
 * (cli/opts).
 */
import { parseIp } from "../control/address/cidr.js";
import type { CreateContainerBody } from "../control/request/schema.js";
import { UsageError } from "./errors.js";
import type { Flags } from "./flags.js";

type Names = Pick<CreateContainerBody, "ExtraHosts" | "Dns" | "DnsSearch" | "DnsOptions">;

/** Only what was given. @throws UsageError */
export function namesOf(flags: Flags): Names {
	const lists: Names = {
		ExtraHosts: flags.list("add-host").map(checkHost),
		Dns: flags.list("dns").map(checkServer),
		DnsSearch: flags.list("dns-search").map(checkDomain),
		DnsOptions: flags.list("dns-option"),
	};
	return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
}

/** `host=ip` or `host:ip`, an IPv6 address perhaps in brackets; answers `host:ip`. */
function checkHost(text: string): string {
	const refuse = (problem: string) => new UsageError(`invalid argument "${text}" for "--add-host" flag: ${problem}`);
	const at = text.search(text.includes("=") ? "=" : ":");
	const name = text.slice(0, Math.max(at, 0));
	if (name === "" || name.includes(":")) throw refuse(`bad format for add-host: ${JSON.stringify(text)}`);
	const address = text.slice(at + 1).replace(/^\[(.+)\]$/, "$1");
	if (!parseIp(address)) throw refuse(`invalid IP address in add-host: ${JSON.stringify(address)}`);
	return `${name}:${address}`;
}

function checkServer(text: string): string {
	if (parseIp(text.trim())) return text.trim();
	throw new UsageError(`invalid argument "${text}" for "--dns" flag: IP address is not correctly formatted: ${text}`);
}

function checkDomain(text: string): string {
	const domain = text.trim();
	if (domain === "." || /^[a-zA-Z0-9_]([\w-]*\.?[a-zA-Z0-9_])*\.?$/.test(domain)) return domain;
	throw new UsageError(`invalid argument "${text}" for "--dns-search" flag: ${text} is not a valid domain`);
}
