/** `vlane network inspect`. */
import type { ApiNetwork } from "../../control/types.js";
import { Client, DaemonError, resource } from "../client.js";
import { EXIT_FAILED } from "../errors.js";
import { printError, printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";
import { Template } from "../template.js";

/** Prints a JSON array of the networks that were found, or the template once for each. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const format = flags.string("format") ?? "";
	const template = format === "" || format === "json" ? undefined : new Template(format);
	const client = new Client(host);
	const networks: ApiNetwork[] = [];
	const problems: string[] = [];
	for (const reference of args) {
		try {
			networks.push(await client.get<ApiNetwork>(resource("networks", reference)));
		} catch (error) {
			if (!(error instanceof DaemonError)) throw error;
			problems.push(error.message);
		}
	}
	if (template === undefined) printLine(JSON.stringify(networks, undefined, format === "json" ? 0 : 4));
	else for (const network of networks) printLine(template.execute(templateData(network)));
	for (const problem of problems) printError(problem);
	return problems.length > 0 ? EXIT_FAILED : 0;
}

/** What a template sees: optional fields are there and empty, user-named keys are maps. */
function templateData(network: ApiNetwork): object {
	const config = (network.IPAM.Config ?? []).map((entry) => {
		const fields = {
			Subnet: entry.Subnet,
			IPRange: entry.IPRange ?? "",
			Gateway: entry.Gateway ?? "",
			AuxiliaryAddresses: mapOf(entry.AuxiliaryAddresses),
		};
		return Object.defineProperty(fields, "toJSON", { value: () => entry }); // `{{json}}` leaves out what is empty
	});
	return {
		...network,
		IPAM: { ...network.IPAM, Options: mapOf(network.IPAM.Options), Config: config },
		Containers: mapOf(network.Containers),
		Options: mapOf(network.Options),
		Labels: mapOf(network.Labels),
	};
}

function mapOf(value: object | undefined): Map<string, unknown> {
	return new Map(Object.entries(value ?? {}));
}
