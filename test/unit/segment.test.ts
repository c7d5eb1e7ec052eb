/** What follows from a segment's parent: carrier, MTU, and the words of `inspect`. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
	type Joined,
	networkMtuBytes,
	type Segment,
	segmentCarrier,
	segmentMtuBytes,
	statusOf,
} from "../../src/control/fabric/segment.js";
import { SegmentIndex } from "../../src/control/fabric/segmentindex.js";
import { parseDriverOptions } from "../../src/control/request/options.js";
import { parseParent, type VlanProtocol } from "../../src/control/request/parent.js";
import type { NetworkRecord } from "../../src/control/types.js";
import type { Link } from "../../src/netlink/link.js";

const segments = suite("segment");
const LINK = { name: "eth0", up: true, carrier: true, mtuBytes: 1500 } as Link;

/** A network on `parent`, whose uplink is there when `linkBytes` is given. */
function network(
	parent: string | undefined,
	more: { options?: Record<string, string>; linkBytes?: number } = {},
): Joined {
	const options = more.options ?? {};
	const context = { linkExists: (name: string) => name === "eth0", protocol: options.vlan_protocol as VlanProtocol };
	const ref = parent === undefined ? null : parseParent(parent, context);
	const uplink = more.linkBytes === undefined ? null : { mtuBytes: more.linkBytes, carrier: true };
	const segment = {
		parent: ref,
		hostIfname: ref && ref.vlans.length > 0 && ref.name.length < 16 ? ref.name : undefined,
		networks: new Map(),
		endpoints: new Set(),
		problem: "",
		raised: { number: 1, uplink },
	} as unknown as Segment;
	return { network: { id: "n", parent: ref } as NetworkRecord, options: parseDriverOptions(options), segment };
}

const MTU = (value: number) => ({ "com.docker.network.driver.mtu": String(value) });

for (const [parent, options, linkBytes, expected] of [
	[undefined, {}, undefined, 1500],
	["eth0", {}, 1500, 1500],
	["eth0", {}, 9000, 9000],
	["eth0.50", {}, 1500, 1500],
	["eth0.50", { vlan_protocol: "802.1ad" }, 1500, 1496],
	["eth0.20.200", {}, 1500, 1496],
	["eth0.20.200", { vlan_protocol: "802.1ad" }, 1500, 1492],
	["eth0.20.200", {}, 9000, 8996],
	["eth0.20.200", MTU(1500), 1500, 1500],
	["eth0", MTU(1300), 1500, 1300],
	["eth0", MTU(1300), 1200, 1200],
	[undefined, MTU(9000), undefined, 9000],
] as [string | undefined, Record<string, string>, number | undefined, number][]) {
	segments(`endpoints on ${parent} of ${linkBytes} with ${JSON.stringify(options)} have MTU ${expected}`, () => {
		assert.is(networkMtuBytes(network(parent, { options, linkBytes })), expected);
	});
}

segments("the host's interface does not care for the mtu option", () => {
	assert.is(segmentMtuBytes(network("eth0.50", { options: MTU(1300), linkBytes: 1500 }).segment), 1500);
});

segments("a segment without parent has a carrier, one without its uplink has none", () => {
	assert.is(segmentCarrier(network(undefined).segment), true);
	assert.is(segmentCarrier(network("eth0").segment), false);
	assert.is(segmentCarrier(network("eth0", { linkBytes: 1500 }).segment), true);
});

segments("the first thing that is wrong with the parent is said", () => {
	const joined = network("eth0.50", { linkBytes: 1500 });
	const said = (link: Link | undefined) => {
		const { State, Detail } = statusOf(joined, link);
		return `${State}: ${Detail}`;
	};
	assert.is(said(LINK), "up: ");
	assert.is(said(undefined), "degraded: parent interface eth0 was not found on the host");
	assert.is(said({ ...LINK, up: false, carrier: false }), "degraded: parent interface eth0 is down");
	assert.is(said({ ...LINK, carrier: false }), "degraded: parent interface eth0 has no carrier");
	joined.segment.problem = "it is broken";
	assert.is(said({ ...LINK, carrier: false }), "degraded: it is broken");
});

segments("what is unusual is said, too, without being wrong", () => {
	const stacked = network("eth0.2000.2000", { linkBytes: 1500 });
	const excess = "MTU 1496: these tags need 4 more on eth0, which the kernel does not allow beyond its MTU";
	assert.equal(
		[statusOf(stacked, LINK).State, statusOf(stacked, LINK).Detail, statusOf(stacked, LINK).Vlans],
		["up", excess, ["2000", "2000"]],
	);
	const options = { vlan_protocol: "802.1ad" };
	const taken = network("eth0.50", { options, linkBytes: 1500 });
	Object.assign(taken.segment, { hostIfname: undefined });
	const { Detail, HostInterface, Vlans } = statusOf(taken, LINK);
	const name = "eth0.50 is another VLAN's host interface: none was made";
	assert.is(Detail, `${name}; MTU 1496: this tag needs 4 more on eth0, which the kernel does not allow beyond its MTU`);
	assert.equal([HostInterface, Vlans], ["", ["50 (802.1ad)"]]);
});

segments("segments are found by wire, link and host interface until they are gone", () => {
	const index = new SegmentIndex();
	const [untagged, tagged, local] = [network("eth0"), network("eth0.50"), network(undefined)];
	for (const joined of [untagged, tagged, local]) index.add(joined.network, joined.segment);
	assert.is(index.of(local.network), local.segment);
	assert.is(index.onParent(tagged.segment.parent!), tagged.segment);
	assert.equal(index.onLink("eth0"), [untagged.segment, tagged.segment]);
	assert.is(index.ofHostInterface("eth0.50"), tagged.segment);
	assert.is(index.ofHostInterface("eth0"), undefined);
	index.delete(tagged.network, tagged.segment);
	assert.is(index.ofHostInterface("eth0.50"), undefined);
	assert.equal(index.onLink("eth0"), [untagged.segment]);
	index.delete(untagged.network, untagged.segment);
	assert.equal(index.links(), []);
	assert.equal([...index.all()], [local.segment]);
});

segments.run();
