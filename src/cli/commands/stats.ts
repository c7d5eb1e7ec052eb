/** `vlane stats`. */
import type { ApiPort, ApiStats } from "../../control/types.js";
import { Client } from "../client.js";
import { CliError } from "../errors.js";
import { print, printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";
import { alignTabs } from "../tabwriter.js";
import { Template } from "../template.js";

/** Prints counters of the whole switch, or all about some of its ports. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const format = flags.string("format") ?? "";
	const template = format === "" || format === "json" ? undefined : new Template(format);
	const stats = await new Client(host).get<ApiStats>("/stats");
	const shown = args.map((reference) => findPort(stats.ports, reference));
	const things: (ApiStats | ApiPort)[] = args.length === 0 ? [stats] : shown;
	if (flags.bool("json") || format === "json") {
		const value = args.length === 0 ? stats : shown;
		printLine(JSON.stringify(value, undefined, format === "json" ? 0 : 4));
	} else if (template) for (const thing of things) printLine(template.execute(thing));
	else if (args.length === 0) print(alignTabs(switchLines(stats)));
	else print(shown.map((port) => alignTabs(portLines(port))).join("\n"));
	return 0;
}

/** By name or number. */
function findPort(ports: ApiPort[], reference: string): ApiPort {
	const found = ports.find(({ name, port }) => name === reference || String(port) === reference);
	if (!found) throw new CliError(`No such port: ${reference}; see 'vlane ports'`);
	return found;
}

function switchLines({ uptimeSeconds, datapath, workers, buffers, batches, batchSizes, ports }: ApiStats): string {
	const frames = sum(ports.map(({ rxFrames }) => rxFrames));
	const sizes = batchSizes
		.filter(({ batches: count }) => count > 0)
		.map(({ min, max, batches: count }) => `${min === max ? min : `${min}-${max}`} ${count}`);
	const rows = [
		["Uptime", `${uptimeSeconds} s`],
		["Datapath", workers === 1 ? datapath : `${datapath}, ${workers} workers`],
		["Ports", String(ports.length)],
		["Received", `${frames} frames, ${sum(ports.map(({ rxBytes }) => rxBytes))} bytes`],
		["Sent", `${sum(ports.map(({ txFrames }) => txFrames))} frames, ${sum(ports.map(({ txBytes }) => txBytes))} bytes`],
		["Offloads", `${sum(ports.map(({ rxOffloads }) => rxOffloads))} frames received whole, to be sent in segments`],
		["Dropped", reasonsText(merge(ports.map(({ drops }) => drops)))],
		["Filtered", reasonsText(merge(ports.map(({ filtered }) => filtered)))],
		["Buffers", `${buffers.used} of ${buffers.total} in use`],
		["Batches", `${batches}, of ${batches === 0 ? "0.0" : (frames / batches).toFixed(1)} frames on average`],
		["Batch sizes", sizes.join(", ") || "none"],
	];
	return rows.map(([label, text]) => `${label}:\t${text}\n`).join("");
}

function portLines(port: ApiPort): string {
	const rows = [
		["Port", `${port.name} (${port.port}, ${port.kind})`],
		["Networks", port.networks.join(", ") || "none"],
		[
			"Parent",
			[
				port.parent || "none",
				...(port.vlans.length > 0 ? [`VLAN ${[...port.vlans].reverse().join(" in ")}`] : []),
			].join(", "),
		],
		["MAC address", port.mac],
		["MTU", `${port.mtuBytes}, ${port.carrier ? "with" : "without"} carrier`],
		["Received", `${port.rxFrames} frames, ${port.rxBytes} bytes`],
		["Sent", `${port.txFrames} frames, ${port.txBytes} bytes`],
		["Offloads", `${port.rxOffloads} frames received whole, to be sent in segments`],
		["Dropped", reasonsText(port.drops)],
		...(port.kind === "uplink" ? [["Filtered", reasonsText(port.filtered)]] : []),
	];
	return rows.map(([label, text]) => `${label}:\t${text}\n`).join("");
}

/** `3: runt 2, vlan 1`; `0` when there is none. */
function reasonsText(reasons: Record<string, number>): string {
	const found = Object.entries(reasons).map(([reason, count]) => `${reason} ${count}`);
	return found.length > 0 ? `${sum(Object.values(reasons))}: ${found.join(", ")}` : "0";
}

function merge(all: Record<string, number>[]): Record<string, number> {
	const merged: Record<string, number> = {};
	for (const reasons of all) {
		for (const [reason, count] of Object.entries(reasons)) merged[reason] = (merged[reason] ?? 0) + count;
	}
	return merged;
}

function sum(numbers: number[]): number {
	return numbers.reduce((total, number) => total + number, 0);
}
