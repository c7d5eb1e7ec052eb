/** What Rtnetlink makes, as ip(8) sees it; what ip(8) makes, as Rtnetlink sees it. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Rtnetlink } from "../../src/netlink/rtnetlink.js";
import { close } from "../../src/sys/libc.js";
import { inNetns, openNetns } from "../../src/sys/netns.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";

const rtnetlink = suite("rtnetlink");
const need = { root: true, tools: ["ip"], kernel: ["veth"] };

/** Runs a test with a client in a namespace, and a second namespace. */
function withClient(test: (netlink: Rtnetlink, ns: Namespace, other: Namespace, otherFd: number) => void): () => void {
	return () => {
		const ns = new Namespace("near");
		const other = new Namespace("far");
		const fd = openNetns(ns.path);
		const otherFd = openNetns(other.path);
		const netlink = inNetns(fd, () => new Rtnetlink());
		try {
			test(netlink, ns, other, otherFd);
		} finally {
			netlink.close();
			close(fd);
			close(otherFd);
			ns.close();
			other.close();
		}
	};
}

testOrSkip(
	rtnetlink,
	"a veth's ends are born in their namespaces, and take what they are given",
	need,
	withClient((netlink, ns, other, otherFd) => {
		netlink.addVeth("eth0", "lan0", { netnsFd: otherFd });
		const { index } = netlink.link("eth0")!;
		netlink.setLink(index, { mac: "02:00:00:00:00:01", mtuBytes: 1400, txQueueLength: 77 });
		netlink.setLink(index, { up: true });
		other.must(["ip", "link", "set", "lan0", "up"]);

		const [shown] = ns.ip("link", "show", "eth0");
		assert.is(shown.address, "02:00:00:00:00:01");
		assert.is(shown.mtu, 1400);
		assert.is(shown.txqlen, 77);
		assert.ok(shown.flags.includes("UP"));
		assert.is(other.ip("link", "show", "lan0")[0].linkinfo.info_kind, "veth");

		const link = netlink.link(index)!;
		assert.equal(link, netlink.link("eth0"));
		assert.is(link.kind, "veth");
		assert.is(link.up, true);
		assert.is(link.carrier, true);
		assert.is(link.operstate, shown.operstate.toLowerCase());
		assert.is(link.mac, shown.address);
		assert.is(link.txQueueLength, 77);
		assert.is(link.linkIndex, other.ip("link", "show", "lan0")[0].ifindex);
		assert.is(link.ethernet, true);
		assert.is(netlink.link("lo")?.loopback, true);

		netlink.setLink(index, { up: false });
		netlink.setLink(index, { name: "eth9" });
		assert.is(ns.ip("link", "show", "eth9")[0].ifindex, index);
		netlink.setLink(index, { netnsFd: otherFd, name: "eth5" });
		assert.is(netlink.link(index), undefined);
		assert.is(other.ip("link", "show", "eth5")[0].address, "02:00:00:00:00:01");
	}),
);

testOrSkip(
	rtnetlink,
	"all links are listed, and gone when deleted",
	need,
	withClient((netlink, ns) => {
		for (let i = 0; i < 50; i++) {
			netlink.addVeth(`v${i}`, `w${i}`);
		}
		assert.equal(
			netlink.links().map(({ index, name, mac }) => [index, name, mac]),
			ns.ip("link").map(({ ifindex, ifname, address }) => [ifindex, ifname, address]),
		);
		assert.is(netlink.links().length, 101);
		netlink.deleteLink(netlink.link("v7")!.index);
		assert.is(netlink.link("v7"), undefined);
		assert.is(netlink.link("w7"), undefined);
		assert.is(netlink.link(4711), undefined);
	}),
);

testOrSkip(
	rtnetlink,
	"addresses are as ip(8) would have made them",
	need,
	withClient((netlink, ns) => {
		netlink.addVeth("eth0", "eth1");
		const { index } = netlink.link("eth0")!;
		netlink.setLink(index, { up: true });
		netlink.setLink(netlink.link("eth1")!.index, { up: true });
		netlink.addAddress(index, "172.16.86.2/24");
		netlink.addAddress(index, "10.9.9.8/31");
		netlink.addAddress(index, "2001:db8::2/64", { noDad: true });

		const shown = ns
			.ip("address", "show", "dev", "eth0", "scope", "global")
			.flatMap(({ addr_info }) => addr_info)
			.filter(({ local }) => local !== undefined) // ip(8) leaves an empty object for what "scope global" hides
			.map(({ local, prefixlen, broadcast }) => [local, prefixlen, broadcast]);
		assert.equal(shown, [
			["172.16.86.2", 24, "172.16.86.255"],
			["10.9.9.8", 31, undefined],
			["2001:db8::2", 64, undefined],
		]);
		const ours = netlink.addresses(index).filter(({ scope }) => scope === 0);
		assert.equal(
			ours.map(({ address, prefixLength, broadcast }) => [address, prefixLength, broadcast]),
			shown,
		);
		const tentative = 0x40;
		assert.is(ours[2]!.flags & tentative, 0);
		assert.ok(netlink.addresses().some(({ cidr }) => cidr === "127.0.0.1/8"));

		netlink.deleteAddress(index, "172.16.86.2/24");
		assert.not(netlink.addresses(index).some(({ cidr }) => cidr === "172.16.86.2/24"));
	}),
);

testOrSkip(
	rtnetlink,
	"routes are as ip(8) would have made them",
	need,
	withClient((netlink, ns) => {
		netlink.addVeth("eth0", "eth1");
		const { index } = netlink.link("eth0")!;
		netlink.setLink(netlink.link("eth1")!.index, { up: true });
		netlink.setLink(index, { up: true });
		netlink.addAddress(index, "172.16.86.2/24");
		netlink.addAddress(index, "2001:db8::2/64", { noDad: true });
		netlink.addRoute({ destination: "default", gateway: "172.16.86.1", index });
		netlink.addRoute({ destination: "10.9.0.0/16", index, source: "172.16.86.2", metric: 7 });
		netlink.addRoute({ destination: "10.8.0.0/16", gateway: "192.0.2.1", index, onlink: true });
		netlink.addRoute({ destination: "default", gateway: "2001:db8::1", index });

		const byDestination = (a: string[], b: string[]): number => (a[0]! < b[0]! ? -1 : 1);
		const shown = [...ns.ip("-4", "route"), ...ns.ip("-6", "route")]
			.filter(({ dst }) => !dst.startsWith("fe80"))
			.map(({ dst, gateway, prefsrc, metric }) => [dst, gateway, prefsrc, metric ?? 0])
			.sort(byDestination);
		const ours = [...netlink.routes(4), ...netlink.routes(6)]
			.filter(({ destination }) => !destination.startsWith("fe80"))
			.map(({ destination, gateway, source, metric }) => [destination, gateway, source, metric] as string[])
			.sort(byDestination);
		assert.equal(ours, shown);
		assert.is(ns.must(["ip", "route", "show", "default"]).trim(), "default via 172.16.86.1 dev eth0");
		assert.match(ns.must(["ip", "route", "show", "10.8.0.0/16"]), /via 192.0.2.1 dev eth0 onlink/);

		netlink.deleteRoute({ destination: "default", gateway: "172.16.86.1", index });
		assert.not(netlink.routes(4).some(({ destination }) => destination === "default"));
	}),
);

testOrSkip(
	rtnetlink,
	"a refusal says what, on which link, and the kernel's own words",
	need,
	withClient((netlink) => {
		netlink.addVeth("eth0", "eth1");
		const { index } = netlink.link("eth0")!;
		netlink.addAddress(index, "172.16.86.2/24");
		assert.throws(
			() => netlink.addAddress(index, "172.16.86.2/24"),
			/^RTM_NEWADDR 172\.16\.86\.2\/24 on "eth0": EEXIST \(file exists\)/,
		);
		assert.throws(
			() => netlink.addRoute({ destination: "default", gateway: "192.0.2.1", index }),
			/^RTM_NEWROUTE default via 192\.0\.2\.1 on "eth0": E[A-Z]+ \(.*\); [A-Z]/,
		);
		assert.throws(() => netlink.addVeth("eth0", "eth2"), /^RTM_NEWLINK veth on "eth0": EEXIST/);
		const tooSmall = { mtuBytes: 1 };
		assert.throws(() => netlink.setLink(index, tooSmall), /^RTM_NEWLINK \(mtuBytes\) on "eth0": EINVAL .*; mtu /);
		assert.throws(() => netlink.deleteLink(4711), /^RTM_DELLINK on "link 4711": ENODEV/);
	}),
);

testOrSkip(
	rtnetlink,
	"a kernel macvlan in bridge mode stands on its parent",
	{ ...need, kernel: ["veth", "macvlan"] },
	withClient((netlink, ns) => {
		netlink.addVeth("eth0", "eth1");
		const { index } = netlink.link("eth0")!;
		netlink.addMacvlan("mv0", index);
		assert.is(netlink.link("mv0")?.kind, "macvlan");
		assert.is(netlink.link("mv0")?.linkIndex, index);
		assert.is(ns.ip("link", "show", "mv0")[0].linkinfo.info_data.mode, "bridge");
	}),
);

rtnetlink.run();
