/**
 * The records that the control plane keeps (state directory) and the shapes that the API answers.
 * API shapes follow Docker Engine's field names, so that `inspect` output and templates carry over.
 */
import type { PortStats } from "../host/types.js";

/** Networks and endpoints as they are stored: everything needed to build them again after a restart. */
export interface NetworkRecord {
	id: string; // 64 hex digits
	name: string;
	driver: "macvlan" | "ipvlan";
	created: string; // RFC 3339 with nanosecond-less fraction
	enableIPv4: boolean;
	enableIPv6: boolean;
	internal: boolean;
	/** `-o` options as they were typed. */
	options: Record<string, string>;
	labels: Record<string, string>;
	/** In the order given on the command line (Decision 6). */
	ipam: IpamConfig[];
	/** Small number that isolates networks in the packet core. */
	number: number;
	/** Parsed parent; null: no parent, traffic never leaves the host. */
	parent: ParentRef | null;
	/** True when this network's sub-interface TAP was made by us (Decision 2). */
	createdLink: boolean;
	/** Absent: no. */
	attachable?: boolean;
	/** `null`: its endpoints get no addresses. Absent: the default one. */
	ipamDriver?: "null";
	/** `--ipam-opt` as typed. */
	ipamOptions?: Record<string, string>;
	/** It only holds configuration for others (`--config-only`): no parent, no addresses in use, never an endpoint. */
	configOnly?: boolean;
	/** Name of the configuration network that it was made from. */
	configFrom?: string;
	/**
	 * `docker`: Docker Engine's network, which decides over its name, its addresses and its life. `cni`: made for a CNI
	 * configuration, and removed with its last endpoint. Absent: our own.
	 */
	owner?: "docker" | "cni";
	/** `global`: a network of the group of hosts, see src/group. Absent: of this host. */
	scope?: "global";
}

export interface IpamConfig {
	subnet: string; // canonical CIDR
	ipRange?: string;
	gateway?: string;
	auxAddresses?: Record<string, string>;
}

/**
 * `link`: the existing interface whose raw socket carries the frames. `vlans`: tags to wear on it, outermost first;
 * empty when `name` itself is an existing link. `name`: what the user typed (`eth0`, `eth0.50`).
 */
export interface ParentRef {
	name: string;
	link: string;
	vlans: { tpid: number; vid: number }[];
}

export interface EndpointRecord {
	id: string; // 64 hex digits
	networkId: string;
	created: string; // RFC 3339
	/** Name of the container or target; unique within the network. */
	name: string;
	/** How the network namespace is reached: `pid:N`, `netns:/path`; `sandbox:/path`: see sandbox.ts. */
	target: string;
	/** Identity of the namespace, `dev:inode` of /proc/PID/ns/net, so that a recycled pid is noticed. */
	netnsId: string;
	/** Interface name inside the namespace; of a sandbox's: in the host's namespace, before Docker renames it. */
	ifname: string;
	mac: string;
	/** CIDR with the subnet's prefix length. */
	ipv4?: string;
	ipv6?: string;
	/** Empty when the network has none for the endpoint's subnet. */
	gateway4?: string;
	gateway6?: string;
	mtuBytes: number;
	/** The highest in a namespace has the default route. Absent: 0. */
	gwPriority?: number;
	/** Checked `net.X.Y.IFNAME.Z=V`. */
	sysctls?: string[];
	/** Further names in the hosts files of its neighbours. */
	aliases?: string[];
	labels?: Record<string, string>;
	/** Addresses beyond the first of each family, CIDR; somebody else's to give. */
	furtherAddresses?: string[];
	/** Routes that somebody else has decided on. */
	routes?: RouteRecord[];
}

/** A route through an endpoint. */
export interface RouteRecord {
	/** CIDR, or `default`. */
	destination: string;
	/** Absent: on the link. */
	gateway?: string;
	/** The lowest wins; absent: the kernel's. */
	metric?: number;
}

/** What a CNI runtime has asked for and not taken back. */
export interface AttachmentRecord {
	/** `network/containerId/ifname`. */
	id: string;
	created: string;
	/** Name of the network in the runtime's configuration. */
	network: string;
	containerId: string;
	ifname: string;
	/** Of the network that its endpoint is on, if it has one. */
	networkId: string;
}

export interface ContainerRecord {
	id: string; // 64 hex digits
	name: string;
	command: string[];
	created: string;
	/** 0 once it has exited. */
	pid: number;
	/** Start time of `pid` in clock ticks (/proc/PID/stat field 22), so that a recycled pid is noticed. */
	pidStart: string;
	status: "running" | "exited";
	autoRemove: boolean;
	hostname: string;
	/** `name:address`, for its hosts file. */
	extraHosts?: string[];
}

/** A subnet that Docker has from us to give addresses of (`--ipam-driver vlane`). */
export interface PoolRecord {
	id: string; // 64 hex digits
	created: string;
	/** Canonical CIDR. */
	subnet: string;
	/** Where addresses come from that nobody has asked for by number. */
	ipRange?: string;
	/** In a group of hosts: whose addresses it gives. Absent: those of all pools that do not say. */
	wire?: string;
}

/** An address of a pool that is in use, or remembered for who had it. */
export interface LeaseRecord {
	/** `POOL/ADDRESS`. */
	id: string;
	/** When it was given, or given back. */
	created: string;
	poolId: string;
	address: string;
	/** `name:NAME` or `mac:MAC` of the endpoint; empty: a gateway, or an auxiliary address. */
	key: string;
	/** False: it has been given back. */
	held: boolean;
	/** Under which id the group of hosts knows it; absent: it does not. */
	claim?: string;
}

// ---- API: request bodies are validated by the zod schemas in schema.ts; these are the answers.

export interface ApiNetwork {
	Name: string;
	Id: string;
	Created: string;
	/** `global`: a network of the group of hosts. */
	Scope: "local" | "global";
	Driver: string;
	EnableIPv4: boolean;
	EnableIPv6: boolean;
	IPAM: {
		Driver: string;
		Options: Record<string, string>;
		Config: { Subnet: string; IPRange?: string; Gateway?: string; AuxiliaryAddresses?: Record<string, string> }[];
	};
	Internal: boolean;
	Attachable: boolean;
	Ingress: false;
	ConfigFrom: { Network: string };
	ConfigOnly: boolean;
	/** By container (or endpoint) id, as in Docker. */
	Containers: Record<
		string,
		{
			Name: string;
			EndpointID: string;
			MacAddress: string;
			IPv4Address: string;
			IPv6Address: string;
			/** Name of another host whose it is. */
			Host?: string;
		}
	>;
	Options: Record<string, string>;
	Labels: Record<string, string>;
	/** Ours, but for `IPAM`: what the switch made of the parent. */
	Status: {
		Parent: string;
		Link: string;
		Vlans: string[];
		HostInterface: string;
		State: "up" | "degraded";
		Detail: string;
		/** Its endpoints, and the host's interface on its VLAN, with their counters as `GET /ports` has them. */
		Ports?: ApiPort[];
		/** By subnet. */
		IPAM?: { Subnets: Record<string, SubnetUsage> };
	};
}

/** How full a subnet is, in Docker's words; `Size` is ours. */
export interface SubnetUsage {
	Size: number;
	/** Held by endpoints, or reserved. */
	IPsInUse: number;
	/** Left to hand out in the ip-range, or in the subnet where there is none. */
	DynamicIPsAvailable: number;
}

export interface ApiContainer {
	Id: string;
	Name: string;
	Command: string[];
	Created: string;
	State: "running" | "exited";
	Pid: number;
	/** Files that it mounts over the host's; absent once it has exited. */
	HostsPath?: string;
	ResolvConfPath?: string;
	HostnamePath?: string;
	Networks: Record<
		string,
		{
			NetworkID: string;
			EndpointID: string;
			IPAddress: string;
			IPPrefixLen: number;
			GlobalIPv6Address: string;
			GlobalIPv6PrefixLen: number;
			Gateway: string;
			IPv6Gateway: string;
			MacAddress: string;
			Interface: string;
			GwPriority: number;
			Aliases: string[];
		}
	>;
}

/** An endpoint with its surroundings, in GET /endpoints. */
export type ApiEndpoint = ApiContainer["Networks"][string] & {
	Name: string;
	/** The network's name. */
	Network: string;
	/** As stored: `pid:N`, `netns:/path`, `sandbox:/path`. */
	Target: string;
	Labels: Record<string, string>;
};

/** A host of the group, in GET /hosts. */
export interface ApiHost {
	Id: string;
	Name: string;
	/** `away`: its daemon is not heard of. */
	Status: "alive" | "away";
	/** RFC 3339: since when it is so. */
	Since: string;
	/** It is away for so long that its addresses may be given to others. */
	LeasesOver: boolean;
	/** Endpoints and leases that it has. */
	Endpoints: number;
	/** Of vlane there. */
	Version: string;
	Joined: string;
	/** The host that answers. */
	Self: boolean;
}

/** What has an address of a network of the group, in GET /hosts/endpoints. */
export interface ApiGroupEndpoint {
	/** The host's name. */
	Host: string;
	EndpointID: string;
	Name: string;
	/** The network's name; of Docker's leases `docker`. */
	Network: string;
	IPAddresses: string[];
	MacAddress: string;
}

/** One port of the switch. Counters begin when it is added; they are the switch's: `rx` came in through the port. */
export interface ApiPort extends PortStats {
	/** The thread that moves its frames, from 1. */
	worker: number;
	/**
	 * Frames from the wire that are for nobody here, by reason: other VLANs (`vlan`), other stations (`unknown`). Uplinks
	 * only, whose `drops` do not have them.
	 */
	filtered: Record<string, number>;
	/** Names of the networks whose frames pass it. */
	networks: string[];
	/** As in `-o parent=`; empty without one. */
	parent: string;
	/** Tags on the wire, outermost first: `50`, `20 (802.1ad)`; none on an uplink itself. */
	vlans: string[];
	mac: string;
	mtuBytes: number;
	carrier: boolean;
	/**
	 * What brings an uplink's frames: `packet`, or `xdp (copy)`, `xdp (zero copy)` beside it; `packet, not xdp: REASON`
	 * where a network asks for it in vain. Empty on other ports.
	 */
	input: string;
}

/** What one address leads to. */
export interface ApiStation {
	/** Empty for the host's own interface on a VLAN. */
	network: string;
	parent: string;
	mac: string;
	/** IP addresses that are known of it. */
	addresses: string[];
	/** Port number; 0 for an allowed source, which is behind the uplink. */
	port: number;
	/** The port's name; empty for an allowed source. */
	name: string;
	/** `static`: assigned. `learned`: used by an ipvlan endpoint. `source`: allowed by a network in mode source. */
	type: "static" | "learned" | "source";
}

/** The whole switch. */
export interface ApiStats {
	/** When the counters were read, RFC 3339. */
	time: string;
	uptimeSeconds: number;
	/** `io_uring` or `poll`. */
	datapath: string;
	/** Threads that move frames. */
	workers: number;
	/** Frame buffers, and how many of them hold a frame or wait for one. */
	buffers: { total: number; used: number };
	/** Batches forwarded, and how many of them had `min` to `max` frames. */
	batches: number;
	batchSizes: { min: number; max: number; batches: number }[];
	ports: ApiPort[];
}
