/**
 * Process of `startReflector`: `reflector-tool.js LINK` sends every frame that arrives on LINK back as it is, as the
 * port of a switch with a reflective relay does (IEEE 802.1Q-2022 8.6.1, "hairpin").
 */
import { POLLIN, poll } from "../../src/sys/libc.js";
import { PacketSocket } from "./device.js";

const wire = new PacketSocket(process.argv[2] ?? "");
console.error("ready");
const pollfd = new Uint8Array(Int32Array.of(wire.fd, POLLIN).buffer);
for (;;) {
	poll(pollfd, -1);
	for (let frame = wire.receive(); frame; frame = wire.receive()) {
		// The offsets of an offloaded checksum do not know of a tag that was put back.
		if (!frame.outgoing && frame.restored === 0) wire.send(frame.vnet, frame.bytes);
	}
}
