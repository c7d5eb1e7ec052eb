/**
 * TAP devices: Ethernet interfaces whose wire is a file descriptor (Documentation/networking/tuntap.rst).
 *
 * Every read and write is one frame behind a 10-byte `struct virtio_net_hdr`, which carries the offloads: a
 * checksum yet to be computed, a TCP or UDP super-frame of up to 64 KiB yet to be cut. A persistent device outlives
 * its descriptor with its addresses and routes, so a restarted owner attaches to it again by name and nothing
 * inside the namespace notices.
 */

import type { Link } from "../netlink/link.js";
import { Rtnetlink } from "../netlink/rtnetlink.js";
import { isErrno, SysError } from "../sys/errno.js";
import { capabilityHint, close, ioctl, O_CLOEXEC, O_NONBLOCK, O_RDWR, open } from "../sys/libc.js";
import { inNetns } from "../sys/netns.js";

const TUN_PATH = "/dev/net/tun";

// include/uapi/linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNGETFEATURES = 0x800454cf;
const TUNSETCARRIER = 0x400454e2;
const TUNGETDEVNETNS = 0x54e3;
const IFF_TAP = 0x2;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

/** `struct ifreq`: 16 bytes of name, then a union of 24. */
const IFREQ_BYTES = 40;
const IFREQ_NAME_BYTES = 16;

/** Bytes in front of every frame: `struct virtio_net_hdr` without `num_buffers`. */
export const VNET_HEADER_BYTES = 10;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/** What we ask to receive unfinished, most first: USO needs Linux 6.2. */
const OFFLOADS = [
	TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
	TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
	TUN_F_CSUM,
	0,
];

/** Frames that wait for us in the kernel. The default of 1000 overflows under a burst of TCP. */
const TX_QUEUE_LENGTH = 5000;

/** The kernel lets go of a killed owner's device a little after the process is gone. */
const BUSY_MS_MAX = 1000;
const BUSY_POLL_MS = 10;

const EINVAL = 22;

/** An attached TAP device. */
export interface Tap {
	/** Non-blocking, close-on-exec. */
	fd: number;
	name: string;
	ifindex: number;
	/** False when the device was there already (persistent) and has kept its addresses. */
	created: boolean;
	/** The device as it was before; absent when it was created. */
	found?: Link;
	/** TUN_F_* bits that the kernel accepted. */
	offloads: number;
}

/** What to open. */
export interface TapOptions {
	/** Link name, at most 15 bytes. */
	name: string;
	/** Namespace that the device lives in; by default the thread's own. */
	netnsFd?: number;
	/** Keep the device when the descriptor is closed. */
	persist: boolean;
}

/**
 * Creates a TAP device, or attaches to the persistent one of that name. It is left down and without addresses.
 * @throws SysError ENOENT (no /dev/net/tun), EPERM, EBUSY (somebody else is attached), EINVAL (another kind of link
 * has the name).
 */
export function openTap(options: TapOptions): Tap {
	const open = () => {
		const netlink = new Rtnetlink();
		try {
			return openTapHere(netlink, options);
		} finally {
			netlink.close();
		}
	};
	return options.netnsFd === undefined ? open() : inNetns(options.netnsFd, open);
}

/**
 * Removes a persistent device through its own descriptor, and closes that. (A device whose descriptor belongs to
 * somebody else is removed with `Rtnetlink.deleteLink`.)
 */
export function destroyTap(fd: number): void {
	try {
		setPersistent(fd, false);
	} finally {
		close(fd);
	}
}

/** Decides whether an attached device outlives its descriptor. */
export function setPersistent(fd: number, persist: boolean, name = `fd ${fd}`): void {
	ioctl(fd, TUNSETPERSIST, persist ? 1 : 0, "TUNSETPERSIST", name);
}

/** Tells an attached device whether there is a wire behind it: without, it says NO-CARRIER and sends nothing. */
export function setCarrier(fd: number, carrier: boolean): void {
	ioctl(fd, TUNSETCARRIER, int(carrier ? 1 : 0), "TUNSETCARRIER", `fd ${fd}`);
}

/** IFF_* of include/uapi/linux/if_tun.h that people know by name. */
const FEATURES: Record<string, number> = {
	TUN: 0x1,
	TAP: IFF_TAP,
	NAPI: 0x10,
	MULTI_QUEUE: 0x100,
	NO_PI: IFF_NO_PI,
	VNET_HDR: IFF_VNET_HDR,
};

/**
 * Names of what /dev/net/tun can do; makes no device.
 * @throws SysError ENOENT, EACCES, ENODEV...
 */
export function tunFeatures(): string[] {
	const fd = openTun();
	try {
		const bits = Buffer.alloc(4);
		ioctl(fd, TUNGETFEATURES, bits, "TUNGETFEATURES", TUN_PATH);
		return Object.keys(FEATURES).filter((name) => bits.readUInt32LE(0) & (FEATURES[name] ?? 0));
	} finally {
		close(fd);
	}
}

/** Where a device is; `netnsFd` is the caller's to close. */
export interface TapPlace {
	name: string;
	netnsFd: number;
}

/**
 * Where an attached device is by now: it may have been moved and renamed since it was made.
 * @throws SysError EBADFD when it is gone; EINVAL before Linux 5.8
 */
export function locateTap(fd: number): TapPlace {
	const ifreq = Buffer.alloc(IFREQ_BYTES);
	ioctl(fd, TUNGETIFF, ifreq, "TUNGETIFF", `fd ${fd}`);
	const name = ifreq.toString("latin1", 0, ifreq.indexOf(0));
	return { name, netnsFd: ioctl(fd, TUNGETDEVNETNS, 0, "TUNGETDEVNETNS", name) };
}

/**
 * As `openTap`, for a thread that is in the device's namespace.
 * @param netlink socket of that namespace
 */
export function openTapHere(netlink: Rtnetlink, { name, persist }: Pick<TapOptions, "name" | "persist">): Tap {
	// The kernel takes an empty name as "choose one", and reads no more than fits.
	if (name === "" || Buffer.byteLength(name) >= IFREQ_NAME_BYTES) {
		throw new SysError("TUNSETIFF", name, EINVAL, `a link name has 1 to ${IFREQ_NAME_BYTES - 1} bytes`);
	}
	const before = netlink.link(name);
	const fd = openTun();
	try {
		attach(fd, name);
		ioctl(fd, TUNSETVNETHDRSZ, int(VNET_HEADER_BYTES), "TUNSETVNETHDRSZ", name);
		const offloads = setOffloads(fd, name);
		const { index: ifindex = 0, txQueueLength } = before ?? netlink.link(name) ?? {};
		if (txQueueLength !== TX_QUEUE_LENGTH) netlink.setLink(ifindex, { txQueueLength: TX_QUEUE_LENGTH });
		setPersistent(fd, persist, name);
		return { fd, name, ifindex, created: before === undefined, found: before, offloads };
	} catch (error) {
		close(fd);
		throw error;
	}
}

function openTun(): number {
	try {
		return open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	} catch (error) {
		const hint = isErrno(error, "ENOENT")
			? "load the tun module or create the node: mknod /dev/net/tun c 10 200"
			: isErrno(error, "ENODEV", "ENXIO")
				? "load the tun module: modprobe tun"
				: capabilityHint("CAP_NET_ADMIN and access to the device");
		throw error instanceof SysError ? new SysError("open", TUN_PATH, error.errno, hint) : error;
	}
}

function attach(fd: number, name: string): void {
	const ifreq = Buffer.alloc(IFREQ_BYTES);
	ifreq.write(name, 0);
	ifreq.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, IFREQ_NAME_BYTES);
	for (let waitedMs = 0; ; waitedMs += BUSY_POLL_MS) {
		try {
			ioctl(fd, TUNSETIFF, ifreq, "TUNSETIFF", name);
			return;
		} catch (error) {
			if (!isErrno(error, "EBUSY") || waitedMs >= BUSY_MS_MAX) {
				throw error instanceof SysError ? new SysError("TUNSETIFF", name, error.errno, attachHint(error)) : error;
			}
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_POLL_MS);
		}
	}
}

function attachHint(error: SysError): string | undefined {
	if (isErrno(error, "EINVAL")) {
		return "a link of this name exists and is not a TAP";
	}
	return isErrno(error, "EBUSY") ? "another process is attached to it" : capabilityHint("CAP_NET_ADMIN");
}

function setOffloads(fd: number, name: string): number {
	for (const offloads of OFFLOADS) {
		try {
			ioctl(fd, TUNSETOFFLOAD, offloads, "TUNSETOFFLOAD", name);
			return offloads;
		} catch (error) {
			if (!isErrno(error, "EINVAL") || offloads === 0) {
				throw error;
			}
		}
	}
	return 0;
}

function int(value: number): Uint8Array {
	return new Uint8Array(Int32Array.of(value).buffer);
}
