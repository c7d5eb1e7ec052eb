/**
 * `vlane ping`: echo messages in bytes, and the real thing on the loopback of a private namespace.
 */
import { createRequire } from "node:module";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { echoRequest, readMessage } from "../../src/cli/icmp.js";
import { testOrSkip } from "../support/needs.js";
import { type Outcome, type SpawnOptions, vlane } from "./harness.js";

const Ping = suite("ping");

const IDENTIFIER = 0x1234;

/** An IPv4 header of 20 bytes with TTL 61. */
const IPV4_HEADER = Buffer.from("45000054 00000000 3d010000 ac105601 ac105602".replaceAll(" ", ""), "hex");
/** The same with 4 bytes of options. */
const IPV4_OPTIONS = Buffer.concat([Buffer.from("46", "hex"), IPV4_HEADER.subarray(1), Buffer.alloc(4)]);
const IPV6_HEADER = Buffer.concat([Buffer.from("6000000000403a40", "hex"), Buffer.alloc(32)]);

const ipv4 = (hex: string, header = IPV4_HEADER) =>
	Buffer.concat([header, Buffer.from(hex.replaceAll(" ", ""), "hex")]);
const bytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");

Ping("an IPv4 request: 64 bytes, type 8, a checksum that adds up", () => {
	const message = echoRequest(4, IDENTIFIER, 0x10002);
	assert.is(message.length, 64);
	assert.is(message.subarray(0, 2).toString("hex"), "0800");
	assert.is(message.subarray(4, 10).toString("hex"), "123400020809");
	let sum = 0;
	for (let at = 0; at < message.length; at += 2) sum += message.readUInt16BE(at);
	assert.is((sum & 0xffff) + (sum >>> 16), 0xffff);
});

Ping("an IPv6 request: type 128, the checksum left to the kernel", () => {
	assert.is(echoRequest(6, IDENTIFIER, 1).subarray(0, 8).toString("hex"), "8000000012340001");
});

Ping("replies", () => {
	const reply = { kind: "reply", sequence: 7, bytes: 10, ttl: 61 };
	assert.equal(readMessage(4, ipv4("0000 0000 1234 0007 0809"), IDENTIFIER), reply);
	assert.equal(readMessage(4, ipv4("0000 0000 1234 0007 0809", IPV4_OPTIONS), IDENTIFIER), reply);
	const reply6 = { kind: "reply", sequence: 7, bytes: 8, ttl: undefined };
	assert.equal(readMessage(6, bytes("8100 0000 1234 0007"), IDENTIFIER), reply6);
});

const UNREACHABLE: [code: string, text: string][] = [
	["00", "Destination Net Unreachable"],
	["01", "Destination Host Unreachable"],
	["03", "Destination Port Unreachable"],
	["0d", "Destination unreachable"],
];

for (const [code, text] of UNREACHABLE) {
	Ping(`an IPv4 error with code ${code}`, () => {
		const original = IPV4_HEADER.toString("hex");
		const packet = ipv4(`03${code} 0000 0000 0000 ${original} 0800 0000 1234 0009`);
		assert.equal(readMessage(4, packet, IDENTIFIER), { kind: "error", sequence: 9, text });
	});
}

Ping("time exceeded, and an IPv6 error", () => {
	const exceeded = ipv4(`0b00 0000 0000 0000 ${IPV4_HEADER.toString("hex")} 0800 0000 1234 0009`);
	assert.equal(readMessage(4, exceeded, IDENTIFIER), { kind: "error", sequence: 9, text: "Time to live exceeded" });
	const unreachable = bytes(`0103 0000 0000 0000 ${IPV6_HEADER.toString("hex")} 8000 0000 1234 0009`);
	const text = "Destination Host Unreachable";
	assert.equal(readMessage(6, unreachable, IDENTIFIER), { kind: "error", sequence: 9, text });
});

Ping("what is not about our requests is ignored, however short", () => {
	assert.is(readMessage(4, ipv4("0000 0000 9999 0007"), IDENTIFIER), undefined);
	assert.is(readMessage(4, ipv4("0800 0000 1234 0007"), IDENTIFIER), undefined);
	assert.is(readMessage(6, bytes("8000 0000 1234 0007"), IDENTIFIER), undefined);
	const foreign = ipv4(`0301 0000 0000 0000 ${IPV4_HEADER.toString("hex")} 0800 0000 9999 0009`);
	assert.is(readMessage(4, foreign, IDENTIFIER), undefined);
	const whole = ipv4(`0301 0000 0000 0000 ${IPV4_HEADER.toString("hex")} 0800 0000 1234 0009`);
	for (let length = 0; length < whole.length; length++) {
		assert.is(readMessage(4, whole.subarray(0, length), IDENTIFIER), undefined, `${length} bytes`);
	}
});

/** Module hooks that hide the optional package, as on a machine where it could not be built. */
const HIDING = (() => {
	const hooks =
		"export function resolve(name, context, next) { if (name === 'raw-socket') throw new Error('hidden'); " +
		"return next(name, context); }";
	const url = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
	return `--import=${url(`import { register } from "node:module"; register(${JSON.stringify(url(hooks))});`)}`;
})();

const VARIANTS: [title: string, env: Record<string, string>][] = [["C library", { NODE_OPTIONS: HIDING }]];
try {
	createRequire(import.meta.url)("raw-socket");
	VARIANTS.push(["raw-socket", {}]);
} catch {
	// The package is optional.
}

/** Runs in a new network namespace whose loopback is up. */
function inNamespace(args: string[], options: SpawnOptions = {}): Promise<Outcome> {
	const prefix = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];
	return vlane(["ping", ...args], { ...options, prefix });
}

/** Times differ from run to run. */
const withoutTimes = (text: string) =>
	text.replace(/time=[\d.]+ ms/g, "time=T ms").replace(/time \d+ms|[\d.]+\/[\d./]+/g, "T");

for (const [title, env] of VARIANTS) {
	const ping = (args: string[], options: SpawnOptions = {}) => inNamespace(args, { ...options, env });
	const need = { root: true, tools: ["unshare", "ip"] };

	testOrSkip(Ping, `${title}: IPv4, as ping prints it`, need, async () => {
		const { status, stdout, stderr } = await ping(["-c", "2", "-i", "0.01", "-W", "10", "127.0.0.1"]);
		assert.equal([status, stderr], [0, ""]);
		assert.is(
			withoutTimes(stdout),
			[
				"PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.",
				"64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=T ms",
				"64 bytes from 127.0.0.1: icmp_seq=2 ttl=64 time=T ms",
				"",
				"--- 127.0.0.1 ping statistics ---",
				"2 packets transmitted, 2 received, 0% packet loss, T",
				"rtt min/avg/max/mdev = T ms",
				"",
			].join("\n"),
		);
	});

	testOrSkip(Ping, `${title}: IPv6`, need, async () => {
		const { status, stdout } = await ping(["-c1", "::1"]);
		assert.is(status, 0);
		assert.match(
			stdout,
			/^PING ::1\(::1\) 56 data bytes\n64 bytes from ::1: icmp_seq=1 time=[\d.]+ ms\n\n--- ::1 ping/,
		);
	});

	testOrSkip(Ping, `${title}: nothing comes back: exit code 1`, need, async () => {
		const { status, stdout, stderr } = await ping(["-c", "1", "-W", "0.1", "192.0.2.1"]);
		assert.is(status, 1);
		assert.is(stderr, "ping: sendmsg: Network is unreachable\n");
		assert.match(stdout, "1 packets transmitted, 0 received, +1 errors, 100% packet loss, time ");
	});

	testOrSkip(Ping, `${title}: a name that does not resolve`, need, async () => {
		const stderr = "ping: no-such-host.invalid: Name or service not known\n";
		assert.equal(await ping(["no-such-host.invalid"]), { status: 2, stdout: "", stderr });
	});

	testOrSkip(Ping, `${title}: SIGINT ends an endless run with its summary`, need, async () => {
		const { status, stdout } = await ping(["127.0.0.1"], { interruptAt: " ms\n" });
		assert.is(status, 0);
		assert.match(stdout, "1 packets transmitted, 1 received, 0% packet loss");
	});
}

Ping.run();
