/**
 * The kernel side of a TAP: an endpoint's interface inside its namespace, and the host's own interface on a VLAN.
 *
 * New devices are opened non-persistent: until their records are on disk, a crash of the daemon takes them with it.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Link } from "../../netlink/link.js";
import { Rtnetlink } from "../../netlink/rtnetlink.js";
import { isErrno, SysError } from "../../sys/errno.js";
import { close } from "../../sys/libc.js";
import { inNetns, netnsId, openNetns } from "../../sys/netns.js";
import { destroyTap, locateTap, openTap, openTapHere, setCarrier, setPersistent } from "../../tap/tap.js";
import { VlaneError } from "../errors.js";
import { sysctlFile } from "../request/endpointopts.js";
import type { RouteRecord } from "../types.js";

/** What an endpoint's interface is given when it is made. Addresses are CIDR texts. */
export interface InterfaceSpec {
	ifname: string;
	mac: string;
	mtuBytes: number;
	ipv4?: string;
	ipv6?: string;
	furtherAddresses?: string[];
	routes?: RouteRecord[];
	/** Checked sysctls, see endpointopts.ts. */
	sysctls?: string[];
	/** How it makes IPv6 addresses of its own, see `LinkChange`. */
	addressMode?: number;
	/** Whether the device outlives its descriptor. */
	persist: boolean;
}

/** IFNAMSIZ less the final zero byte (include/uapi/linux/if.h). */
const IFNAME_LENGTH_MAX = 15;

/** Whether a name can be that of a Linux interface (dev_valid_name() in net/core/dev.c). */
export function isValidIfname(name: string): boolean {
	return name.length <= IFNAME_LENGTH_MAX && /^[^\s/:]+$/.test(name) && name !== "." && name !== "..";
}

/**
 * The name that a new interface gets: `wanted`, else the first free `ethN`.
 * @throws VlaneError invalid (not a name), conflict (taken); SysError
 */
export function chooseIfname(netnsPath: string, wanted?: string): string {
	if (wanted !== undefined && !isValidIfname(wanted)) {
		throw new VlaneError(
			"invalid",
			`invalid interface name ${JSON.stringify(wanted)}: at most 15 characters, no space, / or :`,
		);
	}
	if (wanted !== undefined) {
		if (withNetns(netnsPath, (netlink) => netlink.link(wanted)))
			throw new VlaneError("conflict", `interface ${wanted} already exists in ${netnsPath}`);
		return wanted;
	}
	const taken = new Set(withNetns(netnsPath, (netlink) => netlink.links().map((link) => link.name)));
	for (let index = 0; ; index++) {
		if (!taken.has(`eth${index}`)) return `eth${index}`;
	}
}

/** An endpoint's TAP, and what it had lost if it was to be there already, in a few words each. */
export interface OpenedInterface {
	fd: number;
	repaired: string[];
}

/** A namespace that the thread is in for the time of a call. */
export interface Inside {
	netlink: Rtnetlink;
	netnsId: string;
}

/**
 * Opens an endpoint's TAP in its namespace. One that is there already (left by an earlier daemon) is taken over with
 * its addresses; a new one gets them and is set up. Default routes are not its business, see gateways.ts.
 * @param inside what else there is to do in the namespace once it is open; it does not throw
 * @throws SysError; nothing is left behind then
 */
export function openEndpointInterface(
	netnsPath: string,
	spec: InterfaceSpec,
	inside: (visit: Inside) => void,
): OpenedInterface {
	const netnsFd = openNetns(netnsPath);
	try {
		// To go there and back costs more than most of what is done there: everything in one visit.
		return inNetns(netnsFd, () =>
			withRtnetlink((netlink) => {
				const { fd, found, ifindex } = openTapHere(netlink, { name: spec.ifname, persist: spec.persist });
				let repaired: string[] = [];
				if (found) {
					closeOnError(fd, () => adjust(netlink, found, spec));
					repaired = repairOrNot(netlink, found, spec);
				} else {
					destroyOnError(fd, () => configure(netlink, ifindex, spec));
					if (spec.persist) repaired = [`interface ${spec.ifname} made again`];
				}
				inside({ netlink, netnsId: netnsId(netnsFd) });
				return { fd, repaired };
			}),
		);
	} finally {
		close(netnsFd);
	}
}

/**
 * Takes an endpoint's interface over with its descriptor: as `openEndpointInterface` does with one that is there.
 * Undefined: somebody has deleted it, and the descriptor is closed.
 * @throws SysError; the descriptor is closed then
 */
export function inheritEndpointInterface(
	fd: number,
	spec: InterfaceSpec,
	inside: (visit: Inside) => void,
): OpenedInterface | undefined {
	return closeOnError(fd, () => {
		if (isDeviceGone(fd)) {
			close(fd);
			return undefined;
		}
		const place = unlessGone(() => locateTap(fd));
		if (!place) return { fd, repaired: [] };
		try {
			return inNetns(place.netnsFd, () =>
				withRtnetlink((netlink) => {
					const found = netlink.link(place.name);
					if (found) adjust(netlink, found, spec);
					const repaired = found ? repairOrNot(netlink, found, spec) : [];
					inside({ netlink, netnsId: netnsId(place.netnsFd) });
					return { fd, repaired };
				}),
			);
		} finally {
			close(place.netnsFd);
		}
	});
}

/** What an endpoint's interface has to have, whatever else it may have been given. */
type InterfaceAddresses = Pick<InterfaceSpec, "ipv4" | "ipv6" | "furtherAddresses" | "routes">;

/** Gives a link its missing addresses. One that is down keeps no IPv6 addresses: that is not for us to undo. */
function repair(netlink: Rtnetlink, link: Link | undefined, spec: InterfaceAddresses): string[] {
	if (!link?.up) return [];
	const present = new Set(netlink.addresses(link.index).map(({ cidr }) => cidr));
	const missing = addressesOf(spec).filter((cidr) => !present.has(cidr));
	for (const cidr of missing) netlink.addAddress(link.index, cidr, { noDad: true });
	if (missing.length > 0) addRoutes(netlink, link.index, spec.routes ?? []);
	return missing.map((cidr) => `address ${cidr} given back`);
}

/** As `repair`; what can not be given back is no reason to leave the interface without its switch. */
function repairOrNot(netlink: Rtnetlink, link: Link, spec: InterfaceSpec): string[] {
	try {
		return repair(netlink, link, spec);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return [];
	}
}

/**
 * Gives an open device the addresses that it has lost; one that was moved elsewhere is left alone.
 * @returns what was done, in a few words each; and the link, which somebody may have changed
 * @throws SysError
 */
export function repairInterface(
	fd: number,
	spec: InterfaceAddresses & { netnsId: string },
): { repaired: string[]; link?: Link } {
	const place = unlessGone(() => locateTap(fd));
	if (!place) return { repaired: [] };
	try {
		if (netnsId(place.netnsFd) !== spec.netnsId) return { repaired: [] };
		return inNetns(place.netnsFd, () =>
			withRtnetlink((netlink) => {
				const link = netlink.link(place.name);
				return { repaired: repair(netlink, link, spec), link };
			}),
		);
	} finally {
		close(place.netnsFd);
	}
}

/** Whether somebody has deleted the device behind a descriptor. */
export function isDeviceGone(fd: number): boolean {
	try {
		close(locateTap(fd).netnsFd);
		return false;
	} catch (error) {
		return isErrno(error, "EBADFD");
	}
}

function configure(netlink: Rtnetlink, index: number, spec: InterfaceSpec): void {
	const addresses = addressesOf(spec);
	setIpv6(
		spec.ifname,
		addresses.some((address) => address.includes(":")),
	);
	netlink.setLink(index, { mac: spec.mac, mtuBytes: spec.mtuBytes, addressMode: spec.addressMode });
	// Addresses come from somebody's bookkeeping, so detection of duplicates would only delay their use.
	for (const address of addresses) netlink.addAddress(index, address, { noDad: true });
	for (const sysctl of spec.sysctls ?? []) writeSysctl(sysctl, spec.ifname);
	const loopback = netlink.link("lo");
	if (loopback && !loopback.up) netlink.setLink(loopback.index, { up: true });
	netlink.setLink(index, { up: true });
	addRoutes(netlink, index, spec.routes ?? []);
}

/** All addresses of an endpoint. */
export function addressesOf({
	ipv4,
	ipv6,
	furtherAddresses = [],
}: Pick<InterfaceSpec, "ipv4" | "ipv6" | "furtherAddresses">): string[] {
	return [ipv4, ipv6, ...furtherAddresses].filter((address) => address !== undefined);
}

/** A default route beside that of another interface comes behind it; one that is there already is fine. */
function addRoutes(netlink: Rtnetlink, index: number, routes: RouteRecord[]): void {
	for (const route of routes) {
		try {
			netlink.addRoute({ ...route, index }, { append: true });
		} catch (error) {
			if (!isErrno(error, "EEXIST")) throw error;
		}
	}
}

/**
 * Gives an interface that is there its addresses and routes.
 * @throws VlaneError notFound: it is not there; SysError
 */
export function configureInterface(
	netnsPath: string,
	spec: Pick<InterfaceSpec, "ifname" | "ipv4" | "ipv6" | "furtherAddresses" | "routes">,
): void {
	withNetns(netnsPath, (netlink) => {
		const link = netlink.link(spec.ifname);
		if (!link) throw new VlaneError("notFound", `interface ${spec.ifname} is not in ${netnsPath}`);
		const addresses = addressesOf(spec);
		if (addresses.some((address) => address.includes(":"))) setIpv6(spec.ifname, true);
		const present = netlink.addresses(link.index).map(({ cidr }) => cidr);
		for (const address of addresses.filter((text) => !present.includes(text))) {
			netlink.addAddress(link.index, address, { noDad: true });
		}
		addRoutes(netlink, link.index, spec.routes ?? []);
	});
}

function writeSysctl(sysctl: string, ifname: string): void {
	const { path, value } = sysctlFile(sysctl, ifname);
	try {
		writeFileSync(path, value);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		throw new VlaneError("invalid", `cannot set sysctl '${sysctl}' of interface ${ifname}: ${path}: ${code}`);
	}
}

/** The host's interface on a VLAN. */
export type HostInterfaceSpec = Pick<InterfaceSpec, "ifname" | "mac" | "mtuBytes" | "persist">;

/**
 * Opens the host's own TAP on a VLAN (`eth0.50`): up, without address, silent.
 * @returns descriptor of the TAP
 * @throws SysError; nothing is left behind then
 */
export function openHostInterface(netlink: Rtnetlink, spec: HostInterfaceSpec): number {
	const { fd, ifindex, created, found } = openTap({ name: spec.ifname, persist: spec.persist });
	destroyOnError(fd, () => {
		if (created) setIpv6(spec.ifname, false);
		// Also for one that was there: its parent may have been replaced by one with another address.
		if (found) adjust(netlink, found, spec);
		else netlink.setLink(ifindex, { mac: spec.mac, mtuBytes: spec.mtuBytes });
		if (created) netlink.setLink(ifindex, { up: true });
	});
	return fd;
}

/** Decides whether a device outlives its descriptor; nothing to decide for one that somebody has deleted already. */
export function keepDevice(fd: number, keep: boolean): void {
	unlessGone(() => setPersistent(fd, keep));
}

/**
 * Gives a device the address and MTU that it should have, wherever it is by now; nothing to do for one that is gone.
 */
export function adjustDevice(fd: number, wanted: Partial<Pick<InterfaceSpec, "mac" | "mtuBytes">>): void {
	const place = unlessGone(() => locateTap(fd));
	if (!place) return;
	try {
		inNetns(place.netnsFd, () =>
			withRtnetlink((netlink) => {
				const link = netlink.link(place.name);
				if (link) adjust(netlink, link, wanted);
			}),
		);
	} finally {
		close(place.netnsFd);
	}
}

/** Gives a link the address and MTU that it should have. @throws SysError */
function adjust(netlink: Rtnetlink, link: Link, wanted: Partial<Pick<InterfaceSpec, "mac" | "mtuBytes">>): void {
	const { mac = link.mac, mtuBytes = link.mtuBytes } = wanted;
	if (mac !== link.mac) netlink.setLink(link.index, { mac });
	if (mtuBytes !== link.mtuBytes) netlink.setLink(link.index, { mtuBytes });
}

/** Passes the carrier of the wire on to a device; nothing to do for one that is gone. */
export function passCarrier(fd: number, carrier: boolean): void {
	unlessGone(() => setCarrier(fd, carrier));
}

/** EBADFD: somebody has deleted the device, or its namespace has ended. EINVAL: a kernel before 5.8 can not do it. */
function unlessGone<T>(body: () => T): T | undefined {
	try {
		return body();
	} catch (error) {
		if (!isErrno(error, "EBADFD", "EINVAL")) throw error;
		return undefined;
	}
}

/** Switches IPv6 on or off before the interface goes up: it must not send a solicitation that nobody asked for. */
function setIpv6(ifname: string, enable: boolean): void {
	// A kernel without IPv6 has nothing to switch off.
	if (!enable && !existsSync(`/proc/sys/net/ipv6/conf/${ifname}`)) return;
	const path = `/proc/sys/net/ipv6/conf/${ifname}/disable_ipv6`;
	const value = enable ? "0" : "1";
	try {
		if (readFileSync(path, "latin1").trim() !== value) writeFileSync(path, value);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		throw new VlaneError("internal", `cannot set up IPv6 on ${ifname}: write ${value} to ${path}: ${code}`);
	}
}

/** Runs `body`; when it throws, the TAP is destroyed before the error goes on. */
export function destroyOnError(fd: number, body: () => void): void {
	try {
		body();
	} catch (error) {
		destroyTap(fd);
		throw error;
	}
}

/** As `destroyOnError`, for a device that is to stay. */
export function closeOnError<T>(fd: number, body: () => T): T {
	try {
		return body();
	} catch (error) {
		close(fd);
		throw error;
	}
}

/** Runs `body` with a netlink socket of another namespace. @throws SysError */
export function withNetns<T>(netnsPath: string, body: (netlink: Rtnetlink) => T): T {
	const netnsFd = openNetns(netnsPath);
	try {
		return inNetns(netnsFd, () => withRtnetlink(body));
	} finally {
		close(netnsFd);
	}
}

/** Runs `body` with a netlink socket of the thread's current namespace. */
export function withRtnetlink<T>(body: (netlink: Rtnetlink) => T): T {
	const netlink = new Rtnetlink();
	try {
		return body(netlink);
	} finally {
		netlink.close();
	}
}
