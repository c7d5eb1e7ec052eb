/** `vlane ports`. */
import type { ApiPort } from "../../control/types.js";
import { Client } from "../client.js";
import { type ListLayout, type ListRow, printList } from "../list.js";
import { printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

const LAYOUT: ListLayout = {
	headers: {
		Carrier: "CARRIER",
		Drops: "DROPS",
		Filtered: "FILTERED",
		Input: "INPUT",
		Kind: "KIND",
		MAC: "MAC ADDRESS",
		MTU: "MTU",
		Name: "NAME",
		Networks: "NETWORKS",
		Parent: "PARENT",
		Port: "PORT",
		RxBytes: "RX BYTES",
		RxFrames: "RX FRAMES",
		RxOffloads: "RX OFFLOADS",
		TxBytes: "TX BYTES",
		TxFrames: "TX FRAMES",
		Vlans: "VLANS",
		Worker: "WORKER",
	},
	table:
		"{{.Port}}\t{{.Name}}\t{{.Kind}}\t{{.RxFrames}}\t{{.RxBytes}}\t{{.TxFrames}}\t{{.TxBytes}}\t{{.Drops}}\t{{.Filtered}}",
};

/** Prints the counters of every port of the switch. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const ports = await new Client(host).get<ApiPort[]>("/ports");
	if (flags.bool("json")) printLine(JSON.stringify(ports, undefined, 4));
	else printList(LAYOUT, ports.map(rowOf), flags);
	return 0;
}

function rowOf(port: ApiPort): ListRow {
	return {
		Carrier: String(port.carrier),
		Drops: reasonsText(port.drops),
		Filtered: reasonsText(port.filtered),
		Input: port.input,
		Kind: port.kind,
		MAC: port.mac,
		MTU: String(port.mtuBytes),
		Name: port.name,
		Networks: port.networks.join(","),
		Parent: port.parent,
		Port: String(port.port),
		RxBytes: String(port.rxBytes),
		RxFrames: String(port.rxFrames),
		RxOffloads: String(port.rxOffloads),
		TxBytes: String(port.txBytes),
		TxFrames: String(port.txFrames),
		Vlans: port.vlans.join(","),
		Worker: String(port.worker),
	};
}

/** `runt=2,vlan=1`; `0` when there is none. */
function reasonsText(reasons: Record<string, number>): string {
	const found = Object.entries(reasons).map(([reason, count]) => `${reason}=${count}`);
	return found.length > 0 ? found.join(",") : "0";
}
