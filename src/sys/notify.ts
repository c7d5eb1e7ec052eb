/**
 * What a service says to systemd (sd_notify(3)) and is given by it (sd_listen_fds(3)). Without a supervisor that
 * listens, nothing happens.
 */
import { isReadable, sendDatagram } from "./fdsocket.js";
import { close, F_SETFD, FD_CLOEXEC, fcntl, SOCK_CLOEXEC, SOCK_STREAM, socketpair } from "./libc.js";
import type { FdPoller } from "./poller.js";

/** First descriptor that a supervisor passes. */
const LISTEN_FDS_START = 3;
const NAME_BYTES_MAX = 255;
/** A supervisor that is busy for longer is not waited for. */
const HEARD_MS_MAX = 1000;
/** How often a process says that it lives when nobody has told it how often: a third of what the unit allows. */
const WATCHDOG_MS = 10_000;

/** Whether somebody listens. */
export function hasSupervisor(): boolean {
	return Boolean(process.env.NOTIFY_SOCKET);
}

/** Sends variables, such as `READY=1`; a supervisor that is gone is no reason to fail. Answers whether it was taken. */
export function notify(lines: readonly string[], fds: readonly number[] = []): boolean {
	const path = process.env.NOTIFY_SOCKET;
	if (!path) return false;
	try {
		sendDatagram(path, lines.join("\n"), fds);
		return true;
	} catch {
		return false;
	}
}

/** Whether a descriptor can be stored under this name (fdname_is_valid() of systemd). */
function isName(name: string): boolean {
	return name.length <= NAME_BYTES_MAX && /^[ -9;-~]+$/.test(name);
}

/** Lets the supervisor keep a copy of a descriptor for the next process of this service. */
export function storeFd(name: string, fd: number): boolean {
	return isName(name) && notify(["FDSTORE=1", `FDNAME=${name}`], [fd]);
}

/** Gives up all descriptors that are kept under a name. */
export function forgetFd(name: string): void {
	notify(["FDSTOREREMOVE=1", `FDNAME=${name}`]);
}

/** Resolves once the supervisor has done what it was told until now, or after a second (sd_notify_barrier(3)). */
export async function heard(poller: FdPoller): Promise<void> {
	const [ours, theirs] = socketpair(SOCK_STREAM | SOCK_CLOEXEC);
	try {
		const isSaid = notify(["BARRIER=1"], [theirs]);
		close(theirs);
		// It answers by closing its copy.
		if (isSaid) await isReadable(poller, ours, HEARD_MS_MAX);
	} finally {
		close(ours);
	}
}

/** How many descriptors the supervisor has passed to this process. */
export function passedFds(): number {
	const { LISTEN_PID, LISTEN_FDS } = process.env;
	return Number(LISTEN_PID) === process.pid ? Number(LISTEN_FDS) || 0 : 0;
}

/** Takes what the supervisor has kept: descriptors, close-on-exec now, by name. Once. */
export function takePassedFds(): { name: string; fd: number }[] {
	const count = passedFds();
	const names = (process.env.LISTEN_FDNAMES ?? "").split(":");
	for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete process.env[name];
	return Array.from({ length: count }, (_, index) => {
		const fd = LISTEN_FDS_START + index;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		return { name: names[index] ?? "", fd };
	});
}

/**
 * Says again and again that this process lives, as often as the supervisor wants; answers how to stop. The successor of
 * another process is not told how often that is.
 * @param look resolves when everything that has to go on does; until it has, nothing is said
 */
export function beWatched(look: () => Promise<unknown>): () => void {
	if (!hasSupervisor()) return () => undefined;
	const { WATCHDOG_USEC, WATCHDOG_PID } = process.env;
	const toldMs = Number(WATCHDOG_PID ?? process.pid) === process.pid ? Number(WATCHDOG_USEC) / 2000 : 0;
	let isLooking = false;
	const timer = setInterval(
		async () => {
			if (isLooking) return;
			isLooking = true;
			const isAlive = await look().then(
				() => true,
				() => false,
			);
			isLooking = false;
			if (isAlive) notify(["WATCHDOG=1"]);
		},
		toldMs > 0 ? toldMs : WATCHDOG_MS,
	).unref();
	return () => clearInterval(timer);
}
