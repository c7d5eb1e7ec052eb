/**
 * Network namespaces: finding, identifying and visiting them.
 *
 * A namespace is a property of a thread. `inNetns` moves the calling thread there and back; a function that runs
 * inside must be synchronous, because anything asynchronous would continue after the thread is back, or drag other
 * work along. What is opened inside (sockets, /dev/net/tun) belongs to that namespace for good.
 */

import { fstatSync, statSync, writeSync } from "node:fs";
import { isErrno, SysError } from "./errno.js";
import { CLONE_NEWNET, close, ioctl, O_CLOEXEC, O_RDONLY, open, setns, unshare } from "./libc.js";
import { withCapability } from "./privileges.js";

const OWN_NETNS = "/proc/thread-self/ns/net";
/** ioctl_nsfs(2): which kind of namespace a descriptor is. */
const NS_GET_NSTYPE = 0xb703;
const EINVAL = 22;

/**
 * Opens a network namespace.
 * @param path `/proc/PID/ns/net`, `/run/netns/NAME`, or any other bind mount of one.
 * @throws SysError ENOENT, EACCES; EINVAL when it is not a network namespace.
 */
export function openNetns(path: string): number {
	const fd = withCapability("CAP_SYS_PTRACE", () => open(path, O_RDONLY | O_CLOEXEC));
	if (!isNetns(fd)) {
		close(fd);
		throw new SysError("open", path, EINVAL, "it is not a network namespace");
	}
	return fd;
}

function isNetns(fd: number): boolean {
	try {
		return ioctl(fd, NS_GET_NSTYPE, 0, "NS_GET_NSTYPE", "") === CLONE_NEWNET;
	} catch (error) {
		if (isErrno(error, "ENOTTY", "EINVAL")) {
			return false;
		}
		throw error;
	}
}

/**
 * Identity of a namespace, `dev:inode`: the same for every path and descriptor of it, and not reused while it
 * lives.
 * @throws Error of node:fs when there is nothing at the path.
 */
export function netnsId(fdOrPath: number | string): string {
	// /proc/PID/ns of a process that may do more than this one is looked into with CAP_SYS_PTRACE (ptrace(2)).
	const look = (path: string) => withCapability("CAP_SYS_PTRACE", () => statSync(path));
	const stat = typeof fdOrPath === "number" ? fstatSync(fdOrPath) : look(fdOrPath);
	return `${stat.dev}:${stat.ino}`;
}

/**
 * Runs a synchronous function with this thread inside a network namespace, and returns what it returns.
 * When the way back is barred the process ends: everything it did from then on would happen in the wrong place.
 * @throws SysError when the namespace cannot be entered; whatever `visit` throws.
 */
export function inNetns<T>(fd: number, visit: () => T): T {
	return awayFromHome(() => move(fd, "network namespace"), visit);
}

/** Creates an empty network namespace (only `lo`, down); it lives as long as the returned descriptor. */
export function newNetns(): number {
	return awayFromHome(
		() => withCapability("CAP_SYS_ADMIN", () => unshare(CLONE_NEWNET)),
		() => open(OWN_NETNS, O_RDONLY | O_CLOEXEC),
	);
}

function move(fd: number, object: string): void {
	withCapability("CAP_SYS_ADMIN", () => setns(fd, CLONE_NEWNET, object));
}

function awayFromHome<T>(leave: () => void, visit: () => T): T {
	const home = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
	try {
		leave();
		let result: T;
		try {
			result = visit();
		} finally {
			comeBack(home);
		}
		if (result instanceof Promise) {
			throw new TypeError("a function that visits a network namespace must be synchronous");
		}
		return result;
	} finally {
		close(home);
	}
}

function comeBack(home: number): void {
	try {
		move(home, "own network namespace");
	} catch (error) {
		writeSync(2, `vlane: cannot return to the own network namespace: ${(error as Error).message}\n`);
		process.abort();
	}
}
