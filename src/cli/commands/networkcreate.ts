/** `vlane network create`. */
import type { CreateNetworkBody } from "../../control/request/schema.js";
import { Client } from "../client.js";
import type { Flags } from "../flags.js";
import { printError, printLine } from "../output.js";
import { matchSubnets } from "../subnets.js";
import type { Invocation } from "../table/spec.js";

/** Creates a network and prints its id. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const client = new Client(host);
	const answer = await client.post<{ Id: string; Warning: string }>(
		"/networks/create",
		requestOf(args[0] ?? "", flags),
	);
	if (answer.Warning) printError(`WARNING: ${answer.Warning}`);
	printLine(answer.Id);
	return 0;
}

function requestOf(name: string, flags: Flags): CreateNetworkBody {
	const config = matchSubnets({
		subnets: flags.list("subnet"),
		ranges: flags.list("ip-range"),
		gateways: flags.list("gateway"),
		auxAddresses: flags.record("aux-address"),
	});
	const [ipv4, ipv6] = [flags.bool("ipv4"), flags.bool("ipv6")];
	const [scope, configOnly, configFrom] = [
		flags.string("scope"),
		flags.bool("config-only"),
		flags.string("config-from"),
	];
	return {
		Name: name,
		Driver: flags.string("driver") ?? "macvlan",
		IPAM: { Driver: flags.string("ipam-driver") ?? "default", Options: flags.record("ipam-opt"), Config: config },
		Options: flags.record("opt"),
		Internal: flags.bool("internal") ?? false,
		Attachable: flags.bool("attachable") ?? false,
		...(ipv4 !== undefined && { EnableIPv4: ipv4 }),
		...(ipv6 !== undefined && { EnableIPv6: ipv6 }),
		Labels: flags.record("label"),
		...(scope && { Scope: scope }),
		...(configOnly && { ConfigOnly: true }),
		...(configFrom && { ConfigFrom: { Network: configFrom } }),
	};
}
