/** Sends frames as they are, whatever they are, through a raw socket. */
import { fileURLToPath } from "node:url";
import { VNET_BYTES } from "./device.js";
import type { Namespace } from "./netns.js";

const TOOL = fileURLToPath(new URL("./sender-tool.js", import.meta.url));
const NO_OFFLOAD = Buffer.alloc(VNET_BYTES);

/** A frame behind a virtio_net_hdr of the test's choice. */
export interface OffloadFrame {
	vnet: Uint8Array;
	bytes: Uint8Array;
}

/** Sends frames out of an interface, in their order; answers how many of them the kernel took. */
export function send(ns: Namespace, ifname: string, frames: (Uint8Array | OffloadFrame)[]): number {
	const lines = frames.map((frame) => {
		const { vnet, bytes } = frame instanceof Uint8Array ? { vnet: NO_OFFLOAD, bytes: frame } : frame;
		return Buffer.concat([vnet, bytes]).toString("hex");
	});
	return Number(ns.must([process.execPath, TOOL, ifname], { input: `${lines.join("\n")}\n` }));
}
