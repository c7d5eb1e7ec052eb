/**
 * The kernel side of a TAP: an endpoint's interface inside its namespace, and the host's own interface on a VLAN.
 *
 * New devices are opened non-persistent: until their records are on disk, a crash of the daemon takes them with it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { isErrno } from "../sys/errno.js";
import { close } from "../sys/libc.js";
import { inNetns, openNetns } from "../sys/netns.js";
import { destroyTap, openTap, setPersistent } from "../tap/tap.js";
import { VlaneError } from "./errors.js";

/** What an endpoint's interface is given when it is made. Addresses are CIDR texts. */
export interface InterfaceSpec {
	ifname: string;
	mac: string;
	mtuBytes: number;
	ipv4?: string;
	ipv6?: string;
	/** Default routes; absent when there shall be none. */
	gateway4?: string;
	gateway6?: string;
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
	const taken = new Set(withNetns(netnsPath, (netlink) => netlink.links().map((link) => link.name)));
	if (wanted !== undefined) {
		if (taken.has(wanted)) throw new VlaneError("conflict", `interface ${wanted} already exists in ${netnsPath}`);
		return wanted;
	}
	for (let index = 0; ; index++) {
		if (!taken.has(`eth${index}`)) return `eth${index}`;
	}
}

/**
 * Opens an endpoint's TAP in its namespace. One that is there already (left by an earlier daemon) is taken over
 * untouched; a new one gets its addresses and routes and is set up.
 * @returns descriptor of the TAP
 * @throws SysError; nothing is left behind then
 */
export function openEndpointInterface(netnsPath: string, spec: InterfaceSpec): number {
	const netnsFd = openNetns(netnsPath);
	try {
		const tap = openTap({ name: spec.ifname, netnsFd, persist: spec.persist });
		if (tap.created) {
			destroyOnError(tap.fd, () =>
				inNetns(netnsFd, () => withRtnetlink((netlink) => configure(netlink, tap.ifindex, spec))),
			);
		}
		return tap.fd;
	} finally {
		close(netnsFd);
	}
}

function configure(netlink: Rtnetlink, index: number, spec: InterfaceSpec): void {
	setIpv6(spec.ifname, spec.ipv6 !== undefined);
	netlink.setLink(index, { mac: spec.mac, mtuBytes: spec.mtuBytes });
	for (const address of [spec.ipv4, spec.ipv6]) {
		// Addresses come from our own bookkeeping, so detection of duplicates would only delay their use.
		if (address !== undefined) netlink.addAddress(index, address, { noDad: true });
	}
	const loopback = netlink.link("lo");
	if (loopback && !loopback.up) netlink.setLink(loopback.index, { up: true });
	netlink.setLink(index, { up: true });
	for (const [family, gateway] of [
		[4, spec.gateway4],
		[6, spec.gateway6],
	] as const) {
		if (gateway !== undefined && !hasDefaultRoute(netlink, family)) {
			netlink.addRoute({ destination: "default", gateway, index });
		}
	}
}

/** True when the namespace's main table has a default route of the family. */
function hasDefaultRoute(netlink: Rtnetlink, family: 4 | 6): boolean {
	return netlink.routes(family).some((route) => route.destination === "default");
}

/** The host's interface on a VLAN. */
export type HostInterfaceSpec = Pick<InterfaceSpec, "ifname" | "mac" | "mtuBytes" | "persist">;

/**
 * Opens the host's own TAP on a VLAN (`eth0.50`): up, without address, silent.
 * @returns descriptor of the TAP
 * @throws SysError; nothing is left behind then
 */
export function openHostInterface(netlink: Rtnetlink, spec: HostInterfaceSpec): number {
	const { fd, ifindex, created } = openTap({ name: spec.ifname, persist: spec.persist });
	destroyOnError(fd, () => {
		if (created) setIpv6(spec.ifname, false);
		// Also for one that was there: its parent may have been replaced by one with another address.
		netlink.setLink(ifindex, { mac: spec.mac });
		if (created) netlink.setLink(ifindex, { mtuBytes: spec.mtuBytes, up: true });
	});
	return fd;
}

/** Decides whether a device outlives its descriptor; nothing to decide for one that somebody has deleted already. */
export function keepDevice(fd: number, keep: boolean): void {
	try {
		setPersistent(fd, keep);
	} catch (error) {
		if (!isErrno(error, "EBADFD")) throw error;
	}
}

/** Switches IPv6 on or off before the interface goes up: it must not send a solicitation that nobody asked for. */
function setIpv6(ifname: string, enable: boolean): void {
	const path = `/proc/sys/net/ipv6/conf/${ifname}/disable_ipv6`;
	const value = enable ? "0" : "1";
	try {
		if (readFileSync(path, "latin1").trim() !== value) writeFileSync(path, value);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		// A kernel without IPv6 has nothing to switch off.
		if (code === "ENOENT" && !enable) return;
		throw new VlaneError("internal", `cannot ${enable ? "enable" : "disable"} IPv6 on ${ifname}: ${path}: ${code}`);
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
function withRtnetlink<T>(body: (netlink: Rtnetlink) => T): T {
	const netlink = new Rtnetlink();
	try {
		return body(netlink);
	} finally {
		netlink.close();
	}
}
