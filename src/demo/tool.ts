/**
 * Small programs that the demo runs inside containers: `ip` for machines that have none, and `blast`, a TCP throughput
 * meter. (Where `ping` is missing, `vlane ping` stands in.) `vlane` itself needs none of them.
 */
import { connect, createServer } from "node:net";
import type { LinkAddress } from "../netlink/address.js";
import type { Link } from "../netlink/link.js";
import type { Route } from "../netlink/route.js";
import { Rtnetlink } from "../netlink/rtnetlink.js";

const PORT = 5201;
const CHUNK_BYTES = 1 << 18;

/** Runs a tool by its name with the arguments of this process. */
export function run(name: string): void {
	const args = process.argv.slice(2);
	if (name === "ip") ip(args);
	else if (args[0] === "sink") sink();
	else blast(args[0]!, Number(args[1]));
}

/**
 * `ip [-6] address [show [dev] NAME]` and `ip [-6] route`, the few words of them that the demo uses, in iproute2's
 * form.
 */
function ip(args: string[]): void {
	const isV6 = args[0] === "-6";
	const [object = "", ...words] = isV6 ? args.slice(1) : args;
	const netlink = new Rtnetlink();
	if ("route".startsWith(object)) {
		const names = new Map(netlink.links().map((link) => [link.index, link.name]));
		for (const route of netlink.routes(isV6 ? 6 : 4)) console.log(routeLine(route, names));
		return;
	}
	const wanted = words.at(-1);
	const links = netlink.links().filter(({ name }) => wanted === undefined || name === wanted);
	if (links.length === 0) {
		console.error(`Device "${wanted}" does not exist.`);
		process.exitCode = 1;
	}
	for (const link of links) {
		console.log(linkLines(link));
		if ("address".startsWith(object))
			for (const address of netlink.addresses(link.index)) console.log(addressLines(address, link));
	}
	netlink.close();
}

function linkLines(link: Link): string {
	const flags = [
		link.loopback ? "LOOPBACK" : "BROADCAST,MULTICAST",
		link.up ? "UP" : "",
		link.carrier ? "LOWER_UP" : "",
	];
	const shown = flags.filter((flag) => flag !== "").join(",");
	return (
		`${link.index}: ${link.name}: <${shown}> mtu ${link.mtuBytes} state ${link.operstate.toUpperCase()}\n` +
		`    link/${link.loopback ? "loopback" : "ether"} ${link.mac}`
	);
}

const IFA_F_NODAD = 0x02;
const SCOPES: Record<number, string> = { 0: "global", 253: "link", 254: "host" };

function addressLines({ family, cidr, broadcast, flags, scope }: LinkAddress, link: Link): string {
	const shown = broadcast ? ` brd ${broadcast}` : "";
	const label = family === 4 ? ` ${link.name}` : flags & IFA_F_NODAD ? " nodad" : "";
	return `    ${family === 4 ? "inet" : "inet6"} ${cidr}${shown} scope ${SCOPES[scope] ?? scope}${label}`;
}

function routeLine(route: Route, names: Map<number, string>): string {
	const words = [route.destination];
	if (route.gateway) words.push("via", route.gateway);
	words.push("dev", names.get(route.index) ?? String(route.index));
	if (!route.gateway && !route.destination.includes(":")) words.push("scope", "link");
	if (route.source) words.push("src", route.source);
	if (route.metric) words.push("metric", String(route.metric));
	return words.join(" ");
}

/** Receives and forgets. */
export function sink(): void {
	createServer((socket) => socket.resume().on("error", () => {})).listen(PORT, "0.0.0.0");
}

/** Sends as fast as the other side takes it for some seconds; prints Gbit/s. */
export function blast(address: string, seconds: number): void {
	const chunk = Buffer.alloc(CHUNK_BYTES);
	const socket = connect(PORT, address);
	socket.on("error", (error) => {
		console.error(`blast: ${error.message}`);
		process.exit(1);
	});
	socket.on("connect", () => {
		const startMs = performance.now();
		const isOver = () => performance.now() - startMs >= seconds * 1000;
		const send = () => {
			while (!isOver()) if (!socket.write(chunk)) return;
			const elapsedMs = performance.now() - startMs;
			const sentBytes = socket.bytesWritten - socket.writableLength;
			console.log(`${((sentBytes * 8) / elapsedMs / 1e6).toFixed(1)} Gbit/s`);
			socket.destroy();
		};
		socket.on("drain", send);
		send();
	});
}
