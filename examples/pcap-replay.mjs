// A replayer: how many frames of a trace the packet core tags and forwards in a second, through this library, in one
// thread, copies in and out included.
//   node examples/pcap-replay.mjs TRACE [SECONDS]
import { createSwitch, readCapture } from "vlane";

const FRAMES_AT_ONCE = 256;

const [path, seconds = "1"] = process.argv.slice(2);
if (path === undefined) {
	console.error("usage: node examples/pcap-replay.mjs TRACE [SECONDS]");
	process.exit(2);
}
try {
	const trace = Array.from(readCapture(path), ({ bytes }) => bytes);
	const batches = [];
	for (let at = 0; at < trace.length; at += FRAMES_AT_ONCE) batches.push(trace.slice(at, at + FRAMES_AT_ONCE));
	const core = await createSwitch({ offline: true });
	const uplink = await core.addPort({ type: "memory", name: "uplink" });
	const segment = await core.addSegment({ uplink, tags: [50] });
	const access = await core.addPort({ type: "memory", name: "access", segment });
	let rounds = 0;
	const start = performance.now();
	const elapsed = () => (performance.now() - start) / 1000;
	do {
		for (const batch of batches) await access.send(batch);
		rounds++;
	} while (elapsed() < Number(seconds));
	const rate = (trace.length * rounds) / elapsed();
	const { txFrames, txBytes } = uplink.stats();
	console.log(`${trace.length} frames x ${rounds} rounds, ${txFrames} forwarded, ${txBytes} bytes`);
	console.log(`${Math.round(rate)} frames/s, ${Math.round(1e9 / rate)} ns/frame`);
	await core.close();
} catch (error) {
	console.error(error.message);
	process.exitCode = 1;
}
