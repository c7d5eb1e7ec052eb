/** `vlane ports`. */
import type { PortStats } from "../../host/types.js";
import { Client } from "../client.js";
import { print, printLine } from "../output.js";
import type { Invocation } from "../table.js";
import { alignTabs } from "../tabwriter.js";

const HEADERS = ["PORT", "NAME", "KIND", "RX FRAMES", "RX BYTES", "TX FRAMES", "TX BYTES", "DROPS"];

/** Prints the counters of every port of the switch. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const ports = await new Client(host).get<PortStats[]>("/ports");
	if (flags.bool("json")) {
		printLine(JSON.stringify(ports, undefined, 4));
		return 0;
	}
	const rows = [HEADERS, ...ports.sort((left, right) => left.port - right.port).map(rowOf)];
	print(alignTabs(rows.map((cells) => `${cells.join("\t")}\n`).join("")));
	return 0;
}

function rowOf(port: PortStats): string[] {
	const drops = Object.entries(port.drops).map(([reason, count]) => `${reason}=${count}`);
	const counters = [port.rxFrames, port.rxBytes, port.txFrames, port.txBytes].map(String);
	return [String(port.port), port.name, port.kind, ...counters, drops.length > 0 ? drops.join(",") : "0"];
}
