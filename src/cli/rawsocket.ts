/**
 * The optional `raw-socket` package: IPv4 and IPv6 raw sockets, used for echo requests only (it can not carry Ethernet
 * frames). It is built with a compiler when it is installed, so it may be missing; then a socket of the C library
 * serves.
 */
import { CliError } from "./errors.js";

/** The part of raw-socket's Socket that is used here. */
export interface RawSocket {
	/** `sending` is called right before the message is handed to the kernel. */
	send(
		message: Buffer,
		offset: number,
		length: number,
		address: string,
		sending: () => void,
		done: (error: Error | null, bytes: number) => void,
	): void;
	on(event: "message", listener: (packet: Buffer, source: string) => void): void;
	on(event: "error", listener: (error: Error) => void): void;
	close(): void;
}

interface RawSocketModule {
	createSocket(options: { protocol: number; addressFamily: number }): RawSocket;
	AddressFamily: { IPv4: number; IPv6: number };
	Protocol: { ICMP: number; ICMPv6: number };
}

const PACKAGE = "raw-socket";

/** Loads what there is; a socket is then opened in the current network namespace. */
export async function loadRawSocket(): Promise<(family: 4 | 6) => RawSocket> {
	const open = await loadPackage();
	return (family) => {
		try {
			return open(family);
		} catch (error) {
			throw new CliError(`raw socket for IPv${family}: ${(error as Error).message}; needs CAP_NET_RAW: run as root`);
		}
	};
}

async function loadPackage(): Promise<(family: 4 | 6) => RawSocket> {
	let raw: RawSocketModule;
	try {
		raw = ((await import(PACKAGE)) as { default: RawSocketModule }).default;
	} catch {
		return (await import("./icmpsocket.js")).openIcmpSocket;
	}
	return (family) =>
		raw.createSocket({
			protocol: family === 4 ? raw.Protocol.ICMP : raw.Protocol.ICMPv6,
			addressFamily: family === 4 ? raw.AddressFamily.IPv4 : raw.AddressFamily.IPv6,
		});
}
