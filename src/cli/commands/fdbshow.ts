/** `vlane fdb show`. */
import type { ApiStation } from "../../control/types.js";
import { Client } from "../client.js";
import { type ListLayout, type ListRow, printList } from "../list.js";
import { printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

const LAYOUT: ListLayout = {
	headers: {
		Addresses: "IP ADDRESSES",
		MAC: "MAC ADDRESS",
		Name: "NAME",
		Network: "NETWORK",
		Parent: "PARENT",
		Port: "PORT",
		Type: "TYPE",
	},
	table: "{{.Network}}\t{{.Parent}}\t{{.MAC}}\t{{.Addresses}}\t{{.Port}}\t{{.Name}}\t{{.Type}}",
};

/** Prints which port each station is behind. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const network = flags.string("network");
	const path = network === undefined ? "/fdb" : `/fdb?network=${encodeURIComponent(network)}`;
	const stations = await new Client(host).get<ApiStation[]>(path);
	if (flags.bool("json")) printLine(JSON.stringify(stations, undefined, 4));
	else printList(LAYOUT, stations.map(rowOf), flags);
	return 0;
}

/** Fields without a value are `-`, so that columns can be told apart by programs as well. */
function rowOf({ network, parent, mac, addresses, port, name, type }: ApiStation): ListRow {
	return {
		Addresses: addresses.join(",") || "-",
		MAC: mac,
		Name: name || "-",
		Network: network || "-",
		Parent: parent || "-",
		Port: port === 0 ? "-" : String(port),
		Type: type,
	};
}
