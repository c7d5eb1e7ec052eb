// A VLAN tagger: copies a capture file and gives each frame an 802.1Q tag.
//   node examples/vlan-tagger.mjs IN OUT VID
import { createSwitch } from "vlane";

const [input, output, vid] = process.argv.slice(2);
if (vid === undefined) {
	console.error("usage: node examples/vlan-tagger.mjs IN OUT VID");
	process.exit(2);
}
try {
	const tagger = await createSwitch({ offline: true });
	const uplink = await tagger.addPort({ type: "pcap", write: output });
	const segment = await tagger.addSegment({ uplink, tags: [Number(vid)] });
	const access = await tagger.addPort({ type: "pcap", read: input, segment });
	const frames = await tagger.run();
	console.log(`${frames} frames read, ${uplink.stats().txFrames} written with VLAN ${vid}`);
	for (const [reason, count] of Object.entries(access.stats().drops)) console.log(`${count} dropped: ${reason}`);
	await tagger.close();
} catch (error) {
	console.error(error.message);
	process.exitCode = 1;
}
