/**
 * Network configurations of `vlane-cni`, and the requests in which the plugin hands them to the daemon. A field that
 * nobody knows is an error: it would be something that the user expects and does not get.
 */
import * as z from "zod";
import { parseIp } from "../control/address/cidr.js";
import { CniError, CODE } from "./errors.js";

const text = z.string().min(1, "must not be empty");
const cidr = z.string().regex(/^[0-9a-fA-F.:]+\/\d+$/, "must be an address with a prefix length");
/** An address, with or without prefix length. */
const address = z.string().refine((value) => parseIp(value.split("/")[0] ?? "") !== undefined, "must be an IP address");

/** Fields beyond the specified ones are of newer versions. */
const routes = z.array(z.object({ dst: cidr, gw: text.optional(), priority: z.int().min(0).optional() }));

/** Addresses of the daemon's own. */
const ownIpam = z.strictObject({
	type: z.literal("vlane"),
	subnets: z.array(z.strictObject({ subnet: cidr, ipRange: cidr.optional(), gateway: text.optional() })).optional(),
	routes: routes.optional(),
	dns: z.unknown().optional(),
});

export type OwnIpam = z.infer<typeof ownIpam>;

const KNOWN = {
	cniVersion: z.string(),
	name: text,
	type: text.optional(),
	/** A network that `vlane network create` has made. */
	network: text.optional(),
	/** Absent: the interface of the default route. */
	master: text.optional(),
	/** Absent: bridge. */
	mode: z.enum(["bridge", "private", "vepa", "passthru"]).optional(),
	/** 0: the most that the parent takes. */
	mtu: z.int().min(0).optional(),
	mac: text.optional(),
	vlanId: z.int().min(1, "must be between 1 and 4094").max(4094, "must be between 1 and 4094").optional(),
	/** Without type: no addresses. Another type than ours: its plugin knows the rest. */
	ipam: z.looseObject({ type: text.optional() }).optional(),
	host: text.optional(),
	linkInContainer: z.literal(false, "is not supported: the parent is an interface of the host").optional(),
	runtimeConfig: z.looseObject({ mac: text.optional(), ips: z.array(address).optional() }).optional(),
	args: z.looseObject({ cni: z.looseObject({ ips: z.array(address).optional() }).optional() }).optional(),
	// What others read: libcni, the plugin itself, the plugins of addresses.
	capabilities: z.unknown().optional(),
	dns: z.unknown().optional(),
	prevResult: z.unknown().optional(),
};
const netConfig = z.object(KNOWN);

/** A network configuration; `ownIpam`: its `ipam`, when addresses are the daemon's to give. */
export type NetConfig = z.infer<typeof netConfig> & { ownIpam?: OwnIpam };

/** Fields of libcni's own. */
const RESERVED = "cni.dev/";

/**
 * Checks a network configuration.
 * @throws CniError unsupportedField, invalidConfig
 */
export function parseNetConfig(value: Record<string, unknown>): NetConfig {
	const unknown = Object.keys(value).find((key) => !Object.hasOwn(KNOWN, key) && !key.startsWith(RESERVED));
	if (unknown !== undefined || value.linkInContainer === true) {
		const key = unknown ?? "linkInContainer";
		const known = Object.keys(KNOWN).join(", ");
		const shown = `${JSON.stringify(key)}: ${JSON.stringify(value[key])}`;
		throw new CniError(CODE.unsupportedField, `unsupported field ${shown}; known fields: ${known}`);
	}
	const config = parseCni(netConfig, value);
	const isOwn = config.ipam?.type === "vlane";
	const own = isOwn ? parseCni(z.object({ ipam: ownIpam }), value).ipam : undefined;
	if (config.network === undefined) return { ...config, ownIpam: own };
	const wire = (["master", "mode", "mtu", "vlanId"] as const).find((key) => config[key] !== undefined);
	if (wire !== undefined || own?.subnets !== undefined || (config.ipam?.type !== undefined && !isOwn)) {
		const problem = `network ${config.network} decides about ${wire ?? "ipam"} itself; leave it out`;
		throw new CniError(CODE.invalidConfig, problem);
	}
	return { ...config, ownIpam: own ?? { type: "vlane" } };
}

const attachment = { network: text, containerId: text, ifname: text };

/** Addresses that have been given, with the gateways behind them. */
const ips = z.array(z.object({ address: cidr, gateway: z.string().optional() }));

/** What a call is about. */
export const requests = {
	add: z.object({
		...attachment,
		netns: text,
		args: z.object({ mac: text.optional(), ip: address.optional() }),
		config: z.looseObject({}),
	}),
	configure: z.object({
		...attachment,
		ips,
		routes,
	}),
	/** `isLeased`: the plugin of addresses could not take its own back. */
	del: z.object({ ...attachment, isLeased: z.boolean() }),
	check: z.object({
		...attachment,
		netns: text,
		mac: z.string().optional(),
		ips,
		routes,
	}),
	status: z.object({ config: z.looseObject({}) }),
	list: z.object({ network: text }),
};

export type AddRequest = z.infer<typeof requests.add>;
export type ConfigureRequest = z.infer<typeof requests.configure>;
export type DelRequest = z.infer<typeof requests.del>;
export type CheckRequest = z.infer<typeof requests.check>;

/** @throws CniError invalidConfig: every problem with its place */
export function parseCni<T>(schema: z.ZodType<T>, value: unknown): T {
	const result = schema.safeParse(value);
	if (result.success) return result.data;
	const problems = result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
	throw new CniError(CODE.invalidConfig, `invalid network config: ${problems.join("; ")}`);
}
