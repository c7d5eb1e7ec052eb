/**
 * Open vSwitch with its datapath in user space, on TAPs, with and without userspace-tso. Its processes are started
 * here, on a database of their own; a service of the machine is neither used nor disturbed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCleanup } from "../../../test/support/cleanup.js";
import { needs } from "../../../test/support/needs.js";
import { must, Namespace } from "../../../test/support/netns.js";
import { setOffloads } from "../../../test/support/offloads.js";
import { ADDRESSES, layWire, moveIn, type Peer, type Picture, type PictureOptions, TAGS } from "../wire.js";

const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
/** vlan_vid of OpenFlow has this bit set when there is a tag. */
const OFPVID_PRESENT = 0x1000;
const TPID = "0x8100";

async function build({ wire: kind, ports }: PictureOptions, hasTso: boolean): Promise<Picture> {
	const wire = await layWire(kind);
	const { host } = wire;
	// Without userspace-tso it forwards what the LAN host leaves to hardware as it is: sums that are not there yet.
	if (!hasTso) setOffloads(wire.lan.ns, "lan0", false);
	const directory = mkdtempSync(join(tmpdir(), "vlane-ovs-"));
	const remove = onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	const file = (name: string): string => join(directory, name);
	const remote = `unix:${file("db.sock")}`;
	const own = (name: string): string[] => [`--unixctl=${file(`${name}.ctl`)}`, `--pidfile=${file(`${name}.pid`)}`];
	const env = { OVS_RUNDIR: directory, OVS_LOGDIR: directory, OVS_DBDIR: directory };
	const vsctl = (...argv: string[]): string => must(["ovs-vsctl", `--db=${remote}`, ...argv], { env });

	must(["ovsdb-tool", "create", file("conf.db"), SCHEMA], { env });
	const listen = `--remote=p${remote}`;
	const database = host.start(["ovsdb-server", file("conf.db"), listen, ...own("ovsdb"), "-vconsole:info"], { env });
	await database.waitFor(/ovsdb-server \(Open vSwitch\)/);
	vsctl("--no-wait", "init");
	vsctl("--no-wait", "set", "Open_vSwitch", ".", `other_config:userspace-tso-enable=${hasTso}`);
	vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2");
	const daemon = host.start(["ovs-vswitchd", remote, ...own("vswitchd"), "-vconsole:info"], { env });
	await daemon.waitFor(/ovs-vswitchd \(Open vSwitch\)/);

	vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
	vsctl("add-port", "br0", "eth0");
	const access = kind === "tagged" ? TAGS.tagged.map((vid) => `tag=${vid}`) : [];
	const names = Array.from({ length: ports }, (_, index) => `t${index + 1}`);
	for (const name of names) {
		vsctl("add-port", "br0", name, ...access, "--", "set", "interface", name, "type=tap");
	}
	const others = ports > 2 ? new Namespace("others") : undefined;
	others?.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
	for (const name of names.slice(2)) host.must(["ip", "link", "set", name, "netns", others!.name, "up"]);
	moveIn(wire, "t1", wire.one, ADDRESSES.one);
	moveIn(wire, "t2", wire.two, ADDRESSES.two);
	if (kind === "qinq") {
		const [outer, inner] = TAGS.qinq;
		const push = [inner!, outer!].map((vid) => `push_vlan:${TPID},set_field:${OFPVID_PRESENT | vid}->vlan_vid`).join();
		const flows = [
			`in_port=t1,actions=${push},output:eth0`,
			`in_port=eth0,dl_vlan=${outer},actions=pop_vlan,resubmit(,1)`,
			`table=1,dl_vlan=${inner},actions=pop_vlan,output:t1`,
		];
		for (const flow of flows)
			must(["ovs-ofctl", "-OOpenFlow13", "add-flow", `unix:${file("br0.mgmt")}`, flow], { env });
	}
	return wire.picture(daemon.process.pid, async () => {
		await daemon.stop();
		await database.stop();
		others?.close();
		remove();
	});
}

const missing = needs({ root: true, tun: true, tools: ["ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"] });
const common = { missing, wires: ["untagged", "tagged", "qinq"] satisfies Peer["wires"], portsMax: 100 };

export const OVS_PEERS: Peer[] = [
	{ name: "ovs-tso", ...common, build: (options) => build(options, true) },
	{ name: "ovs", ...common, build: (options) => build(options, false) },
];
