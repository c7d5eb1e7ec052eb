/** `--driver-opt KEY=VALUE` of an endpoint: Docker's keys, and what is said about others. */
import { VlaneError } from "../errors.js";

/** The meaning of an endpoint's driver options. */
export interface EndpointOptions {
	/** Name of the interface. */
	ifname?: string;
	/** `net.X.Y.IFNAME.Z=V`, checked. */
	sysctls: string[];
}

const IFNAME = "com.docker.network.endpoint.ifname";
const SYSCTLS = "com.docker.network.endpoint.sysctls";

/** The command line of docker makes its keys and values lower case, hence both. */
const SYSCTL = /^net\.(ipv4|ipv6|mpls)\.([a-z0-9_-]+)\.(IFNAME|ifname)\.([a-zA-Z0-9_]+)(=.*)?$/;

/**
 * Checks and reads an endpoint's driver options.
 * @throws VlaneError invalid; Docker's texts
 */
export function parseEndpointOptions(options: Record<string, string> = {}): EndpointOptions {
	const parsed: EndpointOptions = { sysctls: [] };
	for (const [key, value] of Object.entries(options)) {
		if (key === IFNAME) parsed.ifname = value;
		else if (key === SYSCTLS) parsed.sysctls = parseSysctls(value);
		else {
			const known = `known options: ${IFNAME}, ${SYSCTLS}`;
			throw new VlaneError("invalid", `unknown endpoint driver option ${JSON.stringify(key)}; ${known}`);
		}
	}
	return parsed;
}

function parseSysctls(value: string): string[] {
	const sysctls = value.split(",");
	const strange = sysctls.filter((sysctl) => !SYSCTL.test(sysctl));
	if (strange.length > 0) {
		const problems = strange.map(
			(sysctl) =>
				`unrecognised network interface sysctl '${sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', ` +
				"'X' must be 'ipv4', 'ipv6' or 'mpls'",
		);
		throw new VlaneError("invalid", `invalid endpoint settings: ${problems.join("; ")}`);
	}
	for (const sysctl of sysctls) {
		if (!sysctl.includes("=")) {
			throw new VlaneError("invalid", `expected sysctl '${sysctl}' to have format name=value`);
		}
	}
	return sysctls;
}

/** Where the kernel keeps a checked sysctl of an interface, and what to write there. */
export function sysctlFile(sysctl: string, ifname: string): { path: string; value: string } {
	const [, family = "", area = "", , name = "", value = ""] = SYSCTL.exec(sysctl) ?? [];
	return { path: `/proc/sys/net/${family}/${area}/${ifname}/${name}`, value: value.slice(1) };
}
