/**
 * Captures inside Wireshark: the program that Wireshark starts from its directory of external capture programs
 * (the chapter on extcap in Wireshark's developer's guide). Each network and each port of the running daemon is an
 * interface there.
 */

import type { ApiNetwork, ApiPort } from "../control/types.js";
import { writeCapture } from "./captureout.js";
import { Client } from "./client.js";
import { messageOf } from "./errors.js";
import { DEFAULT_SOCKET } from "./table/spec.js";

const PREFIX = "vlane:";
/** LINKTYPE_ETHERNET. */
const DLT = "dlt {number=1}{name=EN10MB}{display=Ethernet}";
const SNAPLEN =
	"arg {number=0}{call=--snaplen}{display=Snapshot length}{tooltip=Bytes to record of each frame}{type=unsigned}" +
	"{range=64,262144}{default=262144}";

/** Runs one question of Wireshark's; returns the exit code. */
export async function extcap(argv: readonly string[]): Promise<number> {
	const options = parse(argv);
	const host = process.env.VLANE_HOST || `unix://${DEFAULT_SOCKET}`;
	try {
		if (options.has("extcap-interfaces")) await listInterfaces(host);
		else if (options.has("extcap-dlts")) say(DLT);
		else if (options.has("extcap-config")) say(SNAPLEN);
		else if (options.has("capture")) return await capture(host, options);
		// Wireshark checks a filter so: what is said is what is wrong with it.
		else if (options.has("extcap-capture-filter")) await checkFilter(options.get("extcap-capture-filter") ?? "");
		else throw new Error("this is for Wireshark: put a link to it into its extcap directory, see docs/observe.md");
		return 0;
	} catch (error) {
		process.stderr.write(`${messageOf(error)}\n`);
		return 1;
	}
}

/** `--name value`, `--name=value`, `--name`. */
function parse(argv: readonly string[]): Map<string, string> {
	const found = new Map<string, string>();
	for (let i = 0; i < argv.length; i++) {
		const [, name, value] = /^--([^=]+)(?:=(.*))?$/s.exec(argv[i] ?? "") ?? [];
		if (name === undefined) continue;
		const next = argv[i + 1];
		const takesNext = value === undefined && next !== undefined && !next.startsWith("--");
		found.set(name, value ?? (takesNext ? next : ""));
		if (takesNext) i++;
	}
	return found;
}

function say(line: string): void {
	process.stdout.write(`${line}\n`);
}

/** Without a daemon there is nothing to show, which is no error of Wireshark's user. */
async function listInterfaces(host: string): Promise<void> {
	say("extcap {version=1.0}{display=vlane}");
	const client = new Client(host);
	const networks = await client.get<ApiNetwork[]>("/networks").catch(() => []);
	const ports = await client.get<ApiPort[]>("/ports").catch(() => []);
	for (const { Name } of networks) say(`interface {value=${PREFIX}${Name}}{display=vlane network ${Name}}`);
	for (const { name, kind } of ports) say(`interface {value=${PREFIX}${name}}{display=vlane ${kind} ${name}}`);
}

async function checkFilter(text: string): Promise<void> {
	const { compileFilter } = await import("../capture/filter.js");
	try {
		compileFilter(text);
	} catch (error) {
		say(messageOf(error));
	}
}

async function capture(host: string, options: Map<string, string>): Promise<number> {
	const of = (options.get("extcap-interface") ?? "").replace(PREFIX, "");
	const fifo = options.get("fifo");
	if (fifo === undefined) throw new Error("--capture needs --fifo");
	const snaplen = Number(options.get("snaplen") || 262_144);
	const wish = { of, snaplen, filter: options.get("extcap-capture-filter") };
	// Wireshark closes its end when the user stops the capture, on a quiet network long before the next frame.
	const { ended } = await writeCapture(host, wish, fifo, () => undefined);
	await ended;
	return 0;
}
