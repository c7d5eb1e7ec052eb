/** `vlane ps --all-hosts`. */
import type { ApiGroupEndpoint } from "../../control/types.js";
import { Client } from "../client.js";
import { applyFilters, type ListLayout, printList, shortId } from "../list.js";
import type { Invocation } from "../table/spec.js";

const LAYOUT: ListLayout = {
	headers: {
		Host: "HOST",
		ID: "ENDPOINT ID",
		IPAddress: "IP ADDRESS",
		MacAddress: "MAC ADDRESS",
		Names: "NAMES",
		Networks: "NETWORKS",
	},
	table: "{{.Host}}\t{{.ID}}\t{{.Networks}}\t{{.IPAddress}}\t{{.MacAddress}}\t{{.Names}}",
};

/** Lists what has an address on a network of the group, on every host. */
export async function runAllHosts({ flags, host }: Invocation): Promise<number> {
	const found = await new Client(host).get<ApiGroupEndpoint[]>("/hosts/endpoints");
	const endpoints = applyFilters(found, flags.list("filter"), {
		id: (endpoint, value) => endpoint.EndpointID.startsWith(value),
		name: (endpoint, value) => endpoint.Name.includes(value),
		network: (endpoint, value) => endpoint.Network === value,
		host: (endpoint, value) => endpoint.Host === value,
	});
	const rows = endpoints.map(({ Host, EndpointID, Name, Network, IPAddresses, MacAddress }) => ({
		Host,
		ID: shortId(EndpointID, flags.bool("no-trunc") ?? false),
		IPAddress: IPAddresses.join(","),
		MacAddress,
		Names: Name,
		Networks: Network,
	}));
	printList(LAYOUT, rows, flags);
	return 0;
}
