/**
 * The switch as people look at it: its ports, stations and counters, with the names of networks and parents. Reads
 * memory and records only; nothing here waits or changes anything.
 */
import type { CounterReader } from "../../core/counters.js";
import type { PortStats } from "../../host/types.js";
import { vlanText } from "../request/parent.js";
import type { ApiPort, ApiStation, ApiStats, EndpointRecord } from "../types.js";
import type { Fabric } from "./fabric.js";
import type { Attached, OpenPort, Segment } from "./segment.js";

/** Reasons of drops that are no faults on an uplink, which hears whatever the wire carries. */
const FILTERS = ["vlan", "unknown"];

/** What the view reads. */
export interface Viewed {
	fabric: Fabric;
	counters: CounterReader;
	ring: string;
	workers: number;
	/** The worker, from 1, that moves a port's frames. */
	workerOf(port: number): number;
	stats(): PortStats[];
}

type Place = Pick<ApiPort, "networks" | "parent" | "vlans" | "mac" | "mtuBytes" | "carrier" | "input">;

export class View {
	constructor(readonly viewed: Viewed) {}

	/** All ports, by their numbers. */
	ports(): ApiPort[] {
		const places = this.#places();
		const found = this.viewed.stats().map((stats) => {
			const worker = this.viewed.workerOf(stats.port);
			return { ...split(stats), ...(places.get(stats.port) ?? NOWHERE), worker };
		});
		return found.sort((left, right) => left.port - right.port);
	}

	/** The ports that carry frames of one network and of nothing else. */
	portsOf(network: string): ApiPort[] {
		return this.ports().filter(({ kind, networks }) => kind !== "uplink" && networks.includes(network));
	}

	stats(): ApiStats {
		const { counters, ring, workers } = this.viewed;
		return {
			time: new Date().toISOString(),
			uptimeSeconds: Math.floor(process.uptime()),
			datapath: ring,
			workers,
			buffers: counters.buffers(),
			batches: counters.batches(),
			batchSizes: counters
				.batchSizes()
				.map((batches, power) => ({ min: 2 ** power, max: 2 ** (power + 1) - 1, batches })),
			ports: this.ports(),
		};
	}

	/**
	 * The forwarding database.
	 * @param network name; absent: of all networks
	 */
	fdb(network?: string): ApiStation[] {
		const segments = new Map<number, Segment>();
		const endpoints = new Map<number, Attached>();
		for (const segment of this.viewed.fabric.segments()) {
			if (segment.raised) segments.set(segment.raised.domain.number, segment);
			for (const attached of segment.endpoints) if (attached.open) endpoints.set(attached.open.port.number, attached);
		}
		const found: ApiStation[] = [];
		for (const { segment: number, mac, value, isSource } of this.viewed.counters.fdb()) {
			const segment = segments.get(number);
			if (segment) found.push(isSource ? sourceOf(segment, mac, value) : stationOf(segment, mac, value, endpoints));
		}
		for (const { segment: number, address, port, isLearned } of this.viewed.counters.ips()) {
			const [segment, attached] = [segments.get(number), endpoints.get(port)];
			if (!segment || !attached) continue;
			// A macvlan endpoint's addresses stand with its MAC address.
			if (attached.joined.network.driver !== "ipvlan") continue;
			const station = stationOf(segment, attached.endpoint.mac, port, endpoints);
			found.push({ ...station, addresses: [address], type: isLearned ? "learned" : "static" });
		}
		const key = ({ parent, network: of, name, mac, addresses }: ApiStation) =>
			[parent, of, name, mac, ...addresses].join("\0");
		return found
			.filter((station) => network === undefined || station.network === network)
			.sort((left, right) => (key(left) < key(right) ? -1 : 1));
	}

	/** What is behind each port number. */
	#places(): Map<number, Place> {
		const places = new Map<number, Place>();
		for (const segment of this.viewed.fabric.segments()) {
			const { raised } = segment;
			if (!raised) continue;
			const networks = [...segment.networks.values()].map(({ network }) => network.name);
			if (raised.uplink) {
				const { port, mac, mtuBytes, carrier, link, fast } = raised.uplink;
				const others = places.get(port.number)?.networks ?? [];
				places.set(port.number, {
					networks: [...others, ...networks],
					parent: link,
					vlans: [],
					mac,
					mtuBytes,
					carrier,
					input: fast.problem ? `${fast.kind}, not xdp: ${fast.problem}` : fast.kind,
				});
			}
			const place = (open: OpenPort, of: string[]) => {
				const { name = "", vlans = [] } = segment.parent ?? {};
				const { mac, number } = open.port;
				const { mtuBytes, carrier } = open;
				places.set(number, {
					networks: of,
					parent: name,
					vlans: vlans.map(vlanText),
					mac,
					mtuBytes,
					carrier,
					input: "",
				});
			};
			if (raised.host) place(raised.host, networks);
			for (const { open, joined } of segment.endpoints) if (open) place(open, [joined.network.name]);
		}
		return places;
	}
}

/** A port that is being added or removed just now. */
const NOWHERE: Place = { networks: [], parent: "", vlans: [], mac: "", mtuBytes: 0, carrier: false, input: "" };

/** Sets apart what an uplink hears and nobody here is concerned with. */
function split(stats: PortStats): PortStats & Pick<ApiPort, "filtered"> {
	const isFilter = ([reason]: [string, number]) => stats.kind === "uplink" && FILTERS.includes(reason);
	const reasons = Object.entries(stats.drops);
	return {
		...stats,
		drops: Object.fromEntries(reasons.filter((reason) => !isFilter(reason))),
		filtered: Object.fromEntries(reasons.filter(isFilter)),
	};
}

function stationOf(segment: Segment, mac: string, port: number, endpoints: Map<number, Attached>): ApiStation {
	const parent = segment.parent?.name ?? "";
	const attached = endpoints.get(port);
	const host = segment.raised?.host?.port;
	return {
		network: attached?.joined.network.name ?? "",
		parent,
		mac,
		addresses: attached ? addressesOf(attached.endpoint) : [],
		port,
		name: attached?.open?.port.name ?? (host?.number === port ? host.name : ""),
		type: "static",
	};
}

function sourceOf(segment: Segment, mac: string, number: number): ApiStation {
	const joined = [...segment.networks.values()].find(({ network }) => network.number === number);
	const parent = segment.parent?.name ?? "";
	return { network: joined?.network.name ?? "", parent, mac, addresses: [], port: 0, name: "", type: "source" };
}

function addressesOf({ ipv4, ipv6 }: EndpointRecord): string[] {
	return [ipv4, ipv6].flatMap((cidr) => (cidr ? [cidr.slice(0, cidr.indexOf("/"))] : []));
}
