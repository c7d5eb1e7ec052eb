/**
 * The Node host behind the command line of examples/common/host.c, so that one suite can test both:
 * `nodehost-tool.js [-c IGNORED] [-s IGNORED] [-p IGNORED] [-u PARENT] -t NAME[:VID[:NETWORK]] ...`. Says "ready".
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startDatapath } from "../../src/host/datapath.js";
import { openPacketSocket } from "../../src/raw/packet.js";
import { openTap } from "../../src/tap/tap.js";
import { TPID_CTAG } from "./frames.js";

const text = { type: "string" } as const;
const { values } = parseArgs({
	options: {
		core: { ...text, short: "c" },
		slots: { ...text, short: "s" },
		ports: { ...text, short: "p" },
		parent: { ...text, short: "u" },
		tap: { ...text, short: "t", multiple: true },
	},
});

const datapath = await startDatapath();
let uplink: number | null = null;
if (values.parent !== undefined) {
	const { fd, mac, mtuBytes } = openPacketSocket({ link: values.parent, promiscuous: true });
	uplink = await datapath.addPort({ kind: "uplink", name: values.parent, fd, mac, mtuBytes });
}
const segments = new Map<number, number>();
for (const argument of values.tap ?? []) {
	const [name = "", vid = "0", network = "1"] = argument.split(":");
	const tags = Number(vid) && uplink !== null ? [{ tpid: TPID_CTAG, vid: Number(vid) }] : [];
	const segment = segments.get(Number(vid)) ?? (await datapath.addSegment({ uplink, tags }));
	segments.set(Number(vid), segment);
	const { fd } = openTap({ name, persist: false });
	const mac = readFileSync(`/sys/class/net/${name}/address`, "latin1").trim();
	const common = { name, fd, mac, mtuBytes: 1500, segment };
	await datapath.addPort({ kind: "endpoint", mode: "bridge", network: Number(network), ...common });
}
process.on("SIGTERM", () => process.exit(0));
setInterval(() => {}, 1 << 30); // the datapath's thread alone does not keep the process
console.log("ready");
