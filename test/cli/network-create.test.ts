/**
 * `vlane network create`: what the daemon is asked, and what is refused before it is asked.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { vlane, withDaemon } from "./harness.js";

const Create = suite("network create");

const ID = "7d86d31b1478e7cca9ebed7e73aa0fdeec46c5ca29497431d3007d2d9e15ed99";

/** The request of `vlane network create n` without flags. */
const PLAIN = {
	Name: "n",
	Driver: "macvlan",
	IPAM: { Driver: "default", Options: {}, Config: [] },
	Options: {},
	Internal: false,
	Attachable: false,
	Labels: {},
};

const REQUESTS: [line: string, body: object][] = [
	["n", PLAIN],
	["-d ipvlan n", { ...PLAIN, Driver: "ipvlan" }],
	["-dipvlan n", { ...PLAIN, Driver: "ipvlan" }],
	["n --driver=ipvlan", { ...PLAIN, Driver: "ipvlan" }],
	[
		"-d macvlan --subnet=172.16.86.0/24 --gateway=172.16.86.1 -o parent=eth0 n",
		{
			...PLAIN,
			IPAM: { ...PLAIN.IPAM, Config: [{ Subnet: "172.16.86.0/24", Gateway: "172.16.86.1" }] },
			Options: { parent: "eth0" },
		},
	],
	[
		"--subnet=192.168.32.0/24 --ip-range=192.168.32.128/25 --gateway=192.168.32.254 --aux-address=a=192.168.32.250 n",
		{
			...PLAIN,
			IPAM: {
				...PLAIN.IPAM,
				Config: [
					{
						Subnet: "192.168.32.0/24",
						IPRange: "192.168.32.128/25",
						Gateway: "192.168.32.254",
						AuxiliaryAddresses: { a: "192.168.32.250" },
					},
				],
			},
		},
	],
	// subnets keep their order, gateways find theirs
	[
		"--subnet=192.168.218.0/24 --subnet=192.168.216.0/24 --gateway=192.168.216.1 --gateway=192.168.218.1 " +
			"--subnet=2001:db8:abc8::/64 --gateway=2001:db8:abc8::10 -o parent=eth0.218 -o macvlan_mode=bridge n",
		{
			...PLAIN,
			IPAM: {
				...PLAIN.IPAM,
				Config: [
					{ Subnet: "192.168.218.0/24", Gateway: "192.168.218.1" },
					{ Subnet: "192.168.216.0/24", Gateway: "192.168.216.1" },
					{ Subnet: "2001:db8:abc8::/64", Gateway: "2001:db8:abc8::10" },
				],
			},
			Options: { parent: "eth0.218", macvlan_mode: "bridge" },
		},
	],
	[
		"--subnet 10.0.0.0/24,10.1.0.0/24 --gateway 10.1.0.1 n",
		{
			...PLAIN,
			IPAM: { ...PLAIN.IPAM, Config: [{ Subnet: "10.0.0.0/24" }, { Subnet: "10.1.0.0/24", Gateway: "10.1.0.1" }] },
		},
	],
	["--ipv6 n", { ...PLAIN, EnableIPv6: true }],
	["--ipv6=false --ipv4=1 n", { ...PLAIN, EnableIPv4: true, EnableIPv6: false }],
	["--internal --attachable n", { ...PLAIN, Internal: true, Attachable: true }],
	["--internal=false n", PLAIN],
	["--label a=b=c --label lonely n", { ...PLAIN, Labels: { a: "b=c", lonely: "" } }],
	["-o=parent=eth0 -oparent=eth1 n", { ...PLAIN, Options: { parent: "eth1" } }],
	["--ipam-driver null --ipam-opt a=b n", { ...PLAIN, IPAM: { Driver: "null", Options: { a: "b" }, Config: [] } }],
	["--config-only n", { ...PLAIN, ConfigOnly: true }],
	["--config-from=base --scope local n", { ...PLAIN, Scope: "local", ConfigFrom: { Network: "base" } }],
	["--config-only=false n", PLAIN],
	["-- n", PLAIN],
];

for (const [line, body] of REQUESTS) {
	Create(line, async () => {
		await withDaemon({ "POST /networks/create": [201, { Id: ID, Warning: "" }] }, async ({ host, asked }) => {
			const outcome = await vlane(["network", "create", ...line.split(" ")], { host });
			assert.equal(outcome, { status: 0, stdout: `${ID}\n`, stderr: "" });
			assert.equal(asked, [{ request: "POST /networks/create", body }]);
		});
	});
}

const REFUSED: [line: string, message: string][] = [
	["--subnet=10.0.0.0/24 --gateway=10.1.0.1 n", "no matching subnet for gateway 10.1.0.1"],
	["--subnet=10.0.0.0/24 --gateway=foo n", "no matching subnet for gateway foo"],
	["--subnet=10.0.0.0/24 --gateway=10.0.0.300 n", "no matching subnet for gateway 10.0.0.300"],
	["--subnet=10.0.0.0/24 --ip-range=10.1.0.0/25 n", "no matching subnet for range 10.1.0.0/25"],
	["--subnet=10.0.0.0/24 --ip-range=foo n", "invalid ip-range: invalid CIDR address: foo"],
	["--subnet=10.0.0.0/24 --aux-address=a=10.1.0.1 n", "no matching subnet for aux-address 10.1.0.1"],
	["--subnet=foo n", "invalid subnet: invalid CIDR address: foo"],
	["--subnet=10.0.0.0 n", "invalid subnet: invalid CIDR address: 10.0.0.0"],
	["--subnet=10.0.0.0/33 n", "invalid subnet: invalid CIDR address: 10.0.0.0/33"],
	["--subnet=10.0.0.0/24 --subnet=10.0.0.0/25 n", "multiple overlapping subnet configuration is not supported"],
	["--subnet=10.0.0.0/24 --subnet=10.0.0.0/24 n", "multiple overlapping subnet configuration is not supported"],
	["--gateway=10.0.0.1 n", "every ip-range or gateway must have a corresponding subnet"],
	["--ip-range=10.0.0.0/25 n", "every ip-range or gateway must have a corresponding subnet"],
	["--aux-address=a=10.0.0.1 n", "no matching subnet for aux-address 10.0.0.1"],
	[
		"--subnet=10.0.0.0/24 --subnet=10.2.0.0/24 --gateway=10.0.0.1 --gateway=10.0.0.2 n",
		"cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)",
	],
	[
		"--subnet=10.0.0.0/24 --subnet=10.2.0.0/24 --ip-range=10.0.0.0/25 --ip-range=10.0.0.128/25 n",
		"cannot configure multiple ranges (10.0.0.128/25, 10.0.0.0/25) on the same subnet (10.0.0.0/24)",
	],
];

for (const [line, message] of REFUSED) {
	Create(`refused before the daemon is asked: ${line}`, async () => {
		await withDaemon({}, async ({ host, asked }) => {
			const outcome = await vlane(["network", "create", ...line.split(" ")], { host });
			assert.equal(outcome, { status: 1, stdout: "", stderr: `${message}\n` });
			assert.equal(asked, []);
		});
	});
}

Create("the daemon's refusal and its warning", async () => {
	const refusal = { message: "network with name n already exists" };
	await withDaemon({ "POST /networks/create": [409, refusal] }, async ({ host }) => {
		const stderr = "Error response from daemon: network with name n already exists\n";
		assert.equal(await vlane(["network", "create", "n"], { host }), { status: 1, stdout: "", stderr });
	});
	await withDaemon({ "POST /networks/create": [201, { Id: ID, Warning: "mind the gap" }] }, async ({ host }) => {
		const stderr = "WARNING: mind the gap\n";
		assert.equal(await vlane(["network", "create", "n"], { host }), { status: 0, stdout: `${ID}\n`, stderr });
	});
});

Create.run();
