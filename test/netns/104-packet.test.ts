/**
 * The raw socket on a parent: what it lets in, how a VLAN tag arrives, and what it leaves of the parent's settings.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
	addUnicastMac,
	dropUnicastMac,
	openPacketSocket,
	PACKET_AUXDATA,
	SOL_PACKET,
	setPromiscuous,
} from "../../src/raw/packet.js";
import { addressOf, close, MSG_DONTWAIT, POLLIN, poll, recv, recvmsgAt, write } from "../../src/sys/libc.js";
import { openNetns } from "../../src/sys/netns.js";
import { makeFrame } from "../support/frames.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";

const packet = suite("packet socket");
const need = { root: true, tools: ["ip"], kernel: ["veth"] };
const VNET_HEADER = Buffer.alloc(10);
/** IEEE 802: local experimental ethertype. */
const ETHERTYPE = 0x88b5;
const STATION = "02:00:00:00:00:99";
const OTHER = "02:00:00:00:00:77";
const ANSWER_MS_MAX = 10_000;
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_VLAN_TPID_VALID = 0x40;

interface Received {
	/** Behind the 10-byte header. */
	frame: Buffer;
	tci?: number;
	tpid?: number;
}

interface Pair {
	near: Namespace;
	nearFd: number;
	farFd: number;
	/** Names of the two ends. */
	parent: "eth0";
	wire: "lan0";
}

/**
 * Runs a test with two namespaces, `eth0` in the one wired to `lan0` in the other; the kernel keeps silent on both.
 */
function onPair(test: (pair: Pair) => void): () => void {
	return () => {
		const near = new Namespace("near");
		const far = new Namespace("far");
		for (const ns of [near, far]) {
			ns.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
		}
		near.must(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "lan0", "netns", far.name]);
		near.must(["ip", "link", "set", "eth0", "up"]);
		far.must(["ip", "link", "set", "lan0", "up"]);
		const nearFd = openNetns(near.path);
		const farFd = openNetns(far.path);
		try {
			test({ near, nearFd, farFd, parent: "eth0", wire: "lan0" });
		} finally {
			close(nearFd);
			close(farFd);
			near.close();
			far.close();
		}
	};
}

function send(fd: number, frame: Uint8Array): void {
	const bytes = Buffer.concat([VNET_HEADER, frame]);
	assert.is(write(fd, bytes), bytes.length);
}

/** The next frame, with the tag that the kernel took out of it (struct tpacket_auxdata). */
function receive(fd: number): Received {
	const pollfd = Buffer.alloc(8);
	pollfd.writeInt32LE(fd, 0);
	pollfd.writeInt16LE(POLLIN, 4);
	assert.is(poll(pollfd, ANSWER_MS_MAX), 1, "no frame arrived");

	const bytes = Buffer.alloc(2048);
	const iovec = Buffer.alloc(16);
	iovec.writeBigUInt64LE(BigInt(addressOf(bytes)), 0);
	iovec.writeBigUInt64LE(BigInt(bytes.length), 8);
	const control = Buffer.alloc(256);
	const msghdr = Buffer.alloc(56);
	msghdr.writeBigUInt64LE(BigInt(addressOf(iovec)), 16);
	msghdr.writeBigUInt64LE(1n, 24);
	msghdr.writeBigUInt64LE(BigInt(addressOf(control)), 32);
	msghdr.writeBigUInt64LE(BigInt(control.length), 40);
	const length = recvmsgAt(fd, addressOf(msghdr), MSG_DONTWAIT);
	assert.ok(length > VNET_HEADER.length);

	assert.equal([control.readInt32LE(8), control.readInt32LE(12)], [SOL_PACKET, PACKET_AUXDATA]);
	const auxdata = control.subarray(16);
	const status = auxdata.readUInt32LE(0);
	return {
		frame: bytes.subarray(VNET_HEADER.length, length),
		...(status & TP_STATUS_VLAN_VALID && { tci: auxdata.readUInt16LE(16) }),
		...(status & TP_STATUS_VLAN_TPID_VALID && { tpid: auxdata.readUInt16LE(18) }),
	};
}

testOrSkip(
	packet,
	"the outermost tag of a received frame comes beside it, the inner one in it",
	need,
	onPair(({ nearFd, farFd, parent, wire }) => {
		const ours = openPacketSocket({ link: parent, netnsFd: nearFd, promiscuous: true });
		const theirs = openPacketSocket({ link: wire, netnsFd: farFd, promiscuous: true });
		const payload = Buffer.alloc(46, 0x5a);
		const base = { dst: STATION, src: OTHER, ethertype: ETHERTYPE, payload };
		const plain = makeFrame(base);
		send(theirs.fd, plain);
		assert.equal(receive(ours.fd), { frame: Buffer.from(plain) });

		const inner = { tpid: 0x8100, vid: 60 };
		send(theirs.fd, makeFrame({ ...base, tags: [{ tpid: 0x8100, vid: 50, pcp: 5 }] }));
		assert.equal(receive(ours.fd), { frame: Buffer.from(plain), tci: (5 << 13) | 50, tpid: 0x8100 });
		send(theirs.fd, makeFrame({ ...base, tags: [{ tpid: 0x88a8, vid: 7 }, inner] }));
		assert.equal(receive(ours.fd), {
			frame: Buffer.from(makeFrame({ ...base, tags: [inner] })),
			tci: 7,
			tpid: 0x88a8,
		});

		// Our own frames do not come back to us.
		send(ours.fd, plain);
		assert.equal(receive(theirs.fd), { frame: Buffer.from(plain) });
		assert.is(recv(ours.fd, Buffer.alloc(64), MSG_DONTWAIT), -1);
		close(ours.fd);
		close(theirs.fd);
	}),
);

testOrSkip(
	packet,
	"a parent is described, and left as it was when the socket is closed",
	need,
	onPair(({ near, nearFd, parent }) => {
		const before = near.must(["ip", "-d", "link", "show", parent]);
		const socket = openPacketSocket({ link: parent, netnsFd: nearFd, promiscuous: false });
		const [shown] = near.ip("link", "show", parent);
		assert.equal([socket.ifindex, socket.mac, socket.mtuBytes], [shown.ifindex, shown.address, 1500]);
		assert.is(shown.promiscuity, 0);
		assert.not(shown.flags.includes("PROMISC"));
		close(socket.fd);
		const eager = openPacketSocket({ link: parent, netnsFd: nearFd, promiscuous: true });
		const promiscuity = (): number => near.ip("link", "show", parent)[0].promiscuity;
		assert.is(promiscuity(), 1);
		setPromiscuous(eager.fd, eager.ifindex, false);
		assert.is(promiscuity(), 0);
		setPromiscuous(eager.fd, eager.ifindex, true);
		assert.is(promiscuity(), 1);
		close(eager.fd);
		assert.is(near.must(["ip", "-d", "link", "show", parent]), before);
	}),
);

testOrSkip(
	packet,
	"a NIC with an address filter takes more addresses without promiscuous mode",
	{ ...need, tools: ["ip", "bridge"], kernel: ["veth", "macvlan"] },
	onPair(({ near, nearFd, parent }) => {
		// A kernel macvlan has such a filter; a veth lets everything in.
		near.must(["ip", "link", "add", "mv0", "link", parent, "type", "macvlan", "mode", "bridge"]);
		near.must(["ip", "link", "set", "mv0", "up"]);
		const socket = openPacketSocket({ link: "mv0", netnsFd: nearFd, promiscuous: false });
		const filter = (): string => near.must(["bridge", "fdb", "show", "dev", "mv0"]);
		assert.not.match(filter(), STATION);
		addUnicastMac(socket.fd, socket.ifindex, STATION);
		addUnicastMac(socket.fd, socket.ifindex, OTHER);
		assert.match(filter(), STATION);
		assert.is(near.ip("link", "show", "mv0")[0].promiscuity, 0);
		dropUnicastMac(socket.fd, socket.ifindex, STATION);
		assert.not.match(filter(), STATION);
		assert.match(filter(), OTHER);
		close(socket.fd);
		assert.not.match(filter(), OTHER);
	}),
);

testOrSkip(
	packet,
	"on a parent that is down frames come once it is up",
	need,
	onPair(({ near, nearFd, farFd, parent, wire }) => {
		near.must(["ip", "link", "set", parent, "down"]);
		const ours = openPacketSocket({ link: parent, netnsFd: nearFd, promiscuous: true });
		near.must(["ip", "link", "set", parent, "up"]);
		const theirs = openPacketSocket({ link: wire, netnsFd: farFd, promiscuous: true });
		const frame = makeFrame({ dst: STATION, src: OTHER, ethertype: ETHERTYPE, payload: Buffer.alloc(46) });
		send(theirs.fd, frame);
		assert.equal(receive(ours.fd).frame, Buffer.from(frame));
		close(ours.fd);
		close(theirs.fd);
	}),
);

testOrSkip(
	packet,
	"refusals say why",
	need,
	onPair(({ nearFd }) => {
		const open = (link: string) => () => openPacketSocket({ link, netnsFd: nearFd, promiscuous: false });
		assert.throws(open("lo"), /^raw socket on "lo": EINVAL .*; a parent must be an Ethernet interface$/);
		assert.throws(open("eth7"), /^raw socket on "eth7": ENODEV .*; see 'ip link'$/);
	}),
);

packet.run();
