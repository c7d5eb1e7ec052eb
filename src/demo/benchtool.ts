/**
 * The ends of `vlane bench`, each a process in a namespace of its own:
 *
 *   benchtool.js sink                                    takes TCP and forgets it
 *   benchtool.js blast ADDRESS SECONDS                   sends TCP, prints Gbit/s
 *   benchtool.js flood IFNAME SOURCE TARGET SECONDS      sends 64-byte frames
 */
import { FrameGenerator } from "../raw/generator.js";
import { blast, sink } from "./tool.js";

const [role, ...words] = process.argv.slice(2);
if (role === "sink") sink();
else if (role === "blast") blast(words[0]!, Number(words[1]));
else new FrameGenerator(words[0]!, words[1]!, words[2]!).blast({ bytes: 64, seconds: Number(words[3]) });
