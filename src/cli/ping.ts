/**
 * `vlane ping`: echo requests from the current network namespace or a container's, reported as iputils' ping does.
 */
import { isIP } from "node:net";
import { Client } from "./client.js";
import { CliError, EXIT_FAILED, EXIT_USAGE, UsageError } from "./errors.js";
import type { Flags } from "./flags.js";
import { DATA_BYTES, echoRequest, HEADER_BYTES, readMessage } from "./icmp.js";
import { printError, printLine } from "./output.js";
import { loadRawSocket, type RawSocket } from "./rawsocket.js";
import type { Invocation } from "./table/spec.js";

const INTERVAL_MS = 1000;
/** How long to wait for replies when none has come yet; iputils' MAXWAIT. */
const LINGER_MS = 10_000;
const IPV4_HEADER_BYTES = 20;

/** Pings HOST; the exit code is 1 when nothing came back. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const [target = ""] = args;
	const settings = {
		count: countOf(flags),
		intervalMs: milliseconds(flags, "interval", "-i") ?? INTERVAL_MS,
		timeoutMs: milliseconds(flags, "timeout", "-W"),
	};
	const openSocket = await loadRawSocket();
	const { address, family } = await resolve(target);
	const container = flags.string("in");
	if (container !== undefined) {
		const { runningPid } = await import("./commands/exec.js");
		const { enterNetwork } = await import("./container.js");
		enterNetwork(await runningPid(new Client(host), container));
	}
	const total = DATA_BYTES + HEADER_BYTES + IPV4_HEADER_BYTES;
	const size =
		family === 4 ? ` (${address}) ${DATA_BYTES}(${total}) bytes of data.` : `(${address}) ${DATA_BYTES} data bytes`;
	const ping = new Ping(target, address, family, openSocket(family), settings);
	printLine(`PING ${target}${size}`);
	const received = await ping.finished;
	return received > 0 ? 0 : EXIT_FAILED;
}

function countOf(flags: Flags): number {
	const count = flags.int("count");
	if (count !== undefined && count < 1) {
		throw new UsageError(`invalid argument "${count}" for "-c, --count" flag: must be at least 1`);
	}
	return count ?? Number.POSITIVE_INFINITY;
}

function milliseconds(flags: Flags, name: string, short: string): number | undefined {
	const text = flags.string(name);
	if (text === undefined) return undefined;
	if (!/^\d+(\.\d+)?$/.test(text) || Number(text) <= 0) {
		throw new UsageError(`invalid argument "${text}" for "${short}, --${name}" flag: expected seconds, more than 0`);
	}
	return Number(text) * 1000;
}

async function resolve(target: string): Promise<{ address: string; family: 4 | 6 }> {
	const literal = isIP(target);
	if (literal !== 0) return { address: target, family: literal as 4 | 6 };
	const { lookup } = await import("node:dns/promises");
	try {
		const { address, family } = await lookup(target);
		return { address, family: family as 4 | 6 };
	} catch {
		throw new CliError(`ping: ${target}: Name or service not known`, EXIT_USAGE);
	}
}

interface Settings {
	/** Requests to send; Infinity: until interrupted. */
	count: number;
	intervalMs: number;
	/** Undefined: iputils' rule, twice the longest round trip, or 10 s when nothing has come back. */
	timeoutMs: number | undefined;
}

/** One run: sends on a clock, prints what comes back, and counts. */
class Ping {
	/** Number of requests that were answered, once everything is over and the summary printed. */
	readonly finished: Promise<number>;
	readonly #identifier = process.pid & 0xffff;
	readonly #startMs = performance.now();
	/** Time each request was sent, in ms, by sequence number; deleted when it is answered. */
	readonly #pending = new Map<number, number>();
	readonly #roundTripsMs: number[] = [];
	#sent = 0;
	#errors = 0;
	#timer: NodeJS.Timeout | undefined;
	#finish: (received: number) => void = () => {};

	constructor(
		readonly target: string,
		readonly address: string,
		readonly family: 4 | 6,
		readonly socket: RawSocket,
		readonly settings: Settings,
	) {
		this.finished = new Promise((resolve) => {
			this.#finish = resolve;
		});
		socket.on("message", (packet, source) => this.#receive(packet, source));
		socket.on("error", (error) => printError(`ping: recvmsg: ${error.message}`));
		process.once("SIGINT", () => this.#end());
		this.#send();
	}

	#send(): void {
		const sequence = ++this.#sent;
		const message = echoRequest(this.family, this.#identifier, sequence);
		// It is pending from here on, and timed from when it is really sent: raw-socket waits until the socket is writable,
		// and the answer to the one before must not look like the last one meanwhile.
		const sending = () => this.#pending.set(sequence & 0xffff, performance.now());
		sending();
		this.socket.send(message, 0, message.length, this.address, sending, (error) => {
			if (error === null) return;
			printError(`ping: sendmsg: ${error.message}`);
			this.#fail(sequence & 0xffff);
		});
		if (sequence < this.settings.count) this.#timer = setTimeout(() => this.#send(), this.settings.intervalMs);
		else this.#timer = setTimeout(() => this.#end(), this.#lingerMs());
	}

	#lingerMs(): number {
		if (this.settings.timeoutMs !== undefined) return this.settings.timeoutMs;
		return this.#roundTripsMs.length > 0 ? Math.max(2 * Math.max(...this.#roundTripsMs), INTERVAL_MS) : LINGER_MS;
	}

	#receive(packet: Buffer, source: string): void {
		const message = readMessage(this.family, packet, this.#identifier);
		if (message === undefined) return;
		if (message.kind === "error") {
			printLine(`From ${source} icmp_seq=${message.sequence} ${message.text}`);
			this.#fail(message.sequence);
			return;
		}
		if (source !== this.address) return;
		const sentMs = this.#pending.get(message.sequence);
		const ttl = message.ttl === undefined ? "" : ` ttl=${message.ttl}`;
		const line = `${message.bytes} bytes from ${source}: icmp_seq=${message.sequence}${ttl}`;
		if (sentMs === undefined) {
			printLine(`${line} (DUP!)`);
			return;
		}
		const roundTripMs = performance.now() - sentMs;
		this.#roundTripsMs.push(roundTripMs);
		printLine(`${line} time=${formatMs(roundTripMs)} ms`);
		this.#settle(message.sequence);
	}

	#fail(sequence: number): void {
		this.#errors++;
		this.#settle(sequence);
	}

	/** Nothing more is to come for this request; the run ends with the last one. */
	#settle(sequence: number): void {
		this.#pending.delete(sequence);
		if (this.#sent >= this.settings.count && this.#pending.size === 0) this.#end();
	}

	#end(): void {
		clearTimeout(this.#timer);
		this.socket.close();
		const received = this.#roundTripsMs.length;
		const loss = Number((((this.#sent - received) / this.#sent) * 100).toPrecision(6));
		const errors = this.#errors > 0 ? ` +${this.#errors} errors,` : "";
		const timeMs = Math.floor(performance.now() - this.#startMs);
		printLine(`\n--- ${this.target} ping statistics ---`);
		printLine(
			`${this.#sent} packets transmitted, ${received} received,${errors} ${loss}% packet loss, time ${timeMs}ms`,
		);
		if (received > 0) printLine(`rtt min/avg/max/mdev = ${this.#summary().join("/")} ms`);
		this.#finish(received);
	}

	#summary(): string[] {
		const count = this.#roundTripsMs.length;
		const average = this.#roundTripsMs.reduce((sum, value) => sum + value, 0) / count;
		const squares = this.#roundTripsMs.reduce((sum, value) => sum + value * value, 0) / count;
		const deviation = Math.sqrt(Math.max(0, squares - average * average));
		const values = [Math.min(...this.#roundTripsMs), average, Math.max(...this.#roundTripsMs), deviation];
		return values.map((value) => value.toFixed(3));
	}
}

/** Three significant digits after the first, as iputils prints times. */
function formatMs(value: number): string {
	if (value >= 100) return value.toFixed(0);
	return value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3);
}
