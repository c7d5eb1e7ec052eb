/** What this process may do, and the daemon that it would talk to. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { DAEMON_CAPABILITIES, NEEDED_CAPABILITIES } from "../../control/capabilities.js";
import { missingCapabilities } from "../../sys/privileges.js";
import { Client } from "../client.js";
import { messageOf } from "../errors.js";
import { DEFAULT_STATE_DIR } from "../table/spec.js";
import { Check, errnoOf, type Finding } from "./finding.js";

/** Magic numbers of statfs(2) whose contents do not last, or that LMDB can not be kept on. */
const FLEETING: Record<number, string> = { 16914836: "tmpfs", 2240043254: "ramfs", 2035054128: "overlay" };
const REMOTE: Record<number, string> = { 26985: "NFS", 4283649346: "CIFS", 4266872130: "SMB", 16914839: "9p" };

/** What the daemon says of itself, as far as it is of interest here. */
interface Info {
	Version: string;
	Datapath: string;
	StateDir: string;
}

/**
 * @param host the daemon, `unix:///path`
 * @param stateDir where records are to be; undefined: where the daemon has them, or by default
 * @param version this command's
 */
export async function checkProcess(host: string, stateDir: string | undefined, version: string): Promise<Finding[]> {
	const info = await new Client(host).get<Info>("/info").catch((error: unknown) => messageOf(error));
	const place = stateDir ?? (typeof info === "string" ? DEFAULT_STATE_DIR : info.StateDir);
	return [capabilities(), userNamespace(), stateDirectory(place), daemon(info, host, version)];
}

function capabilities(): Finding {
	const check = new Check("capabilities");
	const missing = missingCapabilities(DAEMON_CAPABILITIES);
	const text = `${missing.join(", ")} missing`;
	if (missing.length === 0) return check.ok(DAEMON_CAPABILITIES.join(", "));
	if (missing.some((name) => NEEDED_CAPABILITIES.includes(name)))
		return check.fail(text, "a daemon with these privileges does not start", "run as root");
	return check.warn(text, "a daemon can not look after processes of other users", "give it all, or run as root");
}

function userNamespace(): Finding {
	const check = new Check("user namespace");
	const map = readFileSync("/proc/self/uid_map", "latin1").trim().split(/\s+/);
	if (map[0] === "0" && map[1] === "0" && map[2] === "4294967295") return check.ok("the machine's own");
	return check.warn(
		"not the machine's own",
		"socket buffers are limited by net.core.rmem_max and wmem_max, so bursts are dropped earlier, and links of the machine itself can not be parents",
		"raise both to 16777216 outside, or run vlane outside",
	);
}

/** Where the records are, or would be. */
function stateDirectory(path: string): Finding {
	const check = new Check("state");
	let existing = path;
	while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
	try {
		accessSync(existing, constants.W_OK);
	} catch (error) {
		const code = errnoOf(error);
		if (code === "EACCES") return check.skip(`${existing}: ${code}`, "run as root");
		return check.fail(`${existing}: ${code}`, "the daemon can not keep networks", "give another --state-dir");
	}
	const { type } = statfsSync(existing);
	const place = existing === path ? path : `${path}, which does not exist yet`;
	if (FLEETING[type] !== undefined) {
		const what = "networks and addresses are forgotten with it, at the latest when the machine starts again";
		return check.warn(`${place}, on ${FLEETING[type]}`, what, "give a --state-dir on a disk or a volume");
	}
	if (REMOTE[type] !== undefined) {
		const what = "the database needs memory maps and locks that work";
		return check.warn(`${place}, on ${REMOTE[type]}`, what, "give a --state-dir on a local disk");
	}
	return check.ok(place);
}

/** @param info why there is none, when it is a text */
function daemon(info: Info | string, host: string, version: string): Finding {
	const check = new Check("daemon");
	if (typeof info === "string") return check.warn(info, "", "");
	const { Version, Datapath } = info;
	const text = `version ${Version} answers on ${host}, datapath ${Datapath}`;
	if (Version === version) return check.ok(text);
	return check.warn(text, `this command has version ${version}`, "start the daemon again; containers keep running");
}
