/** Bulk TCP between two namespaces, checked byte for byte, and measured. */
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import type { Namespace } from "./netns.js";

const TOOL = fileURLToPath(new URL("./transfer-tool.js", import.meta.url));
const PORT = 5000;
const GIB = 1 << 30;
/** Bytes of TCP in a full segment. */
const SEGMENT_BYTES = 1448;
/**
 * One segment in a hundred. A sender that moves to another CPU overtakes itself on a veth, and TCP takes that for a
 * loss: the kernel alone sends some hundred segments again. A storm is far more than that.
 */
const RETRANSMITS_MAX = Math.ceil(GIB / SEGMENT_BYTES / 100);

/** Sends bytes from one namespace to an address of another. @throws AssertionError when one is missing or wrong */
export async function transfer(from: Namespace, to: Namespace, address: string, bytes = GIB): Promise<void> {
	const sink = to.start([process.execPath, TOOL, "sink", `${PORT}`]);
	await sink.waitFor(/^listening$/);
	const sent = from.must([process.execPath, TOOL, "source", address, `${PORT}`, `${bytes}`]);
	const { stdout } = await sink.ended;
	assert.match(sent, new RegExp(`^${bytes} bytes [0-9a-f]{64}\n$`));
	assert.is(stdout, `listening\n${sent}`);
}

/** Moves 1 GiB by `iperf3` and prints how it went. @throws AssertionError when too many segments were sent again */
export async function measure(what: string, from: Namespace, to: Namespace, address: string): Promise<void> {
	const server = to.start(["iperf3", "-s", "-1", "--forceflush"]);
	await server.waitFor(/listening/);
	const { end } = JSON.parse(from.must(["iperf3", "-c", address, "-n", `${GIB}`, "-J"]));
	assert.is((await server.ended).status, 0);
	const { retransmits, bits_per_second: rate, bytes: sent } = end.sum_sent;
	console.log(
		`bench: ${what}: ${(rate / 1e9).toFixed(2)} Gbit/s, sent again ${retransmits} of ${Math.ceil(sent / SEGMENT_BYTES)}`,
	);
	assert.ok(end.sum_received.bytes >= GIB * 0.99, "all of it arrived");
	assert.ok(retransmits <= RETRANSMITS_MAX, `${retransmits} retransmissions`);
}

const DATAGRAMS_TOOL = fileURLToPath(new URL("./datagrams-tool.js", import.meta.url));
const PIECES = 50;

/**
 * Sends pieces of UDP that are cut into datagrams on the way.
 * @throws AssertionError when one is wrong, or more than half are missing
 */
export async function sendDatagrams(from: Namespace, to: Namespace, address: string): Promise<void> {
	const family = address.includes(":") ? "6" : "4";
	const sink = to.start([process.execPath, DATAGRAMS_TOOL, "sink", family, `${PORT}`]);
	await sink.waitFor(/^listening$/);
	const sent = Number(from.must([process.execPath, DATAGRAMS_TOOL, "source", address, `${PORT}`, `${PIECES}`]));
	const { stdout } = await sink.stop("SIGTERM");
	const { received, wrong } = JSON.parse(stdout.split("\n")[1] ?? "");
	assert.is(wrong, 0, `${wrong} datagrams to ${address} were changed`);
	assert.ok(received > sent / 2, `${received} of ${sent} datagrams to ${address} arrived`);
}
