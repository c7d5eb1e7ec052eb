/** vlane as users run it: the daemon, and a network on the parent. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ApiStats } from "../../../src/control/types.js";
import { close } from "../../../src/sys/libc.js";
import { newNetns } from "../../../src/sys/netns.js";
import { needs } from "../../../test/support/needs.js";
import { startVlane, type Vlane } from "../../../test/support/vlane.js";
import { ask } from "../../ask.js";
import {
	ADDRESSES,
	layWire,
	MTU_BYTES,
	type Peer,
	type Picture,
	type PictureOptions,
	SUBNET,
	type SwitchCounts,
	TAGS,
} from "../wire.js";

/**
 * A new endpoint announces its addresses three times in two seconds, to all others: a thousand new ones are a million
 * frames, which are not what is measured.
 */
const ANNOUNCED_MS = 2500;

async function counts(daemon: Vlane): Promise<SwitchCounts> {
	const { batches, ports } = (await ask(daemon.socket, "GET", "/stats")) as ApiStats;
	const sum = (of: (port: ApiStats["ports"][number]) => number) => ports.reduce((all, port) => all + of(port), 0);
	return { batches, frames: sum(({ rxFrames }) => rxFrames), merged: sum(({ txMerged }) => txMerged) };
}

/** What a network is made with beside its parent, and what the daemon is started with. */
interface Settings {
	daemon?: string[];
	network?: string[];
}

async function build(
	{ wire: kind, ports }: PictureOptions,
	{ daemon: daemonArguments = [], network = [] }: Settings = {},
): Promise<Picture> {
	const wire = await layWire(kind);
	// A veth claims to take tags out of frames, which keeps AF_XDP away.
	if (network.length > 0) wire.host.must(["ethtool", "-K", "eth0", "rxvlan", "off"]);
	process.env.VLANE_TEST_NODE_ARGV = "";
	const daemon = await startVlane(wire.host, ...daemonArguments);
	const parent = ["eth0", ...TAGS[kind]].join(".");
	const mtu = ["-o", `com.docker.network.driver.mtu=${MTU_BYTES}`];
	daemon.must("network", "create", `--subnet=${SUBNET}`, "-o", `parent=${parent}`, ...mtu, ...network, "bench");
	daemon.must("network", "connect", "--ip", ADDRESSES.one, "bench", `netns:${wire.one.path}`);
	daemon.must("network", "connect", "--ip", ADDRESSES.two, "bench", `netns:${wire.two.path}`);
	const others = Array.from({ length: ports - 2 }, () => newNetns());
	for (const fd of others) {
		const netns = `netns:/proc/${process.pid}/fd/${fd}`;
		await ask(daemon.socket, "POST", "/networks/bench/connect", { Target: netns });
	}
	if (others.length > 0) await sleep(ANNOUNCED_MS);
	const picture = wire.picture(daemon.pid, async () => {
		await daemon.cleanup();
		for (const fd of others) close(fd);
	});
	return { ...picture, counts: () => counts(daemon) };
}

const common = {
	missing: needs({ root: true, tun: true }),
	wires: ["untagged", "tagged", "qinq"] satisfies Peer["wires"],
	portsMax: 1000,
};

export const VLANE_PEERS: Peer[] = [
	{ name: "vlane", ...common, build: (options) => build(options) },
	{
		...{ name: "vlane-plain", ...common, isExtra: true },
		build: (options) => build(options, { daemon: ["--coalesce", "off"] }),
	},
	{
		...{ name: "vlane-xdp", ...common, isExtra: true, missing: needs({ root: true, tun: true, tools: ["ethtool"] }) },
		build: (options) => build(options, { network: ["-o", "uplink=xdp"] }),
	},
];
