/**
 * Declarations: the networks of a Compose file, and beside them `endpoints`, which connect namespaces and containers of
 * this host to them. What else is in a Compose file is Docker's business and not looked at.
 */
import { basename, dirname, resolve } from "node:path";
import * as z from "zod";
import type { ConnectBody, CreateNetworkBody } from "../../control/request/schema.js";
import { CliError } from "../errors.js";
import { cutPair } from "../flags.js";
import { YamlFile } from "./yamlfile.js";

/** What a file asks for. */
export interface Declaration {
	project: string;
	networks: DeclaredNetwork[];
	endpoints: DeclaredEndpoint[];
}

export interface DeclaredNetwork {
	/** As the file calls it. */
	key: string;
	/** As the daemon calls it. */
	name: string;
	/** Somebody else's: has to be there, and is not touched. */
	isExternal: boolean;
	body: CreateNetworkBody;
}

export interface DeclaredEndpoint {
	key: string;
	/** The network's name. */
	network: string;
	body: ConnectBody;
}

const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const scalars = z.record(z.string(), scalar);
/** `key: value` or `- key=value`. */
const labels = z.union([
	scalars,
	z
		.array(z.string())
		.transform((list) => Object.fromEntries(list.map((text) => [cutPair(text)[0], cutPair(text)[1] ?? ""]))),
]);

const network = z.strictObject({
	name: z.string().optional(),
	driver: z.enum(["macvlan", "ipvlan", "vlane"], "expected macvlan, ipvlan or vlane").optional(),
	driver_opts: scalars.optional(),
	attachable: z.boolean().optional(),
	internal: z.boolean().optional(),
	enable_ipv4: z.boolean().optional(),
	enable_ipv6: z.boolean().optional(),
	external: z.boolean().optional(),
	labels: labels.optional(),
	ipam: z
		.strictObject({
			driver: z.string().optional(),
			options: scalars.optional(),
			config: z
				.array(
					z.strictObject({
						subnet: z.string().optional(),
						ip_range: z.string().optional(),
						gateway: z.string().optional(),
						aux_addresses: scalars.optional(),
					}),
				)
				.optional(),
		})
		.optional(),
});

const attachment = z.strictObject({
	aliases: z.array(z.string()).optional(),
	driver_opts: scalars.optional(),
	gw_priority: z.int().optional(),
	interface_name: z.string().optional(),
	ipv4_address: z.string().optional(),
	ipv6_address: z.string().optional(),
	mac_address: z.string().optional(),
});

const endpoint = z.strictObject({
	target: z.string(),
	networks: z.union([
		z.array(z.string()).transform((keys) => Object.fromEntries(keys.map((key) => [key, null]))),
		z.record(z.string(), attachment.nullable()),
	]),
});

const projectName = z.string().regex(/^[a-z0-9][a-z0-9_-]*$/, "must be small letters, digits, - and _");

const file = z.strictObject({
	name: projectName.optional(),
	networks: z.record(z.string(), network.nullable()).nullish(),
	endpoints: z.record(z.string(), endpoint).nullish(),
	// Docker's.
	...Object.fromEntries(
		["version", "services", "volumes", "configs", "secrets", "models", "include"].map((key) => [
			key,
			z.unknown().optional(),
		]),
	),
});

/**
 * Reads a declaration.
 * @param path of the file, for messages and for the project's name, which is its directory's when nobody gives one
 * @param project name that was given on the command line
 * @throws CliError naming file and line
 */
export function readDeclaration(path: string, text: string, project: string | undefined): Declaration {
	const yaml = new YamlFile(path, text);
	const declared = yaml.read(file, ["name", "networks", "endpoints"], process.env);
	const name = project === undefined ? (declared.name ?? directoryName(path)) : checkProject(project);
	const networks = Object.entries(declared.networks ?? {}).map(([key, given]) => networkOf(name, key, given ?? {}));
	for (const [index, { name: taken, key }] of networks.entries()) {
		if (networks.findIndex((other) => other.name === taken) === index) continue;
		throw yaml.error(["networks", key], `networks.${key}: another network of this file is called ${taken}, too`);
	}
	const endpoints = Object.entries(declared.endpoints ?? {}).flatMap(([key, { target, networks: attachments }]) =>
		Object.entries(attachments).map(([networkKey, given]) => {
			const found = networks.find((candidate) => candidate.key === networkKey);
			const path = ["endpoints", key, "networks", networkKey];
			if (!found)
				throw yaml.error(path, `endpoints.${key}: network ${networkKey} is not among the networks of this file`);
			return { key, network: found.name, body: connectBody(key, target, given ?? {}) };
		}),
	);
	return { project: name, networks, endpoints };
}

/** @throws CliError */
export function checkProject(name: string): string {
	const result = projectName.safeParse(name);
	if (!result.success)
		throw new CliError(`invalid project name ${JSON.stringify(name)}: ${result.error.issues[0]?.message}`);
	return name;
}

/** Compose makes the name of a directory fit in the same way. */
function directoryName(path: string): string {
	const name = basename(dirname(resolve(path)))
		.toLowerCase()
		.replace(/[^a-z0-9_-]/g, "")
		.replace(/^[_-]+/, "");
	if (name === "") throw new CliError(`the directory of ${path} can not name a project; give one with --project-name`);
	return name;
}

function networkOf(project: string, key: string, given: z.infer<typeof network>): DeclaredNetwork {
	const isExternal = given.external ?? false;
	const name = given.name ?? (isExternal ? key : `${project}_${key}`);
	const options = given.driver_opts ?? {};
	const isIpvlan = given.driver === "vlane" && Object.keys(options).some((option) => option.startsWith("ipvlan_"));
	const body: CreateNetworkBody = {
		Name: name,
		Driver: isIpvlan || given.driver === "ipvlan" ? "ipvlan" : "macvlan",
		Options: options,
		Labels: given.labels,
		Internal: given.internal,
		Attachable: given.attachable,
		EnableIPv4: given.enable_ipv4,
		EnableIPv6: given.enable_ipv6,
		IPAM: given.ipam && {
			Driver: given.ipam.driver,
			Options: given.ipam.options,
			Config: given.ipam.config?.map((config) => ({
				Subnet: config.subnet,
				IPRange: config.ip_range,
				Gateway: config.gateway,
				AuxiliaryAddresses: config.aux_addresses,
			})),
		},
	};
	return { key, name, isExternal, body };
}

function connectBody(key: string, target: string, given: z.infer<typeof attachment>): ConnectBody {
	return {
		Target: target,
		// A container's endpoint has the container's name.
		Name: /^(netns|pid):/.test(target) ? key : undefined,
		IPv4Address: given.ipv4_address,
		IPv6Address: given.ipv6_address,
		MacAddress: given.mac_address,
		Interface: given.interface_name,
		DriverOpts: given.driver_opts,
		GwPriority: given.gw_priority,
		Aliases: given.aliases,
	};
}
