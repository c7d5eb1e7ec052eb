/** What only the wire can tell: does the gateway answer, also to a station that the hypervisor does not know? */
import { randomBytes } from "node:crypto";
import { vlanText } from "../../control/request/parent.js";
import { macText } from "../../netlink/codec.js";
import { arpProbe } from "../../raw/arpprobe.js";
import { SysError } from "../../sys/errno.js";
import { answersEcho } from "../echo.js";
import { CliError } from "../errors.js";
import { Check, errnoOf, type Finding } from "./finding.js";
import type { FoundParent } from "./parent.js";

/** First octet of a made-up address: locally administered, one station (IEEE 802-2014 8.4). */
const LOCAL_UNICAST = 0x02;
const ECHO_MS_MAX = 1000;

/** Says why nothing was sent. */
export function probeSkipped(found: FoundParent, name: string): Finding[] {
	const check = new Check("foreign macs");
	const [gateway] = found.gateways;
	const address = found.parent.vlans.length === 0 && gateway !== undefined ? gateway : "ADDRESS";
	return [
		check.skip(
			"whether other MAC addresses than the parent's pass is found by sending, which was not asked for",
			`vlane doctor --probe ${address} ${name}`,
		),
	];
}

/**
 * Asks for `target` from the parent's own MAC address and from a made-up one, on the parent's VLAN.
 * @param target an IPv4 address of that LAN, which somebody answers for
 */
export async function probe(found: FoundParent, target: string): Promise<Finding[]> {
	const { parent, link, hypervisor } = found;
	const check = new Check("foreign macs");
	const vlan = parent.vlans.length === 0 ? "" : ` on VLAN ${parent.vlans.map(vlanText).join(" inside ")}`;
	const foreign = macText(randomBytes(6).fill(LOCAL_UNICAST, 0, 1));
	const ask = (mac: string) => arpProbe({ link: link.name, vlans: parent.vlans, mac, target });
	const findings: Finding[] = [];
	try {
		const own = await ask(link.mac);
		const other = await ask(foreign);
		findings.push(neighbour(target, vlan, own ?? other));
		if (other !== undefined) findings.push(check.ok(`${target} answers a made-up MAC address${vlan}, too`));
		else if (own !== undefined)
			findings.push(
				check.fail(
					`${target} answers ${link.name}'s own MAC address${vlan}, and no made-up one`,
					"a hypervisor or a switch drops frames of endpoints, so macvlan does not work",
					`${hypervisor || "allow other MAC addresses there (forged transmits, MAC spoofing, port security)"}; or vlane network create -d ipvlan`,
				),
			);
		else findings.push(check.skip(`${target} does not answer ARP${vlan}`, "name another station of that LAN"));
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		findings.push(
			check.skip(`probing ${link.name}: ${errnoOf(error)}`, errnoOf(error) === "EPERM" ? "run as root" : ""),
		);
	}
	if (parent.vlans.length === 0) findings.push(await hostEcho(target));
	return findings;
}

function neighbour(target: string, vlan: string, mac: string | undefined): Finding {
	const check = new Check(vlan === "" ? "neighbour" : "vlan");
	if (mac !== undefined) return check.ok(`${target} is at ${mac}${vlan}`);
	const remedy =
		vlan === ""
			? "is the address right, and the cable?"
			: "is the address right, and does the switch's port carry this VLAN tagged?";
	return check.warn(`nobody answers for ${target}${vlan}`, "containers will not reach it", remedy);
}

/** From the host's own stack, with the host's own address. */
async function hostEcho(target: string): Promise<Finding> {
	const check = new Check("echo");
	try {
		if (await answersEcho(target, ECHO_MS_MAX)) return check.ok(`${target} answers the host's echo request`);
		return check.warn(
			`${target} does not answer the host's echo request`,
			"it may be set to that; a ping from a container shows no more",
			"",
		);
	} catch (error) {
		if (error instanceof CliError) return check.skip(error.message, "");
		throw error;
	}
}
