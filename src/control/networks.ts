/** Networks: `vlane network create|ls|inspect|rm|prune`. */
import { type Context, endpointsOf, managedPools } from "./context.js";
import { VlaneError } from "./errors.js";
import { segmentKey } from "./fabric.js";
import { isValidIfname } from "./interface.js";
import { type ResolvedIpam, resolveIpam } from "./ipamconfig.js";
import { checkNetworkName, newId, resolveRef } from "./names.js";
import { OPTION, parseDriver, parseDriverOptions } from "./options.js";
import { parseParent } from "./parent.js";
import type { CreateNetworkBody } from "./schema.js";
import type { ApiNetwork, EndpointRecord, NetworkRecord, ParentRef } from "./types.js";
import { withUndo } from "./undo.js";

/** Largest network number of the packet core (host/types.ts). */
const NETWORK_NUMBER_MAX = 65535;

export class Networks {
	constructor(readonly context: Context) {}

	/**
	 * Everything is checked first, in memory; then the kernel side is made; then the record is written.
	 * @throws VlaneError, SysError; nothing is left behind then
	 */
	create(body: CreateNetworkBody): Promise<NetworkRecord> {
		return this.#make(this.#plan(body));
	}

	/**
	 * Makes a network that Docker Engine has given its id and its addresses. It is named after its id: Docker does not
	 * tell its name.
	 * @throws VlaneError, SysError; nothing is left behind then
	 */
	createForDocker(id: string, body: Omit<CreateNetworkBody, "Name">, addresses: ResolvedIpam): Promise<NetworkRecord> {
		const planned = this.#plan({ ...body, Name: `docker-${id.slice(0, 12)}` }, addresses);
		return this.#make({ ...planned, id, owner: "docker" });
	}

	async #make(network: NetworkRecord): Promise<NetworkRecord> {
		const { state, fabric, spaces, log } = this.context;
		await withUndo(async (undo) => {
			const space = spaces.of(network);
			undo.add(() => space.removeNetwork(network.id));
			for (const config of managedPools(network)) space.addPool(network.id, config, network.name);
			await fabric.attachNetwork(network, false);
			undo.add(() => fabric.detachNetwork(network));
			await state.networks.put(network);
		});
		fabric.keepNetwork(network);
		log.info("network created", { network: network.name, id: network.id, parent: network.parent?.name ?? "" });
		return network;
	}

	list(): ApiNetwork[] {
		return this.context.state.networks.all().map((network) => this.describe(network));
	}

	/** @throws VlaneError notFound, invalid (ambiguous) */
	find(ref: string): NetworkRecord {
		return resolveRef(this.context.state.networks.all(), ref);
	}

	/**
	 * @param force also when it is Docker's, which may have forgotten it
	 * @throws VlaneError notFound, forbidden (Docker's), conflict when it has endpoints
	 */
	async remove(ref: string, force = false): Promise<void> {
		const network = this.find(ref);
		if (network.owner === "docker" && !force) {
			const remedy = `remove it with docker network rm ${network.id.slice(0, 12)}, or with --force when Docker has lost it`;
			throw new VlaneError("forbidden", `network ${network.name} belongs to Docker; ${remedy}`);
		}
		const endpoints = endpointsOf(this.context.state, network.id);
		if (endpoints.length > 0) {
			const list = endpoints.map(({ name, id }) => `name:"${name}" id:"${id.slice(0, 12)}"`).join(", ");
			throw new VlaneError(
				"conflict",
				`error while removing network: network ${network.name} has active endpoints (${list})`,
			);
		}
		const { state, fabric, spaces, log } = this.context;
		await fabric.detachNetwork(network);
		await state.networks.del(network.id);
		spaces.of(network).removeNetwork(network.id);
		log.info("network removed", { network: network.name, id: network.id });
	}

	/**
	 * Removes the networks without endpoints.
	 * @param labels `key` or `key=value`; all of them must be there
	 * @returns names of what was removed
	 */
	async prune(labels: string[]): Promise<string[]> {
		const { state } = this.context;
		const unused = state.networks
			.all()
			.filter((network) => network.owner === undefined && endpointsOf(state, network.id).length === 0)
			.filter((network) => labels.every((label) => hasLabel(network, label)));
		for (const network of unused) await this.remove(network.id);
		return unused.map((network) => network.name);
	}

	/** A network as the API shows it. */
	describe(network: NetworkRecord): ApiNetwork {
		const { state, fabric } = this.context;
		return {
			Name: network.name,
			Id: network.id,
			Created: network.created,
			Scope: "local",
			Driver: network.driver,
			EnableIPv4: network.enableIPv4,
			EnableIPv6: network.enableIPv6,
			IPAM: {
				Driver: network.owner ?? "default",
				Options: {},
				Config: network.ipam.map(({ subnet, ipRange, gateway, auxAddresses }) => ({
					Subnet: subnet,
					IPRange: ipRange,
					Gateway: gateway,
					AuxiliaryAddresses: auxAddresses,
				})),
			},
			Internal: network.internal,
			Attachable: false,
			Ingress: false,
			ConfigFrom: { Network: "" },
			ConfigOnly: false,
			Containers: Object.fromEntries(
				endpointsOf(state, network.id).map((endpoint) => this.#describeEndpoint(endpoint)),
			),
			Options: network.options,
			Labels: network.labels,
			Status: fabric.status(network),
		};
	}

	/** Checks a request and decides everything that it leaves open; changes nothing. */
	#plan(body: CreateNetworkBody, addresses?: ResolvedIpam): NetworkRecord {
		const { state } = this.context;
		checkNetworkName(body.Name);
		if (state.networks.all().some(({ name }) => name === body.Name)) {
			throw new VlaneError("conflict", `network with name ${body.Name} already exists`);
		}
		const driver = parseDriver(body.Driver);
		const options = parseDriverOptions(body.Options ?? {});
		const id = newId();
		const parent = options.parent === undefined ? null : this.#checkParent(options.parent, options.mtuBytes);
		const holder = state.networks.all().find((other) => segmentKey(other) === segmentKey({ id, parent }));
		if (holder && !options.shareParent) {
			const problem = `network ${holder.name} is already using parent interface ${parent?.name}`;
			throw new VlaneError("conflict", `${problem}; add -o share_parent=true to share it`);
		}
		return {
			id,
			name: body.Name,
			driver,
			created: new Date().toISOString(),
			...(addresses ?? this.#planAddresses(body)),
			// Without a parent there is nowhere to go, so nothing may pretend that there is.
			internal: parent === null || (body.Internal ?? false),
			options: body.Options ?? {},
			labels: body.Labels ?? {},
			number: this.#freeNumber(),
			parent,
			createdLink: parent !== null && parent.vlans.length > 0 && isValidIfname(parent.name),
		};
	}

	#checkParent(text: string, mtuBytes: number | undefined): ParentRef {
		const { state, fabric } = this.context;
		const ours = new Set(
			state.networks.all().flatMap(({ createdLink, parent }) => (createdLink && parent ? [parent.name] : [])),
		);
		const parent = parseParent(text, {
			linkExists: (name) => !ours.has(name) && fabric.netlink.link(name) !== undefined,
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

	#planAddresses({ IPAM, EnableIPv4, EnableIPv6 }: CreateNetworkBody): ResolvedIpam {
		const { state, fabric } = this.context;
		if (IPAM?.Driver !== undefined && IPAM.Driver !== "" && IPAM.Driver !== "default") {
			throw new VlaneError("invalid", `ipam driver ${IPAM.Driver} is not in this version; use --ipam-driver default`);
		}
		const [option] = Object.keys(IPAM?.Options ?? {});
		if (option !== undefined)
			throw new VlaneError("invalid", `unknown ipam option ${JSON.stringify(option)}; leave it out`);
		const routes = [...fabric.netlink.routes(4), ...fabric.netlink.routes(6)].map(({ destination }) => destination);
		const takenSubnets = [
			...state.networks.all().flatMap(({ ipam }) => ipam.map(({ subnet }) => subnet)),
			...routes.filter((destination) => destination !== "default"),
		];
		return resolveIpam(
			{ config: IPAM?.Config, enableIPv4: EnableIPv4, enableIPv6: EnableIPv6 },
			{ takenSubnets, hostId: state.hostId },
		);
	}

	#freeNumber(): number {
		const used = new Set(this.context.state.networks.all().map(({ number }) => number));
		for (let number = 1; number <= NETWORK_NUMBER_MAX; number++) {
			if (!used.has(number)) return number;
		}
		throw new VlaneError("unavailable", `there are ${NETWORK_NUMBER_MAX} networks already; remove one first`);
	}

	#describeEndpoint(endpoint: EndpointRecord): [string, ApiNetwork["Containers"][string]] {
		const container = this.context.state.containers
			.all()
			.find(({ name, pid }) => name === endpoint.name && `pid:${pid}` === endpoint.target);
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

function hasLabel(network: NetworkRecord, label: string): boolean {
	const [key = "", ...value] = label.split("=");
	return key in network.labels && (value.length === 0 || network.labels[key] === value.join("="));
}
