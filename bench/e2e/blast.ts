/**
 * The generator of frames in a process inside the sender's namespace: `blast.js IFNAME SOURCE-MAC TARGET-MAC`. A
 * message, a Burst, is answered with what was sent.
 */
import { type Burst, FrameGenerator } from "../../src/raw/generator.js";

const [ifname = "", source = "", target = ""] = process.argv.slice(2);
const generator = new FrameGenerator(ifname, source, target);
process.on("message", (burst: Burst) => process.send!(generator.blast(burst)));
process.send!("ready");
