/**
 * The library behind the command line of examples/common/host.c, so that one suite can test both:
 * `nodehost-tool.js [-c IGNORED] [-s IGNORED] [-p IGNORED] [-u PARENT] -t NAME[:VID[:NETWORK]] ...`. Says "ready".
 */
import { parseArgs } from "node:util";
import { createSwitch, type Segment } from "../../src/lib/index.js";

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

const lan = await createSwitch();
const uplink = values.parent === undefined ? undefined : await lan.addPort({ type: "raw", ifname: values.parent });
const segments = new Map<number, Segment>();
for (const argument of values.tap ?? []) {
	const [ifname = "", vid = "0", network = "1"] = argument.split(":");
	const tags = Number(vid) && uplink ? [Number(vid)] : [];
	const segment = segments.get(Number(vid)) ?? (await lan.addSegment({ uplink, tags }));
	segments.set(Number(vid), segment);
	await lan.addPort({ type: "tap", ifname, segment, network: Number(network) });
}
process.on("SIGTERM", () => process.exit(0));
setInterval(() => {}, 1 << 30); // the switch's thread alone does not keep the process
console.log("ready");
