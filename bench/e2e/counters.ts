/** Counters of a namespace, read without starting a process: what is measured should not be disturbed by measuring. */
import { readFileSync } from "node:fs";
import type { Namespace } from "../../test/support/netns.js";
import { inside } from "./process.js";
import type { Place } from "./wire.js";

/** Of the thread, as only this thread visits the namespace. */
const DIRECTORY = "/proc/thread-self/net";

/** Frames that an interface has received. */
export function framesReceived({ ns, ifname }: Place): number {
	const text = inside(ns, () => readFileSync(`${DIRECTORY}/dev`, "latin1"));
	const line = text.split("\n").find((row) => row.trim().startsWith(`${ifname}:`)) ?? "";
	return Number(line.split(":")[1]?.trim().split(/\s+/)[1] ?? Number.NaN);
}

/** Counters of the namespace's protocols by `Group.Name`: `Udp.InDatagrams`, `TcpExt.TCPSACKReorder`. */
export function protocolCounters(ns: Namespace): Map<string, number> {
	const text = inside(ns, () => ["snmp", "netstat"].map((file) => readFileSync(`${DIRECTORY}/${file}`, "latin1")));
	const lines = text.join("").split("\n");
	const counters = new Map<string, number>();
	for (let at = 0; at + 1 < lines.length; at += 2) {
		const [group, names = ""] = lines[at]!.split(": ");
		const values = lines[at + 1]!.split(": ")[1]?.split(" ") ?? [];
		for (const [index, name] of names.split(" ").entries()) counters.set(`${group}.${name}`, Number(values[index]));
	}
	return counters;
}
