/** What really was on the wire: frames of an interface, with their VLAN tags in bytes. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onCleanup } from "./cleanup.js";
import type { Namespace } from "./netns.js";

export interface CaptureOptions {
	/** Also frames that this side of the link sends; only frames that arrive otherwise. */
	outgoing?: boolean;
}

export interface Capture {
	/** Ends the capture. Answers all frames that were on the wire before the call, in their order, without checksums. */
	stop(): Promise<Uint8Array[]>;
}

const TOOL = fileURLToPath(new URL("./capture-tool.js", import.meta.url));

function frames(records: Buffer, wantsOutgoing: boolean): Uint8Array[] {
	const found: Uint8Array[] = [];
	for (let at = 0; at < records.length; ) {
		const end = at + 5 + records.readUInt32LE(at);
		const isOutgoing = records[at + 4] === 1;
		if (wantsOutgoing || !isOutgoing) found.push(Uint8Array.from(records.subarray(at + 5, end)));
		at = end;
	}
	return found;
}

/** Starts to record an interface; resolves when no later frame can be missed. */
export async function capture(ns: Namespace, ifname: string, options: CaptureOptions = {}): Promise<Capture> {
	const child = spawn("ip", ["netns", "exec", ns.name, process.execPath, TOOL, ifname]);
	const forget = onCleanup(() => child.kill("SIGKILL"));
	const chunks: Buffer[] = [];
	child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
	let errors = "";
	const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
	await new Promise<void>((resolve, reject) => {
		child.stderr.setEncoding("utf8").on("data", (text: string) => {
			errors += text;
			if (errors.startsWith("ready")) resolve();
		});
		closed.then(() => reject(new Error(`capture of ${ifname} in ${ns.name} ended: ${errors}`)));
	});
	child.unref();
	return {
		async stop() {
			child.ref();
			child.stdin.end();
			const status = await closed;
			forget();
			if (status !== 0) throw new Error(`capture of ${ifname} in ${ns.name} ended with status ${status}: ${errors}`);
			return frames(Buffer.concat(chunks), options.outgoing ?? false);
		},
	};
}
