/** `vlane top`. */
import type { ApiPort, ApiStats } from "../../control/types.js";
import { Client } from "../client.js";
import { UsageError } from "../errors.js";
import { print } from "../output.js";
import type { Invocation } from "../table/spec.js";
import { alignTabs } from "../tabwriter.js";

const HEADERS = ["NAME", "KIND", "RX BIT/S", "RX FRAMES/S", "TX BIT/S", "TX FRAMES/S", "DROPS/S", ""];
const BAR_LENGTH = 20;
const PARTS = " ▏▎▍▌▋▊▉█";
const DELAY_SECONDS_MIN = 0.1;
const DELAY_SECONDS_MAX = 3600;
/** Leaves the screen as it was: the alternate one, without a cursor. */
const ENTER_SCREEN = "\x1b[?1049h\x1b[?25l";
const LEAVE_SCREEN = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** Rates of a port in units per second. */
interface Rates {
	port: ApiPort;
	rxBits: number;
	rxFrames: number;
	txBits: number;
	txFrames: number;
	drops: number;
}

/** Prints a table after each interval: on a terminal over the last one, busiest ports first, else one after another. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const seconds = Number(flags.string("delay") ?? "1");
	if (!(seconds >= DELAY_SECONDS_MIN && seconds <= DELAY_SECONDS_MAX)) {
		const range = `a number of seconds from ${DELAY_SECONDS_MIN} to ${DELAY_SECONDS_MAX}`;
		throw new UsageError(`invalid argument "${flags.string("delay")}" for "-d, --delay" flag: expected ${range}`);
	}
	const iterations = flags.int("iterations") ?? Number.POSITIVE_INFINITY;
	if (iterations < 1)
		throw new UsageError(`invalid argument "${iterations}" for "-n, --iterations" flag: expected 1 or more`);
	const client = new Client(host);
	const keys = new Keys();
	let before = await client.get<ApiStats>("/stats");
	const isScreen = process.stdout.isTTY === true;
	if (isScreen) print(ENTER_SCREEN);
	try {
		for (let count = 0; count < iterations; count++) {
			await keys.wait(seconds * 1000);
			if (keys.isDone) break;
			const now = await client.get<ApiStats>("/stats");
			const text = tableOf(before, now);
			print(isScreen ? screenOf(text) : count === 0 ? text : `\n${text}`);
			before = now;
		}
	} finally {
		keys.close();
		if (isScreen) print(LEAVE_SCREEN);
	}
	return 0;
}

/** The keyboard: `q` and an interrupt end the command. */
class Keys {
	isDone = false;
	#wake: () => void = () => undefined;
	readonly #finish = () => {
		this.isDone = true;
		this.#wake();
	};
	readonly #isRaw = process.stdin.isTTY === true && process.stdout.isTTY === true;

	constructor() {
		for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, this.#finish);
		if (!this.#isRaw) return;
		process.stdin.setRawMode(true);
		process.stdin.on("data", (typed: Buffer) => {
			if (["q", "Q", "\x03"].includes(typed.toString())) this.#finish();
		});
	}

	wait(ms: number): Promise<void> {
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, ms);
			this.#wake = () => {
				clearTimeout(timer);
				resolve();
			};
			if (this.isDone) this.#wake();
		});
	}

	close(): void {
		if (!this.#isRaw) return;
		process.stdin.setRawMode(false);
		process.stdin.pause();
	}
}

/** What happened between two looks; on a port that is new, since it came. */
function ratesOf(before: ApiStats, now: ApiStats): Rates[] {
	const seconds = Math.max(0.001, (Date.parse(now.time) - Date.parse(before.time)) / 1000);
	const old = new Map(before.ports.map((port) => [`${port.port} ${port.name}`, port]));
	return now.ports.map((port) => {
		const was = old.get(`${port.port} ${port.name}`);
		const rate = (read: (port: ApiPort) => number) => Math.max(0, read(port) - (was ? read(was) : 0)) / seconds;
		return {
			port,
			rxBits: rate(({ rxBytes }) => rxBytes * 8),
			rxFrames: rate(({ rxFrames }) => rxFrames),
			txBits: rate(({ txBytes }) => txBytes * 8),
			txFrames: rate(({ txFrames }) => txFrames),
			drops: rate(({ drops }) => Object.values(drops).reduce((sum, count) => sum + count, 0)),
		};
	});
}

function tableOf(before: ApiStats, now: ApiStats): string {
	const rates = ratesOf(before, now).sort((left, right) => right.rxBits + right.txBits - left.rxBits - left.txBits);
	const most = Math.max(1, ...rates.map(({ rxBits, txBits }) => rxBits + txBits));
	const rows = rates.map(({ port, rxBits, rxFrames, txBits, txFrames, drops }) => [
		...[port.name, port.kind, short(rxBits), short(rxFrames), short(txBits), short(txFrames), short(drops)],
		bar((rxBits + txBits) / most),
	]);
	return alignTabs([HEADERS, ...rows].map((cells) => `${cells.join("\t").trimEnd()}\n`).join(""));
}

/** Up to four digits and a unit: `12.3k`. */
function short(value: number): string {
	const power = value < 999.5 ? 0 : Math.min(4, Math.floor(Math.log10(value * 1.0005) / 3));
	const scaled = value / 1000 ** power;
	if (power === 0) return String(Math.round(scaled));
	return `${scaled.toFixed(scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0)}${" kMGT"[power]}`;
}

/** A share of the busiest port's rate. */
function bar(share: number): string {
	const parts = Math.round(share * BAR_LENGTH * 8);
	return ("█".repeat(parts >> 3) + PARTS[parts & 7]).trimEnd();
}

/** As much as fits on the screen, over what is there. */
function screenOf(text: string): string {
	const { rows = 24, columns = 80 } = process.stdout;
	const lines = text
		.trimEnd()
		.split("\n")
		.slice(0, rows - 2);
	const shown = lines.map((line) => [...line].slice(0, columns).join("") + CLEAR_LINE);
	return `${HOME}${[...shown, CLEAR_LINE, `q: quit${CLEAR_LINE}`].join("\r\n")}${CLEAR_BELOW}`;
}
