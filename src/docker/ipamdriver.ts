/**
 * The calls of Docker's address management protocol (libnetwork, ipams/remote/api/api.go): what each takes, and what it
 * answers.
 */
import * as z from "zod";
import { parseCidr, parseIp } from "../control/address/cidr.js";
import { parseMac } from "../control/address/mac.js";
import { VlaneError } from "../control/errors.js";
import type { Leases } from "./leases.js";
import { text } from "./protocol.js";

/** Our only address space. */
export const ADDRESS_SPACE = "vlane";

/**
 * `--ipam-opt group=eth0.50`: on hosts of a group, the addresses of this parent, which vlane's own networks there give,
 * too. Without it, all pools of Docker's share their addresses. A host by itself has one of each anyway.
 */
const WIRE_OPTION = "group";

/** Keys of the options of an address request. */
const LABEL = {
	mac: "com.docker.network.endpoint.macaddress",
	/** Engines before 28 do not say. */
	name: "com.docker.network.endpoint.name",
} as const;

const poolId = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits");

const strings = z
	.record(z.string(), z.string())
	.nullish()
	.transform((value) => value ?? {});

/** IpamDriver.RequestPool. */
export const requestPool = z.object({
	AddressSpace: z.literal(ADDRESS_SPACE),
	Pool: text,
	SubPool: text,
	Options: strings,
	V6: z
		.boolean()
		.nullish()
		.transform((value) => value ?? false),
});

/** IpamDriver.ReleasePool. */
export const releasePool = z.object({ PoolID: poolId });

/** IpamDriver.RequestAddress. */
export const requestAddress = z.object({ PoolID: poolId, Address: text, Options: strings });

/** IpamDriver.ReleaseAddress. */
export const releaseAddress = z.object({ PoolID: poolId, Address: z.string() });

/** Answers the calls; every method but the constant ones must be called from the queue. */
export class IpamDriver {
	constructor(readonly leases: Leases) {}

	/** A MAC address with each request: it is what a container that is made again is known by. */
	async capabilities(): Promise<object> {
		await this.leases.greet();
		return { RequiresMACAddress: true, RequiresRequestReplay: false };
	}

	addressSpaces(): object {
		return { LocalDefaultAddressSpace: ADDRESS_SPACE, GlobalDefaultAddressSpace: ADDRESS_SPACE };
	}

	/** @throws VlaneError */
	async requestPool({ Pool, SubPool, Options, V6 }: z.infer<typeof requestPool>): Promise<object> {
		const { [WIRE_OPTION]: wire, ...rest } = Options;
		const [unknown] = Object.keys(rest);
		if (unknown !== undefined) {
			const known = `vlane has ${WIRE_OPTION} only, leave it out`;
			throw new VlaneError("invalid", `unknown ipam option ${JSON.stringify(unknown)}; ${known}`);
		}
		if (wire !== undefined && !/^[^\s/]{1,64}$/.test(wire)) {
			throw new VlaneError("invalid", `ipam option ${WIRE_OPTION} must be a name such as eth0.50, received: ${wire}`);
		}
		const family = V6 ? 6 : 4;
		const given = Pool === undefined ? undefined : parseCidr(Pool);
		if (given && given.family !== family) throw new VlaneError("invalid", `${Pool} is not an IPv${family} subnet`);
		const pool = await this.leases.requestPool(family, Pool, SubPool, wire);
		return { PoolID: pool.id, Pool: pool.subnet, Data: {} };
	}

	async releasePool({ PoolID }: z.infer<typeof releasePool>): Promise<void> {
		await this.leases.releasePool(PoolID);
	}

	/** @throws VlaneError */
	async requestAddress({ PoolID, Address, Options }: z.infer<typeof requestAddress>): Promise<object> {
		const { [LABEL.mac]: mac, [LABEL.name]: name } = Options;
		const key = name ? `name:${name}` : mac ? `mac:${parseMac(mac)}` : "";
		if (Address !== undefined && !parseIp(Address)) throw new VlaneError("invalid", `invalid IP address: ${Address}`);
		return { Address: await this.leases.requestAddress(PoolID, { key, address: Address }), Data: {} };
	}

	async releaseAddress({ PoolID, Address }: z.infer<typeof releaseAddress>): Promise<void> {
		await this.leases.releaseAddress(PoolID, Address);
	}
}
