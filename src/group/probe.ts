/** Asks a wire whether anybody has an address: from the switch, as a station of its own. */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { stableMac } from "../control/address/mac.js";
import type { Fabric } from "../control/fabric/fabric.js";
import { addressClaimedBy, probe } from "../control/namespace/announce.js";
import type { NetworkRecord } from "../control/types.js";

/** RFC 5227 takes up to 7 s for three probes. A station that is there answers at once, and a user waits for this. */
const PROBES = 3;
const INTERVAL_MS = 500;

/**
 * @param addresses canonical texts
 * @returns those that somebody answers for
 * @throws SysError, Error of the switch
 */
export async function findAnswering(fabric: Fabric, network: NetworkRecord, addresses: string[]): Promise<Set<string>> {
	const mac = stableMac(randomBytes(8).toString("hex"), network.name, "probe", new Set());
	const answering = new Set<string>();
	const listen = (frame: Uint8Array) => {
		const address = addressClaimedBy(frame);
		if (address !== undefined && addresses.includes(address)) answering.add(address);
	};
	await fabric.visit(network, mac, listen, async (send) => {
		for (let count = 0; count < PROBES; count++) {
			await send(addresses.filter((address) => !answering.has(address)).map((address) => probe(mac, address)));
			await delay(INTERVAL_MS);
		}
	});
	return answering;
}
