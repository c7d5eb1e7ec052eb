/** `vlane capture`. */
import { summarise, timeOfDay } from "../../capture/summary.js";
import { type FollowedPacket, Follower } from "../../pcap/follow.js";
import { writeCapture } from "../captureout.js";
import { openCapture } from "../capturestream.js";
import { CliError } from "../errors.js";
import { printError, printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Prints a line for each frame, or writes pcapng; tells on standard error how many there were. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const [of = "", ...words] = args;
	const path = flags.string("write");
	if (path === "-" && process.stdout.isTTY)
		throw new CliError(
			"a capture is not for a terminal; use -w FILE, or a pipe: vlane capture ... -w - | wireshark -k -i -",
		);
	const follower = new Follower(path === undefined ? printPacket : undefined);
	const limits = { count: flags.int("count"), seconds: flags.int("seconds") };
	const wish = { of, filter: words.join(" "), snaplen: flags.int("snaplen"), ...limits };
	if (path === undefined) {
		const { ended } = await openCapture(host, wish, () => (piece) => follower.push(piece));
		printError(`listening on ${of}`);
		await ended;
	} else {
		const { ended } = await writeCapture(host, wish, path, (piece) => follower.push(piece));
		printError(`listening on ${of}`);
		if ((await ended) === "reader gone") return 0;
	}
	const { received, lost, late, delivered } = follower.counts;
	printError(`${delivered} frames captured, ${received} looked at, ${lost + late} lost`);
	return 0;
}

function printPacket({ name, direction, comment, timeNs, bytes, originalBytes }: FollowedPacket): void {
	const way = direction === "in" ? "In " : "Out";
	const said = comment === undefined ? "" : ` [${comment}]`;
	printLine(`${timeOfDay(timeNs)} ${name} ${way} ${summarise(bytes, originalBytes)}${said}`);
}
