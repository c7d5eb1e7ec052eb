/** `--socket-group`: who may write to the API's socket besides its owner. */
import { readFileSync } from "node:fs";
import { VlaneError } from "../control/errors.js";

const GROUP_FILE = "/etc/group";
/** The highest one is chown(2)'s "leave it". */
const GID_MAX = 0xffff_fffe;

/**
 * Makes this process a member of a group, so that it can give files to it without further privileges.
 * @param group a name of group(5), or a number
 * @returns its number
 * @throws VlaneError invalid (no such group), forbidden (neither a member nor allowed to become one)
 */
export function joinGroup(group: string): number {
	const gid = /^\d+$/.test(group) ? Number(group) : gidOf(group);
	if (gid === undefined || gid > GID_MAX) {
		throw new VlaneError("invalid", `no group ${JSON.stringify(group)} in ${GROUP_FILE}; make it: groupadd NAME`);
	}
	const groups = process.getgroups?.() ?? [];
	if (groups.includes(gid)) return gid;
	try {
		process.setgroups?.([...groups, gid]);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		throw new VlaneError(
			"forbidden",
			`cannot give the socket to group ${group}: setgroups: ${code}; start the daemon as a member of it`,
		);
	}
	return gid;
}

function gidOf(name: string): number | undefined {
	for (const line of readFileSync(GROUP_FILE, "utf8").split("\n")) {
		const [found, , gid] = line.split(":");
		if (found === name && /^\d+$/.test(gid ?? "")) return Number(gid);
	}
	return undefined;
}
