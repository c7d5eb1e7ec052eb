/** `vlane capture`. */
import { closeSync, openSync, writeSync } from "node:fs";
import { summarise, timeOfDay } from "../../capture/summary.js";
import { type FollowedPacket, Follower } from "../../pcap/follow.js";
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
	const wish = { of, filter: words.join(" "), snaplen: flags.int("snaplen") };
	const { data, stop } = await openCapture(host, { ...wish, count: flags.int("count"), seconds: flags.int("seconds") });
	const target = path === undefined ? undefined : openTarget(path, stop);
	printError(`listening on ${of}`);
	const follower = new Follower(target === undefined ? printPacket : () => undefined);
	try {
		for await (const chunk of data as AsyncIterable<Buffer>) {
			if (target !== undefined && !write(target, path ?? "", chunk)) return 0;
			follower.push(chunk);
		}
	} catch {
		throw new CliError("the daemon has ended, and the capture with it");
	} finally {
		if (target !== undefined && path !== "-") closeSync(target);
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

/** The file's descriptor. @throws CliError when it can not be made; the capture is ended then */
function openTarget(path: string, stop: () => void): number {
	try {
		return path === "-" ? process.stdout.fd : openSync(path, "w");
	} catch (error) {
		stop();
		throw new CliError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
	}
}

/** Waits for a slow reader of a pipe, as the daemon does not; false when the reader has gone. */
function write(target: number, path: string, chunk: Buffer): boolean {
	for (let done = 0; done < chunk.length; ) {
		try {
			done += writeSync(target, chunk, done);
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code === "EPIPE") return false;
			if (code !== "EAGAIN") throw new CliError(`cannot write ${path}: ${code}`);
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
		}
	}
	return true;
}
