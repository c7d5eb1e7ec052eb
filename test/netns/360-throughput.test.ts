/** Bulk TCP with all offloads on: no corrupt byte, no storm of retransmissions. Rates are printed, never judged. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { capture } from "../support/capture.js";
import { FAR_END } from "../support/lan.js";
import type { Namespace } from "../support/netns.js";
import { sharedSite, siteTest } from "../support/site.js";
import { measure, transfer } from "../support/transfer.js";
import { startVlane } from "../support/vlane.js";

const throughput = suite("throughput");
const options = { tools: ["iperf3"] };
const test = sharedSite(throughput, options);

/** Moves a little with a capture at the receiving end. @throws AssertionError unless super-frames arrive whole */
async function assertOffloads(from: Namespace, to: Namespace, ifname: string, address: string): Promise<void> {
	const end = await capture(to, ifname);
	await transfer(from, to, address, 8 << 20);
	const largest = Math.max(...(await end.stop()).map(({ length }) => length));
	assert.ok(largest > 30_000, `the largest frame has ${largest} bytes`);
}

test("between two containers of a network", async (site) => {
	site.create("net", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	const [c1, c2] = [await site.join("net"), await site.join("net")];
	await assertOffloads(c1, c2, "eth0", "10.1.0.2");
	await transfer(c1, c2, "10.1.0.2");
	await measure("container to container", c1, c2, "10.1.0.2");
});

test("between a container and a LAN host, untagged, both ways", async (site) => {
	site.lan.station(undefined, ["10.1.0.254/24"]);
	site.create("net", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	const c1 = await site.join("net");
	await assertOffloads(c1, site.lan.far, FAR_END, "10.1.0.254");
	await assertOffloads(site.lan.far, c1, "eth0", "10.1.0.1");
	await transfer(c1, site.lan.far, "10.1.0.254");
	await transfer(site.lan.far, c1, "10.1.0.1");
	await measure("container to LAN", c1, site.lan.far, "10.1.0.254");
	await measure("LAN to container", site.lan.far, c1, "10.1.0.1");
});

siteTest(
	throughput,
	"between containers of two hosts, tagged",
	async (site) => {
		const other = await startVlane(site.lan.far);
		const create = ["network", "create", "--subnet=10.1.0.0/24", "-o"];
		site.vlane.must(...create, "parent=eth0.50", "net");
		other.must(...create, `parent=${FAR_END}.50`, "net");
		const c1 = await site.join("net", { ip: "10.1.0.1" });
		const c2 = site.namespace("c2");
		other.must("network", "connect", "--ip=10.1.0.2", "net", `netns:${c2.path}`);
		try {
			await assertOffloads(c1, c2, "eth0", "10.1.0.2");
			await transfer(c1, c2, "10.1.0.2");
			await measure("container to container across VLAN 50", c1, c2, "10.1.0.2");
		} finally {
			await other.cleanup();
		}
	},
	options,
);

throughput.run();
