/**
 * The driver behind `docker network create -d vlane`: what each call of the engine does to our networks and endpoints.
 *
 * The engine decides: its ids, its addresses, its order. It forgets, too: after a crash it never asks to remove what
 * was there. So what an engine can no longer know is collected when the next one says hello, when an address is given
 * again, and when a container's namespace ends. Nothing here may call Docker: an engine that waits for our answer waits
 * with its locks held.
 *
 * Every method but those without effect must be called from the queue.
 */
import { contains, mustParseCidr, parseCidr } from "../control/address/cidr.js";
import { type Context, endpointsOf } from "../control/context.js";
import type { Endpoints } from "../control/endpoints.js";
import { VlaneError } from "../control/errors.js";
import { segmentKey } from "../control/fabric/segment.js";
import { findSandboxInterface, sandboxIfname, sandboxTarget } from "../control/namespace/sandbox.js";
import type { Networks } from "../control/networks.js";
import { type ResolvedIpam, resolveIpam } from "../control/request/ipamconfig.js";
import { OPTION } from "../control/request/options.js";
import type { EndpointRecord, NetworkRecord } from "../control/types.js";
import { withUndo } from "../control/undo.js";
import { ADDRESS_SPACE } from "./ipamdriver.js";
import {
	type CreatedEndpoint,
	type CreateEndpoint,
	type CreateNetwork,
	type Join,
	type Joined,
	LABEL,
} from "./protocol.js";

/** Docker names a container's interfaces eth0, eth1... */
const INTERFACE_PREFIX = "eth";

/** Docker knows one driver of ours; these options tell which of the two is meant. */
const IPVLAN_OPTION = "ipvlan_";

export class Driver {
	constructor(
		readonly context: Context,
		readonly networks: Networks,
		readonly endpoints: Endpoints,
	) {}

	/**
	 * An engine has just started to use the driver: whatever an earlier one left between CreateEndpoint and the move of
	 * the interface into a container will never be asked for again.
	 */
	async greet(): Promise<void> {
		for (const endpoint of this.context.state.endpoints.all()) {
			if (!this.#isDockers(endpoint)) continue;
			const found = findSandboxInterface(this.context.fabric.netlink, endpoint);
			if (found?.netnsId === undefined) await this.endpoints.release(endpoint);
		}
	}

	/** @throws VlaneError, SysError; nothing is left behind then */
	async createNetwork(request: CreateNetwork): Promise<void> {
		const { generic, internal } = request.Options;
		const isIpvlan = Object.keys(generic).some((key) => key.startsWith(IPVLAN_OPTION));
		const isOurs = [...request.IPv4Data, ...request.IPv6Data].some((pool) => pool.AddressSpace === ADDRESS_SPACE);
		if (isIpvlan && isOurs) {
			const problem = "--ipam-driver vlane gives each endpoint a MAC address, and ipvlan endpoints share one";
			throw new VlaneError("invalid", `${problem}; leave --ipam-driver out`);
		}
		await this.networks.createForDocker(
			request.NetworkID,
			{ Driver: isIpvlan ? "ipvlan" : "macvlan", Options: generic, Internal: internal },
			this.#addresses(request),
		);
	}

	/** What is not there is fine. Endpoints that the engine has forgotten go with their network. */
	async deleteNetwork(id: string): Promise<void> {
		if (this.context.state.networks.get(id)?.owner !== "docker") return;
		for (const endpoint of endpointsOf(this.context.state, id)) await this.endpoints.release(endpoint);
		await this.networks.remove(id, true);
	}

	/** @throws VlaneError, SysError; nothing is left behind then */
	async createEndpoint(request: CreateEndpoint): Promise<CreatedEndpoint> {
		const { state, fabric, log } = this.context;
		const { NetworkID, EndpointID } = request;
		const { Address, AddressIPv6, MacAddress } = request.Interface;
		const network = this.#network(NetworkID);
		this.#checkOptions(request);
		const ipv4 = addressOf(network, Address, 4);
		const ipv6 = addressOf(network, AddressIPv6, 6);
		fabric.checkUsable(network);
		const forgotten = this.#forgotten(network, EndpointID, [Address, AddressIPv6]);
		const wish = { name: Address ?? AddressIPv6 ?? EndpointID, mac: MacAddress };
		const mac = this.endpoints.chooseMac(network, wish, segmentKey(network), forgotten);
		const endpoint: EndpointRecord = {
			id: EndpointID,
			networkId: NetworkID,
			created: new Date().toISOString(),
			name: EndpointID.slice(0, 12),
			target: sandboxTarget(""),
			netnsId: "",
			ifname: sandboxIfname(EndpointID),
			mac,
			ipv4: Address,
			ipv6: AddressIPv6,
			gateway4: network.internal ? undefined : ipv4?.gateway,
			gateway6: network.internal ? undefined : ipv6?.gateway,
			mtuBytes: Number(network.options[OPTION.mtu] ?? fabric.mtuBytes(network)),
		};
		await this.endpoints.releaseAll(forgotten, (changes) => changes.put(state.endpoints, endpoint));
		log.info("endpoint created for Docker", { network: network.name, endpoint: EndpointID.slice(0, 12), mac });
		return { Interface: MacAddress === undefined ? { MacAddress: mac } : {} };
	}

	/** Makes the interface that the engine will move into the container. @throws VlaneError, SysError */
	async join(request: Join): Promise<Joined> {
		const { state, fabric } = this.context;
		const network = this.#network(request.NetworkID);
		const endpoint = this.#endpoint(request.EndpointID);
		if (endpoint?.networkId !== network.id) throw lost("endpoint", request.EndpointID, "start the container again");
		fabric.checkUsable(network);
		await fabric.detachEndpoint(endpoint.id);
		const joined = { ...endpoint, target: sandboxTarget(request.SandboxKey), netnsId: "" };
		await withUndo(async (undo) => {
			await fabric.attachEndpoint(network, joined, false);
			undo.add(() => fabric.detachEndpoint(endpoint.id));
			undo.add(() => state.endpoints.put(endpoint));
			await state.endpoints.put(joined);
		});
		fabric.keepEndpoint(endpoint.id);
		return {
			InterfaceName: { SrcName: endpoint.ifname, DstPrefix: INTERFACE_PREFIX },
			Gateway: endpoint.gateway4,
			GatewayIPv6: endpoint.gateway6,
			DisableGatewayService: true,
		};
	}

	/** Destroys the endpoint's interface, wherever the engine has put it; what is not there is fine. */
	async deleteEndpoint(id: string): Promise<void> {
		const endpoint = this.#endpoint(id);
		if (endpoint) await this.endpoints.release(endpoint);
	}

	/** The engine gives an address again only when nobody has it any more. */
	#forgotten(network: NetworkRecord, id: string, addresses: (string | undefined)[]): EndpointRecord[] {
		return endpointsOf(this.context.state, network.id).filter(
			({ id: otherId, ipv4, ipv6 }) =>
				otherId === id || addresses.some((cidr) => cidr !== undefined && (cidr === ipv4 || cidr === ipv6)),
		);
	}

	/** The addresses that the engine's address management has decided on; none with `--ipam-driver=null`. */
	#addresses({ IPv4Data, IPv6Data }: CreateNetwork): ResolvedIpam {
		const config = [...IPv4Data, ...IPv6Data]
			.filter(({ AddressSpace }) => AddressSpace !== "null")
			.map(({ Pool, Gateway, AuxAddresses }) => ({
				Subnet: Pool,
				Gateway: Gateway && withoutLength(Gateway),
				AuxiliaryAddresses: Object.fromEntries(
					Object.entries(AuxAddresses ?? {}).map(([name, cidr]) => [name, withoutLength(cidr)]),
				),
			}));
		const has = (family: 4 | 6) => config.some(({ Subnet }) => parseCidr(Subnet)?.family === family);
		if (config.length === 0) return { enableIPv4: false, enableIPv6: false, ipam: [] };
		const { hostId } = this.context.state;
		return resolveIpam({ config, enableIPv4: has(4), enableIPv6: has(6) }, { takenSubnets: () => [[]], hostId });
	}

	#checkOptions({ Options, EndpointID }: CreateEndpoint): void {
		const unknown = Object.keys(Options).find((key) => !key.startsWith(LABEL.reserved));
		if (unknown !== undefined) {
			throw new VlaneError(
				"invalid",
				`unknown endpoint option ${JSON.stringify(unknown)}; vlane has none, leave it out`,
			);
		}
		const ports = Options[LABEL.portMap];
		if (Array.isArray(ports) && ports.length > 0) {
			const problem = "published ports are ignored: the container's own address is reachable at every port";
			this.context.log.warn(problem, { endpoint: EndpointID.slice(0, 12) });
		}
	}

	#network(id: string): NetworkRecord {
		const network = this.context.state.networks.get(id);
		if (network?.owner === "docker") return network;
		throw lost("network", id, "remove it with docker network rm and create it again");
	}

	#endpoint(id: string): EndpointRecord | undefined {
		const endpoint = this.context.state.endpoints.get(id);
		return endpoint && this.#isDockers(endpoint) ? endpoint : undefined;
	}

	#isDockers(endpoint: EndpointRecord): boolean {
		return this.context.state.networks.get(endpoint.networkId)?.owner === "docker";
	}
}

function lost(what: string, id: string, remedy: string): VlaneError {
	return new VlaneError("notFound", `${what} ${id.slice(0, 12)} is not known to vlane; ${remedy}`);
}

/** `172.16.86.1/24` -> `172.16.86.1`. */
function withoutLength(cidr: string): string {
	return cidr.split("/")[0] ?? "";
}

/** The configuration of the subnet that an endpoint's address is from; undefined without address. */
function addressOf(network: NetworkRecord, text: string | undefined, family: 4 | 6) {
	if (text === undefined) return undefined;
	const cidr = parseCidr(text);
	if (cidr?.family !== family) throw new VlaneError("invalid", `invalid IPv${family} address: ${text}`);
	const pool = network.ipam.find(({ subnet }) => contains(mustParseCidr(subnet), { family, value: cidr.address }));
	if (!pool) throw new VlaneError("invalid", `no configured subnet contains IP address ${text}`);
	return pool;
}
