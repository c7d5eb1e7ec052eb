/**
 * Convergence: from what is there to what is declared, in steps that can be taken back.
 *
 * What a declaration has made carries Compose's labels, and its own request as a label, so that a later run can tell
 * what has changed and can make it again. Nothing without the project's label is ever touched.
 */
import type { ConnectBody, CreateNetworkBody } from "../../control/request/schema.js";
import type { ApiEndpoint, ApiNetwork } from "../../control/types.js";
import { type Client, resource } from "../client.js";
import { CliError, messageOf } from "../errors.js";
import type { Declaration, DeclaredEndpoint } from "./declaration.js";

const PROJECT = "com.docker.compose.project";
const NETWORK = "com.docker.compose.network";
const ENDPOINT = "vlane.endpoint";
/** JSON of the request that made it, without these labels. */
const DECLARED = "vlane.declared";

/** One change. */
export interface Step {
	/** What people read; some steps only prepare others and have none. */
	line?: string;
	apply(): Promise<unknown>;
	/** Makes it as it was before. */
	revert(): Promise<unknown>;
}

/** What the daemon has. */
export interface Present {
	networks: ApiNetwork[];
	endpoints: ApiEndpoint[];
}

export async function readPresent(client: Client): Promise<Present> {
	return {
		networks: await client.get<ApiNetwork[]>("/networks"),
		endpoints: await client.get<ApiEndpoint[]>("/endpoints"),
	};
}

/**
 * The steps that lead from `present` to the declaration; none when it holds already.
 * @throws CliError when it would touch what is somebody else's
 */
export function planSteps(client: Client, declaration: Declaration, { networks, endpoints }: Present): Step[] {
	const { project } = declaration;
	const byName = new Map(networks.map((network) => [network.Name, network]));
	const labelsOf = (key: string, kind: string, body: object) => ({
		[PROJECT]: project,
		[kind]: key,
		[DECLARED]: canonical(body),
	});

	const wanted = declaration.networks.filter(({ isExternal }) => !isExternal);
	for (const { name, isExternal } of declaration.networks) checkOwner(name, byName.get(name), project, isExternal);
	const stale = networks.filter((network) => {
		if (network.Labels[PROJECT] !== project || network.Labels[DECLARED] === undefined) return false;
		const declared = declaration.networks.find(({ name }) => name === network.Name);
		if (declared?.isExternal) return false;
		return declared === undefined || network.Labels[DECLARED] !== canonical(declared.body);
	});
	const isStale = (name: string): boolean => stale.some(({ Name }) => Name === name);

	const ours = endpoints.filter(({ Labels }) => Labels[PROJECT] === project && Labels[DECLARED] !== undefined);
	const isDeclared = (endpoint: ApiEndpoint) => (declared: DeclaredEndpoint) =>
		declared.key === endpoint.Labels[ENDPOINT] &&
		declared.network === endpoint.Network &&
		canonical(declared.body) === endpoint.Labels[DECLARED];
	const kept = ours.filter(
		(endpoint) => !isStale(endpoint.Network) && declaration.endpoints.some(isDeclared(endpoint)),
	);
	const released = ours.filter((endpoint) => !kept.includes(endpoint));
	const missing = declaration.endpoints.filter((declared) => !kept.some((endpoint) => isDeclared(endpoint)(declared)));
	for (const network of stale) checkUnused(network, endpoints, released);

	const create = (body: CreateNetworkBody) => client.post("/networks/create", body);
	const remove = (name: string) => client.delete(resource("networks", name));
	const connect = (network: string, body: ConnectBody) => client.post(resource("networks", network, "/connect"), body);
	const disconnect = (network: string, Target: string) =>
		client.post(resource("networks", network, "/disconnect"), { Target });

	const disconnections = released.map((endpoint): Step => {
		const { Network, EndpointID, Labels, IPAddress, GlobalIPv6Address } = endpoint;
		const isBack = missing.some(({ key, network }) => key === Labels[ENDPOINT] && network === Network);
		const body = { IPv4Address: IPAddress || undefined, IPv6Address: GlobalIPv6Address || undefined, Labels };
		return {
			line: isBack ? undefined : `- endpoint ${Labels[ENDPOINT]} on ${Network}`,
			apply: () => disconnect(Network, EndpointID),
			revert: () => connect(Network, { ...JSON.parse(Labels[DECLARED] ?? ""), ...body }),
		};
	});
	const removals = stale.map((network): Step => {
		const { Name, Labels } = network;
		return {
			line: wanted.some(({ name }) => name === Name) ? undefined : `- network ${Name}`,
			apply: () => remove(Name),
			revert: () => create(withLabels(JSON.parse(Labels[DECLARED] ?? ""), Labels)),
		};
	});
	const creations = wanted
		.filter(({ name }) => !byName.has(name) || isStale(name))
		.map(({ key, name, body }): Step => {
			const before = byName.get(name)?.Labels[DECLARED];
			return {
				line: before === undefined ? `+ network ${name}` : `~ network ${name}: ${changes(before, canonical(body))}`,
				apply: () => create(withLabels(body, labelsOf(key, NETWORK, body))),
				revert: () => remove(name),
			};
		});
	const connections = missing.map(({ key, network, body }): Step => {
		const before = released.find(({ Network, Labels }) => Network === network && Labels[ENDPOINT] === key);
		const changed = before && changes(before.Labels[DECLARED] ?? "{}", canonical(body));
		let made: { EndpointID: string } | undefined;
		return {
			line: `${before ? "~" : "+"} endpoint ${key} on ${network}${changed === undefined ? "" : `: ${changed}`}`,
			apply: async () => {
				made = (await connect(network, { ...body, Labels: labelsOf(key, ENDPOINT, body) })) as { EndpointID: string };
			},
			revert: async () => made && disconnect(network, made.EndpointID),
		};
	});
	return [...disconnections, ...removals, ...creations, ...connections];
}

/**
 * Takes the steps, and says each. When one fails, those before it are taken back.
 * @throws whatever the step threw; what could not be taken back is named behind it
 */
export async function takeSteps(steps: readonly Step[], say: (line: string) => void): Promise<void> {
	const taken: Step[] = [];
	try {
		for (const step of steps) {
			await step.apply();
			taken.push(step);
		}
	} catch (error) {
		const left: string[] = [];
		for (const step of taken.reverse()) await step.revert().catch((failure: unknown) => left.push(messageOf(failure)));
		const outcome = left.length === 0 ? "nothing was changed" : `could not be taken back: ${left.join("; ")}`;
		throw new CliError(`${messageOf(error)}; ${outcome}`);
	}
	for (const { line } of steps) if (line !== undefined) say(line);
}

function checkOwner(name: string, found: ApiNetwork | undefined, project: string, isExternal: boolean): void {
	if (isExternal && found === undefined) {
		throw new CliError(
			`network ${name} declared as external, but could not be found; make it with vlane network create`,
		);
	}
	if (isExternal || found === undefined) return;
	const owner = found.Labels[PROJECT];
	if (owner === project && found.Labels[DECLARED] !== undefined) return;
	const whose = owner === undefined || owner === project ? "not by vlane up" : `by project ${owner}`;
	throw new CliError(
		`network ${name} was made ${whose}; declare it as external, give yours another name, or remove it first`,
	);
}

/** Nobody else's endpoint may be on a network that has to go. */
function checkUnused({ Name }: ApiNetwork, endpoints: ApiEndpoint[], released: ApiEndpoint[]): void {
	const others = endpoints.filter((endpoint) => endpoint.Network === Name && !released.includes(endpoint));
	if (others.length === 0) return;
	const names = others.map((endpoint) => endpoint.Name).join(", ");
	throw new CliError(`network ${Name} has to be removed, and has active endpoints: ${names}; disconnect them first`);
}

function withLabels(body: CreateNetworkBody, labels: Record<string, string>): CreateNetworkBody {
	return { ...body, Labels: { ...body.Labels, ...labels } };
}

/** JSON with its keys in order, so that equal requests are equal texts. */
function canonical(value: unknown): string {
	return JSON.stringify(value, (_, inner: unknown) => {
		if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
		return Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)));
	});
}

/** `Options.parent eth0 -> eth0.50`, for each value that differs. */
function changes(before: string, after: string): string {
	const [old, fresh] = [before, after].map((text) => new Map(leaves(JSON.parse(text)))) as [Leaves, Leaves];
	const keys = [...new Set([...old.keys(), ...fresh.keys()])].filter((key) => old.get(key) !== fresh.get(key));
	const shown = keys.map((key) => `${key} ${old.get(key) ?? "(none)"} -> ${fresh.get(key) ?? "(none)"}`);
	return shown.length > 0 ? shown.join(", ") : "with its network";
}

type Leaves = Map<string, string>;

function leaves(value: unknown, place = ""): [string, string][] {
	if (typeof value !== "object" || value === null) return [[place, String(value)]];
	return Object.entries(value).flatMap(([key, inner]) => leaves(inner, place === "" ? key : `${place}.${key}`));
}
