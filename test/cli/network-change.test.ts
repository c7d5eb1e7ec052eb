/**
 * `vlane network rm`, `connect`, `disconnect` and `prune`.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Answer, vlane, withDaemon } from "./harness.js";

const Change = suite("network changes");

const GONE: Answer = [404, { message: "network nope not found" }];
const BUSY: Answer = [
	403,
	{ message: 'error while removing network: network b has active endpoints (name:"c1" id:"0123")' },
];

Change("rm prints what it removed, goes on after a refusal and fails at the end", async () => {
	const routes = {
		"DELETE /networks/a": [204] as Answer,
		"DELETE /networks/nope": GONE,
		"DELETE /networks/b": BUSY,
		"DELETE /networks/c": [204] as Answer,
	};
	await withDaemon(routes, async ({ host, asked }) => {
		assert.equal(await vlane(["network", "rm", "a", "nope", "b", "c"], { host }), {
			status: 1,
			stdout: "a\nc\n",
			stderr:
				"Error response from daemon: network nope not found\n" +
				'Error response from daemon: error while removing network: network b has active endpoints (name:"c1" id:"0123")\n',
		});
		assert.is(asked.length, 4);
		assert.equal(await vlane(["network", "remove", "a"], { host }), { status: 0, stdout: "a\n", stderr: "" });
	});
});

Change("rm -f does not mind a network that is not there", async () => {
	const routes = { "DELETE /networks/nope?force=1": GONE, "DELETE /networks/b?force=1": BUSY };
	await withDaemon(routes, async ({ host }) => {
		assert.equal(await vlane(["network", "rm", "-f", "nope"], { host }), { status: 0, stdout: "", stderr: "" });
		assert.is((await vlane(["network", "rm", "-f", "b"], { host })).status, 1);
	});
});

Change("connect is silent", async () => {
	await withDaemon({ "POST /networks/pub_net/connect": [200, { EndpointID: "e" }] }, async ({ host, asked }) => {
		const lines = [
			"pub_net c1",
			"--ip 172.16.86.10 --ip6 2001:db8::5 --mac-address 0A-42-AC-10-56-02 pub_net c1",
			"--name e --interface lan0 pub_net netns:/run/netns/x",
			"pub_net pid:17",
			"--alias db --alias=sql --driver-opt a=b=c --gw-priority -5 pub_net c1",
		];
		for (const line of lines) {
			const outcome = await vlane(["network", "connect", ...line.split(" ")], { host });
			assert.equal(outcome, { status: 0, stdout: "", stderr: "" }, line);
		}
		assert.equal(
			asked.map(({ body }) => body),
			[
				{ Target: "c1" },
				{ Target: "c1", IPv4Address: "172.16.86.10", IPv6Address: "2001:db8::5", MacAddress: "0a:42:ac:10:56:02" },
				{ Target: "netns:/run/netns/x", Name: "e", Interface: "lan0" },
				{ Target: "pid:17" },
				{ Target: "c1", Aliases: ["db", "sql"], DriverOpts: { a: "b=c" }, GwPriority: -5 },
			],
		);
	});
});

const MALFORMED: [flag: string, message: string][] = [
	["--ip=foo", "invalid IPv4 address: foo"],
	["--ip=2001:db8::1", "invalid IPv4 address: 2001:db8::1"],
	["--ip=010.0.0.1", "invalid IPv4 address: 010.0.0.1"],
	["--ip=", "invalid IPv4 address: "],
	["--ip6=10.0.0.1", "invalid IPv6 address: 10.0.0.1"],
	["--mac-address=foo", "foo is not a valid mac address"],
	[
		"--mac-address=01:00:5e:00:00:01",
		"01:00:5e:00:00:01 is not a valid mac address: it is a multicast address, the first octet must be even",
	],
];

for (const [flag, message] of MALFORMED) {
	Change(`connect ${flag} is refused before the daemon is asked`, async () => {
		await withDaemon({}, async ({ host, asked }) => {
			const outcome = await vlane(["network", "connect", flag, "pub_net", "c1"], { host });
			assert.equal(outcome, { status: 1, stdout: "", stderr: `${message.trim()}\n` });
			assert.equal(asked, []);
		});
	});
}

Change("connect to a network that is not there", async () => {
	await withDaemon({ "POST /networks/nope/connect": GONE }, async ({ host }) => {
		const stderr = "Error response from daemon: network nope not found\n";
		assert.equal(await vlane(["network", "connect", "nope", "c1"], { host }), { status: 1, stdout: "", stderr });
	});
});

Change("disconnect is silent", async () => {
	await withDaemon({ "POST /networks/pub_net/disconnect": [204] }, async ({ host, asked }) => {
		for (const args of [
			["pub_net", "c1"],
			["-f", "pub_net", "netns:/run/netns/x"],
		]) {
			const outcome = await vlane(["network", "disconnect", ...args], { host });
			assert.equal(outcome, { status: 0, stdout: "", stderr: "" });
		}
		assert.equal(
			asked.map(({ body }) => body),
			[{ Target: "c1" }, { Target: "netns:/run/netns/x", Force: true }],
		);
	});
});

const WARNING =
	"WARNING! This will remove all custom networks not used by at least one container.\n" +
	"Are you sure you want to continue? [y/N] ";

Change("prune asks first", async () => {
	await withDaemon({ "POST /networks/prune": [200, { NetworksDeleted: ["a", "b"] }] }, async ({ host, asked }) => {
		for (const stdin of ["", "\n", "n\n", "nonsense\n"]) {
			assert.equal(await vlane(["network", "prune"], { host, stdin }), { status: 0, stdout: WARNING, stderr: "" });
		}
		assert.equal(asked, []);
		const stdout = `${WARNING}Deleted Networks:\na\nb\n\n`;
		for (const stdin of ["y\n", "Y", "yes\n"]) {
			assert.equal(await vlane(["network", "prune"], { host, stdin }), { status: 0, stdout, stderr: "" });
		}
		assert.equal(asked[0], { request: "POST /networks/prune", body: {} });
	});
});

Change("prune -f does not ask", async () => {
	await withDaemon({ "POST /networks/prune": [200, { NetworksDeleted: [] }] }, async ({ host, asked }) => {
		const outcome = await vlane(["network", "prune", "-f", "--filter", "label=a", "--filter", "label=b=c"], { host });
		assert.equal(outcome, { status: 0, stdout: "", stderr: "" });
		assert.equal(asked[0]?.body, { Filters: { label: ["a", "b=c"] } });
		const refused = await vlane(["network", "prune", "-f", "--filter", "until=24h"], { host });
		assert.equal(refused, { status: 1, stdout: "", stderr: "invalid filter 'until'; there are: label\n" });
	});
});

Change("SIGINT at the prompt: 130 and nothing removed", async () => {
	await withDaemon({}, async ({ host, asked }) => {
		const { status, stdout } = await vlane(["network", "prune"], { host, interruptAt: WARNING });
		assert.is(stdout, WARNING);
		assert.is(status, 130);
		assert.equal(asked, []);
	});
});

Change.run();
