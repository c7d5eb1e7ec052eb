/**
 * Targets: how the network namespace of an endpoint is named (`pid:N`, `netns:/run/netns/NAME`), reached and
 * recognised. `sandbox:PATH` names a namespace of Docker's (sandbox.ts); users can not.
 */
import { readFileSync } from "node:fs";
import { basename, isAbsolute } from "node:path";
import { netnsId } from "../../sys/netns.js";
import { VlaneError } from "../errors.js";

/** A namespace that was there when it was looked at. */
export interface Target {
	/** As stored in the endpoint: `pid:N` or `netns:/path`. */
	text: string;
	/** Path that setns(2) takes once it is opened. */
	path: string;
	/** `dev:inode`, so that a recycled pid or name is noticed. */
	netnsId: string;
	/** Endpoint name when the user gives none: `NAME` of `/run/netns/NAME`, `pid-N`. */
	defaultName: string;
}

/** True for texts that name a namespace rather than a container. */
export function isTargetText(text: string): boolean {
	return /^(pid|netns):/.test(text);
}

/** Path of the namespace that `target` (already checked) names. */
export function targetPath(target: string): string {
	return target.startsWith("pid:") ? `/proc/${target.slice(4)}/ns/net` : target.slice(target.indexOf(":") + 1);
}

/** The process that a `pid:N` target lives and dies with; undefined for the others. */
export function targetPid(target: string): number | undefined {
	return target.startsWith("pid:") ? Number(target.slice(4)) : undefined;
}

/**
 * Looks a target up.
 * @throws VlaneError invalid (malformed), notFound (no such process or namespace), forbidden (the host's own namespace)
 */
export function resolveTarget(text: string): Target {
	const [, pid] = /^pid:([1-9]\d{0,9})$/.exec(text) ?? [];
	const [, path] = /^netns:(.+)$/.exec(text) ?? [];
	if (pid === undefined && (path === undefined || !isAbsolute(path))) {
		throw new VlaneError("invalid", `invalid target ${text}: it should be pid:N or netns:/run/netns/NAME`);
	}
	const target = { text, path: targetPath(text), defaultName: pid === undefined ? basename(path ?? "") : `pid-${pid}` };
	const id = idOf(target.path, (code) => {
		const remedy = "the daemon may not look into it; run the daemon as root of the whole machine";
		throw new VlaneError("forbidden", `cannot use ${text}: ${code}, permission denied: ${remedy}`);
	});
	if (id === undefined) {
		const problem =
			pid === undefined ? `network namespace ${path} not found; see 'ip netns list'` : `process ${pid} not found`;
		throw new VlaneError("notFound", problem);
	}
	if (id === netnsId("/proc/self/ns/net")) {
		throw new VlaneError(
			"forbidden",
			`${text} is in the network namespace of the host; an endpoint needs a namespace of its own (unshare --net)`,
		);
	}
	return { ...target, netnsId: id };
}

/** Whether the namespace that an endpoint was made in can still be reached by the same name. */
export function isTargetAlive(target: string, id: string): boolean {
	return idOf(targetPath(target)) === id;
}

/** @param denied called when there is something at the path that may not be looked at */
function idOf(path: string, denied: (code: string) => void = () => undefined): string | undefined {
	try {
		return netnsId(path);
	} catch (error) {
		const { code = "" } = error as NodeJS.ErrnoException;
		if (code === "EACCES" || code === "EPERM") denied(code);
		return undefined;
	}
}

/**
 * Start time of a process in clock ticks since boot (proc(5), /proc/PID/stat field 22): together with the pid it names
 * one process for ever. Undefined when there is no such process, or only its zombie.
 */
export function processStart(pid: number): string | undefined {
	let stat: string;
	try {
		stat = readFileSync(`/proc/${pid}/stat`, "latin1");
	} catch {
		return undefined;
	}
	// The command name in parentheses may contain spaces and parentheses: count fields from the last one.
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}
