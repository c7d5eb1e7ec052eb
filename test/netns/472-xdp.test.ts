/** `-o uplink=xdp`: AF_XDP sockets beside the raw socket, for networks that ask for them. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { XdpProgram } from "../../src/raw/xdp.js";
import { close } from "../../src/sys/libc.js";
import { inNetns, openNetns } from "../../src/sys/netns.js";
import { type BpfObject, bpfObjectsOf, isThere } from "../support/bpf.js";
import { corruptDatapath } from "../support/corrupt.js";
import { FAR_END, PARENT } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { eventually, type Site, siteTest } from "../support/site.js";
import { transfer } from "../support/transfer.js";

const BYTES = 2 << 20;
const QINQ = [
	{ tpid: 0x88a8, vid: 7 },
	{ tpid: 0x8100, vid: 9 },
];
const XDP = ["-o", "uplink=xdp"];
const COPY = "frames come in by xdp (copy)";

const xdp = suite("uplink=xdp");

/** A veth claims to take tags out of frames, which keeps AF_XDP away. */
const allow = (site: Site) => site.lan.host.must(["ethtool", "-K", PARENT, "rxvlan", "off"]);

/** Frames that the driver has given to AF_XDP, for each receive queue. */
function redirectedOf({ lan }: Site): number[] {
	const counters = lan.host.must(["ethtool", "-S", PARENT]).matchAll(/rx_queue_\d+_xdp_redirect: (\d+)/g);
	return [...counters].map(([, count]) => Number(count));
}

const redirected = (site: Site): number => redirectedOf(site).reduce((sum, count) => sum + count, 0);

const hasProgram = ({ lan }: Site): boolean => /\bxdp\b/.test(lan.host.must(["ip", "-d", "link", "show", PARENT]));
const detail = (site: Site, network = "plain"): string => site.inspect(network).Status.Detail;

function createPlain(site: Site): void {
	site.lan.station(undefined, ["10.9.0.1/24", "fd09::1/64"]);
	const subnets = ["--subnet=10.9.0.0/24", "--gateway=10.9.0.1", "--subnet=fd09::/64", "--gateway=fd09::1"];
	site.create("plain", ...subnets, "-o", `parent=${PARENT}`, ...XDP);
}

/** There and back, and many bytes in. */
async function talk(site: Site, ns: Namespace, far: string, own: string): Promise<void> {
	assert.is(ns.ping(far), 1, `ping ${far}`);
	await transfer(site.lan.far, ns, own, BYTES);
}

/** What `vlane ports` says of the uplink. */
const input = (site: Site): string => site.vlane.must("ports", "--format", "{{.Input}}").split("\n")[0]!;

/** What a busy kernel takes to let go of a ring that was closed, and of the sockets in it. */
const LET_GO_MS_MAX = 30_000;

/** What the kernel had for a daemon goes away with it, though not at once. */
const nothingLeft = (objects: BpfObject[]): Promise<void> =>
	eventually("programs, maps and links are gone", () => !objects.some(isThere), LET_GO_MS_MAX);

const test = (
	name: string,
	body: (site: Site) => void | Promise<void>,
	{ daemon, queues }: { daemon?: string[]; queues?: number } = {},
): void => siteTest(xdp, name, body, { vlans: [50, QINQ], tools: ["ethtool"], daemon, queues });

for (const daemon of [[], ["--workers", "2"]]) {
	test(
		`untagged, tagged and doubly tagged networks ${daemon.join(" ")}`,
		async (site) => {
			allow(site);
			createPlain(site);
			site.lan.station(50, ["10.9.50.1/24"]);
			site.lan.station(QINQ, ["10.9.79.1/24"]);
			const tagged = (name: string, subnet: string, parent: string, ...more: string[]) =>
				site.create(
					name,
					`--subnet=10.9.${subnet}.0/24`,
					`--gateway=10.9.${subnet}.1`,
					"-o",
					`parent=${parent}`,
					...more,
				);
			tagged("v50", "50", "eth0.50", ...XDP);
			tagged("q", "79", "eth0.7.9", "-o", "vlan_protocol=802.1ad", ...XDP);
			for (const name of ["plain", "v50", "q"]) assert.ok(detail(site, name).startsWith(COPY), detail(site, name));
			const [c1, c2, c3] = [await site.join("plain"), await site.join("v50"), await site.join("q")];
			for (const [ns, far, own] of [
				[c1, "10.9.0.1", "10.9.0.2"],
				[c1, "fd09::1", "fd09::2"],
				[c2, "10.9.50.1", "10.9.50.2"],
				[c3, "10.9.79.1", "10.9.79.2"],
			] as const) {
				const before = redirected(site);
				await talk(site, ns, far, own);
				assert.ok(redirected(site) - before > BYTES / 1500, `${own} received through AF_XDP`);
			}
		},
		{ daemon },
	);
}

test("the host's own traffic goes on, and group frames reach both", async (site) => {
	allow(site);
	createPlain(site);
	site.lan.host.must(["ip", "address", "add", "10.9.0.200/24", "dev", PARENT]);
	const ns = await site.join("plain");
	await talk(site, site.lan.host, "10.9.0.1", "10.9.0.200");
	assert.is(ns.ping("10.9.0.200"), 0, "as with macvlan");
	// Both answer an ARP request for them, which is a broadcast.
	for (const address of ["10.9.0.200", "10.9.0.2"]) {
		site.lan.far.must(["ip", "neighbour", "flush", "all"]);
		assert.is(site.lan.far.ping(address), 1);
	}
});

test("what prevents it is said, the raw socket carries on, and it begins once nothing does", async (site) => {
	site.lan.station(undefined, ["10.9.0.1/24"]);
	const create = [
		"network",
		"create",
		"--subnet=10.9.0.0/24",
		"--gateway=10.9.0.1",
		"-o",
		`parent=${PARENT}`,
		...XDP,
		"plain",
	];
	const { status, stderr } = site.vlane.vlane(...create);
	assert.is(status, 0);
	const stripping =
		"eth0 takes VLAN tags out of frames before AF_XDP sees them; turn that off: ethtool -K eth0 rxvlan off";
	assert.match(stderr, stripping);
	assert.match(detail(site), `uplink=xdp is not possible, frames come in by the raw socket: ${stripping}`);
	const ns = await site.join("plain");
	const own = site.inspect("plain").Containers;
	const address = (Object.values(own)[0] as { IPv4Address: string }).IPv4Address.split("/")[0]!;
	assert.is(input(site), `packet, not xdp: ${stripping}`);
	const works = async (how: string) => {
		await eventually(how, () => detail(site).includes(how));
		await talk(site, ns, "10.9.0.1", address);
	};
	await works("turn that off");
	assert.is(redirected(site), 0);
	assert.not(hasProgram(site));
	allow(site);
	await works(COPY);
	assert.is(input(site), "xdp (copy)");
	site.lan.host.must(["ip", "link", "set", PARENT, "mtu", "2000"]);
	await works("eth0 has MTU 2000; AF_XDP works up to 1770");
	assert.not(hasProgram(site));
	// Another program is on the link, when this is no longer so.
	const netnsFd = openNetns(site.lan.host.path);
	try {
		const { ifindex } = site.lan.host.ip("link", "show", PARENT)[0];
		const other = inNetns(netnsFd, () => XdpProgram.attach({ name: PARENT, index: ifindex, mtuBytes: 1500 }));
		try {
			site.lan.host.must(["ip", "link", "set", PARENT, "mtu", "1500"]);
			await works("EBUSY");
		} finally {
			other.close();
		}
	} finally {
		close(netnsFd);
	}
	await works(COPY);
});

test(
	"a parent with two receive queues, and one that gets another queue",
	async (site) => {
		const setQueues = (receive: number) => {
			const far = () => site.lan.far.must(["ethtool", "-L", FAR_END, "tx", `${receive}`]);
			// A veth with a program on it may not have fewer queues than its peer sends from.
			if (receive === 1) far();
			site.lan.host.must(["ethtool", "-L", PARENT, "rx", `${receive}`]);
			if (receive > 1) far();
		};
		// The sender's kernel chooses a queue for each connection, by chance.
		const usesBoth = async (what: string, counts: () => number[]) => {
			const before = counts();
			await eventually(what, async () => {
				await transfer(site.lan.far, ns, "10.9.0.2", 1 << 17);
				return counts().length === 2 && counts().every((count, queue) => count > (before[queue] ?? 0));
			});
		};
		allow(site);
		setQueues(1);
		createPlain(site);
		const ns = await site.join("plain");
		await talk(site, ns, "10.9.0.1", "10.9.0.2");
		setQueues(2);
		const received = (): number[] => {
			const counters = site.lan.host.must(["ethtool", "-S", PARENT]).matchAll(/rx_queue_\d+_xdp_packets: (\d+)/g);
			return [...counters].map(([, count]) => Number(count));
		};
		await usesBoth("frames of both queues arrive, whatever has a socket", received);
		// News of the link is what lets vlane look again; there may have been some by now.
		site.lan.host.must(["ip", "link", "set", PARENT, "mtu", "1490"]);
		await usesBoth("both queues have a socket", () => redirectedOf(site));
		assert.is(detail(site), COPY);
	},
	{ queues: 2 },
);

test("a parent that is deleted, and another one of its name", async (site) => {
	allow(site);
	createPlain(site);
	const ns = await site.join("plain");
	await talk(site, ns, "10.9.0.1", "10.9.0.2");
	const before = bpfObjectsOf(site.vlane.pid);
	assert.equal([...new Set(before.map(({ kind }) => kind))].sort(), ["link", "map", "prog"]);
	site.lan.host.must(["ip", "link", "delete", PARENT]);
	await eventually("the parent is missed", () => detail(site).includes("was not found on the host"));
	await nothingLeft(before);
	assert.equal(bpfObjectsOf(site.vlane.pid), []);
	const peer = ["type", "veth", "peer", "name", FAR_END, "netns", site.lan.far.name];
	site.lan.host.must(["ip", "link", "add", PARENT, "up", ...peer]);
	site.lan.station(undefined, ["10.9.0.1/24"]);
	// It may have been seen, and refused, before it stops to take tags out.
	allow(site);
	site.lan.host.must(["ip", "link", "set", PARENT, "mtu", "1490"]);
	await eventually("AF_XDP again", () => detail(site).includes(COPY));
	await talk(site, ns, "10.9.0.1", "10.9.0.2");
	assert.ok(redirected(site) > BYTES / 1500);
});

test("a daemon that is killed or replaced, a thread that dies, a network that is removed", async (site) => {
	allow(site);
	createPlain(site);
	const ns = await site.join("plain");
	await talk(site, ns, "10.9.0.1", "10.9.0.2");
	assert.is(detail(site), COPY);

	// Killed under load.
	const flood = site.lan.far.start(["ping", "-f", "-q", "10.9.0.2"]);
	const killed = bpfObjectsOf(site.vlane.pid);
	assert.ok(killed.length > 0);
	await site.vlane.stopDaemon("SIGKILL");
	await nothingLeft(killed);
	assert.not(hasProgram(site));
	await site.vlane.startDaemon();
	await eventually("AF_XDP again", () => detail(site).includes(COPY));
	await talk(site, ns, "10.9.0.1", "10.9.0.2");

	// Replaced under load.
	assert.is((await site.vlane.replaceDaemon()).status, 0);
	await eventually("AF_XDP again", () => detail(site).includes(COPY));
	await talk(site, ns, "10.9.0.1", "10.9.0.2");

	// A core whose memory is damaged ends its thread, and another one takes over.
	const orphaned = bpfObjectsOf(site.vlane.pid);
	await corruptDatapath(site.vlane.pid);
	await nothingLeft(orphaned);
	const before = redirected(site);
	await eventually("AF_XDP again", () => detail(site).includes(COPY) && redirected(site) > before);
	await talk(site, ns, "10.9.0.1", "10.9.0.2");

	// Removed under load.
	const removed = bpfObjectsOf(site.vlane.pid);
	await site.removeAll();
	assert.not(hasProgram(site));
	await nothingLeft(removed);
	await flood.stop();
});

xdp.run();
