/**
 * Docker's remote network driver protocol (libnetwork, docs/remote.md and drivers/remote/api/api.go): the requests as
 * an engine sends them, and the shapes of the answers.
 *
 * Fields that are not known are left out of account: newer engines send more. What users typed (`-o`, `--driver-opt`)
 * is checked strictly where it is used.
 */
import * as z from "zod";

/** Keys of the engine's own options. */
export const LABEL = {
	/** The `-o` options as they were typed. */
	generic: "com.docker.network.generic",
	internal: "com.docker.network.internal",
	portMap: "com.docker.network.portmap",
	/** What only the engine can write, and all that it will add. */
	reserved: "com.docker.network.",
} as const;

/** Networks and endpoints have ids of 64 hex digits in local scope. */
const id = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits");

const strings = z.record(z.string(), z.string());

/** Go writes what is absent as null, as an empty text, or not at all. */
export const text = z
	.string()
	.nullish()
	.transform((value) => (value ? value : undefined));

const options = z
	.record(z.string(), z.unknown())
	.nullish()
	.transform((value) => value ?? {});

const pools = z
	.array(z.object({ AddressSpace: text, Pool: z.string(), Gateway: text, AuxAddresses: strings.nullish() }))
	.nullish()
	.transform((value) => value ?? []);

/** NetworkDriver.CreateNetwork. `Pool`, `Gateway` and auxiliary addresses are CIDR texts. */
export const createNetwork = z.object({
	NetworkID: id,
	Options: z
		.object({ [LABEL.generic]: strings.nullish(), [LABEL.internal]: z.boolean().nullish() })
		.nullish()
		.transform((value) => ({ generic: value?.[LABEL.generic] ?? {}, internal: value?.[LABEL.internal] ?? false })),
	IPv4Data: pools,
	IPv6Data: pools,
});

/** NetworkDriver.DeleteNetwork. */
export const deleteNetwork = z.object({ NetworkID: id });

/** NetworkDriver.CreateEndpoint. */
export const createEndpoint = z.object({
	NetworkID: id,
	EndpointID: id,
	Interface: z
		.object({ Address: text, AddressIPv6: text, MacAddress: text })
		.nullish()
		.transform((value) => value ?? { Address: undefined, AddressIPv6: undefined, MacAddress: undefined }),
	Options: options,
});

/** NetworkDriver.Join. `SandboxKey`: path of the container's network namespace, which may not be there yet. */
export const join = z.object({
	NetworkID: id,
	EndpointID: id,
	SandboxKey: z.string().regex(/^\/[^\0]+$/, "must be an absolute path"),
});

/** Every other request about an endpoint. */
export const aboutEndpoint = z.object({ NetworkID: id, EndpointID: id });

export type CreateNetwork = z.infer<typeof createNetwork>;
export type CreateEndpoint = z.infer<typeof createEndpoint>;
export type Join = z.infer<typeof join>;

/** Answer to CreateEndpoint: what the request left open, and nothing that it did not. */
export interface CreatedEndpoint {
	Interface: { MacAddress?: string };
}

/** Answer to Join. */
export interface Joined {
	InterfaceName: { SrcName: string; DstPrefix: string };
	Gateway?: string;
	GatewayIPv6?: string;
	/** False, and an engine makes a bridge of its own (docker_gwbridge) for containers without gateway. */
	DisableGatewayService: true;
}
