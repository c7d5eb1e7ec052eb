/** Calls of `vlane-cni` as a container runtime makes them. */
import { fileURLToPath } from "node:url";
import { run } from "./netns.js";

/** The plugin. */
export const BIN = fileURLToPath(new URL("../../../bin/vlane-cni.cjs", import.meta.url));

/** Where Debian has the reference plugins. */
export const PLUGINS = "/usr/lib/cni";

/** A call; what is absent is left out of the environment. */
export interface CniCall {
	command?: string;
	containerId?: string;
	netns?: string;
	ifname?: string;
	args?: string;
	/** Standard input: a configuration, or any text. */
	config?: object | string;
	env?: Record<string, string>;
}

/** What a call leaves. */
export interface CniSaid {
	status: number;
	/** Parsed standard output; undefined when there is none. */
	// biome-ignore lint/suspicious/noExplicitAny: what it says is what is tested
	answer: any;
	stderr: string;
}

/** Makes one call. The plugin itself has nothing to do in the host's namespace. */
export function callCni({ command, containerId, netns, ifname, args, config, env }: CniCall): CniSaid {
	const variables = Object.entries({
		...{ CNI_COMMAND: command, CNI_CONTAINERID: containerId, CNI_NETNS: netns, CNI_IFNAME: ifname },
		...{ CNI_ARGS: args, CNI_PATH: PLUGINS, ...env },
	}).filter(([, value]) => value !== undefined);
	const input = typeof config === "object" ? JSON.stringify(config) : config;
	const ran = run([process.execPath, BIN], {
		env: Object.fromEntries(variables) as Record<string, string>,
		input,
	});
	return {
		status: ran.status,
		answer: ran.stdout.trim() === "" ? undefined : JSON.parse(ran.stdout),
		stderr: ran.stderr,
	};
}
