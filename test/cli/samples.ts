/**
 * API answers for the tests of the command line.
 */
import type { ApiContainer, ApiNetwork } from "../../src/control/types.js";

/** A network like the tutorial's; `id` is its first digits. */
export function network(name: string, id: string, changes: Partial<ApiNetwork> = {}): ApiNetwork {
	return {
		Name: name,
		Id: id.padEnd(64, "0"),
		Created: "2026-05-01T10:00:00.120Z",
		Scope: "local",
		Driver: "macvlan",
		EnableIPv4: true,
		EnableIPv6: false,
		IPAM: {
			Driver: "default",
			Options: {},
			Config: [{ Subnet: "172.16.86.0/24", Gateway: "172.16.86.1" }],
		},
		Internal: false,
		Attachable: false,
		Ingress: false,
		ConfigFrom: { Network: "" },
		ConfigOnly: false,
		Containers: {},
		Options: { parent: "eth0" },
		Labels: {},
		Status: { Parent: "eth0", Link: "eth0", Vlans: [], HostInterface: "", State: "up", Detail: "" },
		...changes,
	};
}

/** A running container; `id` is its first digits. */
export function container(name: string, id: string, changes: Partial<ApiContainer> = {}): ApiContainer {
	return {
		Id: id.padEnd(64, "0"),
		Name: name,
		Command: ["/bin/sh"],
		Created: new Date(Date.now() - 90_000).toISOString(),
		State: "running",
		Pid: 4711,
		Networks: {},
		...changes,
	};
}

/** A container's place on a network. */
export function attachment(networkId: string, ipv4: string, ipv6 = ""): ApiContainer["Networks"][string] {
	return {
		NetworkID: networkId.padEnd(64, "0"),
		EndpointID: "e".repeat(64),
		IPAddress: ipv4,
		IPPrefixLen: 24,
		GlobalIPv6Address: ipv6,
		GlobalIPv6PrefixLen: ipv6 === "" ? 0 : 64,
		Gateway: "",
		IPv6Gateway: "",
		MacAddress: "02:42:ac:10:56:02",
		Interface: "eth0",
		GwPriority: 0,
		Aliases: [],
	};
}
