/** Capture filters against tcpdump's own reading of the same words, and what is said about a frame in one line. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compileFilter, FilterError } from "../../src/capture/filter.js";
import { summarise, timeOfDay } from "../../src/capture/summary.js";
import { CaptureWriter } from "../../src/pcap/write.js";
import { makeFrame, type Tag, TPID_CTAG, TPID_STAG } from "../support/frames.js";
import { testOrSkip } from "../support/needs.js";
import { must } from "../support/netns.js";

const filters = suite("capture filters");

const ONE = "02:00:00:00:00:01";
const TWO = "02:00:00:00:00:02";
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ""), "hex"));
const made = (ethertype: number, payload: string, dst = TWO, tags: Tag[] = []): Uint8Array =>
	makeFrame({ dst, src: ONE, tags, ethertype, payload: hex(payload) });

const TCP = "1f90 0050 00000001 00000000 5002 ffff 0000 0000";
const UDP = "0035 c000 000c 0000 01020304";
const ipv4 = (protocol: string, rest: string, bytes: string, fragment = "0000"): string =>
	`45 00 ${bytes} 0000 ${fragment} 40 ${protocol} 0000 0a000001 0a000002 ${rest}`;
const IPV6_HEAD = (bytes: string, next: string): string =>
	`60000000 ${bytes} ${next} ff 20010db8000000000000000000000001 ff020000000000000000000000000002`;

/** With the line that says what it is. */
const FRAMES: [frame: Uint8Array, line: string][] = [
	[made(0x0800, ipv4("06", TCP, "0028")), "IP 10.0.0.1.8080 > 10.0.0.2.80: Flags [S], length 0"],
	[made(0x0800, ipv4("11", UDP, "0020")), "IP 10.0.0.1.53 > 10.0.0.2.49152: UDP, length 4"],
	[
		made(0x0800, ipv4("01", "0800 0000 0007 0002 00000000", "0020")),
		"IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 2, length 12",
	],
	[made(0x0800, ipv4("11", UDP, "0020", "2000")), "IP 10.0.0.1.53 > 10.0.0.2.49152: UDP, length 4, first fragment"],
	[made(0x0800, ipv4("11", UDP, "0020", "0010")), "IP 10.0.0.1 > 10.0.0.2: protocol 17, later fragment"],
	[
		made(0x0806, `0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002`, "ff:ff:ff:ff:ff:ff"),
		"ARP, Request who-has 10.0.0.2 tell 10.0.0.1",
	],
	[
		made(0x0806, `0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002`),
		"ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01",
	],
	[
		made(0x86dd, `${IPV6_HEAD("0018", "3a")} 87000000 00000000 20010db8000000000000000000000009`, "33:33:ff:00:00:09"),
		"IP6 2001:db8::1 > ff02::2: ICMP6, neighbor solicitation, who has 2001:db8::9, length 24",
	],
	[made(0x86dd, `${IPV6_HEAD("000c", "11")} ${UDP}`), "IP6 2001:db8::1.53 > ff02::2.49152: UDP, length 4"],
	[made(0x88b5, "00".repeat(46)), "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 0x88b5, length 46"],
	[made(0x0026, "42 42 03".padEnd(100, "0")), "02:00:00:00:00:01 > 02:00:00:00:00:02, 802.3, length 49"],
];

const WORDS = [
	...["arp", "ip", "ip6", "icmp", "icmp6", "tcp", "udp", "sctp", "igmp", "broadcast", "multicast", "ether multicast"],
	...["host 10.0.0.1", "src host 10.0.0.1", "dst host 10.0.0.1", "dst 10.0.0.2", "host 2001:db8::1", "src 2001:db8::1"],
	...["net 10.0.0.0/8", "src net 10.0.0.2/31", "dst net 10.0.0.2/31", "net 2001:db8::/32", "net 10.128.0.0/9"],
	...["port 53", "src port 53", "dst port 53", "tcp port 80", "udp port 80", "tcp dst port 80", "udp src port 53"],
	...[`ether host ${ONE}`, `ether src ${ONE}`, `ether dst ${ONE}`, "ether broadcast", "less 60", "greater 60"],
	...["not arp", "! arp and ! tcp", "arp or tcp and port 80", "tcp and port 80 or arp", "not (arp or tcp)", "(arp)"],
	...["arp || (udp && src port 53)", "not not arp", "udp and not port 53"],
];

testOrSkip(filters, "let through what tcpdump lets through", { tools: ["tcpdump"] }, () => {
	const directory = mkdtempSync(join(tmpdir(), "vlane-filter-"));
	try {
		const file = join(directory, "all.pcap");
		const writer = new CaptureWriter(file);
		FRAMES.forEach(([bytes], index) => {
			writer.write({ bytes, timeNs: BigInt(index) * 1_000_000_000n, originalBytes: bytes.length });
		});
		writer.close();
		for (const words of WORDS) {
			const theirs = must(["tcpdump", "-nn", "-tt", "-r", file, words])
				.split("\n")
				.flatMap((line) => /^(\d+)\./.exec(line)?.[1] ?? []);
			const filter = compileFilter(words);
			const ours = FRAMES.flatMap(([bytes], index) => (filter(bytes) ? [String(index)] : []));
			assert.equal(ours, theirs, words);
		}
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
});

filters("see behind tags, whatever their number", () => {
	const tagged = made(0x0800, ipv4("06", TCP, "0028"), TWO, [
		{ tpid: TPID_STAG, vid: 20 },
		{ tpid: TPID_CTAG, vid: 50 },
	]);
	for (const words of ["vlan", "vlan 20", "vlan 50", "tcp port 80", "vlan 50 and host 10.0.0.1", ""]) {
		assert.ok(compileFilter(words)(tagged), words);
	}
	for (const words of ["vlan 51", "not vlan", "arp", "port 81"]) assert.not.ok(compileFilter(words)(tagged), words);
	assert.not.ok(compileFilter("vlan")(FRAMES[0]![0]));
	assert.is(summarise(tagged, tagged.length), `vlan 20, vlan 50, ${FRAMES[0]![1]}`);
});

filters("that can not be understood say where", () => {
	const cases: [words: string, problem: string][] = [
		["port", 'invalid filter "port": "" can not stand behind "port": a number from 0 to 65535 is needed'],
		["port http", 'invalid filter "port http": "http" can not stand behind "port": a number from 0 to 65535 is needed'],
		["vlan 4096", 'invalid filter "vlan 4096": "4096" can not stand behind "vlan": a number from 0 to 4095 is needed'],
		["host nowhere", 'invalid filter "host nowhere": "nowhere" is not an IP address'],
		["host 10", 'invalid filter "host 10": "10" is not an IP address'],
		["net 10.0.0.0", 'invalid filter "net 10.0.0.0": "10.0.0.0" is not a subnet, such as 10.0.0.0/8'],
		["ether host 1:2", 'invalid filter "ether host 1:2": "1:2" is not a MAC address'],
		["arp and", 'invalid filter "arp and": it ends where a condition is missing'],
		["arp tcp", 'invalid filter "arp tcp": "tcp" can not stand behind "arp"'],
		["(arp", 'invalid filter "(arp": a parenthesis is not closed'],
		["arp)", 'invalid filter "arp)": ")" can not stand there'],
		["ipx", 'invalid filter "ipx": "ipx" is not known'],
		["tcp host 10.0.0.1", 'invalid filter "tcp host 10.0.0.1": "host" can not stand there'],
		["constructor", 'invalid filter "constructor": "constructor" is not known'],
	];
	for (const [words, problem] of cases) {
		try {
			compileFilter(words);
			assert.unreachable(words);
		} catch (error) {
			assert.instance(error, FilterError);
			assert.is((error as Error).message, problem);
		}
	}
});

filters("any part of a frame can be looked at, and said in one line", () => {
	for (const [bytes, line] of FRAMES) {
		assert.is(summarise(bytes, bytes.length), line);
		for (let length = 0; length <= bytes.length; length++) {
			const cut = bytes.slice(0, length);
			for (const words of WORDS) compileFilter(words)(cut);
			assert.match(summarise(cut, bytes.length), /^[^\n]+$/);
		}
	}
	assert.is(summarise(hex("0102"), 2), "runt, length 2");
	assert.match(timeOfDay(1_700_000_000_123_456_789n), /^\d\d:\d\d:20\.123456$/);
});

filters.run();
