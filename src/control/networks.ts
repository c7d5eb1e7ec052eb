/** Networks: `vlane network create|ls|inspect|rm|prune`. */
import type { Link } from "../netlink/link.js";
import { contains, formatIp, mustParseCidr, mustParseIp } from "./address/cidr.js";
import type { PoolUsage } from "./address/ipam.js";
import { parseIpamOptions, planAddresses } from "./address/ipamplan.js";
import { type Context, endpointsOf, managedPools } from "./context.js";
import { VlaneError } from "./errors.js";
import { isValidIfname } from "./namespace/interface.js";
import { applyConfiguration, CONFIG_STATUS, checkUnused } from "./request/confignetwork.js";
import type { ResolvedIpam } from "./request/ipamconfig.js";
import { checkNetworkName, newId, resolveRef } from "./request/names.js";
import { type Driver, type DriverOptions, OPTION, parseDriver, parseDriverOptions } from "./request/options.js";
import { parentKey, parseParent } from "./request/parent.js";
import type { CreateNetworkBody } from "./request/schema.js";
import { type Definition, type DistantEndpoint, isOnWire } from "./shared.js";
import type { ApiNetwork, EndpointRecord, NetworkRecord, ParentRef, SubnetUsage } from "./types.js";
import { withUndo } from "./undo.js";

/** Largest network number of the packet core (host/types.ts). */
const NETWORK_NUMBER_MAX = 65535;

/** Endpoints that may use their own addresses only must be given some. @throws VlaneError invalid */
function checkSecurity({ security }: DriverOptions, { ipam }: Pick<NetworkRecord, "ipam">): void {
	if (security !== "mac,ip" || ipam.length > 0) return;
	const need = `-o ${OPTION.security}=mac,ip needs addresses to compare with, and this network gives none`;
	throw new VlaneError("invalid", `${need}; add --subnet, or use -o ${OPTION.security}=mac`);
}

export class Networks {
	constructor(readonly context: Context) {}

	/**
	 * Everything is checked first, in memory; then the kernel side is made; then the record is written.
	 * @throws VlaneError, SysError; nothing is left behind then
	 */
	create(body: CreateNetworkBody): Promise<NetworkRecord> {
		return this.#make(this.#plan(applyConfiguration(this.context.state, body)));
	}

	/**
	 * Makes a network that Docker Engine has given its id and its addresses. It is named after its id: Docker does not
	 * tell its name.
	 * @throws VlaneError, SysError; nothing is left behind then
	 */
	createForDocker(id: string, body: Omit<CreateNetworkBody, "Name">, addresses: ResolvedIpam): Promise<NetworkRecord> {
		const planned = this.#plan({ ...body, Name: `docker-${id.slice(0, 12)}`, Scope: "local" }, addresses);
		return this.#make({ ...planned, id, owner: "docker" });
	}

	/**
	 * Makes a network for a CNI configuration.
	 * @param addresses absent: as the body says
	 * @throws VlaneError, SysError; nothing is left behind then
	 */
	createForCni(body: CreateNetworkBody, addresses?: ResolvedIpam): Promise<NetworkRecord> {
		return this.#make({ ...this.#plan({ ...body, Scope: "local" }, addresses), owner: "cni" });
	}

	/**
	 * Makes a network of the group here. A parent that is missing only degrades it.
	 * @throws VlaneError conflict: it collides with a network of this host
	 */
	async adopt(definition: Definition): Promise<void> {
		const { state, shared, fabric } = this.context;
		if (state.networksNamed(definition.name).length > 0) {
			throw new VlaneError("conflict", `network with name ${definition.name} already exists on this host`);
		}
		const options = parseDriverOptions(definition.options, definition.driver);
		const text = shared?.localParent(definition.parent) ?? definition.parent;
		const base = text.replace(/(\.\d+){1,2}$/, "");
		const parent = parseParent(text, {
			linkExists: (name) => fabric.isLink(name) || name === base,
			protocol: options.vlanProtocol,
			driver: definition.driver,
		});
		this.#checkSharing(parent, definition.driver, options);
		const own = { number: this.#freeNumber(), parent, createdLink: this.#getsLink(parent) };
		await this.#make({ ...definition, ...own, scope: "global" }, true);
	}

	/** @param isAdopted the group has it already */
	async #make(network: NetworkRecord, isAdopted = false): Promise<NetworkRecord> {
		const { state, fabric, spaces, shared, log } = this.context;
		await withUndo(async (undo) => {
			const space = spaces.of(network);
			undo.add(() => space.removeNetwork(network.id));
			const options = parseIpamOptions(network.ipamOptions);
			for (const config of managedPools(network)) space.addPool(network.id, config, network.name, options);
			if (!network.configOnly) {
				await fabric.attachNetwork(network, isAdopted);
				undo.add(() => fabric.detachNetwork(network));
			}
			await state.networks.put(network);
			if (isAdopted || network.scope !== "global") return;
			undo.add(() => state.networks.del(network.id));
			if (isOnWire(network)) await shared?.publish(network);
		});
		if (!network.configOnly) fabric.keepNetwork(network);
		log.info("network created", { network: network.name, id: network.id, parent: network.parent?.name ?? "" });
		return network;
	}

	/** What will not work as the user asked for it; empty when everything does. */
	warning(id: string): string {
		const network = this.find(id);
		return network.configOnly ? "" : this.context.fabric.warning(network);
	}

	list(): ApiNetwork[] {
		const { state, fabric } = this.context;
		const links = new Map<string, Link | undefined>();
		const linkOf = (name: string) => {
			if (!links.has(name)) links.set(name, fabric.netlink.link(name));
			return links.get(name);
		};
		return state.networks.all().map((network) => this.describe(network, linkOf));
	}

	/** @throws VlaneError notFound, invalid (ambiguous) */
	find(ref: string): NetworkRecord {
		const { state } = this.context;
		return state.networksNamed(ref)[0] ?? state.networks.get(ref) ?? resolveRef(state.networks.all(), ref);
	}

	/**
	 * @param force also when it is Docker's, which may have forgotten it
	 * @throws VlaneError notFound, forbidden (Docker's), conflict when it has endpoints
	 */
	async remove(ref: string, force = false): Promise<void> {
		const network = this.find(ref);
		if (network.owner === "docker" && !force) {
			const remedy = `docker network rm ${network.id.slice(0, 12)}, or --force when Docker has lost it`;
			throw new VlaneError("forbidden", `network ${network.name} belongs to Docker; use ${remedy}`);
		}
		checkUnused(this.context.state, network);
		const endpoints = endpointsOf(this.context.state, network.id);
		if (endpoints.length > 0) {
			const list = endpoints.map(({ name, id }) => `name:"${name}" id:"${id.slice(0, 12)}"`).join(", ");
			throw new VlaneError(
				"conflict",
				`error while removing network: network ${network.name} has active endpoints (${list})`,
			);
		}
		if (network.scope === "global") await this.context.shared?.unpublish(network);
		await this.abandon(network);
	}

	/** Takes a network without endpoints from this host. @throws VlaneError when it can not be written */
	async abandon(network: NetworkRecord): Promise<void> {
		const { state, fabric, spaces, log } = this.context;
		if (!network.configOnly) fabric.loosenNetwork(network);
		try {
			await state.networks.del(network.id);
		} catch (error) {
			if (!network.configOnly) fabric.keepNetwork(network);
			throw error;
		}
		if (!network.configOnly) await fabric.detachNetwork(network);
		spaces.of(network).removeNetwork(network.id);
		log.info("network removed", { network: network.name, id: network.id });
	}

	/**
	 * Removes the networks without endpoints.
	 * @param labels `key` or `key=value`; all of them must be there
	 * @returns names of what was removed
	 */
	async prune(labels: string[]): Promise<string[]> {
		const { state, shared } = this.context;
		const unused = state.networks
			.all()
			.filter(({ id }) => (shared?.endpointsOf(id).length ?? 0) === 0)
			.filter(({ id, owner, configOnly }) => !owner && !configOnly && endpointsOf(state, id).length === 0)
			.filter((network) => labels.every((label) => hasLabel(network, label)));
		for (const network of unused) await this.remove(network.id);
		return unused.map((network) => network.name);
	}

	/**
	 * A network as the API shows it.
	 * @param linkOf as `Fabric.status` takes it
	 */
	describe(network: NetworkRecord, linkOf?: (name: string) => Link | undefined): ApiNetwork {
		const { state, fabric, spaces, shared } = this.context;
		const status = network.configOnly ? CONFIG_STATUS : fabric.status(network, linkOf);
		const details = [status.Detail, ...(shared?.notesOf(network.id) ?? [])].filter(Boolean);
		const usage = managedPools(network).length > 0 ? spaces.of(network).usage(network.id) : [];
		return {
			Name: network.name,
			Id: network.id,
			Created: network.created,
			Scope: network.scope ?? "local",
			Driver: network.configOnly ? "null" : network.driver,
			EnableIPv4: network.enableIPv4,
			EnableIPv6: network.enableIPv6,
			IPAM: {
				Driver: network.owner ?? network.ipamDriver ?? "default",
				Options: network.ipamOptions ?? {},
				Config: network.ipam.map(({ subnet, ipRange, gateway, auxAddresses }) => ({
					Subnet: subnet,
					IPRange: ipRange,
					Gateway: gateway,
					AuxiliaryAddresses: auxAddresses,
				})),
			},
			Internal: network.internal,
			Attachable: network.attachable ?? false,
			Ingress: false,
			ConfigFrom: { Network: network.configFrom ?? "" },
			ConfigOnly: network.configOnly ?? false,
			Containers: Object.fromEntries([
				...endpointsOf(state, network.id).map((endpoint) => this.#describeEndpoint(endpoint)),
				...(shared?.endpointsOf(network.id) ?? []).map((endpoint) => describeDistant(endpoint, network)),
			]),
			Options: network.options,
			Labels: network.labels,
			Status: {
				...status,
				Detail: details.join("; "),
				IPAM: { Subnets: Object.fromEntries(usage.map(describeUsage)) },
			},
		};
	}

	/** Checks a request and decides everything that it leaves open; changes nothing. */
	#plan(body: CreateNetworkBody, addresses?: ResolvedIpam): NetworkRecord {
		const { state } = this.context;
		checkNetworkName(body.Name);
		if (state.networksNamed(body.Name).length > 0) {
			throw new VlaneError("conflict", `network with name ${body.Name} already exists`);
		}
		const driver = parseDriver(body.Driver);
		const id = newId();
		const parent = body.ConfigOnly ? null : this.#planParent(body.Options ?? {}, driver);
		const scope = this.#planScope(body, parent);
		const plan = addresses ?? planAddresses(body, { id, parent }, this.context);
		if (!body.ConfigOnly) checkSecurity(parseDriverOptions(body.Options ?? {}, driver), plan);
		return {
			id,
			name: body.Name,
			driver,
			created: new Date().toISOString(),
			...plan,
			// Without a parent there is nowhere to go, so nothing may pretend that there is.
			internal: parent === null || (body.Internal ?? false),
			options: body.Options ?? {},
			labels: body.Labels ?? {},
			attachable: body.Attachable ?? false,
			configOnly: body.ConfigOnly ?? false,
			configFrom: body.ConfigFrom?.Network || undefined,
			number: this.#freeNumber(),
			parent,
			createdLink: parent !== null && this.#getsLink(parent),
			scope,
		};
	}

	/** In a group, networks that leave the host are the group's unless the user says otherwise. */
	#planScope({ Scope = "", ConfigOnly }: CreateNetworkBody, parent: ParentRef | null): NetworkRecord["scope"] {
		if (!["", "local", "global"].includes(Scope)) {
			throw new VlaneError("invalid", `scope ${Scope} is not in this version; use --scope local or global`);
		}
		if (Scope === "global" && !this.context.shared) {
			const remedy = "start the daemon with --store etcd://..., or use --scope local";
			throw new VlaneError("invalid", `scope global is for hosts that are in a group; ${remedy}`);
		}
		if (Scope === "global" && (parent === null || ConfigOnly)) {
			throw new VlaneError(
				"invalid",
				"scope global is for networks with a parent; add -o parent, or use --scope local",
			);
		}
		const isGlobal = Scope !== "local" && this.context.shared !== undefined && parent !== null && !ConfigOnly;
		return isGlobal ? "global" : undefined;
	}

	#planParent(given: Record<string, string>, driver: Driver): ParentRef | null {
		const options = parseDriverOptions(given, driver);
		const parent = options.parent === undefined ? null : this.#checkParent(options.parent, driver, options);
		if (parent) this.#checkSharing(parent, driver, options);
		return parent;
	}

	/** Whether the host gets an interface of the parent's name: where it fits, and is not that of another VLAN. */
	#getsLink(parent: ParentRef): boolean {
		const holder = this.context.fabric.hostInterfaceParent(parent.name);
		const isFree = holder === undefined || parentKey(holder) === parentKey(parent);
		return parent.vlans.length > 0 && isValidIfname(parent.name) && isFree;
	}

	/**
	 * One network for each parent, unless the newcomer asks to share it. Passthru takes all that comes, and ipvlan
	 * endpoints wear the parent's own address: they never share.
	 */
	#checkSharing(parent: ParentRef, driver: Driver, { mode, shareParent }: DriverOptions): void {
		const holder = this.context.fabric.parentUser(parent);
		if (!holder) return;
		const used = `is already using parent interface ${parent.name}`;
		if (driver === "ipvlan" || holder.driver === "ipvlan") {
			throw new VlaneError("conflict", `network ${holder.name} ${used}`);
		}
		if (mode === "passthru") {
			throw new VlaneError("conflict", `cannot use mode passthru, macvlan network ${holder.name} ${used}`);
		}
		if (parseDriverOptions(holder.options, holder.driver).mode === "passthru") {
			throw new VlaneError("conflict", `macvlan network ${holder.name} ${used} in mode passthru`);
		}
		if (!shareParent) {
			throw new VlaneError("conflict", `network ${holder.name} ${used}; add -o share_parent=true to share it`);
		}
	}

	#checkParent(text: string, driver: Driver, { mtuBytes, vlanProtocol }: DriverOptions): ParentRef {
		const { fabric, shared } = this.context;
		const parent = parseParent(shared?.localParent(text) ?? text, {
			linkExists: (name) => fabric.isLink(name),
			protocol: vlanProtocol,
			driver,
		});
		const link = fabric.netlink.link(parent.link);
		if (link && !link.ethernet) {
			throw new VlaneError(
				"invalid",
				`parent interface ${parent.link} does not carry Ethernet frames; choose another one`,
			);
		}
		if (link && mtuBytes !== undefined && mtuBytes > link.mtuBytes) {
			const limit = `the MTU ${link.mtuBytes} of parent interface ${parent.link}`;
			throw new VlaneError("invalid", `driver-opt "${OPTION.mtu}" ${mtuBytes} is larger than ${limit}`);
		}
		return parent;
	}

	#freeNumber(): number {
		const used = new Set(this.context.state.networks.all().map(({ number }) => number));
		for (let number = 1; number <= NETWORK_NUMBER_MAX; number++) {
			if (!used.has(number)) return number;
		}
		throw new VlaneError("unavailable", `there are ${NETWORK_NUMBER_MAX} networks already; remove one first`);
	}

	#describeEndpoint(endpoint: EndpointRecord): [string, ApiNetwork["Containers"][string]] {
		const containers = this.context.state.containersOfTarget(endpoint.target);
		const container = containers.find(({ name }) => name === endpoint.name);
		return [
			container?.id ?? endpoint.id,
			{
				Name: endpoint.name,
				EndpointID: endpoint.id,
				MacAddress: endpoint.mac,
				IPv4Address: endpoint.ipv4 ?? "",
				IPv6Address: endpoint.ipv6 ?? "",
			},
		];
	}
}

/** An endpoint of another host. */
function describeDistant(
	{ id, name, host, mac, addresses }: DistantEndpoint,
	{ ipam }: NetworkRecord,
): [string, ApiNetwork["Containers"][string]] {
	const [ipv4, ipv6] = ([4, 6] as const).map((family) => {
		const ip = addresses.map(mustParseIp).find((each) => each.family === family);
		const subnet = ip && ipam.map((config) => mustParseCidr(config.subnet)).find((each) => contains(each, ip));
		return ip && subnet ? `${formatIp(family, ip.value)}/${subnet.prefixLength}` : "";
	});
	const addressed = { MacAddress: mac ?? "", IPv4Address: ipv4 ?? "", IPv6Address: ipv6 ?? "" };
	return [id, { Name: name, EndpointID: id, ...addressed, Host: host }];
}

function hasLabel(network: NetworkRecord, label: string): boolean {
	const [key = "", ...value] = label.split("=");
	return Object.hasOwn(network.labels, key) && (value.length === 0 || network.labels[key] === value.join("="));
}

/** Docker's shape; numbers that JSON can not carry exactly stop at the largest one that it can. */
function describeUsage({ subnet, size, inUse, available }: PoolUsage): [string, SubnetUsage] {
	const [Size, IPsInUse, DynamicIPsAvailable] = [size, inUse, available].map((count) =>
		Math.min(Number(count), Number.MAX_SAFE_INTEGER),
	) as [number, number, number];
	return [subnet, { Size, IPsInUse, DynamicIPsAvailable }];
}
