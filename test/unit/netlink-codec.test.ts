/** Byte vectors of rtnetlink messages, written from the structures in include/uapi/linux. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addressBody, decodeAddress } from "../../src/netlink/address.js";
import * as codec from "../../src/netlink/codec.js";
import { decodeLink, getLinkBody, newVethBody, setLinkBody } from "../../src/netlink/link.js";
import { decodeRoute, routeBody } from "../../src/netlink/route.js";

const netlink = suite("netlink codec");

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

function assertBytes(actual: Buffer, expected: string): void {
	assert.is(actual.toString("hex"), hex(expected).toString("hex"));
}

function bytesOf({ header, attributes }: { header: Buffer; attributes: codec.Attribute[] }): Buffer {
	return Buffer.concat([header, codec.encodeAttributes(attributes)]);
}

netlink("a message is header, family header and padded attributes", () => {
	const bytes = codec.encodeMessage(0x12, 0x305, 7, hex("00 01 02 03"), [
		[3, codec.text("eth0")],
		[4, codec.u32(1500)],
	]);
	assertBytes(
		bytes,
		`28000000 1200 0503 07000000 00000000  00010203
		 0900 0300 65746830 00 000000  0800 0400 dc050000`,
	);
	const [message] = codec.decodeMessages(bytes);
	assert.is(message?.type, 0x12);
	assert.is(message?.flags, 0x305);
	assert.is(message?.sequence, 7);
	const attributes = codec.decodeAttributes(message!.payload.subarray(4));
	assert.is(codec.readText(attributes.get(3)!), "eth0");
	assert.is(attributes.get(4)?.readUInt32LE(0), 1500);
});

netlink("several messages of one datagram are told apart", () => {
	const one = codec.encodeMessage(16, 0, 1, hex("aa"));
	const two = codec.encodeMessage(3, 2, 2, hex("00000000"));
	const messages = codec.decodeMessages(Buffer.concat([one, two]));
	assert.equal(
		messages.map(({ type, sequence }) => [type, sequence]),
		[
			[16, 1],
			[3, 2],
		],
	);
});

netlink("lengths that do not fit are refused", () => {
	assert.throws(() => codec.decodeMessages(hex("20000000 1200 0000 00000000 00000000")), /message of 32 bytes/);
	assert.throws(() => codec.decodeMessages(hex("08000000 1200 0000 00000000 00000000")), /message of 8 bytes/);
	assert.throws(() => codec.decodeAttributes(hex("0900 0300 65746830")), /attribute of 9 bytes/);
	assert.throws(() => codec.decodeAttributes(hex("0000 0300 65746830")), /attribute of 0 bytes/);
});

netlink("an acknowledgement is outcome 0", () => {
	const bytes = hex("24000000 0200 0001 01000000 00000000  00000000 20000000 1000 0500 01000000 00000000");
	assert.equal(codec.decodeMessages(bytes).map(codec.decodeOutcome), [{ errno: 0 }]);
});

netlink("the kernel's own words are found behind a capped and behind a whole request", () => {
	const words = "0700 0100 6e6f 00 00";
	const header = "1000 0500 01000000 00000000";
	const capped = `2c000000 0200 0003 01000000 00000000 eaffffff 20000000 ${header} ${words}`;
	const whole = `34000000 0200 0002 01000000 00000000 eaffffff 18000000 ${header} 11223344 55667788 ${words}`;
	for (const text of [capped, whole]) {
		const [message] = codec.decodeMessages(hex(text));
		assert.equal(codec.decodeOutcome(message!), { errno: 22, text: "no" });
	}
});

netlink("MAC addresses go both ways", () => {
	assertBytes(codec.macBytes("02:42:ac:10:56:02"), "0242ac105602");
	assert.is(codec.macText(hex("0242ac105602")), "02:42:ac:10:56:02");
});

netlink("RTM_GETLINK by name asks without counters", () => {
	assertBytes(
		bytesOf(getLinkBody("eth0")),
		"0000 0000 00000000 00000000 00000000  0800 1d00 08000000  0900 0300 65746830 00 000000",
	);
});

netlink("RTM_NEWLINK changes only what it is told", () => {
	const nothing = "0000 0000 05000000 00000000 00000000";
	assertBytes(bytesOf(setLinkBody(5, {})), nothing);
	assertBytes(bytesOf(setLinkBody(5, { up: true })), "0000 0000 05000000 01000000 01000000");
	assertBytes(bytesOf(setLinkBody(5, { up: false })), "0000 0000 05000000 00000000 01000000");
	assertBytes(
		bytesOf(setLinkBody(5, { mtuBytes: 1400, mac: "02:00:00:00:00:01", netnsFd: 9, txQueueLength: 5000 })),
		`${nothing} 0800 0400 78050000  0a00 0100 020000000001 0000  0800 1c00 09000000  0800 0d00 88130000`,
	);
});

netlink("a veth's peer is nested three deep, behind an ifinfomsg of its own", () => {
	assertBytes(
		bytesOf(newVethBody("a", "b", 3)),
		`0000 0000 00000000 00000000 00000000
		 0600 0300 6100 0000
		 3800 1280
		   0900 0100 76657468 00 000000
		   2800 0280
		     2400 0100 0000 0000 00000000 00000000 00000000
		       0600 0300 6200 0000
		       0800 1c00 03000000`,
	);
});

netlink("an IPv4 address carries its broadcast address, up to /30", () => {
	assertBytes(
		bytesOf(addressBody(2, "172.16.86.2/24")),
		"02 18 00 00 02000000  0800 0200 ac105602  0800 0100 ac105602  0800 0400 ac1056ff",
	);
	for (const [cidr, broadcast] of [
		["10.0.0.1/30", "10.0.0.3"],
		["10.0.0.1/8", "10.255.255.255"],
	] as const) {
		assert.is(decodeAddress(bytesOf(addressBody(2, cidr)))?.broadcast, broadcast);
	}
	assert.is(addressBody(2, "10.0.0.1/31").attributes.length, 2);
	assert.is(addressBody(2, "10.0.0.1/32").attributes.length, 2);
});

netlink("an IPv6 address without duplicate address detection has IFA_FLAGS", () => {
	const address = "fd000000000000000000000000000002";
	assertBytes(
		bytesOf(addressBody(2, "fd00::2/64", { noDad: true })),
		`0a 40 00 00 02000000  1400 0200 ${address}  1400 0100 ${address}  0800 0800 02000000`,
	);
});

netlink("addresses are read from what was written", () => {
	assert.equal(decodeAddress(bytesOf(addressBody(4, "172.16.86.2/24"))), {
		index: 4,
		family: 4,
		address: "172.16.86.2",
		prefixLength: 24,
		cidr: "172.16.86.2/24",
		broadcast: "172.16.86.255",
		flags: 0,
		scope: 0,
	});
	assert.is(decodeAddress(bytesOf(addressBody(4, "FD00:0:0::2/64")))?.cidr, "fd00::2/64");
	assert.is(decodeAddress(hex("1c 00 00 00 02000000")), undefined);
});

netlink("a default route is a destination of no bits", () => {
	assertBytes(
		bytesOf(routeBody({ destination: "default", gateway: "172.16.86.1", index: 2 })),
		"02 00 00 00 fe 03 00 01 00000000  0800 0400 02000000  0800 0500 ac105601",
	);
	assertBytes(
		bytesOf(routeBody({ destination: "10.9.0.0/16", index: 2, source: "10.1.0.2", metric: 7 })),
		"02 10 00 00 fe 03 fd 01 00000000  0800 0400 02000000  0800 0100 0a090000  0800 0700 0a010002  0800 0600 07000000",
	);
	assert.is(routeBody({ destination: "default", gateway: "fd00::1", index: 2 }).header[0], 10);
	assert.is(routeBody({ destination: "default", index: 2 }).header[0], 2);
	assert.is(routeBody({ destination: "default", gateway: "10.0.0.1", index: 2, onlink: true }).header[8], 4);
});

netlink("routes are read from what was written, those of other tables are not", () => {
	const route = { destination: "fd01::/64", gateway: "fd00::1", index: 3, metric: 9, onlink: true, scope: 0 };
	const bytes = bytesOf(routeBody(route));
	assert.equal(decodeRoute(bytes), route);
	bytes[4] = 255; // RT_TABLE_LOCAL
	assert.is(decodeRoute(bytes), undefined);
});

netlink("a link is read from its attributes; what a bridge says about it is not a link", () => {
	const payload = hex(`0000 0100 03000000 43100100 00000000
		0900 0300 65746830 00 000000  0a00 0100 0242ac105602 0000  0800 0400 dc050000  0500 1000 06 000000
		0500 2100 01 000000  0800 0500 07000000  0c00 1280 0800 0100 74756e00  0800 1e00 02000000  0800 0d00 88130000`);
	assert.equal(decodeLink(payload), {
		index: 3,
		name: "eth0",
		kind: "tun",
		mac: "02:42:ac:10:56:02",
		mtuBytes: 1500,
		mtuBytesMax: 0,
		flags: 0x11043,
		ethernet: true,
		loopback: false,
		up: true,
		carrier: true,
		operstate: "up",
		masterIndex: 0,
		linkIndex: 7,
		promiscuity: 2,
		txQueueLength: 5000,
		alias: "",
	});
	payload[0] = 7; // AF_BRIDGE
	assert.is(decodeLink(payload), undefined);
});

netlink.run();
