/** Containers that flood, invent addresses or never read: nobody else suffers, no table grows, all is counted. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import type { ApiStation } from "../../src/control/types.js";
import { BROADCAST } from "../support/frames.js";
import { FAR_END } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { arpRequest, marked } from "../support/packets.js";
import { send } from "../support/sender.js";
import { eventually, macOf, type Site, sharedSite } from "../support/site.js";

const bad = suite("bad neighbours");
const test = sharedSite(bad, { tools: ["perl"], linux: "5.18" });

const BLAST = fileURLToPath(new URL("../../bench/reliability/overload-tool.js", import.meta.url));
/** Fewer than the queue of a TAP holds, so that none is lost before it is read. */
const FRAMES = 4000;
const STORM_PER_SECOND = 30_000;
const GATEWAY = "10.9.0.254";
const UNREAD_BYTES = 16 << 20;

/** Somebody who takes connections and datagrams and reads nothing; all of the connection after SIGUSR1. */
const DEAF = `use IO::Socket::INET; $| = 1; my %at = (LocalAddr => "0.0.0.0", LocalPort => 9);
	my $datagrams = IO::Socket::INET->new(%at, Proto => "udp"); my $server = IO::Socket::INET->new(%at, Listen => 1);
	my $wakes = 0; $SIG{USR1} = sub { $wakes = 1 }; print "ready\n"; my $peer = $server->accept();
	select(undef, undef, undef, 0.05) until $wakes; my $sum = 0;
	while (my $read = sysread($peer, my $buffer, 65536)) { $sum += $read } print "read $sum\n"; sleep 1000;`;
const TELL = `use IO::Socket::INET; my $peer = IO::Socket::INET->new("$ARGV[0]:9") or die $!;
	my $left = $ARGV[1]; while ($left > 0) { $left -= syswrite($peer, "x" x 65536) } shutdown($peer, 1); sleep 1000;`;
const SHOUT = `use IO::Socket::INET; my $peer = IO::Socket::INET->new(Proto => "udp", PeerAddr => "$ARGV[0]:9");
	for (1..20000) { send($peer, "x" x 1000, 0) }`;

/** A network with its gateway on the LAN, and endpoints. */
async function scene(site: Site, ...flags: string[]): Promise<[Namespace, Namespace, Namespace]> {
	site.lan.station(undefined, [`${GATEWAY}/24`]);
	site.vlane.must("network", "create", "--subnet=10.9.0.0/24", "-o", "parent=eth0", ...flags, "net");
	return [await site.join("net"), await site.join("net"), await site.join("net")];
}

const stations = (site: Site): ApiStation[] => JSON.parse(site.vlane.must("fdb", "show", "--json"));
/** Locally administered addresses, another one for each number. */
const inventedMac = (number: number): string =>
	`02:ff:${[24, 16, 8, 0].map((shift) => ((number >> shift) & 0xff).toString(16).padStart(2, "0")).join(":")}`;

test("addresses without number, from a container and from the wire, fill no table", async (site) => {
	const [c1, c2, c3] = await scene(site, "-d", "macvlan");
	assert.is(c2.ping(GATEWAY), 1);
	const known = stations(site);
	const before = site.port("net", c1).rxFrames;
	const flood = (dst: string) => Array.from({ length: FRAMES }, (_, number) => marked("", inventedMac(number), dst));
	assert.is(send(c1, "eth0", flood(macOf(c2))), FRAMES);
	assert.is(send(c1, "eth0", flood(inventedMac(-1))), FRAMES);
	assert.is(send(site.lan.far, FAR_END, flood(macOf(c2))), FRAMES);
	await eventually("all are counted", () => site.port("net", c1).rxFrames - before >= 2 * FRAMES);
	assert.equal(stations(site), known);
	for (const ns of [c2, c3]) assert.is(ns.ping(GATEWAY, 2), 2);
	assert.is(c3.ping("10.9.0.2", 2), 2);
});

test("IP addresses without number that an ipvlan endpoint invents leave room for assigned ones", async (site) => {
	const [c1, c2] = await scene(site, "-d", "ipvlan");
	const mac = macOf(c1);
	// Nobody has the target: all network namespaces of a kernel share the room for their neighbours' addresses.
	const invented = Array.from({ length: FRAMES }, (_, number) => {
		return arpRequest(mac, `10.9.${1 + (number >> 8)}.${number & 0xff}`, "10.9.0.99");
	});
	const before = site.port("net", c1).rxFrames;
	assert.is(send(c1, "eth0", invented), FRAMES);
	await eventually("all are counted", () => site.port("net", c1).rxFrames - before >= FRAMES);
	const learned = stations(site).filter(({ type }) => type === "learned");
	assert.ok(learned.length > 0 && learned.length <= 3 * abi.IP_LEARNED_MAX, `${learned.length} learned`);
	const late = await site.join("net");
	for (const ns of [c2, late]) assert.is(ns.ping(GATEWAY, 2), 2);
});

test("a broadcast storm reaches everybody, and everybody else is still served", async (site) => {
	const [c1, c2, c3] = await scene(site, "-d", "macvlan");
	assert.is(c2.ping(GATEWAY), 1);
	const rate = join(site.vlane.directory, "rate");
	writeFileSync(rate, `${STORM_PER_SECOND}`);
	const before = { from: site.port("net", c1), to: site.port("net", c3) };
	const storm = c1.start([process.execPath, BLAST, rate, c1.path, "eth0", macOf(c1), BROADCAST]);
	await eventually("a storm", () => site.port("net", c3).txFrames - before.to.txFrames > STORM_PER_SECOND);
	for (const target of [GATEWAY, "10.9.0.3"]) assert.is(c2.ping(target, 5), 5, target);
	site.vlane.must("network", "create", "--subnet=10.10.0.0/24", "other");
	site.vlane.must("network", "rm", "other");
	await storm.stop("SIGKILL");
	await eventually("each of its frames has left to the neighbour, or is counted", () => {
		const [from, to] = [site.port("net", c1), site.port("net", c3)];
		const lost = (to.drops.tx_full ?? 0) - (before.to.drops.tx_full ?? 0);
		return to.txFrames - before.to.txFrames + lost >= from.rxFrames - before.from.rxFrames;
	});
});

test("a container that never reads fills its own queues only, and gets what waits when it does", async (site) => {
	const [c1, c2, c3] = await scene(site, "-d", "macvlan");
	const own = "10.9.0.1";
	const deaf = c1.start(["perl", "-e", DEAF]);
	await deaf.waitFor(/ready/);
	const teller = c2.start(["perl", "-e", TELL, own, `${UNREAD_BYTES}`]);
	c2.must(["perl", "-e", SHOUT, own]);
	for (const target of [GATEWAY, "10.9.0.2", own]) assert.is(c3.ping(target, 3), 3, target);
	assert.is(c2.ping(GATEWAY, 3), 3);
	process.kill(deaf.process.pid!, "SIGUSR1");
	await deaf.waitFor(new RegExp(`read ${UNREAD_BYTES}$`, "m"));
	await teller.stop();
	await deaf.stop();
	const { drops } = site.port("net", c1);
	assert.equal(drops, {});
});

bad.run();
