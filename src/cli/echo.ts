/** One ICMP echo request, for commands that only want to know whether somebody is there. */
import { echoRequest, readMessage } from "./icmp.js";
import { loadRawSocket } from "./rawsocket.js";

/**
 * Whether an IPv4 address answers within a time, from this network namespace.
 * @throws CliError without CAP_NET_RAW
 */
export async function answersEcho(address: string, waitMs: number): Promise<boolean> {
	const socket = (await loadRawSocket())(4);
	const identifier = process.pid & 0xffff;
	const message = echoRequest(4, identifier, 1);
	try {
		return await new Promise<boolean>((resolve) => {
			const timer = setTimeout(() => resolve(false), waitMs);
			const finish = (answers: boolean) => {
				clearTimeout(timer);
				resolve(answers);
			};
			socket.on("error", () => finish(false));
			socket.on("message", (packet, source) => {
				if (source === address && readMessage(4, packet, identifier)?.kind === "reply") finish(true);
			});
			const sent = (error: Error | null) => error && finish(false);
			socket.send(message, 0, message.length, address, () => undefined, sent);
		});
	} finally {
		socket.close();
	}
}
