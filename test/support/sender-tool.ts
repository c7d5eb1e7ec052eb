/**
 * Process of `send`: `sender-tool.js IFNAME` sends the frames on stdin, one a line in hexadecimal digits, each behind
 * its virtio_net_hdr. Prints how many of them the kernel took.
 */
import { readFileSync } from "node:fs";
import { PacketSocket, VNET_BYTES } from "./device.js";

const socket = new PacketSocket(process.argv[2] ?? "");
let taken = 0;
for (const line of readFileSync(0, "latin1").split("\n").filter(Boolean)) {
	const bytes = Buffer.from(line, "hex");
	if (socket.send(bytes.subarray(0, VNET_BYTES), bytes.subarray(VNET_BYTES))) taken += 1;
}
console.log(taken);
