/** TAP devices: made in another namespace, kept, taken up again, removed. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { isErrno } from "../../src/sys/errno.js";
import { close, errno, F_GETFD, F_GETFL, FD_CLOEXEC, fcntl, O_NONBLOCK, read } from "../../src/sys/libc.js";
import { openNetns } from "../../src/sys/netns.js";
import { destroyTap, openTap } from "../../src/tap/tap.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";

const tap = suite("tap");
const need = { root: true, tun: true, tools: ["ip"] };
const TUN_F_CSUM_TSO = 0x7;
const EAGAIN = 11;

/** Runs a test with a namespace and a descriptor of it. */
function inside(test: (ns: Namespace, netnsFd: number) => void): () => void {
	return () => {
		const ns = new Namespace("tap");
		const fd = openNetns(ns.path);
		try {
			test(ns, fd);
		} finally {
			close(fd);
			ns.close();
		}
	};
}

const names = (ns: Namespace): string[] => ns.ip("link").map(({ ifname }) => ifname);

testOrSkip(
	tap,
	"a TAP appears in the namespace, down, with offload headers and a long queue",
	need,
	inside((ns, netnsFd) => {
		const device = openTap({ name: "eth0.50", netnsFd, persist: false });
		const [shown] = ns.ip("link", "show", "eth0.50");
		assert.is(shown.ifindex, device.ifindex);
		assert.is(device.created, true);
		assert.is(device.name, "eth0.50");
		assert.is(device.offloads & TUN_F_CSUM_TSO, TUN_F_CSUM_TSO);
		assert.not(shown.flags.includes("UP"));
		assert.is(shown.txqlen, 5000);
		assert.is(shown.linkinfo.info_kind, "tun");
		const { type, pi, vnet_hdr, persist } = shown.linkinfo.info_data;
		assert.equal({ type, pi, vnet_hdr, persist }, { type: "tap", pi: false, vnet_hdr: true, persist: false });
		assert.is(fcntl(device.fd, F_GETFD), FD_CLOEXEC);
		assert.is(fcntl(device.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
		close(device.fd);
		assert.equal(names(ns), ["lo"]);
	}),
);

testOrSkip(
	tap,
	"a persistent TAP keeps its address while nobody holds it, and is taken up again by name",
	need,
	inside((ns, netnsFd) => {
		const first = openTap({ name: "eth0", netnsFd, persist: true });
		ns.must(["ip", "address", "add", "10.0.0.2/24", "dev", "eth0"]);
		ns.must(["ip", "link", "set", "eth0", "up"]);
		const before = ns.ip("address", "show", "eth0")[0];
		close(first.fd);
		assert.ok(ns.ip("link", "show", "eth0")[0].flags.includes("NO-CARRIER"));

		const second = openTap({ name: "eth0", netnsFd, persist: true });
		assert.is(second.created, false);
		assert.is(second.ifindex, first.ifindex);
		assert.is(second.offloads, first.offloads);
		const after = ns.ip("address", "show", "eth0")[0];
		assert.is(after.address, before.address);
		assert.equal(after.addr_info, before.addr_info);
		assert.not(after.flags.includes("NO-CARRIER"));

		destroyTap(second.fd);
		assert.equal(names(ns), ["lo"]);
	}),
);

testOrSkip(
	tap,
	"a frame of the kernel is read behind a 10-byte header",
	need,
	inside((ns, netnsFd) => {
		ns.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
		const device = openTap({ name: "eth0", netnsFd, persist: false });
		ns.must(["ip", "address", "add", "10.0.0.2/24", "dev", "eth0"]);
		ns.must(["ip", "link", "set", "eth0", "up"]);
		assert.is(ns.ping("10.0.0.1"), 0);
		const bytes = Buffer.alloc(2048);
		assert.is(read(device.fd, bytes), 10 + 42);
		assert.is(bytes.subarray(10, 16).toString("hex"), "ffffffffffff");
		assert.is(bytes.readUInt16BE(10 + 12), 0x0806);
		while (read(device.fd, bytes) > 0) {
			// further ARP requests
		}
		assert.is(errno(), EAGAIN);
		close(device.fd);
	}),
);

testOrSkip(
	tap,
	"refusals say why",
	need,
	inside((ns, netnsFd) => {
		const open = (name: string) => () => openTap({ name, netnsFd, persist: false });
		assert.throws(open("lo"), /^TUNSETIFF on "lo": EINVAL .*; a link of this name exists and is not a TAP$/);
		assert.throws(open("a-name-of-16-chr"), /1 to 15 bytes$/);
		assert.throws(open(""), /1 to 15 bytes$/);
		const held = openTap({ name: "eth0", netnsFd, persist: false });
		assert.throws(
			() => openTap({ name: "eth0", netnsFd, persist: true }),
			(error: unknown) => isErrno(error, "EBUSY") && /another process is attached/.test(error.message),
		);
		assert.is(ns.ip("link", "show", "eth0")[0].linkinfo.info_data.persist, false);
		close(held.fd);
	}),
);

tap.run();
