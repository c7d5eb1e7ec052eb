/** `vlane network connect`. */
import type { ConnectBody } from "../../control/request/schema.js";
import { Client, resource } from "../client.js";
import { checkAddresses } from "../endpointflags.js";
import type { Invocation } from "../table/spec.js";

/** Gives a container, or a namespace named by `netns:PATH` or `pid:N`, an interface on a network. Silent. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const [network = "", target = ""] = args;
	const [name, ifname] = [flags.string("name"), flags.string("interface")];
	const [aliases, driverOpts] = [flags.list("alias"), flags.record("driver-opt")];
	const gwPriority = flags.int("gw-priority");
	const body: ConnectBody = {
		Target: target,
		...(name !== undefined && { Name: name }),
		...(ifname !== undefined && { Interface: ifname }),
		...(aliases.length > 0 && { Aliases: aliases }),
		...(Object.keys(driverOpts).length > 0 && { DriverOpts: driverOpts }),
		...(gwPriority !== undefined && { GwPriority: gwPriority }),
		...checkAddresses(flags.string("ip"), flags.string("ip6"), flags.string("mac-address")),
	};
	await new Client(host).post(resource("networks", network, "/connect"), body);
	return 0;
}
