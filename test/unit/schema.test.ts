/** Request bodies: what passes, and the one line that says why another does not. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { z } from "zod";
import { VlaneError } from "../../src/control/errors.js";
import {
	connectBody,
	createContainerBody,
	createNetworkBody,
	disconnectBody,
	parseBody,
	pruneBody,
	stopContainerBody,
} from "../../src/control/request/schema.js";

const schema = suite("schema");

const network = { Name: "pub_net" };
const container = { Pid: 42, Command: ["/bin/sh"], AutoRemove: false, Networks: [] };

for (const [title, type, value] of [
	["smallest network", createNetworkBody, network],
	[
		"whole network",
		createNetworkBody,
		{
			Name: "pub_net",
			Driver: "macvlan",
			IPAM: {
				Driver: "default",
				Options: {},
				Config: [
					{
						Subnet: "10.0.0.0/24",
						IPRange: "10.0.0.0/25",
						Gateway: "10.0.0.1",
						AuxiliaryAddresses: { a: "10.0.0.2" },
					},
				],
			},
			Options: { parent: "eth0" },
			Internal: false,
			Attachable: true,
			EnableIPv4: true,
			EnableIPv6: false,
			Labels: { "com.example": "" },
		},
	],
	["smallest connect", connectBody, { Target: "c1" }],
	[
		"whole connect",
		connectBody,
		{
			Target: "netns:/run/netns/a",
			Name: "a",
			IPv4Address: "10.0.0.9",
			IPv6Address: "2001:db8::9",
			MacAddress: "02:00:00:00:00:09",
			Interface: "lan0.5",
		},
	],
	["disconnect", disconnectBody, { Target: "pid:7", Force: true }],
	["prune of all", pruneBody, {}],
	["prune by label", pruneBody, { Filters: { label: ["a=b"] } }],
	["smallest container", createContainerBody, container],
	[
		"whole container",
		createContainerBody,
		{
			...container,
			Name: "c1",
			Hostname: "c1",
			Networks: [{ Network: "pub_net", IPv4Address: "10.0.0.9" }, { Network: "n2" }],
		},
	],
	["stop", stopContainerBody, {}],
	["stop at once", stopContainerBody, { TimeoutSeconds: 0 }],
] as [string, z.ZodType, unknown][]) {
	schema(`accepts the ${title}`, () => assert.equal(parseBody(type, value), value));
}

for (const [type, value, problem] of [
	[createNetworkBody, undefined, "expected object, received undefined"],
	[createNetworkBody, null, "expected object, received null"],
	[createNetworkBody, [], "expected object, received array"],
	[createNetworkBody, {}, "Name: expected string, received undefined"],
	[createNetworkBody, { Name: 1 }, "Name: expected string, received number"],
	[createNetworkBody, { ...network, Colour: 1 }, 'unknown key "Colour"'],
	[createNetworkBody, { ...network, name: "x", X: 1 }, 'unknown key "name", "X"'],
	[createNetworkBody, { ...network, IPAM: { Foo: 1 } }, 'unknown key "IPAM.Foo"'],
	[createNetworkBody, { ...network, IPAM: { Config: {} } }, "IPAM.Config: expected array, received object"],
	[
		createNetworkBody,
		{ ...network, IPAM: { Config: [{}, { Subnet: 5 }] } },
		"IPAM.Config[1].Subnet: expected string, received number",
	],
	[createNetworkBody, { ...network, IPAM: { Config: [{ Subnet: "" }] } }, "IPAM.Config[0].Subnet: must not be empty"],
	[createNetworkBody, { ...network, IPAM: { Config: [{ subnet: "" }] } }, 'unknown key "IPAM.Config[0].subnet"'],
	[createNetworkBody, { ...network, Options: { parent: 5 } }, "Options.parent: expected string, received number"],
	[createNetworkBody, { ...network, Labels: ["a"] }, "Labels: expected record, received array"],
	[createNetworkBody, { ...network, EnableIPv6: "false" }, "EnableIPv6: expected boolean, received string"],
	[
		createNetworkBody,
		{ Name: 1, Internal: 2 },
		"Name: expected string, received number; Internal: expected boolean, received number",
	],
	[connectBody, {}, "Target: expected string, received undefined"],
	[connectBody, { Target: "" }, "Target: must not be empty"],
	[disconnectBody, { Target: "c1", Force: 1 }, "Force: expected boolean, received number"],
	[pruneBody, { Filters: { name: ["x"] } }, 'unknown key "Filters.name"'],
	[createContainerBody, { ...container, Pid: 0 }, "Pid: Too small: expected number to be >=1"],
	[createContainerBody, { ...container, Pid: 1.5 }, "Pid: expected int, received number"],
	[createContainerBody, { ...container, Pid: "1" }, "Pid: expected number, received string"],
	[createContainerBody, { ...container, Command: [] }, "Command: must name a command"],
	[createContainerBody, { ...container, Command: ["a\0b"] }, "Command[0]: must not contain a zero byte"],
	[createContainerBody, { ...container, Hostname: "h".repeat(65) }, "Hostname: must have at most 64 characters"],
	[createContainerBody, { ...container, Networks: [{}] }, "Networks[0].Network: expected string, received undefined"],
	[createContainerBody, { ...container, Image: "alpine" }, 'unknown key "Image"'],
	[stopContainerBody, { TimeoutSeconds: -1 }, "TimeoutSeconds: Too small: expected number to be >=0"],
] as [z.ZodType, unknown, string][]) {
	schema(`refuses: ${problem}`, () => {
		assert.throws(
			() => parseBody(type, value),
			(error: unknown) => {
				assert.instance(error, VlaneError);
				assert.is((error as VlaneError).kind, "invalid");
				assert.is((error as VlaneError).message, `invalid request body: ${problem}`);
				return true;
			},
		);
	});
}

schema("takes only names that a link can have", () => {
	for (const name of ["", ".", "..", "a b", "a/b", "a:b", "a\n", "sixteencharacter"]) {
		assert.throws(
			() => parseBody(connectBody, { Target: "c1", Interface: name }),
			/Interface: must be an interface name/,
		);
	}
});

schema.run();
