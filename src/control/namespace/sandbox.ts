/**
 * The TAPs of Docker's containers. Docker takes an interface from the host's namespace, moves it into the container's
 * (its "sandbox"), gives it name, addresses and routes there, and moves it back at the end. A descriptor stays attached
 * through all of this; after a restart the device has to be found again, wherever it is and whatever it is called: the
 * link's alias, which nobody else has a reason to change, says whose it is.
 *
 * A link that is moved forgets how it is to make IPv6 addresses of its own. So one that has to be told waits without
 * carrier until it has been moved: it makes none before.
 */
import type { Link } from "../../netlink/link.js";
import type { Rtnetlink } from "../../netlink/rtnetlink.js";
import { isErrno, SysError } from "../../sys/errno.js";
import { close } from "../../sys/libc.js";
import { inNetns, netnsId, openNetns } from "../../sys/netns.js";
import { destroyTap, locateTap, openTap } from "../../tap/tap.js";
import { VlaneError } from "../errors.js";
import type { EndpointRecord } from "../types.js";
import { destroyOnError, withNetns, withRtnetlink } from "./interface.js";
import { targetPath } from "./target.js";

const PREFIX = "sandbox:";

/** Digits of the endpoint's id in the name of its TAP: 13 of the 15 characters that a link name can have. */
const NAME_DIGITS = 11;
const NAME = /^vl[0-9a-f]{11}$/;

/** The part of an endpoint that its TAP is found by. */
type Place = Pick<EndpointRecord, "id" | "target" | "ifname">;

/** A TAP's descriptor, and whether Docker has moved it out of the host's namespace. */
export interface SandboxTap {
	fd: number;
	isMoved: boolean;
}

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

/** @param owner id of the state that has the endpoint's record: another daemon may have others */
function aliasOf(endpointId: string, owner: string): string {
	return `vlane ${endpointId} ${owner}`;
}

function isOf(endpointId: string): (link: Link) => boolean {
	return ({ kind, alias }) => kind === "tun" && alias.startsWith(`vlane ${endpointId} `);
}

/**
 * Makes an endpoint's TAP in the host's namespace: down, so that nothing of the host's speaks through it.
 * @param owner see `aliasOf`
 * @throws SysError; nothing is left behind then
 */
export function createSandboxInterface(
	netlink: Rtnetlink,
	endpoint: Place & Pick<EndpointRecord, "mac" | "mtuBytes">,
	owner: string,
): SandboxTap {
	const { fd, ifindex } = openTap({ name: endpoint.ifname, persist: false });
	destroyOnError(fd, () => {
		netlink.setLink(ifindex, { mac: endpoint.mac, mtuBytes: endpoint.mtuBytes, alias: aliasOf(endpoint.id, owner) });
	});
	return { fd, isMoved: false };
}

/**
 * Attaches to an endpoint's TAP, which an earlier daemon made.
 * @param addressMode see `LinkChange`
 * @throws VlaneError unavailable when there is none; SysError
 */
export function openSandboxInterface(netlink: Rtnetlink, endpoint: Place, addressMode?: number): SandboxTap {
	const found = findSandboxInterface(netlink, endpoint);
	if (!found) throw gone(endpoint);
	const { name, index } = found.link;
	if (found.netnsId === undefined) return { fd: attach(endpoint, name), isMoved: false };
	const path = targetPath(endpoint.target);
	// Attaching gives it a carrier.
	if (addressMode !== undefined) withNetns(path, (inside) => inside.setLink(index, { addressMode }));
	const netnsFd = openNetns(path);
	try {
		return { fd: attach(endpoint, name, netnsFd), isMoved: true };
	} finally {
		close(netnsFd);
	}
}

/** An interface that is moved or renamed at this moment must not be made again. */
function attach(endpoint: Place, name: string, netnsFd?: number): number {
	const { fd, created } = openTap({ name, netnsFd, persist: true });
	if (!created) return fd;
	destroyTap(fd);
	throw gone(endpoint);
}

function gone({ id }: Place): VlaneError {
	return new VlaneError("unavailable", `the interface of endpoint ${id.slice(0, 12)} is gone`);
}

/**
 * Tells a TAP that Docker has moved how to make IPv6 addresses; nothing to do for one that is gone.
 * @param fd its descriptor
 * @throws SysError
 */
export function setAddressMode(fd: number, { id }: Place, addressMode: number): void {
	let netnsFd: number;
	try {
		netnsFd = locateTap(fd).netnsFd;
	} catch (error) {
		if (isErrno(error, "EBADFD")) return;
		throw error;
	}
	try {
		inNetns(netnsFd, () =>
			withRtnetlink((inside) => {
				// By its number: Docker may be about to rename it.
				const link = inside.links().find(isOf(id));
				if (link) inside.setLink(link.index, { addressMode });
			}),
		);
	} finally {
		close(netnsFd);
	}
}

/** Looks for an endpoint's TAP, in its sandbox first. */
export function findSandboxInterface(netlink: Rtnetlink, { id, target, ifname }: Place): FoundInterface | undefined {
	if (!isJoined(target)) return undefined;
	const isOurs = isOf(id);
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
 * Deletes what a killed daemon with the same state left in the host's namespace and no record knows.
 * @param owner see `aliasOf`
 * @returns names of what was deleted
 */
export function sweepSandboxInterfaces(netlink: Rtnetlink, known: ReadonlySet<string>, owner: string): string[] {
	const isOurs = ({ kind, alias }: Link) => kind === "tun" && alias.startsWith("vlane ") && alias.endsWith(` ${owner}`);
	const left = netlink.links().filter((link) => isOurs(link) && isSandboxIfname(link.name) && !known.has(link.name));
	for (const { index } of left) netlink.deleteLink(index);
	return left.map(({ name }) => name);
}
