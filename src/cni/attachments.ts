/**
 * What CNI runtimes attach: an endpoint for each network, container and interface name. The network of a configuration
 * is made with its first endpoint and removed with its last one.
 *
 * An attachment is remembered before anything is made for it, and until the runtime takes it back: so garbage
 * collection finds what a runtime or a daemon that was killed has left, also after the namespace and the endpoint are
 * gone.
 *
 * Every method must be called from the queue.
 */
import { formatCidr, formatCidrAddress, mustParseCidr, parseCidr, parseIp } from "../control/address/cidr.js";
import { type Context, endpointsOf, managedPools } from "../control/context.js";
import type { Endpoints, EndpointWish } from "../control/endpoints.js";
import { VlaneError } from "../control/errors.js";
import { messageOf } from "../control/log.js";
import { withNetns } from "../control/namespace/interface.js";
import { resolveTarget, type Target } from "../control/namespace/target.js";
import type { Networks } from "../control/networks.js";
import { OPTION } from "../control/request/options.js";
import { parseParent } from "../control/request/parent.js";
import type { AttachmentRecord, EndpointRecord, NetworkRecord, RouteRecord } from "../control/types.js";
import { withUndo } from "../control/undo.js";
import { SysError } from "../sys/errno.js";
import { CniError, CODE } from "./errors.js";
import type { Attachment } from "./invocation.js";
import {
	type AddRequest,
	type CheckRequest,
	type ConfigureRequest,
	type DelRequest,
	type NetConfig,
	parseNetConfig,
} from "./schema.js";

/** Label of a network with the configuration that it was made from. */
const CONFIG_LABEL = "vlane.cni";

/** Answer to ADD, before another plugin has given addresses. */
export interface Added {
	name: string;
	mac: string;
	mtu: number;
	sandbox: string;
	addressing: { ips: { address: string; gateway?: string }[]; routes: { dst: string; gw?: string }[]; dns?: unknown };
}

type Ips = ConfigureRequest["ips"];

export class Attachments {
	constructor(
		readonly context: Context,
		readonly networks: Networks,
		readonly endpoints: Endpoints,
	) {}

	/** @throws CniError, VlaneError, SysError; nothing is left behind then */
	async add(request: AddRequest): Promise<Added> {
		const { state } = this.context;
		const config = parseNetConfig(request.config);
		const target = targetOf(request.netns);
		const id = idOf(request);
		// One without endpoint is left from an ADD that failed, or from a namespace that is gone.
		const before = state.attachments.get(id);
		if (before && this.#endpointOf(before)) {
			const problem = `container ${request.containerId} has ${request.ifname} on network ${request.network} already`;
			throw new CniError(CODE.conflict, `${problem}; DEL comes first`);
		}
		const wish = wishOf(request, config);
		const network = await this.#networkFor(config, request.network);
		try {
			return await withUndo(async (undo) => {
				const { containerId, ifname } = request;
				undo.add(() => state.attachments.del(id));
				await state.attachments.put({
					id,
					created: new Date().toISOString(),
					...{ network: request.network, containerId, ifname, networkId: network.id },
				});
				const endpoint = await this.endpoints.connect(network, target, wish);
				undo.add(() => this.endpoints.release(endpoint));
				const routes = config.ownIpam?.routes ?? [];
				if (routes.length > 0) await this.#configure(endpoint, ipsOf(endpoint), routes);
				const { mac, mtuBytes } = endpoint;
				const addressing = { ips: ipsOf(endpoint), routes: [...defaultRoutes(endpoint), ...routes] };
				return { name: ifname, mac, mtu: mtuBytes, sandbox: request.netns, addressing };
			});
		} catch (error) {
			await this.#collect(request.network);
			throw error;
		}
	}

	/** Gives an attachment what another plugin has decided on. @throws CniError, VlaneError, SysError */
	async configure(request: ConfigureRequest): Promise<void> {
		const { endpoint } = this.#find(request);
		await this.#configure(endpoint, request.ips, request.routes);
	}

	/** Takes an attachment back; what is not there is fine. */
	async del(request: DelRequest): Promise<void> {
		const { state } = this.context;
		const record = state.attachments.get(idOf(request));
		const endpoint = record && this.#endpointOf(record);
		if (endpoint) await this.endpoints.release(endpoint);
		if (record && !request.isLeased) await state.attachments.del(record.id);
		await this.#collect(request.network);
	}

	/** What runtimes have attached to a network. */
	list(network: string): Attachment[] {
		const records = this.context.state.attachments.all().filter((record) => record.network === network);
		return records.map(({ containerId, ifname }) => ({ network, containerId, ifname }));
	}

	/** @throws CniError unknownContainer; notAsAdded: what is missing */
	check(request: CheckRequest): void {
		const { fabric } = this.context;
		const { endpoint, network } = this.#find(request);
		const target = targetOf(request.netns);
		const { ifname } = request;
		if (target.netnsId !== endpoint.netnsId) {
			throw changed(`${ifname} was added in another namespace than ${request.netns}`);
		}
		const { State, Detail } = fabric.status(network);
		if (State === "degraded") throw changed(`network ${request.network} is degraded: ${Detail}`);
		withNetns(target.path, (netlink) => {
			const link = netlink.link(ifname);
			if (!link) throw changed(`interface ${ifname} is not in ${request.netns}`);
			if (request.mac !== undefined && link.mac !== request.mac.toLowerCase()) {
				throw changed(`interface ${ifname} Mac ${request.mac} doesn't match container Mac: ${link.mac}`);
			}
			if (!link.up) throw changed(`interface ${ifname} is down`);
			const addresses = netlink.addresses(link.index).map(({ cidr }) => canonical(cidr));
			const missing = request.ips.find(({ address }) => !addresses.includes(canonical(address)));
			if (missing) throw changed(`interface ${ifname} does not have the address ${missing.address}`);
			const present = ([4, 6] as const).flatMap((family) =>
				netlink.routes(family).map((route) => `${family} ${route.destination} ${route.gateway ?? ""}`),
			);
			for (const { destination, gateway = "" } of routesOf(request.ips, request.routes)) {
				const family = (gateway || destination).includes(":") ? 6 : 4;
				if (present.includes(`${family} ${destination} ${gateway}`)) continue;
				throw changed(`there is no route to ${destination}${gateway && ` via ${gateway}`}`);
			}
		});
	}

	/** @throws CniError notAvailable, limitedConnectivity: why no ADD can succeed; unsupportedField, invalidConfig */
	status(value: Record<string, unknown>): void {
		const { state, fabric, spaces } = this.context;
		const config = parseNetConfig(value);
		const name = config.network ?? networkName(config.name);
		const [network] = state.networksNamed(name);
		if (!network) {
			this.#checkParent(config, name);
			return;
		}
		const { State, Detail } = fabric.status(network);
		if (State === "degraded") {
			const isUsed = endpointsOf(state, network.id).length > 0;
			throw new CniError(
				isUsed ? CODE.limitedConnectivity : CODE.notAvailable,
				`network ${name} is degraded: ${Detail}`,
			);
		}
		const usage = managedPools(network).length > 0 ? spaces.of(network).usage(network.id) : [];
		if (usage.length > 0 && usage.every(({ available }) => available === 0n)) {
			throw new CniError(CODE.notAvailable, `network ${name} has no addresses left`);
		}
	}

	/** Says whether a network could be made. */
	#checkParent(config: NetConfig, name: string): void {
		if (config.network !== undefined) {
			throw new CniError(CODE.notAvailable, `network ${name} not found; vlane network create makes it`);
		}
		const { fabric } = this.context;
		let problem: string | undefined;
		try {
			const parent = parseParent(this.#parentOf(config), {
				linkExists: (link) => fabric.hostInterfaceParent(link) === undefined && fabric.netlink.link(link) !== undefined,
			});
			problem = fabric.netlink.link(parent.link)?.up ? undefined : `master ${parent.link} is down`;
		} catch (error) {
			problem = messageOf(error);
		}
		if (problem !== undefined) throw new CniError(CODE.notAvailable, problem);
	}

	/** The network of a configuration, made if need be. */
	async #networkFor(config: NetConfig, name: string): Promise<NetworkRecord> {
		if (config.network !== undefined) return this.networks.find(config.network);
		const { state } = this.context;
		const { master, vlanId, mode, mtu, ownIpam } = config;
		const subnets = ownIpam && (ownIpam.subnets ?? []);
		const wanted = JSON.stringify({ master, vlanId, mode, mtu, subnets });
		const [existing] = state.networksNamed(networkName(name));
		if (existing?.labels[CONFIG_LABEL] === wanted) return existing;
		if (existing) {
			if (existing.owner !== "cni" || endpointsOf(state, existing.id).length > 0) {
				const problem = `network ${existing.name} is in use with another configuration`;
				throw new CniError(CODE.conflict, `${problem}; remove its containers first, or change the name`);
			}
			await this.networks.remove(existing.id);
		}
		const options: Record<string, string> = { [OPTION.parent]: this.#parentOf(config) };
		if (mode !== undefined) options[OPTION.mode] = mode;
		if (mode !== "passthru") options[OPTION.shareParent] = "true";
		if (mtu) options[OPTION.mtu] = this.#mtuText(config, mtu);
		const has = (isWanted: (subnet: string) => boolean) => subnets?.some(({ subnet }) => isWanted(subnet));
		return this.networks.createForCni(
			{
				Name: networkName(name),
				Options: options,
				Labels: { [CONFIG_LABEL]: wanted },
				EnableIPv4: subnets?.length ? has((subnet) => !subnet.includes(":")) : undefined,
				IPAM: {
					Config: subnets?.map(({ subnet, ipRange, gateway }) => ({
						Subnet: subnet,
						IPRange: ipRange,
						Gateway: gateway,
					})),
				},
			},
			subnets ? undefined : { enableIPv4: false, enableIPv6: false, ipam: [] },
		);
	}

	/** What `-o parent=` would say. */
	#parentOf({ master, vlanId }: NetConfig): string {
		const link = master ?? this.#defaultLink();
		return vlanId === undefined ? link : `${link}.${vlanId}`;
	}

	#defaultLink(): string {
		const { netlink } = this.context.fabric;
		const routes = ([4, 6] as const).flatMap((family) => netlink.routes(family));
		const way = routes.find(({ destination }) => destination === "default");
		const link = way && netlink.link(way.index);
		if (link) return link.name;
		throw new CniError(CODE.invalidConfig, "no default route interface found; name a master");
	}

	#mtuText(config: NetConfig, mtu: number): string {
		const link = this.context.fabric.netlink.link(config.master ?? this.#defaultLink());
		if (!link || mtu <= link.mtuBytes) return String(mtu);
		throw new CniError(CODE.invalidConfig, `invalid MTU ${mtu}, must be [0, master MTU(${link.mtuBytes})]`);
	}

	async #configure(endpoint: EndpointRecord, ips: Ips, routes: ConfigureRequest["routes"]): Promise<void> {
		const addresses = ips.map(({ address }) => address);
		await this.endpoints.configure(endpoint, addresses, routesOf(ips, routes));
	}

	/** @throws CniError unknownContainer, notAsAdded */
	#find(attachment: Attachment): { endpoint: EndpointRecord; network: NetworkRecord } {
		const { state } = this.context;
		const record = state.attachments.get(idOf(attachment));
		const { containerId, network: name, ifname } = attachment;
		if (!record) {
			const problem = `container ${containerId} has no ${ifname} on network ${name}`;
			throw new CniError(CODE.unknownContainer, `${problem}; ADD comes first`);
		}
		const endpoint = this.#endpointOf(record);
		const network = state.networks.get(record.networkId);
		if (!endpoint || !network) throw changed(`the endpoint of container ${containerId} on network ${name} is gone`);
		return { endpoint, network };
	}

	#endpointOf(record: AttachmentRecord): EndpointRecord | undefined {
		const name = endpointName(record);
		return endpointsOf(this.context.state, record.networkId).find((endpoint) => endpoint.name === name);
	}

	/** Removes the network of a configuration once it has no endpoints. */
	async #collect(name: string): Promise<void> {
		const { state } = this.context;
		const [network] = state.networksNamed(networkName(name));
		if (network?.owner === "cni" && endpointsOf(state, network.id).length === 0) await this.networks.remove(network.id);
	}
}

function idOf({ network, containerId, ifname }: Attachment): string {
	return `${network}/${containerId}/${ifname}`;
}

function networkName(name: string): string {
	return `cni-${name}`;
}

function endpointName({ containerId, ifname }: Pick<Attachment, "containerId" | "ifname">): string {
	return `${containerId}-${ifname}`;
}

function changed(message: string): CniError {
	return new CniError(CODE.notAsAdded, message);
}

/**
 * The namespace of a container. One that is named by a process ends with the process.
 * @throws CniError unknownContainer: it is gone; invalidEnvironment: it can not be a container's
 */
function targetOf(netns: string): Target {
	const [, pid] = /^\/proc\/([1-9]\d*)\/(?:task\/\d+\/)?ns\/net$/.exec(netns) ?? [];
	try {
		const target = resolveTarget(pid === undefined ? `netns:${netns}` : `pid:${pid}`);
		withNetns(target.path, () => undefined);
		return target;
	} catch (error) {
		if (!(error instanceof VlaneError || error instanceof SysError)) throw error;
		const isGone = error instanceof VlaneError && error.kind === "notFound";
		throw new CniError(isGone ? CODE.unknownContainer : CODE.invalidEnvironment, `CNI_NETNS: ${error.message}`);
	}
}

/** @throws CniError invalidConfig */
function wishOf({ containerId, ifname, args }: AddRequest, config: NetConfig): EndpointWish {
	const { runtimeConfig, mac } = config;
	const wish = { name: endpointName({ containerId, ifname }), ifname, mac: runtimeConfig?.mac ?? args.mac ?? mac };
	// Another plugin reads them itself.
	if (!config.ownIpam) return wish;
	const asked = [runtimeConfig?.ips, config.args?.cni?.ips, args.ip ? [args.ip] : undefined].find((ips) => ips?.length);
	const ips = (asked ?? []).map((text) => text.split("/")[0] ?? "");
	const [ipv4, ipv6] = ([4, 6] as const).map((family) => {
		const [first, ...more] = ips.filter((ip) => parseIp(ip)?.family === family);
		if (more.length === 0) return first;
		throw new CniError(
			CODE.invalidConfig,
			`ips: an endpoint has one IPv${family} address, asked for ${ips.join(", ")}`,
		);
	});
	return { ...wish, ipv4, ipv6 };
}

function ipsOf({ ipv4, ipv6, gateway4, gateway6, furtherAddresses = [] }: EndpointRecord): Ips {
	const first = [
		[ipv4, gateway4],
		[ipv6, gateway6],
	].flatMap(([address, gateway]) => (address === undefined ? [] : [{ address, gateway }]));
	return [...first, ...furtherAddresses.map((address) => ({ address }))];
}

function defaultRoutes({ gateway4, gateway6 }: EndpointRecord): { dst: string; gw: string }[] {
	return [
		...(gateway4 ? [{ dst: "0.0.0.0/0", gw: gateway4 }] : []),
		...(gateway6 ? [{ dst: "::/0", gw: gateway6 }] : []),
	];
}

/** Routes as the kernel has them. One without gateway leads through that of the first address of its family. */
function routesOf(ips: Ips, routes: ConfigureRequest["routes"]): RouteRecord[] {
	return routes.map(({ dst, gw, priority }) => {
		const isV6 = dst.includes(":");
		const gateway = gw || ips.find(({ address, gateway }) => gateway && address.includes(":") === isV6)?.gateway;
		const isDefault = /\/0$/.test(dst) && gateway !== undefined;
		// The kernel takes no host bits in a destination.
		return { destination: isDefault ? "default" : formatCidr(mustParseCidr(dst)), gateway, metric: priority };
	});
}

/** One spelling for each address with its prefix length. */
function canonical(text: string): string {
	const cidr = parseCidr(text);
	return cidr ? formatCidrAddress(cidr) : text;
}
