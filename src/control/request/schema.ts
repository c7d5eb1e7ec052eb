/**
 * Request bodies of the API: one zod schema each gives the check and the type. What addresses and names mean is
 * checked later.
 */

import * as z from "zod";
import { parseIp } from "../address/cidr.js";
import { VlaneError } from "../errors.js";
import { isExtraHost } from "../namespace/containerfiles.js";

/** A link name as the kernel takes it: dev_valid_name() in net/core/dev.c, IFNAMSIZ 16 with the closing zero. */
const linkName = z
	.string()
	.regex(/^[^\s/:\0]{1,15}$/, "must be an interface name: 1 to 15 characters without blanks, '/' and ':'")
	.refine((name) => name !== "." && name !== "..", "must be an interface name");

const text = z.string().min(1, "must not be empty");
/** What goes to execve(2) and sethostname(2) can not contain a zero byte. */
const argument = z.string().refine((value) => !value.includes("\0"), "must not contain a zero byte");
/** What can stand beside others on a line of resolv.conf. */
const word = z.string().regex(/^[^\s\0]+$/, "must be one word");
const strings = z.record(z.string(), z.string());

const ipamConfig = z.strictObject({
	Subnet: text.optional(),
	IPRange: text.optional(),
	Gateway: text.optional(),
	AuxiliaryAddresses: strings.optional(),
});

/** POST /networks/create */
export const createNetworkBody = z.strictObject({
	Name: z.string(),
	Driver: z.string().optional(),
	IPAM: z
		.strictObject({
			Driver: z.string().optional(),
			Options: strings.optional(),
			Config: z.array(ipamConfig).optional(),
		})
		.optional(),
	Options: strings.optional(),
	Internal: z.boolean().optional(),
	Attachable: z.boolean().optional(),
	EnableIPv4: z.boolean().optional(),
	EnableIPv6: z.boolean().optional(),
	Labels: strings.optional(),
	Scope: z.string().optional(),
	ConfigOnly: z.boolean().optional(),
	ConfigFrom: z.strictObject({ Network: z.string() }).optional(),
});

const endpointSettings = {
	IPv4Address: text.optional(),
	IPv6Address: text.optional(),
	MacAddress: text.optional(),
	DriverOpts: strings.optional(),
	GwPriority: z.int().optional(),
	Aliases: z.array(text).optional(),
};

/** POST /networks/{ref}/connect */
export const connectBody = z.strictObject({
	Target: text,
	Name: text.optional(),
	...endpointSettings,
	Interface: linkName.optional(),
	Labels: strings.optional(),
});

/** POST /networks/{ref}/disconnect */
export const disconnectBody = z.strictObject({ Target: text, Force: z.boolean().optional() });

/** POST /networks/prune */
export const pruneBody = z.strictObject({
	Filters: z.strictObject({ label: z.array(text).optional() }).optional(),
});

/** POST /containers; `Pid`: the process that is in the container's namespaces already */
export const createContainerBody = z.strictObject({
	Name: z.string().optional(),
	Pid: z.int().min(1),
	Command: z.array(argument).min(1, "must name a command"),
	AutoRemove: z.boolean(),
	Hostname: argument.max(64, "must have at most 64 characters").optional(),
	Networks: z.array(z.strictObject({ Network: text, ...endpointSettings })),
	ExtraHosts: z.array(z.string().refine(isExtraHost, "must be name:address")).optional(),
	Dns: z.array(z.string().refine((server) => parseIp(server) !== undefined, "must be an IP address")).optional(),
	DnsSearch: z.array(word).optional(),
	DnsOptions: z.array(word).optional(),
});

/** POST /containers/{ref}/stop */
export const stopContainerBody = z.strictObject({ TimeoutSeconds: z.int().min(0).max(86400).optional() });

export type ApiIpamConfig = z.infer<typeof ipamConfig>;
export type CreateNetworkBody = z.infer<typeof createNetworkBody>;
export type ConnectBody = z.infer<typeof connectBody>;
export type DisconnectBody = z.infer<typeof disconnectBody>;
export type PruneBody = z.infer<typeof pruneBody>;
export type CreateContainerBody = z.infer<typeof createContainerBody>;
export type StopContainerBody = z.infer<typeof stopContainerBody>;

/**
 * Checks a parsed JSON body.
 * @throws VlaneError invalid: every problem with its place, in one line
 */
export function parseBody<T>(schema: z.ZodType<T>, value: unknown): T {
	const result = schema.safeParse(value);
	if (result.success) return result.data;
	throw new VlaneError("invalid", `invalid request body: ${result.error.issues.map(describe).join("; ")}`);
}

function describe(issue: z.core.$ZodIssue): string {
	const place = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
	const where = place.replace(/^\./, "");
	if (issue.code === "unrecognized_keys") {
		const keys = issue.keys.map((key) => JSON.stringify(where === "" ? key : `${where}.${key}`));
		return `unknown key ${keys.join(", ")}`;
	}
	const problem = issue.message.replace(/^Invalid input: /, "");
	return where === "" ? problem : `${where}: ${problem}`;
}
