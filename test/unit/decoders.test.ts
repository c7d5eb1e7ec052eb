/**
 * Decoders of what others have written, with damaged input: a value or the decoder's own error of one line, nothing
 * else. A failure prints the seed; VLANE_SEED=N runs it again.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compileFilter, FilterError } from "../../src/capture/filter.js";
import { Client } from "../../src/cni/client.js";
import { CniError } from "../../src/cni/errors.js";
import { checkEnvironment, parseArgs, parseConfig, readEnvironment } from "../../src/cni/invocation.js";
import { attachedIn, resultOf } from "../../src/cni/result.js";
import { decodeAttributes, decodeMessages, decodeOutcome, encodeMessage, text, u32 } from "../../src/netlink/codec.js";
import { CaptureError } from "../../src/pcap/format.js";
import { readCapture } from "../../src/pcap/read.js";
import { interfaceBlock, packetBlockBytes, sectionBlock, writePacketBlock } from "../../src/pcap/stream.js";
import { onCleanup } from "../support/cleanup.js";
import { HOSTILE, spoiled } from "../support/spoil.js";

const runs = {
	numRuns: Number(process.env.VLANE_RUNS ?? 300),
	includeErrorInReport: true,
	...(process.env.VLANE_SEED ? { seed: Number(process.env.VLANE_SEED) } : {}),
};
const decoders = suite("decoders");

/** Bytes with some of them replaced, and perhaps cut off. */
function damaged(bytes: Uint8Array): fc.Arbitrary<Buffer> {
	const change = fc.record({ at: fc.nat({ max: bytes.length - 1 }), byte: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff) });
	const end = fc.oneof(fc.constant(bytes.length), fc.nat({ max: bytes.length }));
	return fc.record({ changes: fc.array(change, { maxLength: 6 }), end }).map(({ changes, end }) => {
		const copy = Buffer.from(bytes);
		for (const { at, byte } of changes) copy[at] = byte;
		return copy.subarray(0, end);
	});
}

/** Calls; an error has to be of the kind and one line. */
function tolerates(kind: new (...args: never[]) => Error, call: () => unknown): void {
	try {
		call();
	} catch (error) {
		assert.instance(error, kind);
		assert.not((error as Error).message.includes("\n"), (error as Error).message);
	}
}

function pcapng(): Buffer {
	const frame = Buffer.alloc(60, 1);
	const packet = { bytes: frame, comment: "dropped", timeNs: 5n, interfaceIndex: 0, original: 60, sent: false };
	const block = Buffer.alloc(packetBlockBytes(packet as never));
	writePacketBlock(block, 0, packet as never);
	const face = interfaceBlock({ name: "eth0", description: "a parent", snapBytes: 65_535, filter: "" } as never);
	return Buffer.concat([sectionBlock("vlane", ""), face, block, block]);
}

function pcap(): Buffer {
	const header = Buffer.alloc(24);
	header.writeUInt32LE(0xa1b2c3d4, 0);
	header.writeUInt16LE(2, 4);
	header.writeUInt16LE(4, 6);
	header.writeUInt32LE(65_535, 16);
	header.writeUInt32LE(1, 20);
	const record = Buffer.alloc(16 + 60, 1);
	record.writeUInt32LE(60, 8);
	record.writeUInt32LE(60, 12);
	return Buffer.concat([header, record, record]);
}

decoders("capture files", () => {
	const directory = mkdtempSync(join(tmpdir(), "vlane-decoders-"));
	onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	const path = join(directory, "capture");
	for (const sample of [pcap(), pcapng()]) {
		writeFileSync(path, sample);
		assert.is([...readCapture(path)].length, 2);
		const property = fc.property(damaged(sample), (bytes) => {
			writeFileSync(path, bytes);
			tolerates(CaptureError, () => [...readCapture(path)]);
		});
		fc.assert(property, runs);
	}
});

decoders("capture filters, and frames that they look at", () => {
	const word = fc.constantFrom(
		...["tcp", "udp", "src", "dst", "host", "net", "port", "ether", "vlan", "not", "and", "or", "(", ")", "10.0.0.1"],
		...["10.0.0.0/8", "10.0.0.0/33", "::1", "80", "-1", "4095", "02:00:00:00:00:01", "arp", "ip6", "\n", '"', "é"],
	);
	const filter = fc.array(fc.oneof(word, fc.string({ maxLength: 6 })), { maxLength: 8 });
	const property = fc.property(filter, fc.uint8Array({ maxLength: 80 }), (words, frame) => {
		tolerates(FilterError, () => assert.type(compileFilter(words.join(" "))(frame), "boolean"));
	});
	fc.assert(property, runs);
	for (const deep of ["(".repeat(50_000), "not ".repeat(50_000), `${"arp and ".repeat(50_000)}arp`])
		tolerates(FilterError, () => compileFilter(deep)(new Uint8Array(60)));
});

decoders("netlink messages", () => {
	const inner = [[1, u32(7)]] as const;
	const message = encodeMessage(2, 0x300, 5, Buffer.alloc(20), [
		[3, text("eth0")],
		[18, inner],
		[1, text("no")],
	]);
	const property = fc.property(damaged(Buffer.concat([message, message])), (bytes) => {
		tolerates(RangeError, () => {
			for (const one of decodeMessages(bytes)) {
				tolerates(RangeError, () => decodeAttributes(one.payload));
				tolerates(RangeError, () => decodeOutcome(one));
			}
		});
	});
	fc.assert(property, runs);
});

decoders("what a container runtime says to the plugin", () => {
	const good = {
		...{ cniVersion: "1.0.0", name: "lan", type: "vlane", master: "eth0", host: "unix:///run/vlane/vlane.sock" },
		...{ ipam: { type: "host-local" }, dns: { nameservers: ["10.0.0.53"] }, args: {}, runtimeConfig: { mac: "x" } },
		prevResult: {
			interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/x" }],
			ips: [{ address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 0 }],
			...{ routes: [{ dst: "0.0.0.0/0" }], dns: {} },
		},
	};
	const made = { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1500, sandbox: "/run/netns/y" };
	const value = fc.oneof(fc.constantFrom(undefined, ...HOSTILE), fc.jsonValue());
	const change = fc.record({ path: fc.array(fc.nat(8), { minLength: 1, maxLength: 4 }), value });
	fc.assert(
		fc.property(change, fc.constantFrom("ADD", "CHECK", "GC"), ({ path, value }, command) => {
			tolerates(CniError, () => {
				const config = parseConfig(JSON.stringify(spoiled(good, path, value)), command);
				attachedIn(config.prevResult ?? {}, "eth0");
				JSON.stringify(resultOf(config.cniVersion, made, {}, config.prevResult));
				new Client(config.host);
			});
		}),
		{ ...runs, examples: [[{ path: [7, 0], value: null }, "ADD"]] },
	);
	for (const text of ["", "nul", "[]", '"x"', '{"name":', "\0"]) tolerates(CniError, () => parseConfig(text, "ADD"));
	const names = fc.array(fc.constantFrom("MAC", "IP", "=", ";", "IgnoreUnknown", "1", "\n", "\0", "x"), {
		maxLength: 9,
	});
	fc.assert(
		fc.property(names, (parts) => tolerates(CniError, () => parseArgs(parts.join("")))),
		runs,
	);
	const variable = fc.option(fc.oneof(fc.constantFrom("/x", "../x", "a\nb", "\0", "-"), fc.string()), {
		nil: undefined,
	});
	fc.assert(
		fc.property(variable, variable, variable, (containerId, netns, ifname) => {
			const environment = { ...readEnvironment({}), containerId, netns, ifname };
			tolerates(CniError, () => checkEnvironment(environment, ["containerId", "netns", "ifname"]));
		}),
		runs,
	);
});

decoders.run();
