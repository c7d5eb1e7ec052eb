/** Capture files: what is written is read again, other programs agree, and damaged files say what is wrong. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type CapturedFrame, CaptureError } from "../../src/pcap/format.js";
import { readCapture } from "../../src/pcap/read.js";
import { type CaptureFormat, CaptureWriter } from "../../src/pcap/write.js";
import { BROADCAST, makeFrame } from "../support/frames.js";
import { testOrSkip } from "../support/needs.js";

const pcap = suite("pcap");
const directory = mkdtempSync(join(tmpdir(), "vlane-pcap-"));
const file = join(directory, "x.pcap");
pcap.after(() => rmSync(directory, { recursive: true }));

const FORMATS: Required<CaptureFormat>[] = (["pcap", "pcapng"] as const).flatMap((format) =>
	(["us", "ns"] as const).flatMap((timeUnit) =>
		(["little", "big"] as const).map((byteOrder) => ({ format, timeUnit, byteOrder })),
	),
);
const ARP: CapturedFrame = {
	bytes: makeFrame({ dst: BROADCAST, src: "02:00:00:00:00:01", ethertype: 0x0806, payload: new Uint8Array(46) }),
	timeNs: 1_700_000_000_123_456_789n,
	originalBytes: 60,
};

function write(frames: CapturedFrame[], format: CaptureFormat = {}): void {
	const writer = new CaptureWriter(file, format);
	for (const frame of frames) writer.write(frame);
	writer.close();
}

/** What a file's frames are until it ends or says what is wrong. */
function read(): { frames: CapturedFrame[]; problem: string } {
	const frames: CapturedFrame[] = [];
	try {
		for (const frame of readCapture(file)) frames.push(frame);
	} catch (error) {
		assert.instance(error, CaptureError);
		const { message } = error as CaptureError;
		assert.ok(message.startsWith(`capture "${file}": `) && !message.includes("\n"), message);
		return { frames, problem: message.slice(`capture "${file}": `.length) };
	}
	return { frames, problem: "" };
}

const plain = ({ bytes, ...rest }: CapturedFrame) => ({ ...rest, hex: Buffer.from(bytes).toString("hex") });

const frame = fc
	.record({
		bytes: fc.uint8Array({ maxLength: 200 }),
		timeNs: fc.bigInt({ min: 0n, max: 2n ** 32n * 1_000_000_000n - 1n }),
		cutBytes: fc.nat(2000),
	})
	.map(({ bytes, timeNs, cutBytes }) => ({ bytes, timeNs, originalBytes: bytes.length + cutBytes }));

for (const format of FORMATS) {
	const name = Object.values(format).join(", ");

	pcap(`${name}: what is written is read again`, () => {
		const cut = format.timeUnit === "us" ? 1000n : 1n;
		const property = fc.property(fc.array(frame, { maxLength: 20 }), (frames) => {
			write(frames, format);
			const { frames: found, problem } = read();
			assert.is(problem, "");
			const expected = frames.map((one) => ({ ...one, timeNs: one.timeNs - (one.timeNs % cut) }));
			assert.equal(found.map(plain), expected.map(plain));
		});
		fc.assert(property, { numRuns: 100 });
	});

	pcap(`${name}: cut off or damaged anywhere, it is read as far as it goes, and nothing worse`, () => {
		const sizeOf = (frames: CapturedFrame[]) => {
			write(frames, format);
			return readFileSync(file).length;
		};
		// 28 bytes: a section of pcapng with nothing in it.
		const whereItMayEnd = [28, sizeOf([]), sizeOf([ARP]), sizeOf([ARP, ARP])];
		const whole = readFileSync(file);
		for (let bytes = 0; bytes < whole.length; bytes++) {
			writeFileSync(file, whole.subarray(0, bytes));
			const { frames, problem } = read();
			assert.ok(frames.length < 2);
			assert.ok(problem !== "" || whereItMayEnd.includes(bytes), `cut off after ${bytes} bytes`);
		}
		const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
		const property = fc.property(damage, (changes) => {
			const copy = Buffer.from(whole);
			for (const [at, value] of changes) copy[at] = value;
			writeFileSync(file, copy);
			read();
		});
		fc.assert(property, { numRuns: 300 });
	});

	testOrSkip(pcap, `${name}: tcpdump reads it`, { tools: ["tcpdump"] }, () => {
		write([ARP, { ...ARP, originalBytes: 100 }], format);
		const { status, stdout, stderr } = spawnSync("tcpdump", ["-r", file, "-nn", "-e", "-tt", "-x"], {
			encoding: "utf8",
		});
		assert.is(status, 0, stderr);
		assert.match(stdout, /^1700000000\.123456/);
		assert.match(stdout, /02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype ARP \(0x0806\), length 60/);
		assert.match(stdout, /length 100/);
	});
}

testOrSkip(pcap, "tshark agrees on every byte and nanosecond", { tools: ["tshark"] }, () => {
	for (const format of FORMATS) {
		write([ARP, ARP], format);
		const fields = ["-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "eth.src"];
		const { stdout, stderr } = spawnSync("tshark", ["-r", file, ...fields], { encoding: "utf8" });
		const nanoseconds = format.timeUnit === "ns" ? "789" : "000";
		assert.is(stdout, `1700000000.123456${nanoseconds}\t60\t02:00:00:00:00:01\n`.repeat(2), stderr);
	}
});

testOrSkip(pcap, "what editcap makes of it is read", { tools: ["editcap"] }, () => {
	write([ARP, ARP]);
	for (const type of ["pcap", "nsecpcap", "pcapng"]) {
		const copy = join(directory, `copy.${type}`);
		assert.is(spawnSync("editcap", ["-F", type, file, copy]).status, 0);
		const found = [...readCapture(copy)];
		assert.equal(found[1]!.bytes, Buffer.from(ARP.bytes));
		assert.is(found[1]!.timeNs / 1000n, ARP.timeNs / 1000n);
	}
});

pcap("what is not an Ethernet capture is refused in words", () => {
	const header = (change: (bytes: Buffer) => void): string => {
		write([ARP]);
		const bytes = readFileSync(file);
		change(bytes);
		writeFileSync(file, bytes);
		return read().problem;
	};
	writeFileSync(file, "");
	assert.is(read().problem, "byte 0: the file is empty");
	writeFileSync(file, "hello, world");
	assert.is(read().problem, "byte 0: magic number 68656c6c is neither pcap's nor pcapng's");
	writeFileSync(file, Buffer.from("1f8b0800", "hex"));
	assert.match(read().problem, /it is compressed: gunzip it first$/);
	assert.is(
		header((bytes) => bytes.writeUInt32LE(113, 20)),
		"byte 20: link type 113; only 1, Ethernet, is read",
	);
	assert.is(
		header((bytes) => bytes.writeUInt16LE(3, 4)),
		"byte 4: version 3.4 of the format is not known",
	);
	assert.is(
		header((bytes) => bytes.writeUInt32LE(300_000, 32)),
		"byte 24: a frame of 300000 bytes; 262144 are allowed",
	);
});

pcap("a checksum behind the frames is taken off", () => {
	write([{ ...ARP, bytes: Buffer.concat([ARP.bytes, Buffer.alloc(4)]), originalBytes: 64 }]);
	const bytes = readFileSync(file);
	bytes.writeUInt32LE(0x2400_0001, 20);
	writeFileSync(file, bytes);
	assert.equal(read().frames.map(plain), [plain(ARP)]);
});

pcap("files that are not there, directories, and times that do not fit", () => {
	assert.throws(() => [...readCapture(join(directory, "none"))], /^open on ".*none": ENOENT/);
	assert.throws(() => [...readCapture(directory)], /^capture ".*": read: EISDIR/);
	assert.throws(() => new CaptureWriter(directory), /^open on ".*": EISDIR/);
	const late = { ...ARP, timeNs: 2n ** 63n };
	assert.throws(() => write([late]), /time 9223372036854775808 ns does not fit in its format/);
	write([late], { format: "pcapng" });
	assert.equal(read().frames.map(plain), [plain(late)]);
});

pcap.run();
