/** What the daemon needs of the host, checked before anything is made: one clear error instead of a late one. */
import { closeSync, lstatSync, mkdirSync, openSync } from "node:fs";
import { createConnection } from "node:net";
import { dirname } from "node:path";
import { NEEDED_CAPABILITIES } from "../control/capabilities.js";
import { VlaneError } from "../control/errors.js";
import { messageOf } from "../control/log.js";
import { missingCapabilities } from "../sys/privileges.js";

const TUN_DEVICE = "/dev/net/tun";

/** @throws VlaneError forbidden: capabilities that are missing */
export function checkCapabilities(): void {
	const missing = missingCapabilities(NEEDED_CAPABILITIES);
	if (missing.length > 0) {
		throw new VlaneError(
			"forbidden",
			`the daemon needs ${missing.join(", ")} and does not have ${missing.length > 1 ? "them" : "it"}; run it as root`,
		);
	}
}

/** @throws VlaneError unavailable: no usable /dev/net/tun */
export function checkTun(): void {
	try {
		closeSync(openSync(TUN_DEVICE, "r+"));
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		const remedy =
			code === "ENOENT" || code === "ENODEV" || code === "ENXIO"
				? "load the module (modprobe tun) and make the node: mkdir -p /dev/net && mknod /dev/net/tun c 10 200"
				: "run the daemon as root, and allow it the device";
		throw new VlaneError("unavailable", `open on "${TUN_DEVICE}": ${code}; ${remedy}`);
	}
}

/**
 * True when a daemon answers on the socket; false for a missing or a stale one.
 * @throws VlaneError conflict: what is at the path is something else, and not ours to replace
 */
export async function isSocketAlive(path: string): Promise<boolean> {
	const isOther = lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false;
	if (isOther)
		throw new VlaneError("conflict", `cannot use socket ${path}: something else has that name; give another --socket`);
	return new Promise((resolve, reject) => {
		const connection = createConnection(path);
		connection.once("connect", () => {
			connection.destroy();
			resolve(true);
		});
		connection.once("error", (error: NodeJS.ErrnoException) => {
			if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
			else reject(new VlaneError("conflict", `cannot use socket ${path}: ${error.code}; give another --socket`));
		});
	});
}

/** A path in `struct sockaddr_un` with its final zero byte (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * Makes sure that the socket's path can be taken: nobody answers on it, and its directory exists (0755).
 * @throws VlaneError conflict (a live daemon), invalid (path too long), internal
 */
export async function prepareSocket(path: string): Promise<void> {
	if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
		throw new VlaneError(
			"invalid",
			`socket path ${path} is longer than ${SOCKET_PATH_BYTES_MAX} bytes; give a shorter --socket`,
		);
	}
	try {
		mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
	} catch (error) {
		throw new VlaneError("internal", `cannot make the directory of socket ${path}: ${messageOf(error)}`);
	}
	if (await isSocketAlive(path)) {
		throw new VlaneError(
			"conflict",
			`a vlane daemon is listening on unix://${path} already; stop it or give another --socket`,
		);
	}
}
