/**
 * Addresses of one endpoint as `run` and `network connect` take them, checked before the daemon is asked.
 */
import { parseIp } from "../control/address/cidr.js";
import { parseMac } from "../control/address/mac.js";
import { CliError } from "./errors.js";

/** Addresses in the API's words; absent: the daemon chooses. */
export interface EndpointAddresses {
	IPv4Address?: string;
	IPv6Address?: string;
	MacAddress?: string;
}

/** @throws CliError (VlaneError for a MAC address) when an address is malformed; texts are docker's. */
export function checkAddresses(
	ipv4: string | undefined,
	ipv6: string | undefined,
	mac: string | undefined,
): EndpointAddresses {
	if (ipv4 !== undefined && parseIp(ipv4)?.family !== 4) throw new CliError(`invalid IPv4 address: ${ipv4}`);
	if (ipv6 !== undefined && parseIp(ipv6)?.family !== 6) throw new CliError(`invalid IPv6 address: ${ipv6}`);
	return {
		...(ipv4 !== undefined && { IPv4Address: ipv4 }),
		...(ipv6 !== undefined && { IPv6Address: ipv6 }),
		...(mac !== undefined && { MacAddress: parseMac(mac) }),
	};
}
