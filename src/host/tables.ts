/**
 * Changes of ports and segments as calls of the core: the same for the datapath that has a thread (worker.ts) and for
 * the one that has none (offline.ts). What the core refuses becomes an Error that says why.
 */
import * as abi from "../../assembly/abi.js";
import { type CoreExports, ipNumbers, macNumbers } from "../core/engine.js";
import type { ForwardingMode, PortSecurity, PortSpec, SegmentSpec, VlanTag } from "./types.js";

const KINDS = { endpoint: abi.KIND_ENDPOINT, uplink: abi.KIND_UPLINK, host: abi.KIND_HOST } as const;
const MODES: Record<ForwardingMode, number> = {
	bridge: abi.MODE_BRIDGE,
	private: abi.MODE_PRIVATE,
	vepa: abi.MODE_VEPA,
	passthru: abi.MODE_PASSTHRU,
	source: abi.MODE_SOURCE,
	"ipvlan-bridge": abi.MODE_IPVLAN,
	"ipvlan-private": abi.MODE_IPVLAN_PRIVATE,
	"ipvlan-vepa": abi.MODE_IPVLAN_VEPA,
};

const SECURITY_FLAGS: Record<PortSecurity, number> = {
	none: 0,
	mac: abi.FLAG_SECURE_MAC,
	"mac,ip": abi.FLAG_SECURE_MAC | abi.FLAG_SECURE_IP,
};

export class Tables {
	/** `coalesce`: into which offload frames (OFFLOAD_*) neighbours of a flow are put together. */
	constructor(
		readonly core: CoreExports,
		readonly coalesce = 0,
	) {}

	/** Answers the number of a port that does not receive anything yet. */
	addPort(spec: PortSpec): number {
		const { core } = this;
		const { low, high } = macNumbers(spec.mac);
		const segment = spec.kind === "uplink" ? 0 : spec.segment;
		const network = spec.kind === "endpoint" ? spec.network : 0;
		const mode = spec.kind === "endpoint" ? MODES[spec.mode] : abi.MODE_BRIDGE;
		const port = core.portAdd(KINDS[spec.kind], mode, segment, network, low, high, spec.mtuBytes);
		if (port === 0) {
			const exists = segment !== 0 && core.stationPort(segment, low, high) !== 0;
			throw new Error(exists ? `MAC ${spec.mac} is already in use on this VLAN` : "no room for another port");
		}
		core.portOffload(port, spec.offloads === false ? 0 : abi.OFFLOADS_ALL, this.coalesce);
		if (spec.kind === "endpoint") {
			const security = SECURITY_FLAGS[spec.security ?? "none"];
			core.portSecure(port, security);
			const isKnownByIp = mode >= abi.MODE_IPVLAN || security & abi.FLAG_SECURE_IP;
			if (isKnownByIp) this.#assign(segment, port, spec.addresses ?? []);
		}
		return port;
	}

	/** Takes back a port that the kernel has never seen. */
	dropPort(port: number): void {
		this.core.portClose(port);
		this.core.portFree(port);
	}

	addSegment(spec: SegmentSpec): number {
		const [outer, inner] = spec.tags.map((tag: VlanTag) => ((tag.tpid << 16) | tag.vid) >>> 0);
		const segment = this.core.segmentAdd(spec.uplink ?? 0, outer ?? 0, inner ?? 0);
		if (segment === 0) throw new Error("no room for another segment, or its VLAN is taken on this uplink");
		return segment;
	}

	removeSegment(segment: number): void {
		if (!this.core.segmentRemove(segment)) throw new Error("the segment still has ports");
	}

	allowSource(segment: number, network: number, mac: string): void {
		const { low, high } = macNumbers(mac);
		if (this.core.sourceAdd(segment, network, low, high)) return;
		throw new Error(`another network on this VLAN allows the source ${mac} already`);
	}

	disallowSource(segment: number, mac: string): void {
		const { low, high } = macNumbers(mac);
		this.core.sourceRemove(segment, low, high);
	}

	#assign(segment: number, port: number, addresses: string[]): void {
		for (const address of addresses) {
			const [a, b, c, d] = ipNumbers(address);
			if (this.core.ipAdd(segment, a, b, c, d, port)) continue;
			this.dropPort(port);
			throw new Error(`address ${address} is already in use on this VLAN`);
		}
	}
}
