/**
 * The TAPs of Docker's containers. Docker takes an interface from the host's namespace, moves it into the container's
 * (its "sandbox"), gives it name, addresses and routes there, and moves it back at the end. A descriptor stays attached
 * through all of this; after a restart the device has to be found again, wherever it is and whatever it is called: the
 * link's alias, which nobody else has a reason to change, says whose it is.
 */
import type { Link } from "../netlink/link.js";
import type { Rtnetlink } from "../netlink/rtnetlink.js";
import { SysError } from "../sys/errno.js";
import { close } from "../sys/libc.js";
import { netnsId, openNetns } from "../sys/netns.js";
import { openTap } from "../tap/tap.js";
import { VlaneError } from "./errors.js";
import { destroyOnError, withNetns } from "./interface.js";
import { targetPath } from "./target.js";
import type { EndpointRecord } from "./types.js";

const PREFIX = "sandbox:";

/** Digits of the endpoint's id in the name of its TAP: 13 of the 15 characters that a link name can have. */
const NAME_DIGITS = 11;
const NAME = /^vl[0-9a-f]{11}$/;

/** The part of an endpoint that its TAP is found by. */
type Place = Pick<EndpointRecord, "id" | "target" | "ifname">;

/** Where a TAP was found: in the sandbox, whose identity is given, or still (or again) in the host's namespace. */
export interface FoundInterface {
	link: Link;
	/** `dev:inode`; undefined: the host's namespace. */
	netnsId?: string;
}

/** Target of an endpoint whose container has its namespace at `path`; empty: no container yet. */
export function sandboxTarget(path: string): string {
	return PREFIX + path;
}

export function isSandbox(target: string): boolean {
	return target.startsWith(PREFIX);
}

/** Whether the endpoint has been given to a container. */
export function isJoined(target: string): boolean {
	return target !== PREFIX;
}

/** Name of an endpoint's TAP in the host's namespace. */
export function sandboxIfname(endpointId: string): string {
	return `vl${endpointId.slice(0, NAME_DIGITS)}`;
}

/** Whether a link of this name may be such a TAP. */
export function isSandboxIfname(name: string): boolean {
	return NAME.test(name);
}

function aliasOf(endpointId: string): string {
	return `vlane ${endpointId}`;
}

/**
 * Makes an endpoint's TAP in the host's namespace: down, so that nothing of the host's speaks through it.
 * @returns descriptor of the TAP
 * @throws SysError; nothing is left behind then
 */
export function createSandboxInterface(
	netlink: Rtnetlink,
	endpoint: Place & Pick<EndpointRecord, "mac" | "mtuBytes">,
): number {
	const { fd, ifindex } = openTap({ name: endpoint.ifname, persist: false });
	destroyOnError(fd, () => {
		netlink.setLink(ifindex, { mac: endpoint.mac, mtuBytes: endpoint.mtuBytes, alias: aliasOf(endpoint.id) });
	});
	return fd;
}

/**
 * Attaches to an endpoint's TAP, which an earlier daemon made.
 * @returns descriptor of the TAP
 * @throws VlaneError unavailable when there is none; SysError
 */
export function openSandboxInterface(netlink: Rtnetlink, endpoint: Place): number {
	const found = findSandboxInterface(netlink, endpoint);
	if (!found) throw new VlaneError("unavailable", `the interface of endpoint ${endpoint.id.slice(0, 12)} is gone`);
	const { name } = found.link;
	if (found.netnsId === undefined) return openTap({ name, persist: true }).fd;
	const netnsFd = openNetns(targetPath(endpoint.target));
	try {
		return openTap({ name, netnsFd, persist: true }).fd;
	} finally {
		close(netnsFd);
	}
}

/** Looks for an endpoint's TAP, in its sandbox first. */
export function findSandboxInterface(netlink: Rtnetlink, { id, target, ifname }: Place): FoundInterface | undefined {
	if (!isJoined(target)) return undefined;
	const isOurs = (link: Link) => link.kind === "tun" && link.alias === aliasOf(id);
	const path = targetPath(target);
	try {
		const link = withNetns(path, (inside) => inside.links().find(isOurs));
		if (link) return { link, netnsId: netnsId(path) };
	} catch (error) {
		// No such path, or no namespace (any more) at it.
		if (!(error instanceof SysError)) throw error;
	}
	const link = netlink.link(ifname);
	return link && isOurs(link) ? { link } : undefined;
}

/** Deletes an endpoint's TAP to which nobody is attached; what is gone already is fine. */
export function deleteSandboxInterface(netlink: Rtnetlink, endpoint: Place): void {
	const found = findSandboxInterface(netlink, endpoint);
	if (!found) return;
	if (found.netnsId === undefined) netlink.deleteLink(found.link.index);
	else withNetns(targetPath(endpoint.target), (inside) => inside.deleteLink(found.link.index));
}

/**
 * Deletes what a killed daemon left in the host's namespace and no record knows. A TAP that somebody is attached to has
 * a carrier: it is another daemon's.
 * @returns names of what was deleted
 */
export function sweepSandboxInterfaces(netlink: Rtnetlink, known: ReadonlySet<string>): string[] {
	const left = netlink
		.links()
		.filter(({ name, kind, carrier }) => kind === "tun" && !carrier && isSandboxIfname(name) && !known.has(name));
	for (const { index } of left) netlink.deleteLink(index);
	return left.map(({ name }) => name);
}
