/** `vlane ports`, `stats` and `fdb show` against a daemon that answers from a table. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ApiPort, ApiStation, ApiStats } from "../../src/control/types.js";
import { vlane, withDaemon } from "./harness.js";

const Observe = suite("observe");

const ZERO = {
	...{ rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, rxOffloads: 0 },
	...{ txMerged: 0, txFinished: 0, drops: {}, filtered: {} },
};

const PORTS: ApiPort[] = [
	{
		...{ port: 1, worker: 1, name: "eth0", kind: "uplink", ...ZERO, rxFrames: 1, rxBytes: 60 },
		...{ drops: { runt: 2, giant: 1 }, filtered: { vlan: 5, unknown: 3 } },
		...{
			networks: ["pub_net", "v50"],
			parent: "eth0",
			vlans: [],
			mac: "02:00:00:00:00:01",
			mtuBytes: 1500,
			carrier: true,
			input: "xdp (copy)",
		},
	},
	{
		worker: 2,
		...{ port: 2, name: "v50/web", kind: "endpoint", ...ZERO, rxFrames: 7, rxBytes: 700, txFrames: 9, txBytes: 900 },
		...{ rxOffloads: 4, networks: ["v50"], parent: "eth0.20.50", vlans: ["20 (802.1ad)", "50"] },
		...{ mac: "02:00:00:00:00:02", mtuBytes: 1492, carrier: false, input: "" },
	},
];

const STATS: ApiStats = {
	time: "2026-01-02T03:04:05.678Z",
	uptimeSeconds: 65,
	datapath: "io_uring",
	workers: 1,
	buffers: { total: 512, used: 3 },
	batches: 4,
	batchSizes: [
		{ min: 1, max: 1, batches: 3 },
		{ min: 2, max: 3, batches: 0 },
		{ min: 4, max: 7, batches: 1 },
	],
	ports: PORTS,
};

const FDB: ApiStation[] = [
	{ network: "", parent: "eth0.50", mac: "02:00:00:00:00:01", addresses: [], port: 3, name: "eth0.50", type: "static" },
	{
		...{ network: "v50", parent: "eth0.50", mac: "02:00:00:00:00:02", addresses: ["10.1.0.2", "2001:db8::2"] },
		...{ port: 2, name: "v50/web", type: "static" },
	},
	{ network: "src", parent: "", mac: "02:00:00:00:00:09", addresses: [], port: 0, name: "", type: "source" },
];

const ANSWERS = { "GET /ports": [200, PORTS], "GET /stats": [200, STATS], "GET /fdb": [200, FDB] } as Record<
	string,
	[number, unknown]
>;

Observe("ports: a table, as JSON, by a template", async () => {
	await withDaemon(ANSWERS, async ({ host }) => {
		const stdout = [
			"PORT      NAME      KIND       RX FRAMES   RX BYTES   TX FRAMES   TX BYTES   DROPS            FILTERED",
			"1         eth0      uplink     1           60         0           0          runt=2,giant=1   vlan=5,unknown=3",
			"2         v50/web   endpoint   7           700        9           900        0                0",
			"",
		].join("\n");
		assert.equal(await vlane(["ports"], { host }), { status: 0, stdout, stderr: "" });
		const json = await vlane(["ports", "--json"], { host });
		assert.equal(json, { status: 0, stdout: `${JSON.stringify(PORTS, undefined, 4)}\n`, stderr: "" });
		const format =
			"{{.Name}} {{.Parent}} {{.Vlans}} {{.MAC}} {{.MTU}} {{.Carrier}} {{.Networks}} {{.RxOffloads}} {{.Worker}} " +
			"{{.Input}}";
		assert.equal(await vlane(["ports", "--format", format], { host }), {
			status: 0,
			stdout:
				"eth0 eth0  02:00:00:00:00:01 1500 true pub_net,v50 0 1 xdp (copy)\n" +
				"v50/web eth0.20.50 20 (802.1ad),50 02:00:00:00:00:02 1492 false v50 4 2 \n",
			stderr: "",
		});
		const rows = await vlane(["ports", "--format", "json"], { host });
		assert.is(
			rows.stdout.split("\n")[1],
			'{"Carrier":"false","Drops":"0","Filtered":"0","Input":"","Kind":"endpoint","MAC":"02:00:00:00:00:02",' +
				'"MTU":"1492","Name":"v50/web","Networks":"v50","Parent":"eth0.20.50","Port":"2","RxBytes":"700","RxFrames":"7",' +
				'"RxOffloads":"4","TxBytes":"900","TxFrames":"9","Vlans":"20 (802.1ad),50","Worker":"2"}',
		);
	});
});

Observe("stats of the switch and of a port", async () => {
	await withDaemon(ANSWERS, async ({ host }) => {
		const whole = [
			"Uptime:        65 s",
			"Datapath:      io_uring",
			"Ports:         2",
			"Received:      8 frames, 760 bytes",
			"Sent:          9 frames, 900 bytes",
			"Offloads:      4 frames received whole, to be sent in segments",
			"Dropped:       3: runt 2, giant 1",
			"Filtered:      8: vlan 5, unknown 3",
			"Buffers:       3 of 512 in use",
			"Batches:       4, of 2.0 frames on average",
			"Batch sizes:   1 3, 4-7 1",
			"",
		].join("\n");
		assert.equal(await vlane(["stats"], { host }), { status: 0, stdout: whole, stderr: "" });
		await withDaemon({ "GET /stats": [200, { ...STATS, workers: 3 }] }, async (busy) => {
			const { stdout } = await vlane(["stats"], busy);
			assert.match(stdout, /^Datapath: +io_uring, 3 workers$/m);
		});
		const ports = [
			"Port:          v50/web (2, endpoint)",
			"Networks:      v50",
			"Parent:        eth0.20.50, VLAN 50 in 20 (802.1ad)",
			"MAC address:   02:00:00:00:00:02",
			"MTU:           1492, without carrier",
			"Received:      7 frames, 700 bytes",
			"Sent:          9 frames, 900 bytes",
			"Offloads:      4 frames received whole, to be sent in segments",
			"Dropped:       0",
			"",
			"Port:          eth0 (1, uplink)",
			"Networks:      pub_net, v50",
			"Parent:        eth0",
			"MAC address:   02:00:00:00:00:01",
			"MTU:           1500, with carrier",
			"Received:      1 frames, 60 bytes",
			"Sent:          0 frames, 0 bytes",
			"Offloads:      0 frames received whole, to be sent in segments",
			"Dropped:       3: runt 2, giant 1",
			"Filtered:      8: vlan 5, unknown 3",
			"",
		].join("\n");
		assert.equal(await vlane(["stats", "2", "eth0"], { host }), { status: 0, stdout: ports, stderr: "" });
		assert.is((await vlane(["stats", "--json"], { host })).stdout, `${JSON.stringify(STATS, undefined, 4)}\n`);
		assert.is((await vlane(["stats", "--format", "json", "1"], { host })).stdout, `${JSON.stringify([PORTS[0]])}\n`);
		const one = await vlane(["stats", "--format", "{{.name}} {{.rxFrames}} {{json .filtered}}", "eth0"], { host });
		assert.is(one.stdout, 'eth0 1 {"vlan":5,"unknown":3}\n');
		const nobody = { status: 1, stdout: "", stderr: "No such port: eth9; see 'vlane ports'\n" };
		assert.equal(await vlane(["stats", "eth0", "eth9"], { host }), nobody);
	});
});

Observe("the forwarding database, and of one network", async () => {
	await withDaemon({ ...ANSWERS, "GET /fdb?network=a%20b": [404, { message: "network a b not found" }] }, async (d) => {
		const stdout = [
			"NETWORK   PARENT    MAC ADDRESS         IP ADDRESSES           PORT      NAME      TYPE",
			"-         eth0.50   02:00:00:00:00:01   -                      3         eth0.50   static",
			"v50       eth0.50   02:00:00:00:00:02   10.1.0.2,2001:db8::2   2         v50/web   static",
			"src       -         02:00:00:00:00:09   -                      -         -         source",
			"",
		].join("\n");
		assert.equal(await vlane(["fdb", "show"], d), { status: 0, stdout, stderr: "" });
		assert.is((await vlane(["fdb", "show", "--json"], d)).stdout, `${JSON.stringify(FDB, undefined, 4)}\n`);
		const refused = { status: 1, stdout: "", stderr: "Error response from daemon: network a b not found\n" };
		assert.equal(await vlane(["fdb", "show", "--network", "a b"], d), refused);
	});
});

Observe("top prints a table for each look when it does not write to a terminal", async () => {
	let looks = 0;
	const look = (): [number, unknown] => {
		const time = new Date(Date.UTC(2026, 0, 1) + looks * 2000).toISOString();
		const [uplink, endpoint] = PORTS as [ApiPort, ApiPort];
		const rates = { rxFrames: 10 * looks, rxBytes: 1_500_000 * looks, txFrames: 2469 * looks, txBytes: 250 * looks };
		looks++;
		return [
			200,
			{
				...STATS,
				time,
				ports: [
					{ ...uplink, drops: { runt: 3 * looks } },
					{ ...endpoint, ...rates },
				],
			},
		];
	};
	const table = [
		"NAME      KIND       RX BIT/S   RX FRAMES/S   TX BIT/S   TX FRAMES/S   DROPS/S",
		"v50/web   endpoint   6.00M      5             1.00k      1.23k         0         ████████████████████",
		"eth0      uplink     0          0             0          0             2",
		"",
	].join("\n");
	await withDaemon({ "GET /stats": look }, async (daemon) => {
		const argv = ["top", "-n", "2", "-d", "0.1"];
		assert.equal(await vlane(argv, daemon), { status: 0, stdout: `${table}\n${table}`, stderr: "" });
	});
	const wrong = await vlane(["top", "-d", "0"]);
	assert.is(wrong.status, 2);
	const range = "expected a number of seconds from 0.1 to 3600";
	assert.is(wrong.stderr, `invalid argument "0" for "-d, --delay" flag: ${range}\nSee 'vlane top --help'.\n`);
	assert.is((await vlane(["top", "-n", "0"])).status, 2);
});

Observe("a capture needs something to capture, and a daemon", async () => {
	const none = await vlane(["capture"]);
	const stderr = "vlane: 'vlane capture' requires at least 1 argument\nSee 'vlane capture --help'.\n";
	assert.equal(none, { status: 2, stdout: "", stderr });
	assert.match((await vlane(["capture", "eth0"])).stderr, /^Cannot connect to the vlane daemon at \S+ Is .*\n$/);
});

Observe.run();
