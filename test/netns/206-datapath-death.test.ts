/** The datapath's thread dies, for real: another one takes over its ports, segments and counters. */
import { readdirSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ApiPort } from "../../src/control/types.js";
import { corruptDatapath } from "../support/corrupt.js";
import { LATE_SECONDS } from "../support/netns.js";
import { eventually, type Site, siteTest } from "../support/site.js";

const death = suite("datapath death");

function counted(site: Site): Map<string, ApiPort> {
	return site.ports();
}

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

siteTest(
	death,
	"a thread that dies is replaced, again and again, and nothing is forgotten",
	async (site) => {
		const { lan, vlane } = site;
		lan.station(50, ["10.50.0.254/24"]);
		lan.station(undefined, ["10.1.0.254/24"]);
		// Numbers with gaps: what made them is gone.
		site.create("gone", "--subnet=10.9.0.0/24", "-o", "parent=eth0.60");
		site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
		const first = await site.join("gone");
		const [c1, c2] = [await site.join("v50"), await site.join("v50")];
		await site.disconnect("gone", first);
		vlane.must("network", "rm", "gone");
		site.create("plain", "--subnet=10.1.0.0/24", "-o", "parent=eth0", "-o", "port_security=mac,ip");
		const c3 = await site.join("plain");
		const isAlive = () => {
			assert.is(c1.ping("10.50.0.2", 1, LATE_SECONDS), 1);
			assert.is(c2.ping("10.50.0.254", 1, LATE_SECONDS), 1);
			assert.is(c3.ping("10.1.0.254", 1, LATE_SECONDS), 1);
			assert.is(c3.ping("10.50.0.254"), 0);
		};
		isAlive();
		const descriptorsBefore = descriptors(vlane.pid);
		for (let time = 0; time < 3; time++) {
			const before = counted(site);
			corruptDatapath(vlane.pid);
			await eventually("frames are forwarded", () => lan.far.ping("10.50.0.2") === 1);
			isAlive();
			const after = counted(site);
			assert.equal([...after.keys()], [...before.keys()]);
			for (const [name, { rxFrames, txFrames }] of after) {
				assert.ok(rxFrames >= before.get(name)!.rxFrames && txFrames >= before.get(name)!.txFrames, name);
			}
		}
		assert.is(descriptors(vlane.pid), descriptorsBefore);
		await site.join("plain");
		const { stderr } = await vlane.stopDaemon();
		assert.is(stderr.match(/the datapath has died and was started again/g)?.length, 3, stderr);
		await vlane.startDaemon();
		isAlive();
	},
	{ vlans: [50] },
);

siteTest(death, "a thread that dies all the time ends the daemon, with one line", async (site) => {
	site.lan.station(undefined, ["10.1.0.254/24"]);
	site.create("plain", "--subnet=10.1.0.0/24", "-o", "parent=eth0");
	const c1 = await site.join("plain");
	const { pid } = site.vlane;
	for (let time = 0; time < 5; time++) {
		corruptDatapath(pid);
		await eventually("frames are forwarded", () => site.lan.far.ping("10.1.0.1") === 1);
	}
	corruptDatapath(pid);
	site.lan.far.ping("10.1.0.1");
	await eventually("the daemon has ended", () => site.vlane.vlane("ps").status !== 0);
	await site.vlane.stopDaemon();
	await site.vlane.startDaemon();
	assert.is(c1.ping("10.1.0.254", 1, LATE_SECONDS), 1);
});

death.run();
