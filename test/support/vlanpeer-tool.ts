/**
 * Process of the VLAN peer: `vlanpeer-tool.js LINK IFNAME=TPID:VID[,TPID:VID]...` makes a TAP for each IFNAME and moves
 * frames between it and LINK, putting the tags on and taking them off (outermost first). `IFNAME=` without tags is for
 * untagged frames.
 *
 * This is what a kernel with 8021q would do, for kernels without it: `ip link add link LINK name IFNAME type vlan id
 * VID`.
 */
import { POLLIN, poll } from "../../src/sys/libc.js";
import { PacketSocket, type Received, TestTap } from "./device.js";
import { be16, isTpid, type Tag, tagBytes } from "./frames.js";

const NEEDS_CSUM = 1;
/** Frames per turn and device, so that one of them can not starve the others. */
const BURST_MAX = 64;

interface Station {
	tap: TestTap;
	tags: Tag[];
}

function parseStation(argument: string): Station {
	const [ifname = "", list = ""] = argument.split("=");
	const tags = list
		.split(",")
		.filter(Boolean)
		.map((text) => {
			const [tpid, vid] = text.split(":").map(Number);
			return { tpid: tpid!, vid: vid! };
		});
	return { tap: new TestTap(ifname), tags };
}

const [link = "", ...rest] = process.argv.slice(2);
const wire = new PacketSocket(link);
// More tags first: the longest match takes the frame.
const stations = rest.map(parseStation).sort((a, b) => b.tags.length - a.tags.length);

/** A copy of the virtio_net_hdr whose offsets count `delta` bytes more. */
function moved(vnet: Uint8Array, delta: number): Uint8Array {
	const copy = Uint8Array.from(vnet);
	const view = new DataView(copy.buffer);
	if (view.getUint8(0) & NEEDS_CSUM) view.setUint16(6, view.getUint16(6, true) + delta, true);
	if (view.getUint8(1) !== 0) view.setUint16(2, view.getUint16(2, true) + delta, true);
	return copy;
}

function wears({ bytes }: Received, tags: Tag[]): boolean {
	const isMatch = ({ tpid, vid }: Tag, index: number): boolean => {
		const at = 12 + 4 * index;
		return bytes.length >= at + 6 && be16(bytes, at) === tpid && (be16(bytes, at + 2) & 0xfff) === vid;
	};
	if (tags.length === 0) return bytes.length >= 14 && !isTpid(be16(bytes, 12));
	return tags.every(isMatch);
}

function fromWire(): void {
	for (let count = 0; count < BURST_MAX; count++) {
		const frame = wire.receive();
		if (!frame) return;
		if (frame.outgoing) continue;
		const station = stations.find(({ tags }) => wears(frame, tags));
		if (!station) continue;
		const taken = 4 * station.tags.length;
		const bytes = new Uint8Array(frame.bytes.length - taken);
		bytes.set(frame.bytes.subarray(0, 12));
		bytes.set(frame.bytes.subarray(12 + taken), 12);
		station.tap.send(moved(frame.vnet, frame.restored - taken), bytes);
	}
}

function toWire({ tap, tags }: Station): void {
	const tag = Uint8Array.from(tags.flatMap(tagBytes));
	for (let count = 0; count < BURST_MAX; count++) {
		const frame = tap.receive();
		if (!frame) return;
		const bytes = new Uint8Array(frame.bytes.length + tag.length);
		bytes.set(frame.bytes.subarray(0, 12));
		bytes.set(tag, 12);
		bytes.set(frame.bytes.subarray(12), 12 + tag.length);
		wire.send(moved(frame.vnet, tag.length), bytes);
	}
}

console.error("ready");
const pollfds = new Int32Array([wire.fd, ...stations.map(({ tap }) => tap.fd)].flatMap((fd) => [fd, POLLIN]));
const pollfdBytes = new Uint8Array(pollfds.buffer);
for (;;) {
	poll(pollfdBytes, -1);
	fromWire();
	for (const station of stations) toWire(station);
}
