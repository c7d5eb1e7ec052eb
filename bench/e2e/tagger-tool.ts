/**
 * The LAN host of a tagged wire: `tagger-tool.js LINK IFNAME MTU [TPID:VID]...` makes a TAP whose frames wear the tags
 * on LINK. This is what `ip link add link LINK name IFNAME type vlan id VID` does where the kernel has 8021q.
 */
import { startDatapath } from "../../src/host/datapath.js";
import { openPacketSocket } from "../../src/raw/packet.js";
import { openTap } from "../../src/tap/tap.js";

const MAC = "02:00:5e:00:00:fe";
const [link = "", name = "", mtu = "", ...list] = process.argv.slice(2);
const tags = list.map((text) => {
	const [tpid = 0, vid = 0] = text.split(":").map(Number);
	return { tpid, vid };
});
const datapath = await startDatapath();
const wire = openPacketSocket({ link, promiscuous: true });
const uplink = await datapath.addPort({ kind: "uplink", name: link, ...wire });
const segment = await datapath.addSegment({ uplink, tags });
const { fd } = openTap({ name, persist: false });
const port = { fd, name, mac: MAC, mtuBytes: Number(mtu), segment, network: 1 };
await datapath.addPort({ ...port, kind: "endpoint", mode: "passthru" });
process.send!("ready");
