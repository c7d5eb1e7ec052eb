/** The shapes of stored records (types.ts), checked where they may come from elsewhere: an import, a damaged disk. */
import * as z from "zod";
import { parseCidr, parseIp } from "../address/cidr.js";
import { VlaneError } from "../errors.js";
import type {
	AttachmentRecord,
	ContainerRecord,
	EndpointRecord,
	LeaseRecord,
	NetworkRecord,
	PoolRecord,
} from "../types.js";

const id = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits");
const cidr = z.string().refine((text) => parseCidr(text) !== undefined, "must be an address with prefix length");
const ip = z.string().refine((text) => parseIp(text) !== undefined, "must be an IP address");
const mac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/, "must be a MAC address");
const strings = z.record(z.string(), z.string());
const name = z.string().min(1);

const network = z.looseObject({
	id,
	name,
	driver: z.enum(["macvlan", "ipvlan"]),
	created: z.string(),
	enableIPv4: z.boolean(),
	enableIPv6: z.boolean(),
	internal: z.boolean(),
	options: strings,
	labels: strings,
	ipam: z.array(
		z.looseObject({ subnet: cidr, ipRange: cidr.optional(), gateway: ip.optional(), auxAddresses: strings.optional() }),
	),
	number: z.int().min(1).max(65535),
	parent: z.nullable(
		z.looseObject({
			name,
			link: name,
			vlans: z.array(z.looseObject({ tpid: z.int(), vid: z.int().min(1).max(4094) })),
		}),
	),
	createdLink: z.boolean(),
	configOnly: z.boolean().optional(),
	configFrom: z.string().optional(),
	owner: z.enum(["docker", "cni"]).optional(),
	scope: z.literal("global").optional(),
}) satisfies z.ZodType<NetworkRecord>;

const endpoint = z.looseObject({
	id,
	networkId: id,
	created: z.string(),
	name,
	target: z.string().regex(/^(pid:[1-9]\d*|netns:\/.*|sandbox:.*)$/, "must be pid:N, netns:/PATH or sandbox:/PATH"),
	netnsId: z.string(),
	ifname: z.string().regex(/^[^\s/:\0]{1,15}$/, "must be an interface name"),
	mac,
	ipv4: cidr.optional(),
	ipv6: cidr.optional(),
	gateway4: ip.optional(),
	gateway6: ip.optional(),
	mtuBytes: z.int().positive(),
	furtherAddresses: z.array(cidr).optional(),
	routes: z
		.array(z.looseObject({ destination: name, gateway: ip.optional(), metric: z.int().nonnegative().optional() }))
		.optional(),
}) satisfies z.ZodType<EndpointRecord>;

const container = z.looseObject({
	id,
	name,
	command: z.array(z.string()),
	created: z.string(),
	pid: z.int().nonnegative(),
	pidStart: z.string(),
	status: z.enum(["running", "exited"]),
	autoRemove: z.boolean(),
	hostname: z.string(),
}) satisfies z.ZodType<ContainerRecord>;

const attachment = z.looseObject({
	id: name,
	created: z.string(),
	network: name,
	containerId: name,
	ifname: name,
	networkId: id,
}) satisfies z.ZodType<AttachmentRecord>;

const pool = z.looseObject({
	id,
	created: z.string(),
	subnet: cidr,
	ipRange: cidr.optional(),
}) satisfies z.ZodType<PoolRecord>;

const lease = z.looseObject({
	id: name,
	created: z.string(),
	poolId: id,
	address: ip,
	key: z.string(),
	held: z.boolean(),
}) satisfies z.ZodType<LeaseRecord>;

const SHAPES: Record<string, z.ZodType> = {
	network,
	endpoint,
	container,
	attachment,
	pool,
	lease,
	"meta/schema": z.int().positive(),
	"meta/hostId": id,
};

/** What is wrong with the shape of a record; undefined when nothing is. */
export function shapeProblem(key: string, value: unknown): string | undefined {
	const shape = SHAPES[key] ?? SHAPES[key.slice(0, key.indexOf("/"))];
	if (!shape) return "there are no records of this kind";
	const [issue] = shape.safeParse(value).error?.issues ?? [];
	if (issue) return [issue.path.join("."), issue.message].filter(Boolean).join(": ");
	const { id: own } = Object(value) as { id?: string };
	return own === undefined || key.endsWith(`/${own}`) ? undefined : `its id is ${own}`;
}

/** The first of some problems, and how many others there are: one line has no room for all. */
export function firstOf([first, ...others]: readonly string[]): string {
	return others.length > 0 ? `${first} (and ${others.length} more)` : `${first}`;
}

/**
 * Refuses records that a program could not work with.
 * @param source what they belong to, for errors
 * @throws VlaneError internal: the first one that is wrong, and how many others
 */
export function requireShapes(records: Iterable<{ key: string; value: unknown }>, source: string): void {
	const problems = Array.from(records, ({ key, value }) => {
		const problem = shapeProblem(key, value);
		return problem === undefined ? [] : [`${key}: ${problem}`];
	}).flat();
	if (problems.length === 0) return;
	const next = "vlane state check says all; mend what vlane state export writes, and vlane state import --force it";
	throw new VlaneError("internal", `${source} is damaged: ${firstOf(problems)}; ${next}`);
}
